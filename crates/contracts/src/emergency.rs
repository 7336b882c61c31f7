//! Break-glass: what is put down before somebody in an emergency is let in.
//!
//! # Invariants
//! - **B1** Nothing is opened under a declaration that lacks one of the four fields of 42 CFR 2.51(c): the personnel and
//!   their affiliation, who discloses, date and time, and the nature of the emergency.
//! - **B2** A declaration holds for the types that it names, and for four hours at most.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

use crate::access::Emergency;

/// The longest time for which an emergency is declared, in milliseconds: a member may allow less.
pub const LASTS_MAX_MS: i64 = 4 * 3_600_000;
/// Bytes of a text at most.
pub const TEXT_BYTES_MAX: usize = 4_000;
/// Types that a declaration names at most.
pub const TYPES_MAX: usize = 200;
/// Why an emergency is declared (v3-ActReason).
pub const REASONS: [&str; 3] = ["ETREAT", "BTG", "DISASTER"];

/// Names a declaration, at the member where it was made and at those that are asked because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct EmergencyId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// A declared emergency with what has to be documented of it.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Declaration {
    /// Its name.
    #[n(0)]
    pub id: EmergencyId,
    /// What decisions look at: the reason, and for when it was declared. `from` is its date and time.
    #[n(1)]
    pub emergency: Emergency,
    /// The medical personnel to whom is disclosed.
    #[n(2)]
    pub personnel: String,
    /// Their affiliation with a health care facility.
    #[n(3)]
    pub affiliation: String,
    /// Who discloses.
    #[n(4)]
    pub discloser: String,
    /// The nature of the emergency.
    #[n(5)]
    pub nature: String,
    /// The resource types that are needed.
    #[n(6)]
    pub types: BTreeSet<String>,
    /// Why nothing less would do, in the words of who declared it. In the entry of the declaration alone.
    #[n(7)]
    pub justification: Option<String>,
}

/// Why a declaration does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Undeclared {
    #[error("an emergency names the medical personnel and their affiliation")]
    PersonnelMissing,
    #[error("an emergency names who discloses")]
    DiscloserMissing,
    #[error("an emergency is declared with date and time")]
    TimeMissing,
    #[error("an emergency is declared with its nature")]
    NatureMissing,
    #[error("an emergency is declared with a justification")]
    JustificationMissing,
    #[error("the reason is not one for which an emergency is declared")]
    ReasonUnknown,
    #[error("an emergency names the resource types that are needed")]
    TypesMissing,
    #[error("an emergency is declared for four hours at most")]
    TooLong,
    #[error("a text of the declaration is too long")]
    TextTooLong,
}

impl Declaration {
    /// Whether everything is there that has to be (B1, B2).
    pub fn check(&self) -> Result<(), Undeclared> {
        let is_empty = |text: &str| text.trim().is_empty();
        let Emergency {
            reason,
            from,
            until,
        } = &self.emergency;
        let rules = [
            (
                is_empty(&self.personnel) || is_empty(&self.affiliation),
                Undeclared::PersonnelMissing,
            ),
            (is_empty(&self.discloser), Undeclared::DiscloserMissing),
            (*from <= 0 || until <= from, Undeclared::TimeMissing),
            (is_empty(&self.nature), Undeclared::NatureMissing),
            (
                self.justification.as_deref().is_none_or(is_empty),
                Undeclared::JustificationMissing,
            ),
            (
                !REASONS.contains(&reason.as_str()),
                Undeclared::ReasonUnknown,
            ),
            (
                self.types.is_empty() || self.types.len() > TYPES_MAX,
                Undeclared::TypesMissing,
            ),
            (
                until.saturating_sub(*from) > LASTS_MAX_MS,
                Undeclared::TooLong,
            ),
            (self.is_too_long(), Undeclared::TextTooLong),
        ];
        let broken = rules.into_iter().find(|(is_broken, _)| *is_broken);
        broken.map_or(Ok(()), |(_, rule)| Err(rule))
    }

    fn is_too_long(&self) -> bool {
        let texts = [
            Some(&self.personnel),
            Some(&self.affiliation),
            Some(&self.discloser),
            Some(&self.nature),
            self.justification.as_ref(),
        ];
        texts
            .into_iter()
            .flatten()
            .any(|text| text.len() > TEXT_BYTES_MAX)
    }

    /// The same without the words of who declared it, for entries about what is opened because of it.
    pub fn without_justification(&self) -> Self {
        Self {
            justification: None,
            ..self.clone()
        }
    }
}

impl std::fmt::Debug for Declaration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Declaration(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declaration() -> Declaration {
        Declaration {
            id: EmergencyId([7; 16]),
            emergency: Emergency {
                reason: "ETREAT".to_owned(),
                from: 1_780_272_000_000,
                until: 1_780_272_000_000 + 3_600_000,
            },
            personnel: "Practitioner/7".to_owned(),
            affiliation: "clinic".to_owned(),
            discloser: "clinic".to_owned(),
            nature: "unconscious after a fall".to_owned(),
            types: BTreeSet::from(["Condition".to_owned()]),
            justification: Some("no other way to learn of anticoagulants".to_owned()),
        }
    }

    #[test]
    fn part2_5_break_glass_cannot_complete_without_the_four_fields() {
        assert_eq!(declaration().check(), Ok(()));
        type Spoil = fn(&mut Declaration);
        let spoiled: [(Spoil, Undeclared); 12] = [
            (|one| one.personnel.clear(), Undeclared::PersonnelMissing),
            (
                |one| one.affiliation = " ".to_owned(),
                Undeclared::PersonnelMissing,
            ),
            (|one| one.discloser.clear(), Undeclared::DiscloserMissing),
            (|one| one.emergency.from = 0, Undeclared::TimeMissing),
            (
                |one| one.emergency.until = one.emergency.from,
                Undeclared::TimeMissing,
            ),
            (
                |one| one.nature = "\n".to_owned(),
                Undeclared::NatureMissing,
            ),
            (
                |one| one.justification = None,
                Undeclared::JustificationMissing,
            ),
            (
                |one| one.justification = Some(String::new()),
                Undeclared::JustificationMissing,
            ),
            (
                |one| one.emergency.reason = "TREAT".to_owned(),
                Undeclared::ReasonUnknown,
            ),
            (|one| one.types.clear(), Undeclared::TypesMissing),
            (
                |one| one.emergency.until += 4 * 3_600_000,
                Undeclared::TooLong,
            ),
            (
                |one| one.nature = "x".repeat(4_001),
                Undeclared::TextTooLong,
            ),
        ];
        for (spoil, rule) in spoiled {
            let mut one = declaration();
            spoil(&mut one);
            assert_eq!(one.check(), Err(rule));
        }
    }
}
