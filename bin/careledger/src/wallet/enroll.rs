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
    /// Enrols the patient at `member`, through a system of that member that may enrol.
    pub(crate) async fn enroll(
        &mut self,
        view: &View,
        member: &str,
        through: &Client,
    ) -> anyhow::Result<()> {
        let name: MemberName = member.parse()?;
        let key = member_key(view, member).await?;
        let body = self.sealed(view, &key, &self.branches_for(view, &name))?;
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
        self.state.patients.insert(member.to_owned(), id.to_owned());
        Ok(())
    }

    /// `Parameters` with branches that only the member with the key can open.
    pub(super) fn sealed(
        &self,
        view: &View,
        key: &HpkePublicKey,
        branches: &[GrantedBranch],
    ) -> anyhow::Result<Value> {
        let info = info(view.network_id());
        let public_key = self.public_key();
        let wrapped = wrap_for(key, &info, &public_key, &encode(branches))?;
        let sealed = [wrapped.encapsulated.as_slice(), &wrapped.ciphertext].concat();
        Ok(json!({ "resourceType": "Parameters", "parameter": [
            { "name": "walletKey", "valueString": URL_SAFE_NO_PAD.encode(public_key) },
            { "name": "branches", "valueBase64Binary": STANDARD.encode(sealed) },
        ] }))
    }

    /// A member's own branches; and of all members the consents, and which records exist beside the restricted ones. Of
    /// branches that were rotated, the later keys only if the member may hold them.
    pub(super) fn branches_for(&self, view: &View, member: &MemberName) -> Vec<GrantedBranch> {
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
            .collect()
    }
}

pub(super) async fn member_key(view: &View, member: &str) -> anyhow::Result<HpkePublicKey> {
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
