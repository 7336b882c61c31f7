//! Refusals: the rules of governance that a command may break, by name and number.

use interop::fhir::labels::RuleProblem;
use ledger::ids::MemberName;

use crate::membership::CertificateError;
use crate::release;

/// Why a command is refused. Numbers are stable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are no command.
    #[error("malformed command")]
    Malformed,
    /// No proposal has the number, or it is closed.
    #[error("proposal {0} cannot be voted on")]
    NoSuchProposal(u64),
    /// The member has voted.
    #[error("a member votes once")]
    VotedBefore,
    /// It is another member's proposal.
    #[error("only its proposer withdraws a proposal")]
    NotTheProposer,
    /// As many proposals are open as may be.
    #[error("too many proposals are open")]
    TooManyProposals,
    /// The certificate does not speak for the member.
    #[error("the certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// The statement is not signed by the key of the certificate in it.
    #[error("the statement is not signed with the certificate that it registers")]
    NotItsKey,
    /// It is registered, or was.
    #[error("the certificate was registered before")]
    RegisteredBefore,
    /// As many are valid as may be.
    #[error("too many certificates are valid: revoke one first")]
    TooManyCertificates,
    /// There is no such certificate that could be revoked.
    #[error("the member has no such certificate, or it was revoked before")]
    NothingToRevoke,
    /// The member does not validate, or has no keys for it.
    #[error("the member does not validate, or has no keys for it")]
    NoValidator,
    /// The key votes, or has voted.
    #[error("the validator's key was used before")]
    ValidatorKeyUsed,
    /// A validator's keys are not keys of their kinds.
    #[error("a validator has an Ed25519 key, and an ML-DSA-44 key besides")]
    NotKeys,
    /// Nobody would validate.
    #[error("nobody would validate")]
    NoValidatorLeft,
    /// No member has the name.
    #[error("`{0}` is not a member, or not in a standing for this")]
    NoSuchMember(MemberName),
    /// A member has or had the name.
    #[error("the name `{0}` is taken")]
    NameTaken(MemberName),
    /// An endpoint is no address.
    #[error("an endpoint is an IP address and a port")]
    NotAnAddress,
    /// Nobody could live by the rules, or they change what stays.
    #[error("the rules are unsound, or change the length of epochs")]
    RulesUnsound,
    /// Larger than the registry holds.
    #[error("{0} are larger or more than the registry holds")]
    OutOfBounds(&'static str),
    /// The policies are not Cedar, or do not fit the schema.
    #[error("the policies are not Cedar policies that fit the schema")]
    PoliciesMalformed,
    /// A format is not above the one in force.
    #[error("formats only go up")]
    FormatNotAbove,
    /// There can be no such committee.
    #[error(transparent)]
    Committee(#[from] release::Refusal),
    /// The rules for labels are not sound.
    #[error("the label rules: {0}")]
    LabelRules(#[from] RuleProblem),
}

impl Refusal {
    /// The rule's stable number.
    pub fn code(&self) -> u16 {
        match self {
            Self::Malformed => 101,
            Self::NoSuchProposal(_) => 102,
            Self::VotedBefore => 103,
            Self::NotTheProposer => 104,
            Self::TooManyProposals => 105,
            Self::Certificate(_) => 106,
            Self::NotItsKey => 107,
            Self::RegisteredBefore => 108,
            Self::TooManyCertificates => 109,
            Self::NothingToRevoke => 110,
            Self::NoValidator => 111,
            Self::ValidatorKeyUsed => 112,
            Self::NoValidatorLeft => 113,
            Self::NoSuchMember(_) => 114,
            Self::NameTaken(_) => 115,
            Self::NotAnAddress => 117,
            Self::RulesUnsound => 118,
            Self::OutOfBounds(_) => 119,
            Self::FormatNotAbove => 120,
            Self::NotKeys => 121,
            Self::PoliciesMalformed => 122,
            Self::Committee(refusal) => refusal.code(),
            Self::LabelRules(_) => 124,
        }
    }
}
