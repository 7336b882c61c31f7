//! Enrolling: a member gets the branch keys that it may use, sealed to its own key.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gateway::enrolment::{encode, info};
use ledger::ids::MemberName;
use ledger::stream::{Branch, GrantedBranch};
use serde::Deserialize;
use serde_json::{Value, json};
use vault::wrap::{HpkePublicKey, wrap_for};

use super::{View, Wallet};
use crate::client::{Client, Request};

/// What a member says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    member: String,
    network: String,
    hpke_key: String,
}

impl Wallet {
    /// Enrols the patient at `member`, through a system of that member that may enrol. The member gets to know the wallet's
    /// identities one after the other, each with the branches of its root, as the members did that were there before.
    pub(crate) async fn enroll(
        &mut self,
        view: &View,
        member: &str,
        through: &Client,
    ) -> anyhow::Result<()> {
        let name: MemberName = member.parse()?;
        let identities = self.identities();
        let (first, later) = identities.split_first().context("a wallet has a root")?;
        let branches = self.branches_until(view, &name, first.era);
        let id = enroll_with(view, member, through, &(first.public(), branches)).await?;
        self.state.patients.insert(member.to_owned(), id);
        let mut former = first;
        for next in later {
            self.replace(view, member, (former, next)).await?;
            let branches = self.branches_until(view, &name, next.era);
            self.give_as(view, member, (next, &branches)).await?;
            former = next;
        }
        self.note_known(member);
        Ok(())
    }

    /// A member's own branches; and of all members the consents, and which records exist beside the restricted ones. Of
    /// branches that were rotated, the later keys only if the member may hold them.
    pub(super) fn branches_for(&self, view: &View, member: &MemberName) -> Vec<GrantedBranch> {
        self.branches_until(view, member, self.lineage.eras())
    }

    /// Those of the roots until that of an era.
    fn branches_until(&self, view: &View, member: &MemberName, era: usize) -> Vec<GrantedBranch> {
        let mut branches = vec![
            Branch::Restricted(member.clone()),
            Branch::Access(member.clone()),
        ];
        for other in view.members() {
            branches.extend([Branch::Consent(other.clone()), Branch::Index(other.clone())]);
        }
        let keyed = branches
            .iter()
            .flat_map(|branch| self.keys(view.network_id(), branch));
        keyed
            .filter(|one| one.epoch == 0 || self.may_hold(member, &one.branch))
            .filter(|one| self.lineage.era_of(&one.branch, one.epoch) <= era)
            .collect()
    }
}

/// A wallet's key, and branches that it grants.
pub(crate) type Granted = ([u8; 32], Vec<GrantedBranch>);

/// Enrols a patient at a member with what a wallet grants; returns the patient's id there.
pub(crate) async fn enroll_with(
    view: &View,
    member: &str,
    through: &Client,
    granted: &Granted,
) -> anyhow::Result<String> {
    let body = sealed_branches(view, member, granted).await?;
    let answer = through
        .post("Patient/$enroll", &Request::json(&body))
        .await?
        .ok()?;
    let answer = answer.json()?;
    let reference = answer.pointer("/parameter/0/valueReference/reference");
    let id = reference
        .and_then(Value::as_str)
        .and_then(|text| text.strip_prefix("Patient/"));
    let id = id.context("the member did not say under which id the patient is known")?;
    Ok(id.to_owned())
}

/// `Parameters` with branches that only the member can open.
pub(super) async fn sealed_branches(
    view: &View,
    member: &str,
    (wallet, branches): &Granted,
) -> anyhow::Result<Value> {
    let key = member_key(view, member).await?;
    let info = info(view.network_id());
    let wrapped = wrap_for(&key, &info, wallet, &encode(branches))?;
    let sealed = [wrapped.encapsulated.as_slice(), &wrapped.ciphertext].concat();
    Ok(json!({ "resourceType": "Parameters", "parameter": [
        { "name": "walletKey", "valueString": URL_SAFE_NO_PAD.encode(wallet) },
        { "name": "branches", "valueBase64Binary": STANDARD.encode(sealed) },
    ] }))
}

async fn member_key(view: &View, member: &str) -> anyhow::Result<HpkePublicKey> {
    let url = format!("{}/.well-known/careledger", view.base_url(member)?);
    let about = view.http.get(url).send().await?.error_for_status()?;
    let about: About = about.json().await?;
    anyhow::ensure!(
        about.member == member && about.network == view.network_id().0.to_string(),
        "the node at that address is another member's, or of another network"
    );
    let key = URL_SAFE_NO_PAD.decode(about.hpke_key)?;
    let key = key
        .try_into()
        .ok()
        .context("the member's key has another length")?;
    Ok(HpkePublicKey(key))
}
