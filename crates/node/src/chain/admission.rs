//! Admission: whether a statement may wait for a block here.

use std::sync::Arc;

use contracts::machine::{self, Draft, Signature};
use ledger::genesis::Quota;
use ledger::log::{self, leaf_hash};

use super::execution::{View, child_of};
use super::mempool::Pooled;
use super::{Inner, StoreError, SubmitError, locked};

impl Inner {
    /// Checks a statement against the applied state and puts it in the mempool; says whether it is new here.
    ///
    /// What costs least comes first, and only a member's own signature counts against its quota.
    pub(super) fn admit(
        &self,
        statement: &Arc<Pooled>,
        signature: Signature,
        quota: Option<Quota>,
    ) -> Result<bool, SubmitError> {
        if self.mempool().get(statement.digest).is_some() || self.is_logged(statement)? {
            return Ok(false);
        }
        let now_ms = (self.clock)();
        let (member, items) = (
            statement.statement.member(),
            statement.statement.items().len(),
        );
        if let Some(quota) = quota {
            let wait_ms = locked(&self.submitted).wait_ms(member, items, quota, now_ms);
            if wait_ms > 0 {
                return Err(SubmitError::OverQuota { wait_ms });
            }
        }
        let applied = self.applied();
        let (height, time) = child_of(&applied.tip, now_ms);
        let view = View {
            network: self.network,
            store: &self.store,
            pending: &[],
            tip: applied.tip,
            registry: &applied.registry,
        };
        let context = view.context(height, time);
        let mut draft = Draft::default();
        for key in &statement.keys {
            if view.is_used(*key)? {
                draft.used.insert(*key);
            }
        }
        let keys = &statement.keys;
        machine::decide(&context, &statement.statement, signature, keys, &mut draft)?;
        if let Some(quota) = quota {
            locked(&self.submitted).charge(member, items, quota, now_ms);
        }
        if !self.mempool().add(Arc::clone(statement)) {
            return Err(SubmitError::Full);
        }
        self.arrival.notify_waiters();
        Ok(true)
    }

    /// How fast each member may submit items.
    pub(super) fn quota(&self) -> Option<Quota> {
        self.applied().registry.rules().quota
    }

    /// Whether the very same statement is in the log.
    fn is_logged(&self, statement: &Pooled) -> Result<bool, StoreError> {
        let Some(first) = statement.keys.first() else {
            return Ok(false);
        };
        let Some(position) = self.store.position(*first)? else {
            return Ok(false);
        };
        // The envelope commits to the items; its body may not be kept here any more.
        let leaf = leaf_hash(statement.statement.envelope());
        Ok(log::leaf(position.statement, &self.store) == Some(leaf))
    }
}
