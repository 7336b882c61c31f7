//! AuthZ-Consent: what consents, or roles alone, decided.

use serde_json::{Value, json};

use super::parts::{
    DCM, PARTICIPATION, begun, client, coding, concept, consent, observer, organization, patient,
    token, user,
};
use super::{AuditEntry, AuditSite, AuditToken};

const SUBTYPES: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType";

pub(super) fn event(site: &AuditSite, entry: &AuditEntry) -> Value {
    let subtype = if entry.consents.is_empty() {
        "AuthZ-Role"
    } else {
        "AuthZ-Consent"
    };
    let mut event = begun(
        site,
        entry,
        &coding(DCM, "110113"),
        (&[coding(SUBTYPES, subtype)], "E"),
    );
    let rules = format!("determined by {}", entry.rules.join(", "));
    let said = match &entry.reason {
        Some(reason) => format!("{reason}; {rules}"),
        None => rules,
    };
    event.insert("outcomeDesc".to_owned(), said.into());
    let agents = vec![
        client(&concept(DCM, "110150"), &entry.agent),
        user(&[coding(PARTICIPATION, "IRCP")], &entry.agent),
        organization(&entry.agent),
        json!({
            "type": concept(
                "http://terminology.hl7.org/CodeSystem/extra-security-role-type",
                "authserver",
            ),
            "who": observer(site), "requestor": false,
        }),
    ];
    event.insert("agent".to_owned(), agents.into());
    let mut entities: Vec<Value> = entry.patient.iter().map(|id| patient(id)).collect();
    let named = entry.consents.iter().map(|one| consent(&what(site, one)));
    entities.extend(named);
    if let Some(AuditToken::Minimal { jti, .. }) = &entry.agent.token {
        entities.push(token(jti));
    }
    event.insert("entity".to_owned(), entities.into());
    event.into()
}

/// A consent by its home member and id.
fn what(site: &AuditSite, named: &str) -> Value {
    match named.split_once('/') {
        Some((home, id)) if home == site.member => json!({ "reference": format!("Consent/{id}") }),
        Some((home, id)) => json!({
            "identifier": { "system": format!("urn:careledger:consent:{home}"), "value": id },
        }),
        None => json!({ "display": named }),
    }
}
