//! Faults: what a signer said twice, and differently.
//!
//! Whoever holds two such signatures can show both to anybody: no explanation makes both true. A log of one size has
//! one root, and a validator gives one view one vote to finalise. Votes in different views prove nothing against a
//! signer, even for one height: an honest validator may vote for a block that is then passed over. So what convicts
//! the authors of two histories is their signatures under checkpoints of both.

use std::collections::BTreeMap;

use crate::checkpoint::{CheckpointError, CosignerKeys, KeyError, SignedCheckpoint};
use crate::finality::FinalityCertificate;
use crate::genesis::Signatory;
use crate::ids::{Digest, Epoch, MemberName, NetworkId};
use crate::log::leaf_hash;
use crate::node_key::NodeKey;
use crate::receipt::{ReceiptError, Trust, verify_transparent};
use crate::scitt::{self, Proof};
use crate::succession::Validators;

/// What a signature is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The root of the log at this size.
    LogOfSize(u64),
    /// The block that was voted final in a view.
    View {
        /// The epoch.
        epoch: u64,
        /// The view.
        view: u64,
    },
}

/// Two signatures that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// Who gave both.
    pub signer: MemberName,
    /// About what.
    pub subject: Subject,
    /// What was signed.
    pub values: [Digest; 2],
}

/// Everything that was signed, by signer and subject.
#[derive(Debug, Clone)]
pub struct Claims {
    network: NetworkId,
    signatories: Vec<Signatory>,
    validators: Validators,
    claims: BTreeMap<(MemberName, Subject), Digest>,
    conflicts: Vec<Conflict>,
}

/// Why nothing can be told from a piece of evidence: its own signatures do not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The note.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A key of the genesis.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The transparent statement.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LogOfSize(size) => write!(f, "the log of {size} statements"),
            Self::View { epoch, view } => write!(f, "the vote of epoch {epoch}, view {view}"),
        }
    }
}

impl Claims {
    /// No claims yet, of any of `signatories`, who are `validators` in their epochs.
    pub fn of(network: NetworkId, signatories: Vec<Signatory>, validators: Validators) -> Self {
        Self {
            network,
            signatories,
            validators,
            claims: BTreeMap::new(),
            conflicts: Vec::new(),
        }
    }

    /// What contradicts itself in all that was added.
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// How many signatures were added.
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// Adds the validators' signatures under a checkpoint.
    pub fn add_checkpoint(&mut self, signed: &SignedCheckpoint) -> Result<(), EvidenceError> {
        let subject = Subject::LogOfSize(signed.checkpoint.size);
        for signatory in self.signatories.clone() {
            let keys = CosignerKeys::of(self.network, &signatory)?;
            for key in [&keys.log, &keys.ed25519]
                .into_iter()
                .chain(&keys.ml_dsa_44)
            {
                let is_of_this_log = keys.log.name() == signed.checkpoint.origin;
                if is_of_this_log && signed.signed_by(key)?.is_some() {
                    self.add(&signatory.member, subject, signed.checkpoint.root);
                }
            }
        }
        Ok(())
    }

    /// Adds the receipts of a transparent statement.
    pub fn add_transparent<F>(
        &mut self,
        bytes: &[u8],
        trust: &Trust<F>,
    ) -> Result<(), EvidenceError>
    where
        F: Fn(&MemberName, Digest) -> Option<NodeKey>,
    {
        verify_transparent(bytes, trust)?;
        let (entry, receipts) = scitt::take_apart(bytes).map_err(ReceiptError::from)?;
        for receipt in receipts {
            if let Proof::Inclusion(path) = &receipt.proof
                && let Ok(root) = path.root(leaf_hash(&entry))
            {
                let subject = Subject::LogOfSize(path.size);
                self.add(&receipt.signature.member, subject, root);
            }
        }
        Ok(())
    }

    /// Adds the votes of a certificate that verify; the others are nobody's.
    pub fn add_finality(&mut self, finality: &FinalityCertificate) {
        let validators = self.validators.of(Epoch(finality.epoch)).clone();
        let message = finality.signed_bytes(self.network);
        for vote in &finality.votes {
            let key = validators.keys.get(usize::from(vote.validator));
            let mut signatories = self.signatories.iter();
            let voter = signatories.find(|signatory| Some(&signatory.vote) == key);
            let (Some(voter), Ok(())) = (voter, vote.verify(&validators, &message)) else {
                continue;
            };
            let (epoch, view) = (finality.epoch, finality.view);
            let member = voter.member.clone();
            self.add(&member, Subject::View { epoch, view }, finality.block);
        }
    }

    fn add(&mut self, signer: &MemberName, subject: Subject, value: Digest) {
        let known = *self
            .claims
            .entry((signer.clone(), subject))
            .or_insert(value);
        let conflict = Conflict {
            signer: signer.clone(),
            subject,
            values: [known, value],
        };
        if known != value && !self.conflicts.contains(&conflict) {
            self.conflicts.push(conflict);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use ed25519_zebra::{SigningKey, VerificationKey};

    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::finality::Vote;
    use crate::genesis::{Genesis, Member, PublicKey};
    use crate::ids::BlockTime;
    use crate::log::{Empty, InclusionPath, LogAppend, prove_inclusion};
    use crate::scitt::RootSignature;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn genesis() -> Genesis {
        let member = |(name, seed): (&str, u8)| Member {
            name: name.parse().unwrap(),
            authority: vec![],
            node: vec![],
            validator: Some(PublicKey(VerificationKey::from(&key(seed)).into())),
            cosigner: None,
        };
        Genesis {
            name: "test".to_owned(),
            time: BlockTime(1),
            members: [("clinic", 1), ("payer", 2)].map(member).to_vec(),
            rules: None,
        }
    }

    fn claims() -> Claims {
        let genesis = genesis();
        let validators = Validators::founding(&genesis);
        Claims::of(genesis.network(), genesis.signatories(), validators)
    }

    fn note(genesis: &Genesis, seed: u8, size: u64, root: u8) -> SignedCheckpoint {
        let network = genesis.network();
        let keys =
            CosignerKeys::of(network, &genesis.signatories()[usize::from(seed) - 1]).unwrap();
        let checkpoint = Checkpoint::of(network, size, Digest([root; 32]));
        let mut note = SignedCheckpoint::unsigned(checkpoint);
        let message = keys.ed25519.message(&note.checkpoint, 5).unwrap();
        note.add(&keys.ed25519, 5, &key(seed).sign(&message).to_bytes());
        note
    }

    fn certificate(genesis: &Genesis, view: u64, block: u8) -> FinalityCertificate {
        let mut certificate = FinalityCertificate {
            epoch: 0,
            view,
            parent_view: 0,
            block: Digest([block; 32]),
            votes: vec![],
        };
        let message = certificate.signed_bytes(genesis.network());
        let validators = genesis.validators();
        for seed in [1, 2] {
            let own = PublicKey(VerificationKey::from(&key(seed)).into());
            let at = validators.keys.iter().position(|key| *key == own).unwrap();
            certificate.votes.push(Vote {
                validator: u16::try_from(at).unwrap(),
                signature: key(seed).sign(&message).to_bytes().into(),
            });
        }
        certificate
    }

    #[test]
    fn p3_two_logs_of_one_size_convict_whoever_signed_both() {
        let genesis = genesis();
        let mut claims = claims();
        claims.add_checkpoint(&note(&genesis, 1, 7, 1)).unwrap();
        claims.add_checkpoint(&note(&genesis, 1, 8, 2)).unwrap();
        claims.add_checkpoint(&note(&genesis, 2, 7, 3)).unwrap();
        assert_eq!((claims.conflicts(), claims.len()), ([].as_slice(), 3));
        claims.add_checkpoint(&note(&genesis, 1, 7, 4)).unwrap();
        let [conflict] = claims.conflicts() else {
            panic!("one conflict")
        };
        assert_eq!(conflict.signer.as_str(), "clinic");
        assert_eq!(conflict.subject, Subject::LogOfSize(7));
        assert_eq!(conflict.values, [Digest([1; 32]), Digest([4; 32])]);
    }

    #[test]
    fn a_receipt_and_a_checkpoint_of_one_signer_contradict_each_other() {
        let genesis = genesis();
        let statement = crate::statement::tests::statement(1);
        let root = leaf_hash(statement.envelope());
        let sign = |bytes: &[u8]| Ok::<_, Infallible>(key(1).sign(bytes).to_bytes());
        let clinic = "clinic".parse().unwrap();
        let signature = RootSignature::sign((&clinic, Digest([5; 32])), (1, root), sign).unwrap();
        let path = InclusionPath {
            index: 0,
            size: 1,
            siblings: vec![],
        };
        let receipt = signature.receipt(&Proof::Inclusion(path));
        let bytes = scitt::transparent(statement.envelope(), &[receipt]).unwrap();
        let trust = Trust {
            network: statement.payload().network,
            validators: Validators::founding(&genesis),
            key_of: |_: &MemberName, _| Some(VerificationKey::from(&key(1)).into()),
        };
        let mut claims = claims();
        claims.add_transparent(&bytes, &trust).unwrap();
        claims.add_checkpoint(&note(&genesis, 1, 1, 9)).unwrap();
        assert_eq!(claims.conflicts()[0].subject, Subject::LogOfSize(1));
    }

    #[test]
    fn p3_a_receipt_shown_with_another_size_convicts_nobody() {
        let genesis = genesis();
        let statement = crate::statement::tests::statement(1);
        let mut log = LogAppend::after(0);
        for leaf in [
            leaf_hash(statement.envelope()),
            Digest([7; 32]),
            Digest([8; 32]),
        ] {
            log.push(leaf, &Empty).unwrap();
        }
        let sign = |bytes: &[u8]| Ok::<_, Infallible>(key(1).sign(bytes).to_bytes());
        let clinic = "clinic".parse().unwrap();
        let root = (3, log.root(&Empty).unwrap());
        let signature = RootSignature::sign((&clinic, Digest([5; 32])), root, sign).unwrap();
        let path = prove_inclusion(0, 3, &log).unwrap();
        let other = InclusionPath {
            size: 4,
            ..path.clone()
        };
        let leaf = leaf_hash(statement.envelope());
        assert_eq!(
            other.root(leaf),
            path.root(leaf),
            "the path fits both sizes"
        );
        let trust = Trust {
            network: statement.payload().network,
            validators: Validators::founding(&genesis),
            key_of: |_: &MemberName, _| Some(VerificationKey::from(&key(1)).into()),
        };
        let mut claims = claims();
        for (path, is_taken) in [(path, true), (other, false)] {
            let receipt = signature.receipt(&Proof::Inclusion(path));
            let bytes = scitt::transparent(statement.envelope(), &[receipt]).unwrap();
            assert_eq!(claims.add_transparent(&bytes, &trust).is_ok(), is_taken);
        }
        claims.add_checkpoint(&note(&genesis, 1, 4, 9)).unwrap();
        assert!(claims.conflicts().is_empty());
    }

    #[test]
    fn p8_two_votes_in_one_view_convict_and_votes_in_two_views_do_not() {
        let genesis = genesis();
        let mut claims = claims();
        claims.add_finality(&certificate(&genesis, 4, 1));
        claims.add_finality(&certificate(&genesis, 5, 2));
        assert!(claims.conflicts().is_empty());
        claims.add_finality(&certificate(&genesis, 4, 3));
        let signers: Vec<_> = claims
            .conflicts()
            .iter()
            .map(|one| one.signer.as_str())
            .collect();
        assert_eq!(signers.len(), 2);
        assert!(signers.contains(&"clinic") && signers.contains(&"payer"));
    }

    #[test]
    fn a_forged_vote_convicts_nobody() {
        let genesis = genesis();
        let mut claims = claims();
        claims.add_finality(&certificate(&genesis, 4, 1));
        let forged = FinalityCertificate {
            block: Digest([2; 32]),
            ..certificate(&genesis, 4, 1)
        };
        claims.add_finality(&forged);
        assert!(claims.conflicts().is_empty());
    }
}
