//! Rejections: the rules that a statement may break, by name and number.

use ledger::ids::MemberName;
use ledger::statement::StatementError;

use crate::{governance, release};

/// Why a statement is not accepted. Numbers are stable: they are part of the interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Malformed, or not signed by the key that it names.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// For another network.
    #[error("the statement is for another network")]
    OtherNetwork,
    /// Its last height has passed.
    #[error("the statement's last height has passed")]
    Expired,
    /// Its last height is further ahead than a statement may live.
    #[error("the statement's last height is too far ahead")]
    LivesTooLong,
    /// The signer is no member.
    #[error("`{0}` is not a member of the network")]
    UnknownMember(MemberName),
    /// The member has no such certificate.
    #[error("`{0}` has no certificate with that thumbprint")]
    UnknownCertificate(MemberName),
    /// The certificate is not valid yet at the block's time.
    #[error("the certificate of `{0}` is not valid yet")]
    CertificateNotYetValid(MemberName),
    /// The certificate has expired at the block's time.
    #[error("the certificate of `{0}` has expired")]
    CertificateExpired(MemberName),
    /// The certificate was revoked.
    #[error("the certificate of `{0}` was revoked")]
    CertificateRevoked(MemberName),
    /// The member is suspended.
    #[error("`{0}` is suspended")]
    MemberSuspended(MemberName),
    /// The member was removed.
    #[error("`{0}` was removed from the network")]
    MemberRemoved(MemberName),
    /// Items carry tags that the member used before, or twice.
    #[error("the member has used the tags of items {items:?} before")]
    TagUsed {
        /// Indices of the items at fault.
        items: Vec<u16>,
    },
    /// The command is for no contract of this network.
    #[error("no contract has the number {0}")]
    UnknownContract(u16),
    /// The member gave the command before.
    #[error("the command was given before")]
    CommandRepeated,
    /// The contract of governance refuses the command.
    #[error(transparent)]
    Governance(#[from] governance::Refusal),
    /// The contract of release refuses the command.
    #[error(transparent)]
    Release(#[from] release::Refusal),
}

impl Rejection {
    /// Whether it is about who signed, and not about what: the same may be accepted from the same member once its
    /// certificate is renewed or the member is heard again.
    pub fn concerns_signer(&self) -> bool {
        matches!(
            self,
            Self::UnknownMember(_)
                | Self::UnknownCertificate(_)
                | Self::CertificateNotYetValid(_)
                | Self::CertificateExpired(_)
                | Self::CertificateRevoked(_)
                | Self::MemberSuspended(_)
        )
    }

    /// The rule's stable number.
    pub fn code(&self) -> u16 {
        match self {
            Self::Statement(_) => 1,
            Self::OtherNetwork => 2,
            Self::Expired => 3,
            Self::LivesTooLong => 4,
            Self::UnknownMember(_) => 10,
            Self::UnknownCertificate(_) => 11,
            Self::CertificateNotYetValid(_) => 12,
            Self::CertificateExpired(_) => 13,
            Self::CertificateRevoked(_) => 14,
            Self::MemberSuspended(_) => 15,
            Self::MemberRemoved(_) => 16,
            Self::TagUsed { .. } => 20,
            Self::UnknownContract(_) => 30,
            Self::CommandRepeated => 31,
            Self::Governance(refusal) => refusal.code(),
            Self::Release(refusal) => refusal.code(),
        }
    }
}
