//! Security labels: which covers which, and how confidential a document is.

use std::collections::BTreeSet;

/// Sensitivities with those that are kinds of them.
const KINDS: [(&str, &[&str]); 9] = [
    ("BH", &["PSY", "SUD"]),
    ("PSY", &["COGN", "DVD", "EMOTDIS", "MH", "PSYTHPN"]),
    ("ETH", &["42CFRPart2", "SUD"]),
    ("SUD", &["ETHUD"]),
    ("ETHUD", &["OPIOIDUD"]),
    ("SEX", &["GENDER"]),
    ("VIO", &["SDV"]),
    ("SDV", &["MST"]),
    ("GDIS", &["SCA", "SICKLE"]),
];

/// Sensitivities without an order among others.
const ALONE: [&str; 4] = [MINORS, "HIV", "STD", "TBOO"];

/// What minors may keep from their parents.
pub(crate) const MINORS: &str = "ADOL";

/// Confidentiality, from the least to the most (v3-Confidentiality).
const LEVELS: [&str; 6] = ["U", "L", "M", "N", "R", "V"];
/// The level of a document that nothing marks.
pub(crate) const NORMAL: i64 = 3;
/// The level that any sensitivity implies.
pub(crate) const RESTRICTED: i64 = 4;

/// The level that a code of confidentiality stands for.
pub(crate) fn level_of(code: &str) -> Option<i64> {
    (0..)
        .zip(LEVELS)
        .find(|(_, one)| *one == code)
        .map(|(level, _)| level)
}

/// The codes up to a level.
pub(crate) fn level_names(level: i64) -> impl Iterator<Item = String> {
    let up_to = (0..).zip(LEVELS).filter(move |(at, _)| *at <= level);
    up_to.map(|(_, code)| code.to_owned())
}

/// Sensitivities and confidentiality among labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    /// Codes that are not of confidentiality.
    pub(crate) sensitive: BTreeSet<String>,
    /// The levels that are named.
    pub(crate) levels: BTreeSet<i64>,
}

impl Labels {
    /// Tells apart what labels say.
    pub(crate) fn of<'a>(codes: impl IntoIterator<Item = &'a String>) -> Self {
        let mut labels = Self::default();
        for code in codes {
            match level_of(code) {
                Some(level) => _ = labels.levels.insert(level),
                None => _ = labels.sensitive.insert(code.clone()),
            }
        }
        labels
    }

    /// How confidential a document with these labels is: whatever is sensitive is restricted.
    pub(crate) fn level(&self) -> i64 {
        let named = self.levels.last().copied().unwrap_or(NORMAL).max(NORMAL);
        if self.sensitive.is_empty() {
            named
        } else {
            named.max(RESTRICTED)
        }
    }

    /// The sensitivities and all kinds of them: what a permit opens that names them.
    pub(crate) fn covered(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for code in &self.sensitive {
            add_kinds(code, &mut all);
        }
        all
    }

    /// Every sensitivity that a document may be marked with if one of these is meant: a document that is marked with the
    /// broader one may be of the narrower kind.
    pub(crate) fn touched(&self) -> BTreeSet<String> {
        let mut all = self.covered();
        let mut added = true;
        while added {
            let is_broader =
                |(_, kinds): &&(&str, &[&str])| kinds.iter().any(|kind| all.contains(*kind));
            let broader: Vec<&str> = KINDS
                .iter()
                .filter(is_broader)
                .map(|(code, _)| *code)
                .collect();
            added = broader
                .into_iter()
                .fold(false, |added, code| all.insert(code.to_owned()) || added);
        }
        all
    }

    /// Whether every sensitivity is one that labelling rules tell apart; others are `R` on a document, and no more.
    pub(crate) fn are_told_apart(&self) -> bool {
        let is_known = |code: &String| {
            let of = |(broader, kinds): &(&str, &[&str])| {
                code == broader || kinds.contains(&code.as_str())
            };
            ALONE.contains(&code.as_str()) || KINDS.iter().any(of)
        };
        self.sensitive.iter().all(is_known)
    }
}

fn add_kinds(code: &str, all: &mut BTreeSet<String>) {
    if all.insert(code.to_owned()) {
        let kinds = KINDS.iter().filter(|(broader, _)| *broader == code);
        kinds
            .flat_map(|(_, kinds)| *kinds)
            .for_each(|kind| add_kinds(kind, all));
    }
}
