//! Streams: how positions of a patient's record become tags that only key holders can tell apart.
//!
//! ```text
//! root key (the patient's wallet)
//!   └─ branch key  = HKDF-SHA-256(root, "careledger/branch/v1", network, branch, epoch)
//!        └─ stream key = HKDF-SHA-256(branch, "careledger/stream/v1", stream)
//!             └─ tag of position n = HMAC-SHA-256(stream key, n as 8 big-endian bytes)[..16]
//! ```
//!
//! # Invariants
//! - **S1** A key yields what is below it, and nothing beside or above it.
//! - **S2** Positions of a stream start at 1 and have no gaps, so that the latest one is found by search. The stream of a
//!   document that was moved to another key starts where the former one ended.
//! - **S3** A stream whose tag of position 0 is used is closed, by the item that has this tag beside that of the stream's
//!   last position. As a member uses a tag once, a stream is closed once.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::ids::{MemberName, NetworkId, Tag};

/// A position in a stream; the first is 1.
pub type Position = u64;

/// The number of a branch's key; the first is 0.
pub type KeyEpoch = u32;

/// What a branch of a subject is for; each has one writing member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Branch {
    /// Consents filed through the member.
    Consent(MemberName),
    /// What the member holds, and each document's versions.
    Index(MemberName),
    /// The same for sensitive documents: even their existence is withheld.
    Restricted(MemberName),
    /// Who asked the member, or asked through it, for what and why.
    Access(MemberName),
}

impl Branch {
    /// The branches that a member writes.
    pub fn all_of(member: &MemberName) -> [Self; 4] {
        [
            Self::Consent(member.clone()),
            Self::Index(member.clone()),
            Self::Restricted(member.clone()),
            Self::Access(member.clone()),
        ]
    }

    /// The branch's name, as it goes into the derivation of its key.
    pub fn name(&self) -> String {
        match self {
            Self::Consent(member) => format!("consent/{member}"),
            Self::Index(member) => format!("index/{member}"),
            Self::Restricted(member) => format!("index/{member}/restricted"),
            Self::Access(member) => format!("access/{member}"),
        }
    }

    /// The member that appends to the branch's streams.
    pub fn writer(&self) -> &MemberName {
        match self {
            Self::Consent(member)
            | Self::Index(member)
            | Self::Restricted(member)
            | Self::Access(member) => member,
        }
    }
}

impl std::str::FromStr for Branch {
    type Err = NotABranch;

    fn from_str(text: &str) -> Result<Self, NotABranch> {
        let (kind, rest) = text.split_once('/').ok_or(NotABranch)?;
        let member = |name: &str| name.parse().map_err(|_| NotABranch);
        match (kind, rest.strip_suffix("/restricted")) {
            ("consent", None) => member(rest).map(Self::Consent),
            ("index", None) => member(rest).map(Self::Index),
            ("index", Some(name)) => member(name).map(Self::Restricted),
            ("access", None) => member(rest).map(Self::Access),
            _ => Err(NotABranch),
        }
    }
}

/// The text names no branch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a branch is consent/MEMBER, index/MEMBER, index/MEMBER/restricted or access/MEMBER")]
pub struct NotABranch;

macro_rules! secret_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        /// In a time that does not tell where they differ.
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                verify_slices_are_equal(&self.0, &other.0).is_ok()
            }
        }

        impl Eq for $name {}

        impl $name {
            /// Takes the key's bytes.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The key's bytes, for sealing them to somebody.
            pub fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret_key! {
    /// The secret from which all of one subject's branches derive. Only the wallet holds it.
    RootKey
}
secret_key! {
    /// The key of one branch of one subject.
    BranchKey
}
secret_key! {
    /// The key of one stream: whoever holds it sees which of its positions are on the ledger.
    StreamKey
}

/// A branch's key of one epoch, as a wallet gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedBranch {
    /// The branch.
    pub branch: Branch,
    /// The number of the key.
    pub epoch: KeyEpoch,
    /// The key.
    pub key: BranchKey,
}

impl RootKey {
    /// The key of `branch` on `network`, in key epoch `epoch`.
    pub fn branch(&self, network: NetworkId, branch: &Branch, epoch: KeyEpoch) -> BranchKey {
        let name = branch.name();
        BranchKey(derive(
            &self.0,
            "careledger/branch/v1",
            &[&network.0.0, name.as_bytes(), &epoch.to_be_bytes()],
        ))
    }

    /// The same with its name and number, to be given to a member.
    pub fn grant(&self, network: NetworkId, branch: Branch, epoch: KeyEpoch) -> GrantedBranch {
        GrantedBranch {
            key: self.branch(network, &branch, epoch),
            branch,
            epoch,
        }
    }

    /// 32 bytes for a purpose other than a branch, such as the seed of the wallet's signing key.
    pub fn purpose(&self, name: &str) -> [u8; 32] {
        derive(&self.0, "careledger/root-purpose/v1", &[name.as_bytes()])
    }
}

impl BranchKey {
    /// The branch's own stream: index entries, consents or access items in order.
    pub fn entries(&self) -> StreamKey {
        self.stream("entries")
    }

    /// The versions of one document, such as `Observation/17`.
    pub fn document(&self, resource_type: &str, id: &str) -> StreamKey {
        self.stream(&format!("document/{resource_type}/{id}"))
    }

    /// The key that seals descriptors for the holders of this branch.
    pub fn descriptor_key(&self) -> [u8; 32] {
        derive(&self.0, "careledger/descriptors/v1", &[])
    }

    fn stream(&self, name: &str) -> StreamKey {
        StreamKey(derive(&self.0, "careledger/stream/v1", &[name.as_bytes()]))
    }
}

impl StreamKey {
    /// The tag of `position`.
    pub fn tag(&self, position: Position) -> Tag {
        let mac = match Hmac::<Sha256>::new_from_slice(&self.0) {
            Ok(mac) => mac
                .chain_update(position.to_be_bytes())
                .finalize()
                .into_bytes(),
            // INVARIANT: HMAC takes keys of any length (RFC 2104 §3).
            Err(_) => unreachable!("HMAC takes keys of any length"),
        };
        let mut tag = [0; 16];
        tag.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        Tag(tag)
    }

    /// The tag that closes the stream when it is used (S3).
    pub fn closing(&self) -> Tag {
        self.tag(0)
    }

    /// 32 bytes for a purpose other than tags, from which nothing else of the stream follows.
    pub fn purpose(&self, name: &str) -> [u8; 32] {
        derive(&self.0, "careledger/stream-purpose/v1", &[name.as_bytes()])
    }

    /// The latest position for which `is_used` holds, or 0; asks O(log n) times (S2).
    pub fn latest<E>(
        &self,
        mut is_used: impl FnMut(Tag) -> Result<bool, E>,
    ) -> Result<Position, E> {
        let (mut low, mut high) = (0, 1);
        while is_used(self.tag(high))? {
            low = high;
            high = high.saturating_mul(2);
        }
        while high.saturating_sub(low) > 1 {
            let middle = low.midpoint(high);
            if is_used(self.tag(middle))? {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

fn derive(key: &[u8; 32], domain: &str, info: &[&[u8]]) -> [u8; 32] {
    let mut labelled = Vec::new();
    for part in info {
        labelled.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        labelled.extend(*part);
    }
    let mut derived = [0; 32];
    let expansion =
        Hkdf::<Sha256>::new(Some(domain.as_bytes()), key).expand(&labelled, &mut derived);
    // INVARIANT: 32 bytes are within HKDF's bound of 255 digests (RFC 5869 §2.3).
    debug_assert!(expansion.is_ok());
    derived
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;
    use proptest::prelude::*;

    fn index(member: &str) -> BranchKey {
        let branch = Branch::Index(member.parse().unwrap());
        RootKey::from_bytes([7; 32]).branch(NetworkId(Digest([1; 32])), &branch, 0)
    }

    #[test]
    fn every_level_and_name_gives_another_key() {
        let hospital = index("hospital");
        let keys = [
            hospital.entries(),
            hospital.document("Observation", "1"),
            hospital.document("Observation", "2"),
            hospital.document("Condition", "1"),
            index("clinic").entries(),
        ];
        for (n, one) in keys.iter().enumerate() {
            for other in &keys[n + 1..] {
                assert_ne!(one.tag(1), other.tag(1));
            }
        }
    }

    #[test]
    fn branch_names_round_trip() {
        for name in [
            "consent/clinic",
            "index/clinic",
            "index/clinic/restricted",
            "access/payer",
        ] {
            assert_eq!(name.parse::<Branch>().unwrap().name(), name);
        }
        for name in [
            "",
            "index",
            "index/",
            "access/clinic/restricted",
            "index/Clinic",
            "x/clinic",
        ] {
            assert_eq!(name.parse::<Branch>(), Err(NotABranch), "{name}");
        }
    }

    #[test]
    fn keys_do_not_show_in_debug_output() {
        let root = RootKey::from_bytes([0x5a; 32]);
        let branch = index("clinic");
        let shown = format!("{root:?} {branch:?} {:?}", branch.entries());
        assert_eq!(shown, "RootKey(..) BranchKey(..) StreamKey(..)");
    }

    proptest! {
        #[test]
        fn the_latest_position_is_found(last in 0_u64..5_000) {
            let key = index("clinic").entries();
            let used: std::collections::BTreeSet<Tag> = (1..=last).map(|n| key.tag(n)).collect();
            let mut asked = 0;
            let latest = key.latest(|tag| {
                asked += 1;
                Ok::<_, ()>(used.contains(&tag))
            });
            prop_assert_eq!(latest, Ok(last));
            prop_assert!(asked <= 26);
        }
    }
}
