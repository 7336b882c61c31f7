//! `Patient/[id]/$everything`: the longitudinal record, from all members
//! (<https://hl7.org/fhir/R4/patient-operation-everything.html>).
//!
//! What a member withholds, and which members did not answer, is said in outcomes after the matches.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use interop::fhir::bundle::{Match, searchset};
use interop::fhir::{Issue, IssueType, OperationOutcome, ResourceType, Severity};
use ledger::ids::MemberName;
use node::custody::{CustodyError, Opened, Withheld};
use serde_json::{Value, json};

use crate::auth::Permission;
use crate::fhir::Fhir;
use crate::fhir::address::InstanceAddress;
use crate::fhir::caller::Caller;
use crate::http::{fhir_json, pairs_of};
use crate::problem::Problem;

/// Names the member that holds the entry's resource.
const HOME_EXTENSION: &str = "urn:careledger:extension:home-member";
/// Says what a member withholds: `member`, `count`, `reason`.
const WITHHELD_EXTENSION: &str = "urn:careledger:extension:withheld";
/// Names a member that did not answer.
const UNREACHABLE_EXTENSION: &str = "urn:careledger:extension:unreachable";

/// Something that is missing in the answer, in words and for programs.
struct Gap {
    outcome: OperationOutcome,
    extension: Option<Value>,
}

pub(crate) async fn everything(
    State(fhir): State<Arc<Fhir>>,
    caller: Caller,
    address: InstanceAddress,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let id = address.patient()?;
    let types = types(query.as_deref().unwrap_or_default())?;
    match &types {
        None => caller.may_on_all_types(Permission::Read)?,
        Some(types) => {
            for resource_type in types {
                caller.may(*resource_type, Permission::Read)?;
            }
        }
    }
    caller.may_touch_patient(&id)?;
    let by = caller.requester();
    let (here, elsewhere) = tokio::join!(
        fhir.custody.local_everything(by, &id),
        fhir.network.everything(by, &id)
    );
    let here = here?;
    let mut gaps: Vec<Gap> = here.withheld.iter().map(Gap::withheld).collect();
    let mut opened = here.entries;
    match elsewhere {
        Ok(elsewhere) => {
            opened.extend(elsewhere.entries);
            gaps.extend(elsewhere.withheld.iter().map(Gap::withheld));
            gaps.extend(elsewhere.unreachable.iter().map(Gap::unreachable));
        }
        // Care goes on with what is here.
        Err(CustodyError::Unavailable { what }) => gaps.push(Gap::unasked(what)),
        Err(error) => return Err(error.into()),
    }
    opened.retain(|one| {
        let resource_type = one.resource.resource_type();
        types
            .as_ref()
            .is_none_or(|types| types.contains(&resource_type))
    });
    Ok(fhir_json(StatusCode::OK, &fhir.record(&id, &opened, &gaps)))
}

impl Fhir {
    fn record(&self, id: &str, opened: &[Opened], gaps: &[Gap]) -> Value {
        let matches = opened.iter().map(|opened| Match {
            full_url: self.full_url(opened),
            resource: opened.presented(),
        });
        let outcomes: Vec<OperationOutcome> = gaps.iter().map(|gap| gap.outcome.clone()).collect();
        let link = format!("{}/Patient/{id}/$everything", self.base);
        let total = Some(opened.len());
        let mut body = searchset(total, &[("self", link)], matches.collect(), &outcomes);
        let homes = opened.iter().map(|opened| {
            let home = opened.member.as_str();
            Some(json!({ "url": HOME_EXTENSION, "valueString": home }))
        });
        let gaps = gaps.iter().map(|gap| gap.extension.clone());
        let entries = body.get_mut("entry").and_then(Value::as_array_mut);
        for (entry, extension) in entries.into_iter().flatten().zip(homes.chain(gaps)) {
            if let Some(extension) = extension {
                entry["extension"] = json!([extension]);
            }
        }
        body
    }

    /// Where a resource is: at another member the URL names that member, and references relative to
    /// it resolve among the entries of that member (R4 §2.36.4.1). `$open` reads it.
    pub(crate) fn full_url(&self, opened: &Opened) -> String {
        let (kind, id) = (opened.resource.resource_type(), &opened.id);
        if opened.member == self.identity.member {
            format!("{}/{kind}/{id}", self.base)
        } else {
            format!("https://{}/fhir/{kind}/{id}", opened.member)
        }
    }
}

impl Gap {
    fn withheld(withheld: &Withheld) -> Self {
        let Withheld {
            member,
            count,
            reason,
        } = withheld;
        let diagnostics = format!("{member} withholds {count} documents: {reason}");
        Self {
            outcome: warning(IssueType::Suppressed, diagnostics),
            extension: Some(json!({ "url": WITHHELD_EXTENSION, "extension": [
                { "url": "member", "valueString": member.as_str() },
                { "url": "count", "valueUnsignedInt": count },
                { "url": "reason", "valueString": reason },
            ] })),
        }
    }

    fn unreachable(member: &MemberName) -> Self {
        let diagnostics = format!("{member} did not answer: what it holds is missing here");
        let extension = json!({ "url": UNREACHABLE_EXTENSION, "valueString": member.as_str() });
        Self {
            outcome: warning(IssueType::Incomplete, diagnostics),
            extension: Some(extension),
        }
    }

    fn unasked(what: &str) -> Self {
        let diagnostics = format!("{what} is unavailable: what other members hold is missing here");
        Self {
            outcome: warning(IssueType::Incomplete, diagnostics),
            extension: None,
        }
    }
}

/// The types of `_type`; `None` for all.
fn types(query: &str) -> Result<Option<Vec<ResourceType>>, Problem> {
    let mut types: Option<Vec<ResourceType>> = None;
    for (name, value) in pairs_of(query) {
        match name.as_str() {
            "_format" | "_pretty" => {}
            "_type" => {
                for name in value.split(',') {
                    let known = ResourceType::parse(name)
                        .ok_or_else(|| Problem::malformed("`_type` names no R4 resource type"))?;
                    types.get_or_insert_default().push(known);
                }
            }
            _ => {
                return Err(Problem::not_supported(
                    "$everything is supported with no parameter but `_type`",
                ));
            }
        }
    }
    Ok(types)
}

fn warning(code: IssueType, diagnostics: String) -> OperationOutcome {
    OperationOutcome::of(Issue::error(code, diagnostics).with_severity(Severity::Warning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_r4_in_one_parameter_or_several() {
        let names = |query: &str| {
            let types = types(query).ok()?;
            let names =
                |types: Vec<ResourceType>| types.iter().map(|one| one.as_str()).collect::<Vec<_>>();
            Some(types.map(names))
        };
        assert_eq!(names(""), Some(None));
        assert_eq!(names("_format=json"), Some(None));
        assert_eq!(
            names("_type=Observation,Patient&_type=Condition"),
            Some(Some(vec!["Observation", "Patient", "Condition"]))
        );
        assert_eq!(names("_type=Rubbish"), None);
        assert_eq!(names("_type="), None);
        assert_eq!(names("_since=2020"), None);
    }
}
