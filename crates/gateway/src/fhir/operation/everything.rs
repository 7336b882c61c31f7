//! `Patient/[id]/$everything`: the longitudinal record, from all members
//! (<https://hl7.org/fhir/R4/patient-operation-everything.html>).

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::bundle::{Match, searchset};
use interop::fhir::{Issue, IssueType, OperationOutcome, Severity};
use ledger::ids::MemberName;
use node::custody::{Opened, Withheld};
use serde_json::{Value, json};

use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::{fhir_json, pairs_of};
use crate::problem::Problem;

/// Names the member that holds the entry's resource.
const HOME_EXTENSION: &str = "urn:careledger:extension:home-member";

pub(crate) async fn everything(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let id = address.patient()?;
    // The answer has every type.
    caller.may_on_all_types(Permission::Read)?;
    caller.may_touch_patient(&id)?;
    let has_other_parameters = query
        .as_deref()
        .into_iter()
        .flat_map(pairs_of)
        .any(|(name, _)| !["_format", "_pretty"].contains(&name.as_str()));
    if has_other_parameters {
        return Err(Problem::not_supported(
            "$everything is supported without parameters",
        ));
    }
    let by = caller.requester();
    let (here, elsewhere) = tokio::join!(
        fhir.custody.local_everything(by, &id),
        fhir.network.everything(by, &id)
    );
    let (here, elsewhere) = (here?, elsewhere?);
    let opened: Vec<&Opened> = here.entries.iter().chain(&elsewhere.entries).collect();
    let withheld = here.withheld.iter().chain(&elsewhere.withheld);
    let mut outcomes: Vec<OperationOutcome> = withheld.map(withheld_outcome).collect();
    outcomes.extend(elsewhere.unreachable.iter().map(unreachable_outcome));
    let matches = opened.iter().map(|opened| Match {
        full_url: fhir.full_url(opened),
        resource: opened.presented(),
    });
    let link = format!("{}/Patient/{id}/$everything", fhir.base);
    let total = Some(opened.len());
    let mut body = searchset(total, &[("self", link)], matches.collect(), &outcomes);
    name_homes(&mut body, &opened);
    Ok(fhir_json(StatusCode::OK, &body))
}

impl Fhir {
    fn full_url(&self, opened: &Opened) -> String {
        let (kind, id) = (opened.resource.resource_type(), &opened.id);
        if opened.member == self.identity.member {
            format!("{}/{kind}/{id}", self.base)
        } else {
            // The base URLs of other members are not this member's to know.
            format!("careledger://{}/{kind}/{id}", opened.member)
        }
    }
}

fn name_homes(bundle: &mut Value, opened: &[&Opened]) {
    let entries = bundle.get_mut("entry").and_then(Value::as_array_mut);
    for (entry, opened) in entries.into_iter().flatten().zip(opened) {
        let home = opened.member.as_str();
        entry["extension"] = json!([{ "url": HOME_EXTENSION, "valueString": home }]);
    }
}

fn withheld_outcome(withheld: &Withheld) -> OperationOutcome {
    let Withheld {
        member,
        count,
        reason,
    } = withheld;
    let diagnostics = format!("{member} withholds {count} documents: {reason}");
    information(IssueType::Suppressed, diagnostics)
}

fn unreachable_outcome(member: &MemberName) -> OperationOutcome {
    let diagnostics = format!("{member} did not answer: what it holds is missing here");
    information(IssueType::Incomplete, diagnostics)
}

fn information(code: IssueType, diagnostics: String) -> OperationOutcome {
    OperationOutcome::of(Issue::error(code, diagnostics).with_severity(Severity::Warning))
}
