//! Subjects: whose records these are, and the branch keys that this member holds of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::ids::{Digest, MemberName, NetworkId};
use ledger::stream::{Branch, BranchKey, RootKey};

use super::CustodyError;
use super::keys::{Keys, random};
use super::rows::{BranchRow, Own, SecretRow, SubjectId, SubjectRow};
use super::store::{Store, Table, Transaction};

/// A subject in memory.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) id: SubjectId,
    /// The patient's local id; `None` for the member's directory.
    pub(crate) patient_id: Option<String>,
    /// `None` while this member is the escrow.
    pub(crate) wallet_key: Option<[u8; 32]>,
    pub(crate) branches: BTreeMap<Branch, BranchKey>,
    own: BTreeMap<Own, BranchKey>,
    escrow_root: Option<SecretRow>,
}

impl Subject {
    /// A patient who brings branches from a wallet; all four of this member must be among them.
    pub(crate) fn enrolled(
        member: &MemberName,
        patient_id: String,
        wallet_key: [u8; 32],
        branches: BTreeMap<Branch, BranchKey>,
    ) -> Option<Self> {
        let subject = Self {
            id: random(),
            patient_id: Some(patient_id),
            wallet_key: Some(wallet_key),
            own: own(member, &branches),
            branches,
            escrow_root: None,
        };
        (subject.own.len() == Own::ALL.len()).then_some(subject)
    }

    /// A patient without a wallet, whose root this member keeps until there is one.
    pub(crate) fn escrowed(member: &MemberName, network: NetworkId, patient_id: String) -> Self {
        let root = SecretRow(random());
        let branches = branches_of(&RootKey::from_bytes(root.0), network, member);
        Self {
            id: random(),
            patient_id: Some(patient_id),
            wallet_key: None,
            own: own(member, &branches),
            branches,
            escrow_root: Some(root),
        }
    }

    /// The member's own directory: practitioners, organisations, places.
    pub(crate) fn directory(keys: &Keys, member: &MemberName, network: NetworkId) -> Self {
        let branches = branches_of(&keys.directory, network, member);
        Self {
            id: [0; 16],
            patient_id: None,
            wallet_key: None,
            own: own(member, &branches),
            branches,
            escrow_root: None,
        }
    }

    /// The key of a branch that this member writes.
    pub(crate) fn key(&self, branch: Own) -> Result<&BranchKey, CustodyError> {
        let lacking =
            || CustodyError::Storage("a subject lacks a branch of this member".to_owned());
        self.own.get(&branch).ok_or_else(lacking)
    }

    /// The same subject with more branches.
    pub(crate) fn extended(mut self, more: BTreeMap<Branch, BranchKey>) -> Option<Self> {
        for (branch, key) in more {
            if self.branches.entry(branch).or_insert_with(|| key.clone()) != &key {
                return None;
            }
        }
        Some(self)
    }

    /// Members other than `member` through which consents may be filed, with the branches' keys.
    pub(crate) fn foreign_consents<'a>(
        &'a self,
        member: &'a MemberName,
    ) -> impl Iterator<Item = (&'a MemberName, &'a BranchKey)> {
        self.branches
            .iter()
            .filter_map(move |(branch, key)| match branch {
                Branch::Consent(from) if from != member => Some((from, key)),
                _ => None,
            })
    }

    /// Writes the subject, and under its patient's id.
    pub(crate) fn put(&self, keys: &Keys, transaction: &mut Transaction<'_>) {
        let Some(patient_id) = &self.patient_id else {
            return;
        };
        let row = SubjectRow {
            patient_id: patient_id.clone(),
            wallet_key: self.wallet_key.map(Digest),
            branches: self
                .branches
                .iter()
                .map(|(branch, key)| BranchRow::of(branch, key))
                .collect(),
            escrow_root: self.escrow_root.clone(),
        };
        keys.put(transaction, Table::Subjects, &self.id, &row);
        let named = keys.document("Patient", patient_id);
        transaction.put(Table::Patients, &named, self.id.to_vec());
    }
}

/// Subjects by id and by patient.
#[derive(Clone)]
pub(crate) struct Subjects {
    store: Arc<Store>,
    keys: Arc<Keys>,
    member: MemberName,
    directory: Arc<Subject>,
}

impl Subjects {
    pub(crate) fn new(
        store: Arc<Store>,
        keys: Arc<Keys>,
        member: MemberName,
        network: NetworkId,
    ) -> Self {
        let directory = Arc::new(Subject::directory(&keys, &member, network));
        Self {
            store,
            keys,
            member,
            directory,
        }
    }

    pub(crate) fn directory(&self) -> Arc<Subject> {
        Arc::clone(&self.directory)
    }

    /// The subject that a row names.
    pub(crate) fn load(&self, id: &SubjectId) -> Result<Arc<Subject>, CustodyError> {
        if *id == self.directory.id {
            return Ok(self.directory());
        }
        let row: SubjectRow = self
            .keys
            .get(&self.store, Table::Subjects, id)?
            .ok_or_else(|| CustodyError::Storage("a row names no subject".to_owned()))?;
        let branch = |row: &BranchRow| {
            let branch: Branch = row.name.parse().ok()?;
            Some((branch, BranchKey::from_bytes(row.key.0)))
        };
        let branches: BTreeMap<_, _> = row.branches.iter().filter_map(branch).collect();
        Ok(Arc::new(Subject {
            id: *id,
            patient_id: Some(row.patient_id),
            wallet_key: row.wallet_key.map(|key| key.0),
            own: own(&self.member, &branches),
            branches,
            escrow_root: row.escrow_root,
        }))
    }

    /// The subject of a patient who is known here.
    pub(crate) fn of_patient(
        &self,
        patient_id: &str,
    ) -> Result<Option<Arc<Subject>>, CustodyError> {
        let named = self.keys.document("Patient", patient_id);
        let Some(id) = self.store.get(Table::Patients, &named)? else {
            return Ok(None);
        };
        let id = id
            .try_into()
            .map_err(|_| CustodyError::Storage("a patient's row names no subject".to_owned()))?;
        self.load(&id).map(Some)
    }

    /// Every patient's subject.
    pub(crate) fn all(&self) -> impl Iterator<Item = Result<Arc<Subject>, CustodyError>> {
        self.store.scan(Table::Patients, &[]).map(|row| {
            let (_, id) = row?;
            let id = id.try_into();
            self.load(&id.map_err(|_| CustodyError::Storage("a patient's row".to_owned()))?)
        })
    }
}

/// Whether a patient's id is taken, as the writer sees it.
pub(crate) fn is_taken(
    keys: &Keys,
    transaction: &Transaction<'_>,
    patient_id: &str,
) -> Result<bool, CustodyError> {
    let named = keys.document("Patient", patient_id);
    Ok(transaction.get(Table::Patients, &named)?.is_some())
}

fn own(member: &MemberName, branches: &BTreeMap<Branch, BranchKey>) -> BTreeMap<Own, BranchKey> {
    let key = |own: Own| Some((own, branches.get(&own.of(member))?.clone()));
    Own::ALL.into_iter().filter_map(key).collect()
}

fn branches_of(
    root: &RootKey,
    network: NetworkId,
    member: &MemberName,
) -> BTreeMap<Branch, BranchKey> {
    let branches = Own::ALL.map(|own| own.of(member));
    branches
        .into_iter()
        .map(|branch| {
            let key = root.branch(network, &branch, 0);
            (branch, key)
        })
        .collect()
}
