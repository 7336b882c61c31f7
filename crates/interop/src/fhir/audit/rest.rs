//! Create, read, update, delete and query, each with its patient variant.

use serde_json::Value;

use super::parts::{
    DCM, OWN, PARTICIPATION, REST, begun, client, coding, concept, data, document, endpoint,
    observer, organization, patient, query, request_id, user,
};
use super::{AuditEntry, AuditSite};

/// How an interaction is written down.
struct Pattern {
    /// `AuditEvent.action`
    action: &'static str,
    /// Types of the client, the server and the user.
    client: (&'static str, &'static str),
    server: (&'static str, &'static str),
    user: &'static str,
    is_query: bool,
}

const SOURCE: (&str, &str) = (DCM, "110153");
const DESTINATION: (&str, &str) = (DCM, "110152");
const CUSTODIAN: (&str, &str) = (
    "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
    "custodian",
);

fn pattern(interaction: &str) -> Pattern {
    let written = |action| Pattern {
        action,
        client: SOURCE,
        server: DESTINATION,
        user: "AUT",
        is_query: false,
    };
    match interaction {
        "create" => written("C"),
        "update" | "patch" => written("U"),
        "delete" | "erase" => Pattern {
            client: (DCM, "110150"),
            server: CUSTODIAN,
            ..written("D")
        },
        "read" | "vread" | "notify" | "receipt" => Pattern {
            action: "R",
            client: DESTINATION,
            server: SOURCE,
            user: "IRCP",
            is_query: false,
        },
        _ => Pattern {
            action: "E",
            client: SOURCE,
            server: DESTINATION,
            user: "IRCP",
            is_query: true,
        },
    }
}

/// The restful interaction, and the name of what FHIR calls an operation or does not name.
fn subtypes(entry: &AuditEntry) -> Vec<Value> {
    let interaction = entry.interaction.as_str();
    let code = match interaction {
        "read" | "vread" | "create" | "update" | "patch" | "delete" => interaction,
        "search" if entry.target.is_empty() || entry.target.starts_with('?') => "search-system",
        "search" => "search-type",
        "history" if entry.target == "_history" => "history-system",
        "history" if entry.target.ends_with("/_history") => "history-type",
        "history" => "history-instance",
        // What BALP's patterns have a code for keeps it, beside the name of what was done.
        "notify" | "receipt" => return vec![coding(REST, "read"), coding(OWN, interaction)],
        "erase" => return vec![coding(REST, "delete"), coding(OWN, interaction)],
        _ => return vec![coding(REST, "operation"), coding(OWN, interaction)],
    };
    vec![coding(REST, code)]
}

pub(super) fn event(site: &AuditSite, entry: &AuditEntry) -> Value {
    let pattern = pattern(&entry.interaction);
    let kind = coding(
        "http://terminology.hl7.org/CodeSystem/audit-event-type",
        "rest",
    );
    let subtypes = subtypes(entry);
    let mut event = begun(site, entry, &kind, (&subtypes, pattern.action));
    let (client_type, server_type) = (pattern.client, pattern.server);
    let agents = vec![
        client(&concept(client_type.0, client_type.1), &entry.agent),
        endpoint(
            &concept(server_type.0, server_type.1),
            &observer(site),
            &site.base,
        ),
        user(&[coding(PARTICIPATION, pattern.user)], &entry.agent),
        organization(&entry.agent),
    ];
    event.insert("agent".to_owned(), agents.into());
    let mut entities: Vec<Value> = entry.patient.iter().map(|id| patient(id)).collect();
    if pattern.is_query {
        let asked = entry.query.as_deref().unwrap_or(&entry.target);
        entities.push(query(&entry.target, asked));
        entities.extend(entry.documents.iter().map(|one| document(one)));
    } else {
        entities.push(data(entry.documents.first().unwrap_or(&entry.target)));
    }
    entities.extend(entry.request_id.iter().map(|id| request_id(id)));
    event.insert("entity".to_owned(), entities.into());
    event.into()
}
