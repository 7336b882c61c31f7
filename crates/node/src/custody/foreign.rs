//! What other members have put on the ledger about a patient, as far as the keys held here show it.
//!
//! The tag of a stream's next entry is known beforehand: a look-up says whether the ledger has it.

use std::collections::BTreeMap;

use contracts::descriptor::{AccessDescriptor, Descriptor};
use ledger::ids::MemberName;
use ledger::stream::Branch;

use super::branch::BranchKeys;
use super::moved::{Numbered, extent};
use super::rows::{AccessRow, Own, access_key, position_key};
use super::store::Table;
use super::{Custody, CustodyError};

/// Entries of one stream that are looked for at once.
const LOOKED_AHEAD: u64 = 64;

/// A kind of stream of another member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignStream {
    /// Records, sensitive ones too.
    Records,
    /// Consents.
    Consents,
    /// Accesses.
    Accesses,
}

/// An entry of another member that is final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignEntry {
    /// The member.
    pub member: MemberName,
    /// What it is an entry of.
    pub stream: ForeignStream,
    /// The branch, by which its position is remembered.
    pub branch: String,
    /// Its position there.
    pub position: u64,
}

impl Custody {
    /// The last position of each stream of other members about the patient.
    pub fn foreign_positions(
        &self,
        patient_id: &str,
    ) -> Result<BTreeMap<String, u64>, CustodyError> {
        let mut positions = BTreeMap::new();
        for (member, branch, keys) in self.foreign(patient_id)? {
            positions.insert(branch.name(), self.last(&member, &keys)?);
        }
        Ok(positions)
    }

    /// How many streams of other members about the patient can be followed.
    pub fn foreign_branches(&self, patient_id: &str) -> Result<usize, CustodyError> {
        Ok(self.foreign(patient_id)?.len())
    }

    /// The entries after `known` that are final; of a branch that `known` does not name, none.
    pub fn foreign_entries(
        &self,
        patient_id: &str,
        known: &BTreeMap<String, u64>,
    ) -> Result<Vec<ForeignEntry>, CustodyError> {
        let mut found = Vec::new();
        for (member, branch, keys) in self.foreign(patient_id)? {
            let stream = match branch {
                Branch::Index(_) | Branch::Restricted(_) => ForeignStream::Records,
                Branch::Consent(_) => ForeignStream::Consents,
                Branch::Access(_) => ForeignStream::Accesses,
            };
            let Some(last) = known.get(&branch.name()) else {
                continue;
            };
            for position in last.saturating_add(1)..=last.saturating_add(LOOKED_AHEAD) {
                let Numbered::At(under, at) = self.numbered(&member, &keys, position)? else {
                    break;
                };
                let tag = under.key.entries().tag(at);
                if self.0.anchor.locate(&member, tag)?.is_none() {
                    break;
                }
                found.push(ForeignEntry {
                    member: member.clone(),
                    stream,
                    branch: branch.name(),
                    position,
                });
            }
        }
        Ok(found)
    }

    /// The last position of the patient's accesses at this member.
    pub fn last_access(&self, patient_id: &str) -> Result<u64, CustodyError> {
        let Some(subject) = self.0.subjects.of_patient(patient_id)? else {
            return Ok(0);
        };
        let key = position_key(&subject.id, Own::Access);
        let last = self
            .0
            .home
            .keys
            .get(&self.0.store, Table::Positions, &key)?;
        Ok(last.unwrap_or(0))
    }

    /// One access of the patient at this member, for the patient.
    pub fn access_at(
        &self,
        patient_id: &str,
        position: u64,
    ) -> Result<Option<AccessDescriptor>, CustodyError> {
        let Some(subject) = self.0.subjects.of_patient(patient_id)? else {
            return Ok(None);
        };
        let key = access_key(&subject.id, position);
        let keys = &self.0.home.keys;
        let row: Option<AccessRow> = keys.get(&self.0.store, Table::Accesses, &key)?;
        Ok(
            row.and_then(|row| match Descriptor::decode(&row.descriptor) {
                Ok(Descriptor::Access(access)) => Some(access),
                _ => None,
            }),
        )
    }

    fn foreign(
        &self,
        patient_id: &str,
    ) -> Result<Vec<(MemberName, Branch, BranchKeys)>, CustodyError> {
        let Some(subject) = self.0.subjects.of_patient(patient_id)? else {
            return Ok(Vec::new());
        };
        let branches = subject.branches.iter().map(|(branch, keys)| {
            let member = match branch {
                Branch::Index(member)
                | Branch::Restricted(member)
                | Branch::Consent(member)
                | Branch::Access(member) => member.clone(),
            };
            (member, branch.clone(), keys.clone())
        });
        let home = &self.0.home.member;
        Ok(branches.filter(|(member, _, _)| member != home).collect())
    }

    /// How many entries a branch has over all keys that are held here.
    fn last(&self, member: &MemberName, keys: &BranchKeys) -> Result<u64, CustodyError> {
        let mut last = 0_u64;
        for one in keys.each() {
            let extent = extent(&*self.0.anchor, member, &one.key.entries())?;
            last = last.saturating_add(extent.entries);
            if !extent.is_closed {
                break;
            }
        }
        Ok(last)
    }
}
