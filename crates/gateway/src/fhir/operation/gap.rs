//! What is missing in a record that several members hold, in words and for programs.

use interop::fhir::{Issue, IssueType, OperationOutcome, Severity};
use ledger::ids::MemberName;
use node::custody::{CustodyError, Everything, Opened, Withheld};
use node::exchange::Elsewhere;
use serde_json::{Value, json};

use crate::problem::Problem;

/// Says what a member withholds: `member`, `count`, `reason`.
const WITHHELD_EXTENSION: &str = "urn:careledger:extension:withheld";
/// Names a member that did not answer.
const UNREACHABLE_EXTENSION: &str = "urn:careledger:extension:unreachable";

/// Something that is missing in the answer, in words and for programs.
pub(super) struct Gap {
    pub(super) outcome: OperationOutcome,
    pub(super) extension: Option<Value>,
}

/// What is here and elsewhere, and what of it is missing. Care goes on with what is here.
pub(super) fn gathered(
    here: Everything,
    elsewhere: Result<Elsewhere, CustodyError>,
) -> Result<(Vec<Opened>, Vec<Gap>), Problem> {
    let mut gaps: Vec<Gap> = here.withheld.iter().map(Gap::withheld).collect();
    let mut opened = here.entries;
    match elsewhere {
        Ok(elsewhere) => {
            opened.extend(elsewhere.entries);
            gaps.extend(elsewhere.withheld.iter().map(Gap::withheld));
            gaps.extend(elsewhere.unreachable.iter().map(Gap::unreachable));
        }
        Err(CustodyError::Unavailable { what }) => gaps.push(Gap::unasked(what)),
        Err(error) => return Err(error.into()),
    }
    Ok((opened, gaps))
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
        let diagnostics = format!(
            "{member} did not answer: what it holds is missing here, but for what a committee has released"
        );
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

fn warning(code: IssueType, diagnostics: String) -> OperationOutcome {
    OperationOutcome::of(Issue::error(code, diagnostics).with_severity(Severity::Warning))
}
