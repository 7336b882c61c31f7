//! Get Access Token (IUA, ITI-71), sign-in, and tokens that are refused.

use serde_json::{Value, json};

use super::parts::{
    DCM, PARTICIPATION, USER_AGENT, begun, client, coding, concept, endpoint, observer, query,
    request_id, security_resource, token_id, user,
};
use super::{AuditEntry, AuditSite, AuditToken};

pub(super) fn event(site: &AuditSite, entry: &AuditEntry) -> Value {
    let subtype = match entry.interaction.as_str() {
        "token" => coding("urn:ihe:event-type-code", "ITI-71"),
        "sign-in" => coding(DCM, "110122"),
        _ => coding(DCM, "110126"),
    };
    let mut event = begun(site, entry, &coding(DCM, "110114"), (&[subtype], "E"));
    let server = endpoint(
        &concept(USER_AGENT, "AuthzOauthService"),
        &observer(site),
        &site.base,
    );
    let mut agents = vec![client(&concept(DCM, "110150"), &entry.agent), server];
    let is_issued = entry.interaction == "token";
    if entry.agent.user.is_some() || !is_issued {
        let mut user = user(&[coding(PARTICIPATION, "IRCP")], &entry.agent);
        if is_issued && let Some(user) = user.as_object_mut() {
            // The pattern is closed: the token that is issued stands in the answer's entity.
            user.remove("policy");
            user["type"] = concept(PARTICIPATION, "IRCP");
        }
        agents.push(user);
    }
    event.insert("agent".to_owned(), agents.into());
    let asked = entry.query.as_deref().unwrap_or(&entry.target);
    let mut entities = vec![query(&entry.target, asked)];
    match &entry.agent.token {
        Some(AuditToken::Minimal { jti, .. }) if is_issued => {
            let mut issued = security_resource(&token_id(jti));
            issued["detail"] = json!([{ "type": "scope", "valueString": entry.target }]);
            entities.push(issued);
        }
        _ if is_issued => {}
        _ => entities.extend(entry.request_id.iter().map(|id| request_id(id))),
    }
    event.insert("entity".to_owned(), entities.into());
    event.into()
}
