//! The ledger as custody and outbox need it; [`Chain`] is it.

use std::sync::Arc;

use contracts::membership::Registry;
use ledger::ids::{MemberName, NetworkId, Tag};
use ledger::item::Item;
use ledger::receipt::Receipt;
use ledger::statement::SubmittedStatement;
use tokio::sync::watch;

use crate::chain::{Chain, Position, StoreError, SubmitError, Tip};

/// Where items go, and where they are looked up.
pub trait Anchor: Send + Sync + 'static {
    /// The network.
    fn network(&self) -> NetworkId;
    /// The last applied block.
    fn tip(&self) -> Tip;
    /// The last applied block, and the registry as that block left it.
    fn governed(&self) -> (Tip, Arc<Registry>);
    /// Follows the last applied block.
    fn subscribe(&self) -> watch::Receiver<Tip>;
    /// Takes a statement; the same one again is success.
    fn submit(&self, statement: SubmittedStatement) -> Result<(), SubmitError>;
    /// Where `member` used `tag`, if it did in an applied block.
    fn locate(&self, member: &MemberName, tag: Tag) -> Result<Option<Position>, StoreError>;
    /// The item at `position` and the member that recorded it.
    fn item(&self, position: Position) -> Result<(MemberName, Item), StoreError>;
    /// The receipt of the item at `position`, with proofs that its member has not used `absent`; `None` while no
    /// certified header covers it.
    fn receipt(&self, position: Position, absent: &[Tag]) -> Result<Option<Receipt>, StoreError>;
}

impl Anchor for Chain {
    fn network(&self) -> NetworkId {
        Self::network(self)
    }

    fn tip(&self) -> Tip {
        Self::tip(self)
    }

    fn governed(&self) -> (Tip, Arc<Registry>) {
        Self::governed(self)
    }

    fn subscribe(&self) -> watch::Receiver<Tip> {
        Self::subscribe(self)
    }

    fn submit(&self, statement: SubmittedStatement) -> Result<(), SubmitError> {
        Self::submit(self, statement)
    }

    fn locate(&self, member: &MemberName, tag: Tag) -> Result<Option<Position>, StoreError> {
        Self::locate(self, member, tag)
    }

    fn item(&self, position: Position) -> Result<(MemberName, Item), StoreError> {
        Self::item(self, position)
    }

    fn receipt(&self, position: Position, absent: &[Tag]) -> Result<Option<Receipt>, StoreError> {
        Self::receipt(self, position, absent)
    }
}
