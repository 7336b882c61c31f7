//! Security labels: what makes a resource sensitive, by rules that are data.
//!
//! A resource gets a label by a code in it, by whom it refers to, by the patient's age at the time, by a word in its
//! text, by a resource that it refers to, or by a label in `meta.security`. A security label that is not understood
//! restricts. Any sensitivity implies confidentiality `R`, and every label those that cover it.
//!
//! ```text
//!   RuleSet (JSON) ── check ──> Rules ── needs(resource) ──> what to load ──> findings(resource, Context) ──> labels
//! ```
//!
//! Limits: the rules that are compiled in (`rules.json`) are a small set, not a terminology service; a resource without
//! a listed code is not found by its text unless a network or a member adds words.

mod age;
mod engine;
mod finding;
mod mark;
mod notice;
mod rule_set;
mod vocabulary;
mod walk;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::Resource;
pub use engine::{Looked, Rules};
pub use finding::{Cause, Context, Finding, Needs, labels_in};
pub use mark::{high_water_mark, is_to_be_marked, with_labels};
pub use notice::{NOTICE, carries_notice, needs_notice, scopes, with_notice};
pub use rule_set::{RuleProblem, RuleSet, SET_BYTES_MAX};
use vocabulary::{CONFIDENTIALITY, SENSITIVITY};

/// The rules as they are compiled in.
pub const RULES_BYTES: &[u8] = include_bytes!("rules.json");

/// A label that an access decision looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// `ADOL`: what minors may keep from their parents.
    Adolescent,
    /// `ETH`: substance use, alcohol included.
    SubstanceUse,
    /// `ETHUD`: alcohol use disorder.
    AlcoholUse,
    /// `GDIS`: genetic disease.
    Genetic,
    /// `HIV`.
    Hiv,
    /// `OPIOIDUD`: opioid use disorder.
    OpioidUse,
    /// `PSY`: mental health.
    MentalHealth,
    /// `PSYTHPN`: psychotherapy notes.
    Psychotherapy,
    /// `SDV`: sexual assault, abuse, domestic violence.
    Violence,
    /// `SEX`: sexuality and reproductive health.
    Reproductive,
    /// `STD`: sexually transmitted disease.
    SexuallyTransmitted,
    /// Confidentiality `R`.
    Restricted,
    /// Confidentiality `V`.
    VeryRestricted,
}

impl Label {
    /// All labels.
    pub const ALL: [Self; 13] = [
        Self::Adolescent,
        Self::SubstanceUse,
        Self::AlcoholUse,
        Self::Genetic,
        Self::Hiv,
        Self::OpioidUse,
        Self::MentalHealth,
        Self::Psychotherapy,
        Self::Violence,
        Self::Reproductive,
        Self::SexuallyTransmitted,
        Self::Restricted,
        Self::VeryRestricted,
    ];

    /// The code in v3-ActCode, or v3-Confidentiality.
    pub fn code(self) -> &'static str {
        match self {
            Self::Adolescent => "ADOL",
            Self::SubstanceUse => "ETH",
            Self::AlcoholUse => "ETHUD",
            Self::Genetic => "GDIS",
            Self::Hiv => "HIV",
            Self::OpioidUse => "OPIOIDUD",
            Self::MentalHealth => "PSY",
            Self::Psychotherapy => "PSYTHPN",
            Self::Violence => "SDV",
            Self::Reproductive => "SEX",
            Self::SexuallyTransmitted => "STD",
            Self::Restricted => "R",
            Self::VeryRestricted => "V",
        }
    }

    /// The system of the code.
    pub fn system(self) -> &'static str {
        match self {
            Self::Restricted | Self::VeryRestricted => CONFIDENTIALITY,
            _ => SENSITIVITY,
        }
    }

    /// The label with this code.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|label| label.code() == code)
    }

    /// The labels that cover this one.
    pub fn broader(self) -> impl Iterator<Item = Self> {
        vocabulary::broader(self)
    }
}

/// The labels of a resource by the rules that are compiled in, as far as the resource itself tells.
pub fn labels_of(resource: &Resource) -> BTreeSet<Label> {
    labels_in(&builtin().findings(resource, &Context::default()))
}

/// The rules that are compiled in.
pub fn builtin() -> &'static Rules {
    &BUILTIN
}

/// The labels without those that a narrower one among them implies: what a decision has to find permitted.
pub fn narrowest(labels: &BTreeSet<String>) -> BTreeSet<String> {
    let implied: BTreeSet<&str> = labels
        .iter()
        .filter_map(|code| Label::parse(code))
        .flat_map(Label::broader)
        .map(Label::code)
        .collect();
    let narrow = labels
        .iter()
        .filter(|code| !implied.contains(code.as_str()));
    narrow.cloned().collect()
}

/// Whether the labels put a resource into the restricted stream.
pub fn is_restricted(labels: &BTreeSet<Label>) -> bool {
    !labels.is_empty()
}

/// The version of the rules that are compiled in.
pub fn rules_version() -> &'static str {
    builtin().versions().next().unwrap_or_default()
}

#[expect(
    clippy::expect_used,
    reason = "the rules are compiled in and a test parses them"
)]
static BUILTIN: LazyLock<Rules> = LazyLock::new(|| {
    let set = RuleSet::parse(RULES_BYTES).expect("rules.json is a rule set");
    Rules::of(vec![set])
});

#[cfg(test)]
mod tests;
