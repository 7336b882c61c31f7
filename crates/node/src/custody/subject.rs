//! Subjects: whose records these are, and the branch keys that this member holds of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::ids::{Digest, MemberName, NetworkId};
use ledger::stream::{Branch, BranchKey, GrantedBranch, KeyEpoch, RootKey};

use super::CustodyError;
use super::branch::{BranchKeys, Brought};
use super::keys::{Keys, random};
use super::rows::{FormerKey, Own, SecretRow, SubjectId, SubjectRow};
use super::store::{Store, Table, Transaction};

/// A subject in memory.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) id: SubjectId,
    /// The patient's local id; `None` for the member's directory.
    pub(crate) patient_id: Option<String>,
    /// `None` while this member is the escrow.
    pub(crate) wallet_key: Option<[u8; 32]>,
    pub(crate) branches: BTreeMap<Branch, BranchKeys>,
    own: BTreeMap<Own, BranchKeys>,
    escrow_root: Option<SecretRow>,
    former: Vec<FormerKey>,
}

impl Subject {
    /// A patient who brings branches from a wallet; all four of this member must be among them.
    pub(crate) fn enrolled(
        member: &MemberName,
        patient_id: String,
        wallet_key: [u8; 32],
        granted: Vec<GrantedBranch>,
    ) -> Result<Self, NotEnrolled> {
        let mut branches: BTreeMap<Branch, BranchKeys> = BTreeMap::new();
        for one in in_order(granted) {
            bring(&mut branches, one).map_err(NotEnrolled::Key)?;
        }
        let subject = Self {
            id: random(),
            patient_id: Some(patient_id),
            wallet_key: Some(wallet_key),
            own: own(member, &branches),
            branches,
            escrow_root: None,
            former: Vec::new(),
        };
        (subject.own.len() == Own::ALL.len())
            .then_some(subject)
            .ok_or(NotEnrolled::Lacking)
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
            former: Vec::new(),
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
            former: Vec::new(),
        }
    }

    pub(crate) fn of(member: &MemberName, id: SubjectId, row: SubjectRow) -> Self {
        let mut branches: BTreeMap<Branch, BranchKeys> = BTreeMap::new();
        for row in &row.branches {
            let Ok(branch) = row.name.parse::<Branch>() else {
                continue;
            };
            let (epoch, key) = (row.epoch.unwrap_or(0), BranchKey::from_bytes(row.key.0));
            match branches.get_mut(&branch) {
                Some(keys) => keys.go_on(epoch, key, row.before.unwrap_or(0)),
                None => {
                    branches.insert(branch, BranchKeys::new(epoch, key));
                }
            }
        }
        Self {
            id,
            patient_id: Some(row.patient_id),
            wallet_key: row.wallet_key.map(|key| key.0),
            own: own(member, &branches),
            branches,
            escrow_root: row.escrow_root,
            former: row.former.unwrap_or_default(),
        }
    }

    /// The key of a branch that this member writes.
    pub(crate) fn key(&self, branch: Own) -> Result<&BranchKeys, CustodyError> {
        let lacking =
            || CustodyError::Storage("a subject lacks a branch of this member".to_owned());
        self.own.get(&branch).ok_or_else(lacking)
    }

    /// Takes the key of a branch that another member writes.
    pub(crate) fn bring(&mut self, granted: GrantedBranch) -> Result<(), Brought> {
        bring(&mut self.branches, granted)
    }

    /// Goes on under a key of a branch that this member writes, after so many entries.
    pub(crate) fn go_on(&mut self, branch: Own, granted: &GrantedBranch, before: u64) {
        for keys in [
            self.branches.get_mut(&granted.branch),
            self.own.get_mut(&branch),
        ]
        .into_iter()
        .flatten()
        {
            keys.go_on(granted.epoch, granted.key.clone(), before);
        }
    }

    /// Takes `wallet` for the key of the patient's wallet. The former one counts for consents that stand under the keys of
    /// branches that are here now, and under no later ones.
    pub(crate) fn succeed(&mut self, wallet: Digest) {
        let Some(former) = self.wallet_key.replace(wallet.0) else {
            return;
        };
        let branches = self.branches.iter();
        let consents = branches.filter(|(branch, _)| matches!(branch, Branch::Consent(_)));
        self.former.push(FormerKey {
            key: Digest(former),
            consents: consents
                .map(|(branch, keys)| (branch.name(), keys.newest().epoch))
                .collect(),
        });
    }

    /// The wallet's keys that may have signed a consent which stands under a key of a branch, the newest first.
    pub(crate) fn signers(
        &self,
        branch: &Branch,
        epoch: KeyEpoch,
    ) -> impl Iterator<Item = [u8; 32]> {
        let name = branch.name();
        let counts = move |former: &&FormerKey| {
            let mut until = former.consents.iter();
            until.any(|(branch, newest)| *branch == name && epoch <= *newest)
        };
        let former = self.former.iter().rev().filter(counts);
        let former = former.map(|former| former.key.0);
        self.wallet_key.into_iter().chain(former)
    }

    /// The next key of a branch of a patient whose root this member keeps.
    pub(crate) fn minted(&self, network: NetworkId, branch: &Branch) -> Option<GrantedBranch> {
        let root = RootKey::from_bytes(self.escrow_root.as_ref()?.0);
        let newest = self.branches.get(branch)?.newest().epoch;
        Some(root.grant(network, branch.clone(), newest.saturating_add(1)))
    }

    /// Members other than `member` through which consents may be filed, with the branches' keys.
    pub(crate) fn foreign_consents<'a>(
        &'a self,
        member: &'a MemberName,
    ) -> impl Iterator<Item = (&'a MemberName, &'a BranchKeys)> {
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
                .flat_map(|(branch, keys)| keys.rows(branch))
                .collect(),
            escrow_root: self.escrow_root.clone(),
            former: (!self.former.is_empty()).then(|| self.former.clone()),
        };
        keys.put(transaction, Table::Subjects, &self.id, &row);
        let named = keys.document("Patient", patient_id);
        transaction.put(Table::Patients, &named, self.id.to_vec());
    }
}

/// Why a patient is not enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotEnrolled {
    /// A key is not taken.
    Key(Brought),
    /// Branches of this member are lacking.
    Lacking,
}

/// The keys of each branch, the oldest first.
pub(crate) fn in_order(mut granted: Vec<GrantedBranch>) -> Vec<GrantedBranch> {
    granted.sort_by_key(|one| one.epoch);
    granted
}

fn bring(
    branches: &mut BTreeMap<Branch, BranchKeys>,
    granted: GrantedBranch,
) -> Result<(), Brought> {
    let GrantedBranch { branch, epoch, key } = granted;
    let Some(keys) = branches.get_mut(&branch) else {
        branches.insert(branch, BranchKeys::new(epoch, key));
        return Ok(());
    };
    match keys.brought(epoch, &key) {
        Brought::Known => Ok(()),
        Brought::New => {
            keys.go_on(epoch, key, 0);
            Ok(())
        }
        refused @ (Brought::Stale | Brought::Other) => Err(refused),
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
        Ok(Arc::new(Subject::of(&self.member, *id, row)))
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

fn own(member: &MemberName, branches: &BTreeMap<Branch, BranchKeys>) -> BTreeMap<Own, BranchKeys> {
    let key = |own: Own| Some((own, branches.get(&own.of(member))?.clone()));
    Own::ALL.into_iter().filter_map(key).collect()
}

fn branches_of(
    root: &RootKey,
    network: NetworkId,
    member: &MemberName,
) -> BTreeMap<Branch, BranchKeys> {
    let branches = Own::ALL.map(|own| own.of(member));
    branches
        .into_iter()
        .map(|branch| {
            let key = root.branch(network, &branch, 0);
            (branch, BranchKeys::new(0, key))
        })
        .collect()
}
