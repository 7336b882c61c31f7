//! Receipts: the chain of proofs from an item to the validators' signatures.

use ledger::ids::Tag;
use ledger::log;
use ledger::receipt::{Absence, Receipt};
use ledger::state::{self, StateError, StateKey};

use super::{Chain, Position, PublicLog as _, StoreError};

impl Chain {
    /// The receipt of the item at `position`; `None` while no certified header covers it.
    ///
    /// Without `absent`, the header is the first that covers the item: its time says when the item was recorded at the
    /// latest. With tags in `absent`, it is the newest, and shows which of them the item's member has not used so far.
    pub fn receipt(
        &self,
        position: Position,
        absent: &[Tag],
    ) -> Result<Option<Receipt>, StoreError> {
        self.0.met(self.proven(position, absent))
    }

    fn proven(&self, position: Position, absent: &[Tag]) -> Result<Option<Receipt>, StoreError> {
        let store = &self.0.store;
        // The rows of a block that is being applied appear one by one: only what lies behind the tip is whole.
        let applied = self.tip().height;
        let Some((height, bytes)) = store.statement(position.statement)? else {
            return Ok(None);
        };
        let certified = if absent.is_empty() {
            store
                .certified_from(height)?
                .filter(|(certified, _)| *certified <= applied)
        } else {
            store
                .certified_until(applied)?
                .filter(|(certified, _)| *certified >= height)
        };
        let Some((certified, finality)) = certified else {
            return Ok(None);
        };
        let block = store
            .block(certified)?
            .ok_or(StoreError::Damaged("block"))?;
        let statement = ledger::statement::SubmittedStatement::decode(&bytes)
            .map_err(|_| StoreError::Damaged("statement"))?;
        let cosigned = self.cosigned(position.statement)?;
        let cosigners = cosigned.iter().flat_map(|one| &one.signatures);
        let mut signers = vec![(statement.member(), statement.certificate())];
        signers.extend(cosigners.map(|one| (&one.member, one.certificate)));
        let item = statement.items().get(usize::from(position.item));
        let absence = |tag: &Tag| {
            let key = StateKey::of_tag(statement.member(), *tag);
            match state::prove_absent(store, block.changes, key) {
                Ok(proof) => Some(Ok(Absence { tag: *tag, proof })),
                Err(StateError::NotShownAbsent) => None,
                Err(_) => Some(Err(StoreError::Damaged("state node"))),
            }
        };
        Ok(Some(Receipt {
            item: item.ok_or(StoreError::Damaged("item"))?.to_bytes(),
            item_path: statement
                .item_path(position.item)
                .map_err(|_| StoreError::Damaged("item"))?,
            statement: statement.envelope().to_vec(),
            log_path: log::prove_inclusion(position.statement, block.header.log_size, store)
                .map_err(|_| StoreError::Damaged("log hash"))?,
            absent: absent
                .iter()
                .filter_map(absence)
                .collect::<Result<_, _>>()?,
            finality,
            succession: self.succession_for(&block.header, &signers)?,
            cosigned,
            header: block.header,
        }))
    }
}
