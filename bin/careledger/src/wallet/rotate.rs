//! Rotation: a branch goes on under a key that only those have to whom it is given now.

use anyhow::Context as _;
use interop::fhir::timespan::TimeSpan;
use ledger::ids::MemberName;
use ledger::stream::{Branch, GrantedBranch};
use serde_json::Value;

use super::enroll::member_key;
use super::{Filed, View, Wallet};
use crate::client::Request;

/// Who has the new key of a branch.
#[derive(Debug)]
pub(crate) struct Rotated {
    pub(crate) branch: Branch,
    /// Beside the member that writes the branch.
    pub(crate) holders: Vec<String>,
}

impl Wallet {
    /// The branches that members write where the patient is enrolled; of one member, if one is named.
    pub(crate) fn branches_of(&self, member: Option<&str>) -> anyhow::Result<Vec<Branch>> {
        let members = self.state.patients.keys();
        let members = members.filter(|name| member.is_none_or(|only| only == name.as_str()));
        let mut branches = Vec::new();
        for name in members {
            let name: MemberName = name.parse()?;
            branches.extend([
                Branch::Consent(name.clone()),
                Branch::Index(name.clone()),
                Branch::Restricted(name.clone()),
                Branch::Access(name),
            ]);
        }
        anyhow::ensure!(!branches.is_empty(), "the wallet is not enrolled there");
        Ok(branches)
    }

    /// Closes the streams of a branch, which go on under a new key. Members that may hold it get it first, but those that
    /// are left out; if one does not take it, nothing is closed.
    pub(crate) async fn rotate(
        &mut self,
        view: &View,
        branch: Branch,
        without: &[String],
    ) -> anyhow::Result<Rotated> {
        let writer = branch.writer().clone();
        self.patient_at(writer.as_str())?;
        let epoch = self.epoch(&branch).saturating_add(1);
        let granted = self.root.grant(view.network_id(), branch.clone(), epoch);
        let mut holders = Vec::new();
        for name in self.state.patients.keys() {
            let member: MemberName = name.parse()?;
            if member != writer && !without.contains(name) && self.may_hold(&member, &branch) {
                holders.push(name.clone());
            }
        }
        for name in &holders {
            let given = self.give(view, name, std::slice::from_ref(&granted)).await;
            given.with_context(|| {
                format!("{name} did not take the key, and nothing was closed: try again, or with --without {name}")
            })?;
        }
        let given = self.give(view, writer.as_str(), &[granted]).await;
        given.with_context(|| format!("{writer} did not take the key: try again"))?;
        self.state.epochs.insert(branch.name(), epoch);
        Ok(Rotated { branch, holders })
    }

    /// Gives a member the keys that it may hold, such as after a consent.
    pub(crate) async fn share(&self, view: &View, member: &str) -> anyhow::Result<()> {
        let branches = self.branches_for(view, &member.parse()?);
        self.give(view, member, &branches).await
    }

    async fn give(
        &self,
        view: &View,
        member: &str,
        branches: &[GrantedBranch],
    ) -> anyhow::Result<()> {
        let key = member_key(view, member).await?;
        let body = self.sealed(view, &key, branches)?;
        let id = self.patient_at(member)?;
        let client = self.client(view, member)?;
        let path = format!("Patient/{id}/$branches");
        client.post(&path, &Request::json(&body)).await?.ok()?;
        Ok(())
    }

    /// Whether a member gets new keys of a branch: of its own; of consents, which it has to know to disclose anything; of
    /// what another holds, if a consent lets it in.
    pub(super) fn may_hold(&self, member: &MemberName, branch: &Branch) -> bool {
        match branch {
            Branch::Consent(_) => true,
            _ if branch.writer() == member => true,
            Branch::Index(_) => {
                let mut consents = self.state.consents.iter();
                consents.any(|filed| filed.grantee == member.as_str() && is_in_force(filed))
            }
            Branch::Restricted(_) | Branch::Access(_) => false,
        }
    }
}

fn is_in_force(filed: &Filed) -> bool {
    let end = filed.consent.pointer("/provision/period/end");
    let end = end.and_then(Value::as_str).and_then(TimeSpan::parse);
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    end.is_none_or(|end| end.end_ms / 1_000 > now)
}
