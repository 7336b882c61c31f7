//! `Consent/$fileConsent` and `Consent/$revokeConsent` (HL7 FAST Scalable Consent Management 1.0.0-ballot): a consent and
//! the form that was signed, together or not at all.
//!
//! The form is kept as the DocumentReference or QuestionnaireResponse that it comes as, and is the consent's
//! `sourceReference`. Where a wallet signs, it signs the consent as compact JSON with the elements in the order in which
//! they are sent, `sourceReference` included.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use contracts::consent::life::{self, State as Life};
use interop::fhir::resource::is_id;
use interop::fhir::{Issue, IssueType, OperationOutcome, Resource, ResourceType};
use node::custody::{Change, Written};
use serde_json::{Value, json};

use super::parameters::Given;
use crate::auth::Permission;
use crate::fhir::address::{TypeAddress, only};
use crate::fhir::answer::{self, Version};
use crate::fhir::caller::Caller;
use crate::fhir::{Fhir, provenance};
use crate::http::{Payload, fhir_json};
use crate::problem::Problem;

pub(crate) async fn file_consent(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    only(ResourceType::CONSENT, resource_type)?;
    caller.may(resource_type, Permission::Create)?;
    let given = Given::parse(&body)?;
    let mut consent = consent_in(&given, "consent")?.ok_or_else(|| missing("consent"))?;
    let document = given.value("document", &["resource"]);
    let document = Form::read(document.ok_or_else(|| missing("document"))?, &consent)?;
    let signature = provenance::signature(&headers, resource_type)?;
    document.link(&mut consent, signature.is_some())?;
    let changes = vec![document.create()?, changed(&consent, signature, None)?];
    let written = fhir.write_together(&caller, changes).await?;
    Ok(fhir.told("the consent is filed", &Version::of(&written)))
}

pub(crate) async fn revoke_consent(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Result<Response, Problem> {
    only(ResourceType::CONSENT, resource_type)?;
    caller.may(resource_type, Permission::Read)?;
    caller.may(resource_type, Permission::Update)?;
    let given = Given::parse(&body)?;
    let id = reference(&given, "consent", "Consent")?;
    let patient = reference(&given, "patient", "Patient")?;
    caller.may_address(resource_type, &id)?;
    let by = caller.requester();
    let filed = fhir.custody.read(by, resource_type, &id).await?;
    caller.may_touch(&filed.resource)?;
    let version = filed.version;
    let current = Value::Object(filed.resource.object().clone());
    if current["patient"]["reference"] != format!("Patient/{patient}") {
        return Err(Problem::unprocessable(
            "the consent is not about the patient in the parameter `patient`",
        ));
    }
    if Life::of(&current).ok() == Some(Life::Withdrawn) {
        let version = Version {
            resource_type,
            id: &id,
            version,
            last_updated_ms: filed.last_updated_ms,
        };
        return Ok(fhir.told("the consent is revoked already", &version));
    }
    let signature = provenance::signature(&headers, resource_type)?;
    let mut revoked = match consent_in(&given, "revoked")? {
        Some(revoked) => revoked,
        None => life::withdrawn(current),
    };
    revoked["id"] = id.clone().into();
    if Life::of(&revoked).ok() != Some(Life::Withdrawn) {
        return Err(at("Consent.status", "a revoked consent is inactive"));
    }
    let mut changes = Vec::new();
    if let Some(document) = given.value("document", &["resource"]) {
        let document = Form::read(document, &revoked)?;
        document.link(&mut revoked, signature.is_some())?;
        changes.push(document.create()?);
    }
    changes.push(changed(&revoked, signature, Some((id, version)))?);
    let written = fhir.write_together(&caller, changes).await?;
    Ok(fhir.told("the consent is revoked", &Version::of(&written)))
}

/// What the patient has signed or filled in, on paper or not.
struct Form {
    resource_type: ResourceType,
    id: String,
    /// Whether the sender chose the id.
    is_named: bool,
    content: Value,
}

impl Form {
    fn read(content: Value, consent: &Value) -> Result<Self, Problem> {
        let name = content["resourceType"].as_str().unwrap_or_default();
        let resource_type = match name {
            "DocumentReference" | "QuestionnaireResponse" => ResourceType::parse(name),
            _ => None,
        };
        let resource_type = resource_type.ok_or_else(|| {
            Problem::malformed(
                "the parameter `document` is a DocumentReference or a QuestionnaireResponse",
            )
        })?;
        if content["subject"]["reference"] != consent["patient"]["reference"] {
            let element = format!("{name}.subject");
            return Err(at(
                &element,
                "the document is not about the consent's patient",
            ));
        }
        let named = content["id"].as_str().filter(|id| is_id(id));
        let id = named.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
        Ok(Self {
            resource_type,
            id,
            is_named: named.is_some(),
            content,
        })
    }

    /// Makes it the source of the consent; what is signed has to say so already.
    fn link(&self, consent: &mut Value, is_signed: bool) -> Result<(), Problem> {
        const ELEMENT: &str = "Consent.sourceReference";
        let own = format!("{}/{}", self.resource_type, self.id);
        let says = consent["sourceReference"]["reference"].as_str();
        if is_signed && !(self.is_named && says == Some(own.as_str())) {
            let why =
                "a consent that is signed names the document, by the id that the document has";
            return Err(at(ELEMENT, why));
        }
        if let Some(elements) = consent.as_object_mut().filter(|_| !is_signed) {
            elements.shift_remove("sourceAttachment");
            elements.insert("sourceReference".to_owned(), json!({ "reference": own }));
        }
        Ok(())
    }

    fn create(self) -> Result<Change, Problem> {
        let mut content = self.content;
        content["id"] = self.id.into();
        let resource = Resource::from_value(content)?;
        Ok(Change::CreateAs { resource })
    }
}

impl Fhir {
    /// Writes all or none; the last.
    async fn write_together(
        &self,
        caller: &Caller,
        changes: Vec<Change>,
    ) -> Result<Written, Problem> {
        for change in &changes {
            self.rules.check_change(change)?;
            if let Change::CreateAs { resource } = change {
                caller.may(resource.resource_type(), Permission::Create)?;
                caller.may_touch(resource)?;
            }
        }
        let written = self.custody.write(caller.requester(), changes).await?;
        let last = written.into_iter().last();
        last.ok_or_else(|| Problem::internal("custody wrote nothing and said nothing"))
    }

    fn told(&self, what: &str, version: &Version<'_>) -> Response {
        let mut response = fhir_json(StatusCode::OK, &answer::done(what, Vec::new()));
        version.label(response.headers_mut());
        version.locate(&self.base, response.headers_mut());
        response
    }
}

/// The change that writes a consent: a new one, or the next version of the one with this id and version.
fn changed(
    consent: &Value,
    signature: Option<String>,
    follows: Option<(String, u64)>,
) -> Result<Change, Problem> {
    let (id, if_match) = follows.unzip();
    let resource = Resource::from_value(consent.clone())?;
    Ok(match (signature, if_match) {
        (Some(jws), _) => provenance::filed(consent.to_string().as_bytes(), jws, id, if_match),
        (None, Some(_)) => Change::Update { resource, if_match },
        (None, None) => Change::Create { resource, id: None },
    })
}

fn consent_in(given: &Given, name: &'static str) -> Result<Option<Value>, Problem> {
    let consent = given.value(name, &["resource"]);
    if consent
        .as_ref()
        .is_some_and(|one| one["resourceType"] != "Consent")
    {
        return Err(Problem::malformed(format!(
            "the parameter `{name}` is no Consent"
        )));
    }
    Ok(consent)
}

/// The id in a parameter that is a reference to this type.
fn reference(given: &Given, name: &'static str, kind: &str) -> Result<String, Problem> {
    let value = given.value(name, &["valueReference"]);
    let reference = value.as_ref().and_then(|value| value["reference"].as_str());
    let id = reference.and_then(|text| text.strip_prefix(kind)?.strip_prefix('/'));
    let id = id.filter(|id| is_id(id)).map(str::to_owned);
    let wrong = || {
        Problem::malformed(format!(
            "the parameter `{name}` is no reference to a {kind} here"
        ))
    };
    id.ok_or_else(wrong)
}

fn missing(name: &str) -> Problem {
    Problem::malformed(format!("the parameter `{name}` must be there"))
}

fn at(element: &str, why: &str) -> Problem {
    let issue = Issue::error(IssueType::BusinessRule, why).at(element);
    Problem::with_outcome(
        StatusCode::UNPROCESSABLE_ENTITY,
        OperationOutcome::of(issue),
    )
}
