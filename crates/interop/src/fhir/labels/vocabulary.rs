//! Codes of security labels: which there are, which covers which, and what each comes to here.
//!
//! The hierarchy is that of HL7's v3-ActCode, as data (`vocabulary.json`), and a few relations of our own where the
//! published one has none: it puts `SUD` beside `ETH`, and `PSYTHPN` beside `PSY`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use super::Label;

pub(super) const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
pub(super) const SENSITIVITY: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

/// Systems whose codes, as security labels, say nothing about sensitivity.
const OTHERS: [&str; 2] = [
    "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
];
/// More steps than the hierarchy has levels.
const STEPS_MAX: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vocabulary {
    #[serde(rename = "source")]
    _source: String,
    published: BTreeMap<String, Vec<String>>,
    own: BTreeMap<String, String>,
    confidentiality: Confidentiality,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confidentiality {
    order: Vec<String>,
    sensitivities: BTreeMap<String, String>,
}

#[expect(
    clippy::expect_used,
    reason = "the vocabulary is compiled in and a test parses it"
)]
static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    serde_json::from_slice(include_bytes!("vocabulary.json")).expect("vocabulary.json is sound")
});

/// What a security label says here; `None` if it says that nothing is sensitive. What is not understood restricts.
pub(super) fn security_label(system: &str, code: &str) -> Option<Label> {
    if OTHERS.contains(&system) {
        return None;
    }
    if system == CONFIDENTIALITY {
        let confidentiality = &VOCABULARY.confidentiality;
        if let Some(label) = confidentiality.sensitivities.get(code) {
            return Some(Label::parse(label).unwrap_or(Label::Restricted));
        }
        return match rank(code) {
            Some(rank) if Some(rank) < self::rank("R") => None,
            Some(_) => Some(Label::parse(code).unwrap_or(Label::Restricted)),
            None => Some(Label::Restricted),
        };
    }
    if system == SENSITIVITY {
        return Some(folded(code));
    }
    Some(Label::Restricted)
}

/// Where a code stands in the order of confidentiality, the lowest first.
pub(super) fn rank(code: &str) -> Option<usize> {
    let order = &VOCABULARY.confidentiality.order;
    order.iter().position(|one| one == code)
}

/// The label that a code of v3-ActCode comes to: itself, or the nearest that covers it.
fn folded(code: &str) -> Label {
    let mut seen = BTreeSet::new();
    let mut at = vec![code];
    for _ in 0..STEPS_MAX {
        if let Some(label) = at.iter().find_map(|code| Label::parse(code)) {
            return label;
        }
        let above = at.iter().flat_map(|code| above(code));
        at = above.filter(|code| seen.insert(*code)).collect();
    }
    Label::Restricted
}

/// The codes that cover a code directly.
fn above(code: &str) -> Vec<&'static str> {
    let own = VOCABULARY.own.get(code).map(String::as_str);
    let published = VOCABULARY.published.get(code).into_iter().flatten();
    own.into_iter()
        .chain(published.map(String::as_str))
        .collect()
}

/// The labels that cover a label, itself not among them.
pub(super) fn broader(label: Label) -> impl Iterator<Item = Label> {
    let mut found = BTreeSet::new();
    let mut at = match label {
        Label::VeryRestricted => vec!["R"],
        label => above(label.code()),
    };
    for _ in 0..STEPS_MAX {
        found.extend(at.iter().filter_map(|code| Label::parse(code)));
        at = at.into_iter().flat_map(above).collect();
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_vocabulary_is_known_and_none_covers_itself() {
        let known = |code: &String| {
            VOCABULARY.published.contains_key(code) || VOCABULARY.own.contains_key(code)
        };
        for parents in VOCABULARY.published.values() {
            assert!(parents.iter().all(known), "{parents:?}");
        }
        for label in VOCABULARY.own.values() {
            assert!(Label::parse(label).is_some(), "{label}");
        }
        for label in Label::ALL {
            let above: BTreeSet<Label> = broader(label).collect();
            assert!(!above.contains(&label), "{label:?} covers itself");
        }
        assert_eq!(rank("V"), Some(5));
    }

    #[test]
    fn a_code_comes_to_the_nearest_label() {
        let label = |code: &str| security_label(SENSITIVITY, code).map(Label::code);
        assert_eq!(label("SUD"), Some("ETH"));
        assert_eq!(label("OPIOIDUD"), Some("OPIOIDUD"));
        assert_eq!(label("COGN"), Some("PSY"));
        assert_eq!(label("PREGNANT"), Some("SEX"));
        assert_eq!(label("TBOO"), Some("R"));
        assert_eq!(label("no such code"), Some("R"));
        let above: Vec<Label> = broader(Label::OpioidUse).collect();
        assert_eq!(above, [Label::SubstanceUse]);
    }
}
