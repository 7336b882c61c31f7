//! Refusals: the rules of forming a committee that a command may break, by name and number.

use ledger::ids::MemberName;

/// Why a command is refused. Numbers are stable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are no command.
    #[error("malformed command")]
    Malformed,
    /// The round is over, or never began.
    #[error("the round is not under way")]
    NoSuchRound,
    /// It is not one of those who may say this.
    #[error("the member has no such part in the round")]
    NotInRound,
    /// It has said it, or another member has the key.
    #[error("a member says each thing once, with a key of its own")]
    SaidBefore,
    /// Others come first.
    #[error("the round waits for others first")]
    TooEarly,
    /// Larger than the registry holds.
    #[error("a log or an outcome is larger than the registry holds")]
    TooLarge,
    /// It would be no committee.
    #[error("a committee takes k of n members with 2 <= k <= 7, k <= n <= 13 and 2k > n")]
    NoSuchCommittee,
    /// Members are not in order, or one is named twice.
    #[error("the members of a committee are in the order of their names, each once")]
    NotInOrder,
    /// A member is not heard.
    #[error("`{0}` is not a member that is heard")]
    NotHeard(MemberName),
}

impl Refusal {
    /// The rule's stable number.
    pub fn code(&self) -> u16 {
        match self {
            Self::Malformed => 201,
            Self::NoSuchRound => 202,
            Self::NotInRound => 203,
            Self::SaidBefore => 204,
            Self::TooEarly => 205,
            Self::TooLarge => 206,
            Self::NoSuchCommittee => 207,
            Self::NotInOrder => 208,
            Self::NotHeard(_) => 209,
        }
    }
}
