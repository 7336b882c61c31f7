//! Linkage: what becomes of another member's question whether one of its patients is one of this member's.
//!
//! Evaluated at the custodian, for each patient whom the question matches, after the decision about a read of the Patient
//! resource.
//!
//! # Invariants
//! - **L3** Keys are handed over only for a patient whose Patient resource the asker might read.
//! - **L4** What is not the one certain match is handed over only if a person has approved it, for that patient and member.
//! - **L5** What a person has refused is neither handed over nor put on the list again.
//! - **L6** Of a patient whose link a person has refused or withdrawn, that member gets nothing, not even by keys that it was
//!   handed before; unless the patient has a wallet, which gives keys itself.

/// What a member answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Nothing: it takes no questions.
    Off,
    /// What a person has approved.
    Person,
    /// The one certain match by itself, and others as a person has approved.
    Certain,
}

/// How it stands between a patient and a member that has asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has not asked, or nobody has looked yet.
    Open,
    /// A person has approved.
    Approved,
    /// A person has refused, or withdrawn what was handed over.
    Refused,
}

/// A patient whom a question matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched {
    /// Whether the asker might read the Patient resource.
    pub is_permitted: bool,
    /// Whether it is certain, and no other patient is.
    pub is_the_certain_one: bool,
    /// What a person has said.
    pub standing: Standing,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// The keys of the patient's index branch go to the asker.
    HandOver,
    /// A person has to look.
    Wait,
    /// Nothing.
    Nothing,
}

/// Rules on one match.
pub fn rule(answers: Answers, matched: Matched) -> Ruling {
    if answers == Answers::Off || !matched.is_permitted {
        return Ruling::Nothing;
    }
    match matched.standing {
        Standing::Refused => Ruling::Nothing,
        Standing::Approved => Ruling::HandOver,
        Standing::Open if answers == Answers::Certain && matched.is_the_certain_one => {
            Ruling::HandOver
        }
        Standing::Open => Ruling::Wait,
    }
}

/// Whether a member is given what it asks of a patient and the patient's consents permit.
pub fn is_given(has_wallet: bool, standing: Standing) -> bool {
    has_wallet || standing != Standing::Refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l3_l4_l5_each_case_has_its_ruling() {
        use Answers::{Certain, Off, Person};
        use Ruling::{HandOver, Nothing, Wait};
        use Standing::{Approved, Open, Refused};
        for (answers, is_permitted, is_the_certain_one, standing, expected) in [
            (Off, true, true, Approved, Nothing),
            (Certain, false, true, Open, Nothing),
            (Certain, false, true, Approved, Nothing),
            (Certain, true, true, Open, HandOver),
            (Certain, true, false, Open, Wait),
            (Certain, true, false, Approved, HandOver),
            (Certain, true, true, Refused, Nothing),
            (Person, true, true, Open, Wait),
            (Person, true, false, Approved, HandOver),
            (Person, true, true, Refused, Nothing),
            (Person, false, true, Approved, Nothing),
        ] {
            let matched = Matched {
                is_permitted,
                is_the_certain_one,
                standing,
            };
            assert_eq!(rule(answers, matched), expected, "{answers:?} {matched:?}");
        }
    }

    #[test]
    fn l6_whose_link_is_refused_gets_nothing_but_by_the_wallet() {
        for (has_wallet, standing, expected) in [
            (false, Standing::Open, true),
            (false, Standing::Approved, true),
            (false, Standing::Refused, false),
            (true, Standing::Open, true),
            (true, Standing::Refused, true),
        ] {
            assert_eq!(is_given(has_wallet, standing), expected, "{standing:?}");
        }
    }
}
