//! Legal holds: while one is in force, nothing of the patient or the document is erased.

use interop::fhir::ResourceType;

use super::begin::Doomed;
use super::rows::{HoldRow, ReleasedRow, ScopeRow};
use crate::custody::keys::random;
use crate::custody::request::Requester;
use crate::custody::store::Table;
use crate::custody::{Custody, CustodyError};

/// What a hold is on.
#[derive(Clone, PartialEq, Eq)]
pub enum HoldScope {
    /// Everything of a patient (local id).
    Patient(String),
    /// One document.
    Document(ResourceType, String),
}

/// A hold that is to be placed.
#[derive(Clone)]
pub struct HoldOrder {
    /// On what.
    pub scope: HoldScope,
    /// Who asks for it.
    pub authority: String,
    /// Why, in words.
    pub reason: String,
    /// Until when, milliseconds since 1970; `None` until it is released.
    pub until_ms: Option<u64>,
}

/// A hold.
#[derive(Clone)]
pub struct Hold {
    /// Its name.
    pub id: String,
    /// What it is on, as `Type/id`.
    pub target: String,
    /// Who asked for it.
    pub authority: String,
    /// Why.
    pub reason: String,
    /// Until when, milliseconds since 1970.
    pub until_ms: Option<u64>,
    /// When it was placed, milliseconds since 1970.
    pub placed_ms: u64,
    /// Whether it is in force.
    pub is_in_force: bool,
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted!(HoldScope, HoldOrder, Hold);

impl Custody {
    /// Places a hold; returns its name.
    pub async fn place_hold(
        &self,
        by: &Requester,
        order: HoldOrder,
    ) -> Result<String, CustodyError> {
        // An erasure that is under way was there first.
        let _turn = self.0.erasing.turn.lock().await;
        let (scope, target) = match &order.scope {
            HoldScope::Patient(id) => {
                let subject = self.0.subjects.of_patient(id)?;
                let subject = subject.ok_or(CustodyError::NotFound)?;
                (ScopeRow::Subject(subject.id), format!("Patient/{id}"))
            }
            HoldScope::Document(resource_type, id) => {
                let head = self.known(by, *resource_type, id)?;
                let document = self.0.home.keys.document(&head.resource_type, &head.id);
                (
                    ScopeRow::Document(document),
                    format!("{resource_type}/{id}"),
                )
            }
        };
        let row = HoldRow {
            scope,
            target,
            authority: order.authority,
            reason: order.reason,
            until: order.until_ms,
            placed_at: (self.0.options.clock)(),
            placed_by: by.principal(),
            released: None,
        };
        let (home, key) = (self.0.home.clone(), random::<8>());
        self.0
            .store
            .transact(move |transaction| {
                home.keys.put(transaction, Table::Holds, &key, &row);
                Ok(())
            })
            .await?;
        Ok(hex::encode(key))
    }

    /// Releases a hold; it stays on record.
    pub async fn release_hold(&self, by: &Requester, id: &str) -> Result<(), CustodyError> {
        let key = hex::decode(id).map_err(|_| CustodyError::NotFound)?;
        let home = self.0.home.clone();
        let released = ReleasedRow {
            at: (self.0.options.clock)(),
            by: by.principal(),
        };
        self.0
            .store
            .transact(move |transaction| {
                let row: Option<HoldRow> = home.keys.get_in(transaction, Table::Holds, &key)?;
                let mut row = row.ok_or(CustodyError::NotFound)?;
                row.released.get_or_insert(released);
                home.keys.put(transaction, Table::Holds, &key, &row);
                Ok(())
            })
            .await
    }

    /// All holds that were ever placed.
    pub fn holds(&self) -> Result<Vec<Hold>, CustodyError> {
        let now = (self.0.options.clock)();
        let rows = self.hold_rows()?.into_iter();
        let holds = rows.map(|(key, row)| Hold {
            id: hex::encode(key),
            is_in_force: row.is_in_force(now),
            target: row.target,
            authority: row.authority,
            reason: row.reason,
            until_ms: row.until,
            placed_ms: row.placed_at,
        });
        Ok(holds.collect())
    }

    /// Refuses what a hold in force is on.
    pub(super) fn check_holds(&self, doomed: &Doomed) -> Result<(), CustodyError> {
        let now = (self.0.options.clock)();
        let is_on = |row: &HoldRow| match row.scope {
            ScopeRow::Subject(subject) => subject == doomed.subject.id,
            ScopeRow::Document(document) => document == doomed.document,
        };
        let mut rows = self.hold_rows()?.into_iter();
        match rows.find(|(_, row)| row.is_in_force(now) && is_on(row)) {
            Some((key, row)) => Err(CustodyError::Held {
                hold: hex::encode(key),
                authority: row.authority,
            }),
            None => Ok(()),
        }
    }

    fn hold_rows(&self) -> Result<Vec<(Vec<u8>, HoldRow)>, CustodyError> {
        let rows = self.0.store.scan(Table::Holds, &[]);
        rows.map(|row| {
            let (key, row) = row?;
            let row = self.0.home.keys.open_row(Table::Holds, &key, &row)?;
            Ok((key, row))
        })
        .collect()
    }
}

impl HoldRow {
    fn is_in_force(&self, now: u64) -> bool {
        self.released.is_none() && self.until.is_none_or(|until| until > now)
    }
}
