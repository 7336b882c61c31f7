//! The roots that a wallet has had, and the keys by which members have known it.
//!
//! ```text
//! roots        root 0 ──────────────► root 1 ──────────► root 2        branch keys derive from the root of their era
//! identities   root 0's ─► (own) ───► root 1's ────────► root 2's      each named and signed for by the one before
//! ```
//! A wallet that recovered another has an identity of its own between two roots.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::recovery::{Command, Place};
use ed25519_zebra::{SigningKey, VerificationKey};
use ledger::ids::{Digest, NetworkId};
use ledger::stream::{Branch, GrantedBranch, KeyEpoch, RootKey};
use serde::{Deserialize, Serialize};
use vault::jwe;
use vault::wrap::HpkeKeyPair;
use zeroize::Zeroizing;

use super::{State, Wallet};

/// What is under seal beside a guarded root.
const JSON: &str = "application/json";

/// What has been since a later root took the place of the one before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Era {
    /// The number of the first key of each branch that derives from the root. Branches that are not named were not known
    /// before: all their keys do.
    pub(crate) starts: BTreeMap<String, KeyEpoch>,
    /// The members that know the root's identity.
    pub(crate) known_at: BTreeSet<String>,
}

/// The roots of a wallet, the oldest first, with the era that each later one began.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Lineage {
    oldest: RootKey,
    later: Vec<(Era, RootKey)>,
}

/// A key by which members know a wallet.
#[derive(Clone)]
pub(super) struct Identity {
    root: RootKey,
    /// The number of the newest root at that time.
    pub(super) era: usize,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    roots: Vec<String>,
    eras: Vec<Era>,
}

impl Identity {
    pub(super) fn new(root: RootKey, era: usize) -> Self {
        Self { root, era }
    }

    /// Signs consents, and asks members for tokens.
    pub(super) fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.root.purpose("signing"))
    }

    pub(super) fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.seed())
    }

    pub(super) fn public(&self) -> [u8; 32] {
        VerificationKey::from(&self.signing_key()).into()
    }

    /// To which something is sealed: a guardian's share, a recovered root, a root in escrow.
    pub(super) fn recipient(&self, purpose: &str) -> HpkeKeyPair {
        HpkeKeyPair::from_private(Zeroizing::new(self.root.purpose(purpose)))
    }

    /// Puts `next` in the place of this one.
    pub(super) fn gives_way(&self, place: Place, next: &Self) -> Command {
        let keys = (Digest(self.public()), Digest(next.public()));
        Command::replace(place, keys, |bytes| next.signing_key().sign(bytes).into())
    }
}

impl Lineage {
    pub(crate) fn new(oldest: [u8; 32]) -> Self {
        Self {
            oldest: RootKey::from_bytes(oldest),
            later: Vec::new(),
        }
    }

    /// With a later root, and the era that it began.
    pub(crate) fn with(mut self, era: Era, root: [u8; 32]) -> Self {
        self.later.push((era, RootKey::from_bytes(root)));
        self
    }

    /// How many roots came after the first.
    pub(crate) fn eras(&self) -> usize {
        self.later.len()
    }

    /// The eras of the later roots, the oldest first.
    pub(crate) fn later_eras(&self) -> Vec<Era> {
        self.later.iter().map(|(era, _)| era.clone()).collect()
    }

    pub(crate) fn newest(&self) -> &RootKey {
        self.later.last().map_or(&self.oldest, |(_, root)| root)
    }

    /// All roots, the oldest first.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &RootKey> {
        std::iter::once(&self.oldest).chain(self.later.iter().map(|(_, root)| root))
    }

    /// The number of the root from which a key derives.
    pub(super) fn era_of(&self, branch: &Branch, epoch: KeyEpoch) -> usize {
        let name = branch.name();
        let begun =
            |(era, _): &(Era, RootKey)| era.starts.get(&name).copied().unwrap_or(0) <= epoch;
        self.later.iter().rposition(begun).map_or(0, |at| at + 1)
    }

    pub(super) fn grant(
        &self,
        network: NetworkId,
        branch: &Branch,
        epoch: KeyEpoch,
    ) -> GrantedBranch {
        let root = self.roots().nth(self.era_of(branch, epoch));
        let root = root.unwrap_or_else(|| self.newest());
        root.grant(network, branch.clone(), epoch)
    }

    /// What came before the newest root, sealed under it; nothing if that is the only one.
    pub(super) fn former(&self) -> anyhow::Result<Option<Vec<u8>>> {
        if self.later.is_empty() {
            return Ok(None);
        }
        let roots = self.roots().take(self.later.len());
        let eras = self.later.iter().map(|(era, _)| Era {
            known_at: BTreeSet::new(),
            ..era.clone()
        });
        let sealed = Sealed {
            roots: roots.map(|root| STANDARD.encode(root.expose())).collect(),
            eras: eras.collect(),
        };
        let clear = Zeroizing::new(serde_json::to_vec(&sealed)?);
        let key = Zeroizing::new(self.newest().purpose("former"));
        Ok(Some(jwe::seal(&key, JSON, &clear).into_bytes()))
    }

    /// The lineage that ends with `newest`, to which guardians gave `former`.
    pub(super) fn recovered(newest: [u8; 32], former: Option<&[u8]>) -> anyhow::Result<Self> {
        let Some(former) = former else {
            return Ok(Self::new(newest));
        };
        let key = Zeroizing::new(RootKey::from_bytes(newest).purpose("former"));
        let clear = jwe::open(&key, std::str::from_utf8(former)?)?;
        let sealed: Sealed = serde_json::from_slice(&clear)?;
        let decoded = sealed.roots.iter().map(|text| {
            let root: Option<[u8; 32]> = STANDARD.decode(text).ok()?.try_into().ok();
            root
        });
        let roots = decoded.collect::<Option<Vec<_>>>();
        let roots = roots.filter(|roots| !roots.is_empty() && roots.len() == sealed.eras.len());
        let mut roots = roots.context("what came before the root is no list of roots")?;
        roots.push(newest);
        let oldest = Self::new(roots.remove(0));
        let later = sealed.eras.into_iter().zip(roots);
        Ok(later.fold(oldest, |lineage, (era, root)| lineage.with(era, root)))
    }
}

impl std::fmt::Debug for Lineage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lineage({} roots)", self.later.len() + 1)
    }
}

impl State {
    /// Takes over what was recovered from another wallet.
    pub(super) fn begin_with(&mut self, lineage: &Lineage) {
        self.eras = lineage.later_eras();
        self.recovered_eras = lineage.eras();
        for era in &self.eras {
            self.epochs.extend(era.starts.clone());
        }
    }
}

impl Wallet {
    /// The keys by which members know the wallet, or knew it, the oldest first.
    pub(super) fn identities(&self) -> Vec<Identity> {
        let mut identities = Vec::new();
        for (era, root) in self.lineage.roots().enumerate() {
            identities.push(Identity::new(root.clone(), era));
            identities.extend(self.own.iter().filter(|own| own.era == era).cloned());
        }
        identities
    }

    /// Whether these are the wallet's roots: what eras knew of members aside.
    pub(crate) fn is_of(&self, lineage: &Lineage) -> bool {
        self.lineage.roots().eq(lineage.roots())
    }

    /// The newest of them.
    pub(super) fn identity(&self) -> Identity {
        let newest = self.lineage.eras();
        let own = self.own.iter().find(|own| own.era == newest).cloned();
        own.unwrap_or_else(|| Identity::new(self.lineage.newest().clone(), newest))
    }

    /// The newest of them that a member knows.
    pub(super) fn identity_at(&self, member: &str) -> Identity {
        let knows = |era: &Era| era.known_at.contains(member);
        let known = self.state.eras.iter().rposition(knows);
        let era = known.map_or(0, |at| at + 1);
        match &self.own {
            Some(own) if era <= own.era => own.clone(),
            _ => {
                let root = self.lineage.roots().nth(era);
                let root = root.unwrap_or_else(|| self.lineage.newest());
                Identity::new(root.clone(), era)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::ids::Digest;

    fn branch(name: &str) -> Branch {
        name.parse().unwrap()
    }

    fn starting(starts: &[(&str, KeyEpoch)]) -> Era {
        let starts = starts.iter().map(|(name, at)| ((*name).to_owned(), *at));
        Era {
            starts: starts.collect(),
            known_at: BTreeSet::new(),
        }
    }

    fn three() -> Lineage {
        Lineage::new([1; 32])
            .with(starting(&[("index/clinic", 1)]), [2; 32])
            .with(starting(&[("index/clinic", 3), ("index/late", 1)]), [3; 32])
    }

    #[test]
    fn a_key_derives_from_the_root_of_its_era() {
        let lineage = three();
        let eras = |name: &str| [0, 1, 2, 3, 4].map(|epoch| lineage.era_of(&branch(name), epoch));
        assert_eq!(eras("index/clinic"), [0, 1, 1, 2, 2]);
        assert_eq!(eras("index/late"), [1, 2, 2, 2, 2]);
        assert_eq!(eras("index/new"), [2; 5]);
        let network = NetworkId(Digest([7; 32]));
        let keys =
            [0, 2, 3].map(|epoch| lineage.grant(network, &branch("index/clinic"), epoch).key);
        let due = [(1, 0), (2, 2), (3, 3)].map(|(root, epoch)| {
            RootKey::from_bytes([root; 32]).branch(network, &branch("index/clinic"), epoch)
        });
        assert!(keys == due);
    }

    #[test]
    fn guardians_give_all_roots_back_with_the_newest_and_none_with_a_former_one() {
        let lineage = three();
        let former = lineage.former().unwrap();
        let recovered = Lineage::recovered([3; 32], former.as_deref()).unwrap();
        assert!(recovered == lineage);
        for stolen in [[1; 32], [2; 32]] {
            assert!(Lineage::recovered(stolen, former.as_deref()).is_err());
        }
        assert!(Lineage::new([1; 32]).former().unwrap().is_none());
    }
}
