//! Bodies of statements that are not kept here: whoever recorded them shows them again, and the log says whether they
//! are the ones.

use ledger::ids::{MemberName, Tag};

use super::Parts;
use super::client::CallError;
use super::message::{StatementAt, StatementBytes};
use crate::custody::CustodyError;

/// Sees to it that the item that `member` recorded under `tag` can be looked up, if it is on the ledger.
pub(super) async fn bring(parts: &Parts, member: &MemberName, tag: Tag) -> Result<(), NotShown> {
    let lacking = parts.chain.lacks(member, tag).map_err(CustodyError::from)?;
    let Some(index) = lacking else {
        return Ok(());
    };
    let message = StatementAt { index };
    let shown: StatementBytes = parts.client.call(member, "statement", &message).await?;
    let is_logged = parts.chain.lend(index, &shown.statement);
    is_logged.then_some(()).ok_or(NotShown::Other(index))
}

/// Why a body is not here.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotShown {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("statement {0} as the member shows it is not the one that the log has")]
    Other(u64),
    #[error(transparent)]
    Store(#[from] CustodyError),
}
