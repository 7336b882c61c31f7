//! How far the log was forwarded to another repository, in the log's own table: what was taken is durable before more is
//! sent, so a stop loses nothing.

use interop::fhir::audit::AuditEntry;
use minicbor::{Decode, Encode};

use super::{floor, head};
use crate::custody::store::{Table, Transaction};
use crate::custody::{Custody, CustodyError};

const PLACE: &[u8] = b"w";

/// How far.
#[derive(Clone, Encode, Decode)]
struct ForwardRow {
    /// To which address.
    #[n(0)]
    to: String,
    /// The last entry that is done with.
    #[n(1)]
    through: u64,
    /// Entries that were given up.
    #[n(2)]
    given_up: u64,
}

/// How the forwarding stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForwardStanding {
    /// Entries that are not forwarded yet.
    pub waiting: u64,
    /// Milliseconds since the first of them was recorded.
    pub waiting_ms: u64,
    /// Entries that the repository refused, and that were given up.
    pub given_up: u64,
}

impl Custody {
    /// Forwards the log to this address from now on: from its beginning, or from where it had come to. With none, how far
    /// it had come is forgotten.
    pub async fn forward_to(&self, to: Option<&str>) -> Result<(), CustodyError> {
        let (home, to) = (self.0.home.clone(), to.map(str::to_owned));
        let set = move |transaction: &mut Transaction<'_>| {
            let row: Option<ForwardRow> = home.keys.get_in(transaction, Table::Audit, PLACE)?;
            match (to, row) {
                (Some(to), Some(row)) if row.to == to => {}
                (Some(to), _) => {
                    let row = ForwardRow {
                        to,
                        through: 0,
                        given_up: 0,
                    };
                    home.keys.put(transaction, Table::Audit, PLACE, &row);
                }
                (None, _) => transaction.remove(Table::Audit, PLACE),
            }
            Ok(())
        };
        self.0.store.transact(set).await
    }

    /// The next entries to forward, with their numbers; `most` at most.
    pub fn unforwarded(&self, most: usize) -> Result<Vec<(u64, AuditEntry)>, CustodyError> {
        let Some((_, first, end)) = self.forwarding()? else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for number in first..end {
            if found.len() >= most {
                break;
            }
            let entry = self.audit_entry(number)?;
            found.extend(entry.map(|entry| (number, entry)));
        }
        Ok(found)
    }

    /// Notes that everything up to this entry is done with; durable when this returns.
    pub async fn forwarded(&self, through: u64, is_given_up: bool) -> Result<(), CustodyError> {
        let home = self.0.home.clone();
        let note = move |transaction: &mut Transaction<'_>| {
            let row: Option<ForwardRow> = home.keys.get_in(transaction, Table::Audit, PLACE)?;
            let Some(mut row) = row else { return Ok(()) };
            row.through = row.through.max(through);
            row.given_up = row.given_up.saturating_add(is_given_up.into());
            home.keys.put(transaction, Table::Audit, PLACE, &row);
            Ok(())
        };
        self.0.store.transact(note).await
    }

    /// How the forwarding stands; `None` where the log is not forwarded.
    pub fn forward_standing(&self) -> Result<Option<ForwardStanding>, CustodyError> {
        let Some((row, first, end)) = self.forwarding()? else {
            return Ok(None);
        };
        let oldest = if first < end {
            self.audit_entry(first)?
        } else {
            None
        };
        let recorded = oldest.map(|entry| entry.recorded);
        Ok(Some(ForwardStanding {
            waiting: end.saturating_sub(first),
            waiting_ms: recorded.map_or(0, |at| self.now().saturating_sub(at)),
            given_up: row.given_up,
        }))
    }

    /// Entries up to this one may go: what is not forwarded yet stays.
    pub(super) fn may_go_to(&self) -> Result<u64, CustodyError> {
        Ok(self.forwarding()?.map_or(u64::MAX, |(_, first, _)| first))
    }

    /// The first number that is not forwarded yet, and the one after the last.
    fn forwarding(&self) -> Result<Option<(ForwardRow, u64, u64)>, CustodyError> {
        let (store, keys) = (&self.0.store, &self.0.home.keys);
        let row: Option<ForwardRow> = keys.get(store, Table::Audit, PLACE)?;
        let Some(row) = row else { return Ok(None) };
        let kept = floor(store, keys)?.number;
        let first = row.through.max(kept).saturating_add(1);
        let end = head(store, keys)?.number.saturating_add(1);
        Ok(Some((row, first, end)))
    }
}
