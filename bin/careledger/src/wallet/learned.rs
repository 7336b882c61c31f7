//! What a recovered wallet learns of its consents: they are not in the root.

use contracts::consent::life::State;
use contracts::consent::{Actor, Consent, Provision};
use serde_json::Value;

use super::{Filed, View, Wallet};

impl Wallet {
    /// Learns from a member which consents were filed through it. Each has to be on the ledger, as it is now; that the
    /// patient signed it is what the member checked.
    pub(crate) async fn learn_consents(&mut self, view: &View, member: &str) -> anyhow::Result<()> {
        let patient = self.patient_at(member)?;
        let query = format!("Consent?patient={patient}&_count=200");
        let found = self.client(view, member)?.found(query).await?;
        let filed = found.iter().filter_map(|resource| read(member, resource));
        for filed in filed.collect::<Vec<_>>() {
            let known = self.state.consents.iter();
            if known.into_iter().any(|known| known.id == filed.id) {
                continue;
            }
            let id = filed.id.clone();
            self.state.consents.push(filed);
            if let Err(error) = self.consent_receipt(view, &id).await {
                self.state.consents.retain(|known| known.id != id);
                return Err(error.context(format!("consent {id} of {member} does not verify")));
            }
        }
        Ok(())
    }
}

/// A consent that is in force or suspended, as the wallet had posted it.
fn read(member: &str, resource: &Value) -> Option<Filed> {
    let state = State::of(resource).ok()?;
    if !matches!(state, State::Active | State::Suspended) {
        return None;
    }
    let id = resource["id"].as_str()?;
    let version = resource
        .pointer("/meta/versionId")?
        .as_str()?
        .parse()
        .ok()?;
    let consent = Consent::read(&format!("{member}/{id}"), version, resource).ok()?;
    let grantee = consent.provision.as_ref().and_then(grantee);
    let mut posted = resource.clone();
    for added in ["id", "meta"] {
        posted.as_object_mut()?.shift_remove(added);
    }
    Some(Filed {
        member: member.to_owned(),
        id: id.to_owned(),
        version,
        grantee: grantee.unwrap_or_else(|| member.to_owned()),
        consent: posted,
    })
}

/// Whom the wallet lists the consent under: who may act in the patient's place, else the first who is named.
fn grantee(rule: &Provision) -> Option<String> {
    let delegate = rule.delegates.first().map(|one| one.who.clone());
    let named = rule.actors.iter().find_map(|actor| match actor {
        Actor::Member(name) => Some(name.clone()),
        Actor::Named(who) => Some(who.clone()),
        Actor::Role(_) => None,
    });
    let within = || rule.nested.iter().find_map(grantee);
    delegate.or(named).or_else(within)
}

#[cfg(test)]
mod tests {
    use contracts::consent::life;
    use contracts::consent::template::{DataClass, Grant, access};
    use serde_json::json;

    use super::*;

    fn stored() -> Value {
        let mut consent = access(&Grant {
            patient: "Patient/p",
            grantee: "hospital",
            data: &[DataClass::Laboratory],
            purpose: "TREAT",
            start: "2026-01-01T00:00:00Z",
            end: "2036-01-01T00:00:00Z",
        });
        consent["id"] = json!("c1");
        consent["meta"] = json!({ "versionId": "3" });
        consent
    }

    #[test]
    fn a_consent_is_known_again_by_whom_it_lets_in_and_by_its_version() {
        let filed = read("clinic", &stored()).unwrap();
        assert_eq!((filed.id.as_str(), filed.version), ("c1", 3));
        assert_eq!(
            (filed.member.as_str(), filed.grantee.as_str()),
            ("clinic", "hospital")
        );
        assert!(filed.consent.get("id").is_none() && filed.consent.get("meta").is_none());
        assert!(read("clinic", &life::suspended(stored())).is_some());
        assert!(read("clinic", &life::withdrawn(stored())).is_none());
    }
}
