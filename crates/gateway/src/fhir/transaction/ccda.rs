//! `DocumentReference/$import-ccda`: a C-CDA document comes in, and becomes what it says.
//!
//! In: the document. It is kept as DocumentReference and Binary; what it says is written with it as one transaction, by
//! conditional creates. Whose it is tells its identifier of the patient, or the parameter `patient`. Out: `document`,
//! `response` (the transaction's), `outcome` (what was not mapped).

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use interop::ccda::{Fault, Limits, Mapped, Original, map, read};
use interop::fhir::resource::is_id;
use interop::fhir::{Issue, IssueType, OperationOutcome, ResourceType, Severity};
use ledger::ids::Digest;
use serde_json::{Value, json};

use super::Bundles;
use crate::auth::Permission;
use crate::fhir::address::{TypeAddress, only};
use crate::fhir::caller::Caller;
use crate::fhir::operation::parameters;
use crate::http::{DocumentPayload, fhir_json, pairs_of};
use crate::problem::Problem;

/// What was not mapped, and what was left out, is each listed up to here.
const UNREAD_MAX: usize = 100;

pub(in crate::fhir) async fn import_ccda(
    State(bundles): State<Bundles>,
    caller: Caller,
    TypeAddress(resource_type): TypeAddress,
    RawQuery(query): RawQuery,
    DocumentPayload(body): DocumentPayload,
) -> Result<Response, Problem> {
    let document = document_type();
    only(document, resource_type)?;
    caller.may(document, Permission::Create)?;
    let patient = patient_in(query.as_deref())?;
    let bytes = body.clone();
    let limits = Limits {
        bytes_max: bundles.fhir.rules.body_bytes,
        ..Limits::default()
    };
    let mapped = tokio::task::spawn_blocking(move || read_and_map(&bytes, &limits));
    let mapped = mapped
        .await
        .map_err(|_| Problem::internal("the reading of a document ended early"))?
        .map_err(|faults| refused(&faults))?;
    let mapped = match (&patient, &mapped.unclaimed) {
        (Some(id), _) => mapped.for_patient(id),
        (None, None) => mapped,
        (None, Some(fault)) => return Err(refused(std::slice::from_ref(fault))),
    };
    bundles.take_document(&caller, &mapped, &body).await
}

fn read_and_map(bytes: &[u8], limits: &Limits) -> Result<Mapped, Vec<Fault>> {
    let document = read(bytes, limits).map_err(|fault| vec![fault])?;
    map(&document, &mut new_url)
}

fn new_url() -> String {
    format!("urn:uuid:{}", uuid::Uuid::new_v4())
}

fn document_type() -> ResourceType {
    ResourceType::parse("DocumentReference").unwrap_or(ResourceType::BUNDLE)
}

/// The parameter `patient`: `Patient/[id]` or the id.
fn patient_in(query: Option<&str>) -> Result<Option<String>, Problem> {
    let mut found = None;
    for (name, value) in pairs_of(query.unwrap_or_default()) {
        match name.as_str() {
            "patient" => {
                let id = value.strip_prefix("Patient/").unwrap_or(&value);
                if !is_id(id) {
                    let expected = "`patient` is the id of a Patient, or Patient/[id]";
                    return Err(Problem::malformed(expected));
                }
                found = Some(id.to_owned());
            }
            "_format" | "_pretty" => {}
            _ => {
                let supported = "the operation is supported with `patient`";
                return Err(Problem::not_supported(supported));
            }
        }
    }
    Ok(found)
}

fn refused(faults: &[Fault]) -> Problem {
    Problem::with_outcome(StatusCode::UNPROCESSABLE_ENTITY, Fault::outcome(faults))
}

impl Bundles {
    async fn take_document(
        &self,
        caller: &Caller,
        mapped: &Mapped,
        bytes: &[u8],
    ) -> Result<Response, Problem> {
        let id = name_of(mapped, bytes);
        if self.is_there(&id)? {
            return Ok(told(StatusCode::OK, &id, mapped, None));
        }
        let urls = [new_url(), new_url(), new_url()];
        let [document, binary, provenance] = &urls;
        let bundle = mapped.with_original(&Original {
            bytes,
            id: &id,
            urls: [document, binary, provenance],
            received_ms: i64::try_from(self.fhir.custody.now()).unwrap_or(i64::MAX),
        });
        match self.file(caller, bundle).await {
            Ok(answer) => Ok(told(StatusCode::CREATED, &id, mapped, Some(answer))),
            // Somebody else was faster with the same document.
            Err(_) if self.is_there(&id)? => Ok(told(StatusCode::OK, &id, mapped, None)),
            Err(problem) => Err(problem),
        }
    }

    fn is_there(&self, id: &str) -> Result<bool, Problem> {
        let version = self.fhir.custody.last_version(document_type(), id)?;
        Ok(version.is_some())
    }
}

/// The id of a document: of its own identifier, its patient and its bytes. The same document is one.
fn name_of(mapped: &Mapped, bytes: &[u8]) -> String {
    let identifier = mapped.identifier.to_string();
    let place = if mapped.patient.starts_with("Patient/") {
        mapped.patient.as_str()
    } else {
        ""
    };
    let parts = [identifier.as_bytes(), place.as_bytes(), bytes];
    let digest = Digest::with_domain("careledger/ccda-document/v1", &parts);
    let name = digest.to_string();
    format!("ccda-{}", name.get(..32).unwrap_or(&name))
}

fn told(status: StatusCode, id: &str, mapped: &Mapped, answer: Option<Value>) -> Response {
    let place = format!("DocumentReference/{id}");
    let mut told = vec![json!({"name": "document", "valueReference": {"reference": place}})];
    if let Some(answer) = answer {
        told.push(json!({"name": "response", "resource": answer}));
    }
    let outcome = outcome(status, mapped);
    told.push(json!({"name": "outcome", "resource": outcome.to_value()}));
    let body = fhir_json(status, &parameters(told));
    ([(header::CONTENT_LOCATION, place)], body).into_response()
}

fn outcome(status: StatusCode, mapped: &Mapped) -> OperationOutcome {
    let said = match status {
        StatusCode::CREATED => "the document is kept, and what it says is in the record",
        _ => "the document is there already",
    };
    let hint = |text: &str| {
        Issue::error(IssueType::Informational, text).with_severity(Severity::Information)
    };
    let first = OperationOutcome::of(hint(said));
    let misread = mapped.misread.iter().take(UNREAD_MAX);
    let with_misread = misread.fold(first, |all, fault| {
        let said = format!("left out: {}", fault.rule);
        let issue = Issue::error(IssueType::Value, said).with_severity(Severity::Warning);
        all.with(issue.at(fault.path.clone()))
    });
    let unread = mapped.unread.iter().take(UNREAD_MAX);
    unread.fold(with_misread, |all, path| {
        let kept = "nothing was made of this entry: the document has it";
        let issue = Issue::error(IssueType::NotSupported, kept);
        all.with(issue.with_severity(Severity::Information).at(path.clone()))
    })
}
