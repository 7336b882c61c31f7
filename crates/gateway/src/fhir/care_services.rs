//! Finding care services (IHE mCSD, ITI-90): what other members publish may be older than they have it.

use interop::fhir::care_services::{TYPES, is_care_service};
use interop::fhir::search::Query;
use interop::fhir::timespan::format_instant;
use interop::fhir::{Issue, IssueType, OperationOutcome, Severity};
use node::custody::{Custody, StalePublisher};
use serde_json::Value;

/// A warning that goes with what is found, if a member that publishes care services was not heard for long.
pub(super) fn stale(custody: &Custody, query: &Query) -> Option<OperationOutcome> {
    let mut kinds = query.parts.iter().map(|part| part.resource_type);
    if !kinds.all(is_care_service) {
        return None;
    }
    let stale = custody.stale_publishers();
    let mut issues = stale.iter().map(issue);
    let first = OperationOutcome::of(issues.next()?);
    Some(issues.fold(first, OperationOutcome::with))
}

/// Says in a CapabilityStatement which types make up the directory.
pub(super) fn describe(statement: &mut Value) {
    let types = statement["rest"][0]["resource"].as_array_mut();
    for one in types.into_iter().flatten() {
        let is_listed = one["type"]
            .as_str()
            .is_some_and(|name| TYPES.contains(&name));
        if is_listed {
            one["documentation"] = "IHE mCSD Directory: ITI-90 is a search, ITI-91 the history of the type. \
                What other members publish is found too; ids that start with `network.` are read alone."
                .into();
        }
    }
}

fn issue(stale: &StalePublisher) -> Issue {
    let member = &stale.member;
    let heard = stale.heard_at_ms.and_then(|at| i64::try_from(at).ok());
    let since = heard.map_or_else(|| "this node started".to_owned(), format_instant);
    let text = format!("what the member {member} publishes was not heard of since {since}");
    Issue::error(IssueType::Transient, text).with_severity(Severity::Warning)
}
