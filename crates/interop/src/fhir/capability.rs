//! The CapabilityStatement: what a node says that it can do.

use serde_json::{Map, Value, json};

use super::ResourceType;
use super::search::{includes, parameters};
use super::timespan::format_instant;

/// Interactions on a type or an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the codes of R4")]
pub enum TypeInteraction {
    Read,
    Vread,
    Update,
    Patch,
    Delete,
    HistoryInstance,
    HistoryType,
    Create,
    SearchType,
}

impl TypeInteraction {
    /// The R4 code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Vread => "vread",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::HistoryInstance => "history-instance",
            Self::HistoryType => "history-type",
            Self::Create => "create",
            Self::SearchType => "search-type",
        }
    }
}

/// Interactions on the whole system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the codes of R4")]
pub enum SystemInteraction {
    Transaction,
    Batch,
    SearchSystem,
    HistorySystem,
}

impl SystemInteraction {
    /// The R4 code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Batch => "batch",
            Self::SearchSystem => "search-system",
            Self::HistorySystem => "history-system",
        }
    }
}

/// An operation: its name without `$`, and the canonical URL of its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation<'a> {
    /// `everything`.
    pub name: &'a str,
    /// `http://hl7.org/fhir/OperationDefinition/Patient-everything`.
    pub definition: &'a str,
}

/// What is implemented for a type.
#[derive(Debug, Clone, Copy)]
pub struct TypeCapability<'a> {
    /// The type.
    pub resource_type: ResourceType,
    /// The interactions.
    pub interactions: &'a [TypeInteraction],
    /// The operations.
    pub operations: &'a [Operation<'a>],
}

/// What a node implements.
#[derive(Debug, Clone, Copy)]
pub struct Capabilities<'a> {
    /// The base URL of the FHIR API.
    pub base: &'a str,
    /// The name of the software.
    pub software: &'a str,
    /// Its release.
    pub release: &'a str,
    /// When this statement was made.
    pub date_ms: i64,
    /// What the instance is: member and network, and whether its clock is for tests.
    pub description: &'a str,
    /// The token endpoint of the SMART authorization server.
    pub token_url: &'a str,
    /// Where apps send their users, if people sign in here.
    pub authorization_url: Option<&'a str>,
    /// By type.
    pub types: &'a [TypeCapability<'a>],
    /// Whether searches find the words of everything (`_content`).
    pub has_full_text: bool,
    /// On the system.
    pub system: &'a [SystemInteraction],
}

/// The CapabilityStatement. Search parameters come from the table that the index uses.
pub fn capability_statement(node: &Capabilities<'_>) -> Value {
    let types: Vec<Value> = node
        .types
        .iter()
        .map(|it| type_value(it, node.has_full_text))
        .collect();
    let mut rest =
        json!({"mode": "server", "security": security(node.token_url, node.authorization_url)});
    if !types.is_empty() {
        rest["resource"] = types.into();
    }
    if !node.system.is_empty() {
        let codes = node
            .system
            .iter()
            .map(|interaction| json!({"code": interaction.code()}));
        rest["interaction"] = codes.collect::<Vec<_>>().into();
    }
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": format_instant(node.date_ms),
        "kind": "instance",
        "software": {"name": node.software, "version": node.release},
        "implementation": {"description": node.description, "url": node.base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "rest": [rest],
    })
}

fn security(token_url: &str, authorization_url: Option<&str>) -> Value {
    let mut uris = vec![json!({"url": "token", "valueUri": token_url})];
    uris.extend(authorization_url.map(|url| json!({"url": "authorize", "valueUri": url})));
    json!({
        "extension": [{
            "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
            "extension": uris,
        }],
        "service": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
            "code": "SMART-on-FHIR",
        }]}],
    })
}

fn type_value(capability: &TypeCapability<'_>, has_full_text: bool) -> Value {
    let has = |wanted| capability.interactions.contains(&wanted);
    let mut value = Map::new();
    value.insert("type".to_owned(), capability.resource_type.as_str().into());
    let codes = capability
        .interactions
        .iter()
        .map(|interaction| json!({"code": interaction.code()}));
    value.insert("interaction".to_owned(), codes.collect::<Vec<_>>().into());
    let versioning = if has(TypeInteraction::Update) {
        "versioned-update"
    } else {
        "versioned"
    };
    value.insert("versioning".to_owned(), versioning.into());
    value.insert("readHistory".to_owned(), has(TypeInteraction::Vread).into());
    let has_update = has(TypeInteraction::Update);
    value.insert("updateCreate".to_owned(), has_update.into());
    value.insert(
        "conditionalCreate".to_owned(),
        has(TypeInteraction::Create).into(),
    );
    if has(TypeInteraction::Read) {
        value.insert("conditionalRead".to_owned(), "full-support".into());
    }
    value.insert("conditionalUpdate".to_owned(), has_update.into());
    if has(TypeInteraction::Delete) {
        // As many as `_count` says, one without it.
        value.insert("conditionalDelete".to_owned(), "multiple".into());
    }
    let policies = json!(["literal", "logical", "local"]);
    value.insert("referencePolicy".to_owned(), policies);
    if has(TypeInteraction::SearchType) {
        let supported = parameters(capability.resource_type)
            .filter(|it| it.is_supported() && (has_full_text || it.name != "_content"));
        let parameters = supported.map(
            |it| json!({"name": it.name, "definition": it.definition(), "type": it.kind.code()}),
        );
        value.insert(
            "searchParam".to_owned(),
            parameters.collect::<Vec<_>>().into(),
        );
    }
    if has(TypeInteraction::SearchType) {
        let (forward, reverse) = includes(capability.resource_type);
        value.insert("searchInclude".to_owned(), forward.into());
        value.insert("searchRevInclude".to_owned(), reverse.into());
    }
    let operations = capability.operations.iter();
    let operations = operations.map(|it| json!({"name": it.name, "definition": it.definition}));
    let operations: Vec<Value> = operations.collect();
    if !operations.is_empty() {
        value.insert("operation".to_owned(), operations.into());
    }
    value.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::Resource;

    #[test]
    fn the_statement_lists_what_is_implemented_and_no_more() {
        let everything = Operation {
            name: "everything",
            definition: "http://hl7.org/fhir/OperationDefinition/Patient-everything",
        };
        let types = [
            TypeCapability {
                resource_type: ResourceType::PATIENT,
                interactions: &[TypeInteraction::Read, TypeInteraction::SearchType],
                operations: &[everything],
            },
            TypeCapability {
                resource_type: ResourceType::BUNDLE,
                interactions: &[TypeInteraction::Create],
                operations: &[],
            },
        ];
        let statement = capability_statement(&Capabilities {
            base: "https://a.org/fhir",
            software: "CareLedger",
            release: "0.1.0",
            date_ms: 0,
            description: "clinic",
            token_url: "https://a.org/oauth2/token",
            authorization_url: None,
            types: &types,
            has_full_text: false,
            system: &[SystemInteraction::Transaction],
        });
        let rest = &statement["rest"][0];
        assert_eq!(rest["interaction"], json!([{"code": "transaction"}]));
        assert_eq!(
            rest["resource"][0]["interaction"],
            json!([{"code": "read"}, {"code": "search-type"}])
        );
        let parameters = rest["resource"][0]["searchParam"].as_array().unwrap();
        let birthdate = json!({"name": "birthdate", "type": "date",
            "definition": "http://hl7.org/fhir/SearchParameter/individual-birthdate"});
        assert!(parameters.contains(&birthdate));
        let has = |name: &str| parameters.iter().any(|one| one["name"] == name);
        assert!(has("_text") && !has("_content"));
        assert!(rest["resource"][1].get("searchParam").is_none());
        assert!(Resource::from_value(statement).is_ok());
    }
}
