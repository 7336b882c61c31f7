//! What a verifier needs beside the genesis: changes of validators, and the registry, proven.

use ledger::block::Header;
use ledger::ids::{Digest, Epoch, Height, MemberName};
use ledger::snapshot::Final;
use ledger::state::{self, StateKey};
use ledger::succession::{ProvenRegistry, Succession, Transition};

use super::{Chain, StoreError};

impl Chain {
    /// All changes since the genesis; `None` while there are none.
    pub fn succession(&self) -> Result<Option<Succession>, StoreError> {
        let Some(registry) = self.proven_registry()? else {
            return Ok(None);
        };
        Ok(Some(Succession {
            transitions: self.transitions(registry.header.epoch)?,
            registry: Some(registry),
        }))
    }

    /// What shows that a header is final and whose certificates these are; `None` if the genesis does.
    pub(super) fn succession_for(
        &self,
        header: &Header,
        signers: &[(&MemberName, Digest)],
    ) -> Result<Option<Succession>, StoreError> {
        let founding = &self.0.genesis.members;
        let is_founding = |(member, certificate): &(&MemberName, Digest)| {
            let mut members = founding.iter();
            members.any(|one| one.name == **member && Digest::of(&one.node) == *certificate)
        };
        if !signers.iter().all(is_founding) {
            return self.succession();
        }
        let transitions = self.transitions(header.epoch)?;
        Ok((!transitions.is_empty()).then_some(Succession {
            transitions,
            registry: None,
        }))
    }

    /// Changes of validators up to `epoch`.
    pub(super) fn transitions(&self, epoch: Epoch) -> Result<Vec<Transition>, StoreError> {
        let registry = self.registry();
        let changes = registry.schedule().iter().skip(1);
        let past = changes.filter(|span| span.from <= epoch);
        let mut transitions = Vec::new();
        for span in past {
            let end = last_before(span.from, registry.rules().epoch_blocks);
            let certified = self.certified(end)?;
            let Final { header, finality } =
                certified.ok_or(StoreError::Damaged("certificate of an epoch's end"))?;
            transitions.push(Transition {
                header,
                finality,
                next: span.validators.clone(),
            });
        }
        Ok(transitions)
    }

    /// The newest registry that a certified header covers.
    fn proven_registry(&self) -> Result<Option<ProvenRegistry>, StoreError> {
        let store = &self.0.store;
        let Some((height, finality)) = store.certified_until(self.tip().height)? else {
            return Ok(None);
        };
        let block = store.block(height)?.ok_or(StoreError::Damaged("block"))?;
        let Some((revision, registry)) = store.registry_at(block.revision)? else {
            return Ok(None);
        };
        let key = StateKey::of_registry(revision);
        let (_, proof) = state::prove(store, block.changes, key)
            .map_err(|_| StoreError::Damaged("state node"))?;
        let next = StateKey::of_registry(revision.saturating_add(1));
        let newest = state::prove_absent(store, block.changes, next)
            .map_err(|_| StoreError::Damaged("state node"))?;
        Ok(Some(ProvenRegistry {
            header: block.header,
            finality,
            revision,
            registry,
            proof,
            newest,
        }))
    }

    /// The block at `height` with its certificate, if it has one of its own.
    pub(super) fn certified(&self, height: Height) -> Result<Option<Final>, StoreError> {
        let store = &self.0.store;
        let Some(finality) = store.certificate(height)? else {
            return Ok(None);
        };
        let block = store.block(height)?.ok_or(StoreError::Damaged("block"))?;
        Ok(Some(Final {
            header: block.header,
            finality,
        }))
    }
}

pub(super) fn last_before(epoch: Epoch, epoch_blocks: u64) -> Height {
    Height(epoch.0.saturating_mul(epoch_blocks).saturating_sub(1))
}
