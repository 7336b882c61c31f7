//! `/openapi.json`: the API as OpenAPI 3.1 (<https://spec.openapis.org/oas/v3.1.0>), made from what the capabilities say.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use interop::fhir::ResourceType;
use interop::fhir::capability::TypeInteraction;
use interop::fhir::search::parameters;
use serde_json::{Map, Value, json};

use super::Fhir;
use super::capabilities::{interactions, operations};

pub(crate) async fn description(State(fhir): State<Arc<Fhir>>) -> Json<Value> {
    Json(describe(&fhir.base, &fhir.token_url))
}

fn describe(base: &str, token_url: &str) -> Value {
    let mut paths = Map::new();
    let bundle = json!({ "content": content("Bundle") });
    paths.insert(
        "/".to_owned(),
        json!({ "post": with_body(&answer("batch and transaction", "transaction", 200), &bundle) }),
    );
    paths.insert(
        "/metadata".to_owned(),
        json!({ "get": answer("capabilities", "capabilities", 200) }),
    );
    paths.insert(
        "/_history".to_owned(),
        json!({ "get": answer("history of everything", "history-system", 200) }),
    );
    for resource_type in ResourceType::all() {
        of_type(resource_type, &mut paths);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "CareLedger FHIR R4", "version": env!("CARGO_PKG_VERSION") },
        "servers": [{ "url": base }],
        "security": [{ "smart": [] }],
        "paths": paths,
        "components": { "securitySchemes": { "smart": { "type": "oauth2", "flows": {
            "clientCredentials": { "tokenUrl": token_url, "scopes": {} } } } } },
    })
}

fn of_type(resource_type: ResourceType, paths: &mut Map<String, Value>) {
    let name = resource_type.as_str();
    for &interaction in interactions(resource_type) {
        let (path, method, status) = match interaction {
            TypeInteraction::Read => (format!("/{name}/{{id}}"), "get", 200),
            TypeInteraction::Vread => (format!("/{name}/{{id}}/_history/{{version}}"), "get", 200),
            TypeInteraction::Update => (format!("/{name}/{{id}}"), "put", 200),
            TypeInteraction::Patch => (format!("/{name}/{{id}}"), "patch", 200),
            TypeInteraction::Delete => (format!("/{name}/{{id}}"), "delete", 204),
            TypeInteraction::HistoryInstance => (format!("/{name}/{{id}}/_history"), "get", 200),
            TypeInteraction::HistoryType => (format!("/{name}/_history"), "get", 200),
            TypeInteraction::Create => (format!("/{name}"), "post", 201),
            TypeInteraction::SearchType => (format!("/{name}"), "get", 200),
        };
        let code = interaction.code();
        let mut described = answer(
            &format!("{code} of {name}"),
            &format!("{code}-{name}"),
            status,
        );
        let mut own = in_path(&path);
        if interaction == TypeInteraction::SearchType {
            own.extend(parameters(resource_type).map(|parameter| {
                json!({ "name": parameter.name, "in": "query", "schema": { "type": "string" } })
            }));
        }
        if !own.is_empty() {
            described["parameters"] = own.into();
        }
        if matches!(
            interaction,
            TypeInteraction::Create | TypeInteraction::Update
        ) {
            described["requestBody"] = json!({ "required": true, "content": content(name) });
        }
        put(paths, path, method, described);
    }
    for operation in operations(resource_type) {
        let (below, method) = match operation.name {
            "lastn" | "docref" | "gaps" | "replay" | "templates" | "lookup" | "validate-code"
            | "subsumes" | "expand" | "translate" | "ihe-pix" | "possible-matches"
            | "waiting-links" => ("", "get"),
            "enroll" | "file-consent" | "fileConsent" | "from-template" | "revokeConsent"
            | "what-if" | "import-ccda" | "match" | "merge" | "unmerge" | "link" | "unlink"
            | "dismiss-match" | "approve-link" | "refuse-link" | "withdraw-link" => ("", "post"),
            "branches" | "break-glass" | "discover" | "erase" | "escrow-offer" | "escrow-taken"
            | "hold" | "meta-add" | "meta-delete" | "record-disclosure" | "recovery-hand-out"
            | "recovery-root" | "review" | "share" | "suspend-accounting" | "unshare" => {
                ("/{id}", "post")
            }
            _ => ("/{id}", "get"),
        };
        let path = format!("/{name}{below}/${}", operation.name);
        let id = format!("{}-{name}", operation.name);
        let mut described = answer(&format!("${} of {name}", operation.name), &id, 200);
        let own = in_path(&path);
        if !own.is_empty() {
            described["parameters"] = own.into();
        }
        put(paths, path, method, described);
    }
}

fn put(paths: &mut Map<String, Value>, path: String, method: &str, described: Value) {
    let item = paths.entry(path).or_insert_with(|| json!({}));
    if let Some(item) = item.as_object_mut() {
        item.insert(method.to_owned(), described);
    }
}

/// The parameters that a path names in braces.
fn in_path(path: &str) -> Vec<Value> {
    let names = path
        .split('/')
        .filter_map(|step| step.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
    names.map(parameter).collect()
}

fn answer(summary: &str, id: &str, status: u16) -> Value {
    json!({
        "summary": summary,
        "operationId": id,
        "responses": {
            status.to_string(): { "description": "the interaction succeeded" },
            "default": { "description": "an OperationOutcome", "content": content("OperationOutcome") },
        },
    })
}

fn with_body(described: &Value, body: &Value) -> Value {
    let mut described = described.clone();
    described["requestBody"] = body.clone();
    described
}

fn content(resource: &str) -> Value {
    let schema = json!({ "type": "object", "description": resource });
    json!({
        "application/fhir+json": { "schema": schema },
        "application/fhir+xml": { "schema": { "type": "string", "description": resource } },
    })
}
