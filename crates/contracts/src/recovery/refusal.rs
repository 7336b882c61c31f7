//! Refusals: the rules of recovery that a command may break, by name and number.

/// Why a command is refused. Numbers are stable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The signature is not by the key that is named.
    #[error("the signature is not by the key that is named")]
    NotSigned,
    /// It is said of another wallet.
    #[error("the command is for another wallet or network")]
    OtherWallet,
    /// It is said of guardians that were replaced, or that are not set up yet.
    #[error("the command is for another set-up of guardians")]
    OtherSetUp,
    /// There are none, or there cannot be.
    #[error("guardians are k of n with 2 <= k <= 7, k <= n <= 13 and 2k > n")]
    NoSuchGuardians,
    /// Guardians are not in order, or one is named twice.
    #[error("guardians are in the order of their keys, each once")]
    NotInOrder,
    /// Nobody could object, or nobody would live to see it.
    #[error("a delay is between a second and thirty days")]
    DelayOutOfBounds,
    /// It takes the wallet's key.
    #[error("only the wallet may do this")]
    NotTheWallet,
    /// The key that asks is the wallet's.
    #[error("a wallet recovers to a key of its own")]
    NotANewWallet,
    /// The signer guards nothing here.
    #[error("the signer is no guardian of this wallet")]
    NotAGuardian,
    /// Another request is under way.
    #[error("a recovery is under way")]
    UnderWay,
    /// No such request is under way.
    #[error("no such recovery is under way")]
    NoSuchRequest,
    /// The request was ended, or as many as can be remembered were.
    #[error("the recovery was ended before")]
    EndedBefore,
    /// The guardian has approved.
    #[error("a guardian approves once")]
    ApprovedBefore,
    /// Larger than a share.
    #[error("a sealed share is larger than it can be")]
    TooLarge,
    /// The wallet may still object.
    #[error("the wallet may object for {wait_ms} ms more")]
    TooEarly {
        /// How long it may.
        wait_ms: u64,
    },
    /// Fewer guardians have approved than it takes.
    #[error("{given} guardians have approved of {needed}")]
    TooFewApprovals {
        /// How many have.
        given: u32,
        /// How many it takes.
        needed: u32,
    },
    /// The key that is to be the wallet's has not signed.
    #[error("the new key has not agreed to be the wallet's")]
    NotAgreed,
    /// The key has given way before.
    #[error("the key was the wallet's before, or it gave way too often: set up guardians anew")]
    FormerKey,
}

impl Refusal {
    /// The rule's stable number.
    pub fn code(&self) -> u16 {
        match self {
            Self::NotSigned => 301,
            Self::OtherWallet => 302,
            Self::OtherSetUp => 303,
            Self::NoSuchGuardians => 304,
            Self::NotInOrder => 305,
            Self::DelayOutOfBounds => 306,
            Self::NotTheWallet => 307,
            Self::NotANewWallet => 308,
            Self::NotAGuardian => 309,
            Self::UnderWay => 310,
            Self::NoSuchRequest => 311,
            Self::EndedBefore => 312,
            Self::ApprovedBefore => 313,
            Self::TooLarge => 314,
            Self::TooEarly { .. } => 315,
            Self::TooFewApprovals { .. } => 316,
            Self::NotAgreed => 317,
            Self::FormerKey => 318,
        }
    }
}
