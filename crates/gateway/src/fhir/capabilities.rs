//! capabilities: <https://hl7.org/fhir/R4/http.html#capabilities>

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::capability::{
    Capabilities, Operation, SystemInteraction, TypeCapability, TypeInteraction,
    capability_statement,
};
use interop::fhir::subscription::Topic;
use interop::fhir::timespan::format_instant;
use interop::fhir::{Checking, ResourceType};
use serde_json::{Value, json};

use super::Fhir;
use super::care_services;
use super::terminology::terminology_capabilities;
use crate::http::{fhir_json, pairs_of};

/// What is routed for every type.
const INTERACTIONS: [TypeInteraction; 9] = [
    TypeInteraction::Read,
    TypeInteraction::Vread,
    TypeInteraction::Update,
    TypeInteraction::Patch,
    TypeInteraction::Delete,
    TypeInteraction::HistoryInstance,
    TypeInteraction::HistoryType,
    TypeInteraction::Create,
    TypeInteraction::SearchType,
];

/// What is routed for audit events: nobody changes one.
const OF_AUDIT_EVENTS: [TypeInteraction; 3] = [
    TypeInteraction::Read,
    TypeInteraction::Create,
    TypeInteraction::SearchType,
];

/// What is routed for a type.
pub(super) fn interactions(resource_type: ResourceType) -> &'static [TypeInteraction] {
    if resource_type == ResourceType::AUDIT_EVENT {
        &OF_AUDIT_EVENTS
    } else {
        &INTERACTIONS
    }
}

/// What every type has.
const COMMON: [Operation<'static>; 10] = [
    operation(
        "validate",
        "http://hl7.org/fhir/OperationDefinition/Resource-validate",
    ),
    operation("receipt", "urn:careledger:operation:receipt"),
    operation("erase", "urn:careledger:operation:erase"),
    operation("erasures", "urn:careledger:operation:erasures"),
    operation(
        "erasure-certificate",
        "urn:careledger:operation:erasure-certificate",
    ),
    operation("hold", "urn:careledger:operation:hold"),
    operation("label-explain", "urn:careledger:operation:label-explain"),
    operation(
        "meta",
        "http://hl7.org/fhir/OperationDefinition/Resource-meta",
    ),
    operation(
        "meta-add",
        "http://hl7.org/fhir/OperationDefinition/Resource-meta-add",
    ),
    operation(
        "meta-delete",
        "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete",
    ),
];

const PATIENT_OPERATIONS: [Operation<'static>; 33] = [
    operation(
        "everything",
        "http://hl7.org/fhir/OperationDefinition/Patient-everything",
    ),
    operation(
        "summary",
        "http://hl7.org/fhir/uv/ips/OperationDefinition/summary",
    ),
    operation("ccd", "urn:careledger:operation:ccd"),
    operation("open", "urn:careledger:operation:open"),
    operation("enroll", "urn:careledger:operation:enroll"),
    operation("branches", "urn:careledger:operation:branches"),
    operation("recovery", "urn:careledger:operation:recovery"),
    operation("recovery-root", "urn:careledger:operation:recovery-root"),
    operation(
        "recovery-hand-out",
        "urn:careledger:operation:recovery-hand-out",
    ),
    operation("escrow-offer", "urn:careledger:operation:escrow-offer"),
    operation("escrow-taken", "urn:careledger:operation:escrow-taken"),
    operation("share", "urn:careledger:operation:share"),
    operation("shares", "urn:careledger:operation:shares"),
    operation("unshare", "urn:careledger:operation:unshare"),
    operation("access-history", "urn:careledger:operation:access-history"),
    operation("disclosures", "urn:careledger:operation:disclosures"),
    operation(
        "record-disclosure",
        "urn:careledger:operation:record-disclosure",
    ),
    operation(
        "suspend-accounting",
        "urn:careledger:operation:suspend-accounting",
    ),
    operation("break-glass", "urn:careledger:operation:break-glass"),
    operation("who-can-see", "urn:careledger:operation:who-can-see"),
    operation(
        "match",
        "http://hl7.org/fhir/OperationDefinition/Patient-match",
    ),
    operation(
        "ihe-pix",
        "https://profiles.ihe.net/ITI/PIXm/OperationDefinition/IHE.PIXm.pix",
    ),
    operation(
        "merge",
        "http://hl7.org/fhir/OperationDefinition/Patient-merge",
    ),
    operation("unmerge", "urn:careledger:operation:unmerge"),
    operation("link", "urn:careledger:operation:link"),
    operation("unlink", "urn:careledger:operation:unlink"),
    operation(
        "possible-matches",
        "urn:careledger:operation:possible-matches",
    ),
    operation("dismiss-match", "urn:careledger:operation:dismiss-match"),
    operation("discover", "urn:careledger:operation:discover"),
    operation("waiting-links", "urn:careledger:operation:waiting-links"),
    operation("approve-link", "urn:careledger:operation:approve-link"),
    operation("refuse-link", "urn:careledger:operation:refuse-link"),
    operation("withdraw-link", "urn:careledger:operation:withdraw-link"),
];

const OF_CONSENTS: [Operation<'static>; 7] = [
    operation("what-if", "urn:careledger:operation:what-if"),
    operation(
        "fileConsent",
        "http://hl7.org/fhir/us/consent-management/OperationDefinition/file-consent",
    ),
    operation(
        "file-consent",
        "http://hl7.org/fhir/us/consent-management/OperationDefinition/file-consent",
    ),
    operation(
        "revokeConsent",
        "http://hl7.org/fhir/us/consent-management/OperationDefinition/revoke-consent",
    ),
    operation(
        "consent-receipt",
        "urn:careledger:operation:consent-receipt",
    ),
    operation("templates", "urn:careledger:operation:templates"),
    operation("from-template", "urn:careledger:operation:from-template"),
];

const OF_CODE_SYSTEMS: [Operation<'static>; 3] = [
    operation(
        "lookup",
        "http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup",
    ),
    operation(
        "validate-code",
        "http://hl7.org/fhir/OperationDefinition/CodeSystem-validate-code",
    ),
    operation(
        "subsumes",
        "http://hl7.org/fhir/OperationDefinition/CodeSystem-subsumes",
    ),
];

const OF_VALUE_SETS: [Operation<'static>; 2] = [
    operation(
        "expand",
        "http://hl7.org/fhir/OperationDefinition/ValueSet-expand",
    ),
    operation(
        "validate-code",
        "http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code",
    ),
];

const OF_AUDIT: [Operation<'static>; 2] = [
    operation("gaps", "urn:careledger:operation:gaps"),
    operation("replay", "urn:careledger:operation:replay"),
];

/// The operations that are routed for a type.
pub(super) fn operations(resource_type: ResourceType) -> Vec<Operation<'static>> {
    let own: &[Operation<'static>] = match resource_type.as_str() {
        "Patient" => &PATIENT_OPERATIONS,
        "Observation" => &[operation(
            "lastn",
            "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
        )],
        "DocumentReference" => &[
            operation(
                "docref",
                "http://hl7.org/fhir/us/core/OperationDefinition/docref",
            ),
            operation("import-ccda", "urn:careledger:operation:import-ccda"),
        ],
        "AuditEvent" => return OF_AUDIT.to_vec(),
        "Consent" => &OF_CONSENTS,
        "CodeSystem" => &OF_CODE_SYSTEMS,
        "ValueSet" => &OF_VALUE_SETS,
        "ConceptMap" => &[operation(
            "translate",
            "http://hl7.org/fhir/OperationDefinition/ConceptMap-translate",
        )],
        "Task" => &[operation("review", "urn:careledger:operation:review")],
        "Composition" => &[operation(
            "document",
            "http://hl7.org/fhir/OperationDefinition/Composition-document",
        )],
        _ => &[],
    };
    COMMON.iter().chain(own).copied().collect()
}

pub(crate) async fn capabilities(
    State(fhir): State<Arc<Fhir>>,
    RawQuery(query): RawQuery,
) -> Response {
    let mut pairs = query.iter().flat_map(|query| pairs_of(query));
    let is_terminology = pairs.any(|(name, value)| name == "mode" && value == "terminology");
    if is_terminology {
        let date = format_instant(now_ms());
        let shelf = fhir.vocabularies.shelf();
        let statement = terminology_capabilities(&shelf, &fhir.base, &date);
        return fhir_json(StatusCode::OK, &statement);
    }
    fhir_json(StatusCode::OK, &statement(&fhir))
}

fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

fn statement(fhir: &Fhir) -> Value {
    let operations: Vec<_> = ResourceType::all()
        .map(|resource_type| (resource_type, operations(resource_type)))
        .collect();
    let types: Vec<TypeCapability<'_>> = operations
        .iter()
        .map(|(resource_type, operations)| TypeCapability {
            resource_type: *resource_type,
            interactions: interactions(*resource_type),
            operations,
        })
        .collect();
    let identity = &fhir.identity;
    let clock = if identity.has_test_clock {
        "; its clock can be set, for tests"
    } else {
        ""
    };
    let description = format!(
        "member {} of the CareLedger network {}{clock}",
        identity.member, identity.network.0
    );
    let mut statement = capability_statement(&Capabilities {
        base: &fhir.base,
        software: "CareLedger",
        release: env!("CARGO_PKG_VERSION"),
        date_ms: now_ms(),
        description: &description,
        token_url: &fhir.token_url,
        authorization_url: fhir.authorization_url.as_deref(),
        types: &types,
        has_full_text: fhir.custody.keeps_full_text(),
        system: &[
            SystemInteraction::Transaction,
            SystemInteraction::Batch,
            SystemInteraction::SearchSystem,
            SystemInteraction::HistorySystem,
        ],
    });
    subscriptions(fhir, &mut statement);
    validation(fhir, &mut statement);
    care_services::describe(&mut statement);
    if let Some(key) = fhir.member_key.published() {
        statement["extension"] = json!([{
            "url": "urn:careledger:extension:hpke-key",
            "valueString": key,
        }]);
    }
    statement
}

/// How strictly what is written is checked, and against which profiles.
fn validation(fhir: &Fhir, statement: &mut Value) {
    let rest = &mut statement["rest"][0];
    rest["documentation"] = match fhir.rules.checking {
        Checking::Lenient => {
            "Validation is lenient: elements that R4 does not define, codes outside required value sets and what breaks a \
             claimed profile are warnings."
        }
        Checking::Strict | Checking::Stored => {
            "Validation is strict: what breaks R4 or a claimed profile that is loaded is refused."
        }
    }
    .into();
    for one in rest["resource"].as_array_mut().into_iter().flatten() {
        let kind = one["type"].as_str().unwrap_or_default();
        let profiles: Vec<Value> = fhir.rules.profiles.on(kind).map(Value::from).collect();
        if !profiles.is_empty() {
            one["supportedProfile"] = profiles.into();
        }
    }
}

/// The topics that can be subscribed to, and where.
fn subscriptions(fhir: &Fhir, statement: &mut Value) {
    const TOPIC: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capabilitystatement-subscriptiontopic-canonical";
    const WEBSOCKET: &str = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-websocket";
    let websocket = crate::subscription::websocket_url(&fhir.base);
    let rest = &mut statement["rest"][0];
    rest["extension"] = json!([{ "url": WEBSOCKET, "valueUri": websocket }]);
    let types = rest["resource"].as_array_mut().into_iter().flatten();
    for one in types.filter(|one| one["type"] == "Subscription") {
        let topics = Topic::ALL
            .iter()
            .map(|topic| json!({ "url": TOPIC, "valueCanonical": topic.canonical() }));
        one["extension"] = topics.collect::<Vec<_>>().into();
        one["interaction"] = ["create", "read", "update", "delete", "search-type"]
            .map(|code| json!({ "code": code }))
            .to_vec()
            .into();
        let ig = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition";
        one["operation"] = json!([
            { "name": "status", "definition": format!("{ig}/backport-subscription-status") },
            { "name": "events", "definition": format!("{ig}/backport-subscription-events") },
            { "name": "get-ws-binding-token",
                "definition": format!("{ig}/backport-subscription-get-ws-binding-token") },
            { "name": "topics", "definition": "urn:careledger:operation:topics" },
            { "name": "dead-letters", "definition": "urn:careledger:operation:dead-letters" },
            { "name": "replay", "definition": "urn:careledger:operation:replay" },
        ]);
    }
    rest["operation"] = json!([
        { "name": "export",
            "definition": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export" },
        { "name": "import", "definition": "urn:careledger:operation:import" },
    ]);
}

const fn operation(name: &'static str, definition: &'static str) -> Operation<'static> {
    Operation { name, definition }
}
