//! Seats: what the registry keeps of a member, for ever.

use ed25519_zebra::VerificationKey;
use ledger::checkpoint::ML_DSA_44_PUBLIC_KEY_BYTES;
use ledger::genesis::{Member, MlDsa44Key, PublicKey};
use ledger::ids::{BlockTime, Height, MemberName};
use minicbor::{Decode, Encode};

/// A member's place in the network.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Seat {
    /// Its name, which nobody else will ever have.
    #[n(0)]
    pub name: MemberName,
    /// Its certification authority's certificate, DER.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub authority: Vec<u8>,
    /// Its nodes' certificates, in the order of their registration.
    #[n(2)]
    pub certificates: Vec<Registered>,
    /// Whether it is heard.
    #[n(3)]
    pub standing: Standing,
    /// Keys with which its node connects to validators, and votes if it is one: the newest last.
    #[n(4)]
    pub validators: Vec<ValidatorKeys>,
    /// Whether it validates from the next epoch on.
    #[n(5)]
    pub validates: bool,
    /// Where its node is, if it has said so here.
    #[n(6)]
    pub endpoints: Option<Endpoints>,
}

/// A certificate, and since when it is registered.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Registered {
    /// The certificate, DER.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub certificate: Vec<u8>,
    /// The block that registered it.
    #[n(1)]
    pub since: Height,
    /// When it was revoked, if it was.
    #[n(2)]
    pub revoked: Option<BlockTime>,
}

/// Whether a member is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Standing {
    /// It is.
    #[n(0)]
    Active,
    /// Not until it is reinstated.
    #[n(1)]
    Suspended,
    /// Never again.
    #[n(2)]
    Removed,
}

/// What a validator signs with.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ValidatorKeys {
    /// Its votes, and its connections to the other validators.
    #[n(0)]
    pub vote: PublicKey,
    /// Checkpoints besides, against quantum computers.
    #[n(1)]
    pub cosigner: Option<MlDsa44Key>,
}

/// Where a member's node is, each as address and port.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Endpoints {
    /// Of its validator.
    #[n(0)]
    pub consensus: String,
    /// Of its exchange.
    #[n(1)]
    pub exchange: String,
}

impl Seat {
    /// The seat of a member that joins at `height`.
    pub fn of(member: &Member, height: Height) -> Self {
        let keys = ValidatorKeys::of(member);
        Self {
            name: member.name.clone(),
            authority: member.authority.clone(),
            certificates: vec![Registered {
                certificate: member.node.clone(),
                since: height,
                revoked: None,
            }],
            standing: Standing::Active,
            validates: keys.is_some(),
            validators: keys.into_iter().collect(),
            endpoints: None,
        }
    }

    /// The keys with which it validates from the next epoch on.
    pub fn validator(&self) -> Option<&ValidatorKeys> {
        let is_heard = self.standing == Standing::Active;
        self.validators
            .last()
            .filter(|_| self.validates && is_heard)
    }
}

impl ValidatorKeys {
    /// The keys of a member that names some.
    pub fn of(member: &Member) -> Option<Self> {
        let cosigner = member.cosigner.clone();
        member.validator.map(|vote| Self { vote, cosigner })
    }

    /// Whether both are keys that something can be verified with.
    pub fn are_keys(&self) -> bool {
        let cosigner = self.cosigner.as_ref();
        VerificationKey::try_from(self.vote.0).is_ok()
            && cosigner.is_none_or(|key| key.as_bytes().len() == ML_DSA_44_PUBLIC_KEY_BYTES)
    }
}

impl Endpoints {
    /// Whether both are an IP address and a port.
    pub fn are_addresses(&self) -> bool {
        [&self.consensus, &self.exchange]
            .iter()
            .all(|text| text.parse::<std::net::SocketAddr>().is_ok())
    }
}
