//! Rotation: a branch goes on under a key that only those have to whom it is given now.

use anyhow::Context as _;
use interop::fhir::timespan::TimeSpan;
use ledger::ids::MemberName;
use ledger::stream::{Branch, GrantedBranch, KeyEpoch};
use serde_json::Value;

use super::enroll::sealed_branches;
use super::lineage::Identity;
use super::{Filed, View, Wallet};
use crate::client::Request;

/// Keys of one branch at most that a member is believed to have had.
const EPOCHS_MAX: KeyEpoch = 10_000;

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
            branches.extend(Branch::all_of(&name));
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
        let granted = self.lineage.grant(view.network_id(), &branch, epoch);
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

    /// Learns from a member under which keys its branches are: a wallet that was recovered does not know.
    pub(crate) async fn learn_epochs(&mut self, view: &View, member: &str) -> anyhow::Result<()> {
        let path = format!("Patient/{}/$branches", self.patient_at(member)?);
        let answer = self.client(view, member)?.get(&path).await?.ok()?.json()?;
        let held = answer.get("parameter").and_then(Value::as_array);
        for one in held.into_iter().flatten() {
            let (name, epoch) =
                named_epoch(one).context("the member does not name its branches")?;
            let branch: Branch = name.parse()?;
            anyhow::ensure!(
                epoch <= EPOCHS_MAX,
                "{member} says that {name} has had {epoch} keys"
            );
            if branch.writer().as_str() == member && epoch > self.epoch(&branch) {
                self.state.epochs.insert(branch.name(), epoch);
            }
        }
        Ok(())
    }

    /// Gives a member the keys that it may hold, such as after a consent.
    pub(crate) async fn share(&self, view: &View, member: &str) -> anyhow::Result<()> {
        let branches = self.branches_for(view, &member.parse()?);
        self.give(view, member, &branches).await
    }

    pub(super) async fn give(
        &self,
        view: &View,
        member: &str,
        branches: &[GrantedBranch],
    ) -> anyhow::Result<()> {
        let identity = self.identity_at(member);
        self.give_as(view, member, (&identity, branches)).await
    }

    /// Gives a member keys in the name of an identity that it knows.
    pub(super) async fn give_as(
        &self,
        view: &View,
        member: &str,
        (identity, branches): (&Identity, &[GrantedBranch]),
    ) -> anyhow::Result<()> {
        let granted = (identity.public(), branches.to_vec());
        let body = sealed_branches(view, member, &granted).await?;
        let id = self.patient_at(member)?;
        let client = self.speaks(view, member, identity.seed())?;
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

fn named_epoch(branch: &Value) -> Option<(&str, KeyEpoch)> {
    let parts = branch.get("part")?.as_array()?;
    let text = |name: &str| {
        let part = parts.iter().find(|part| part["name"] == name)?;
        part["valueString"].as_str()
    };
    Some((text("name")?, text("epoch")?.parse().ok()?))
}

fn is_in_force(filed: &Filed) -> bool {
    let end = filed.consent.pointer("/provision/period/end");
    let end = end.and_then(Value::as_str).and_then(TimeSpan::parse);
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    end.is_none_or(|end| end.end_ms / 1_000 > now)
}
