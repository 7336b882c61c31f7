//! The life of a consent: which version may follow which, and what happened between two (ADR 0023).
//!
//! ```text
//!   draft ⇄ proposed ──> active ⇄ suspended       active to active: amended or renewed
//!      └────────┴──> rejected  └──────┴──> withdrawn
//! ```
//! Every state may become `entered-in-error`, which nothing follows. What was withdrawn or rejected stays so: who agrees
//! again files another consent.

use serde_json::Value;

use super::{Rejection, Status};

/// The extension that says why a consent is `inactive`: `suspended` or `withdrawn`. R4 has no element for it.
pub const STATUS_REASON: &str = "urn:careledger:extension:consent-status-reason";
/// The reason of a consent that may be resumed.
pub const SUSPENDED: &str = "suspended";
/// The reason of one that may not; the same as no reason.
pub const WITHDRAWN: &str = "withdrawn";

/// Where a consent is in its life: its status and the reason for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Being drawn up.
    Draft,
    /// Offered, not agreed.
    Proposed,
    /// In force.
    Active,
    /// Out of force until it is resumed.
    Suspended,
    /// Out of force for good.
    Withdrawn,
    /// Not agreed.
    Rejected,
    /// Filed by mistake.
    EnteredInError,
}

/// What a version did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Drawn up.
    Drafted,
    /// Offered.
    Proposed,
    /// Agreed to.
    Given,
    /// Agreed to in other words or with other rules.
    Amended,
    /// Given a later end, and nothing else.
    Renewed,
    /// Put out of force for a while.
    Suspended,
    /// Put in force again.
    Resumed,
    /// Put out of force for good.
    Withdrawn,
    /// Not agreed to.
    Rejected,
    /// Declared a mistake.
    EnteredInError,
}

impl State {
    /// The state that a FHIR R4 `Consent` says it is in.
    pub fn of(consent: &Value) -> Result<Self, Rejection> {
        let malformed = || Rejection::Malformed("Consent.status".to_owned());
        let status = consent.get("status").and_then(Value::as_str);
        let status = status.and_then(Status::parse).ok_or_else(malformed)?;
        let reason = match consent.get("extension") {
            None => None,
            Some(extension) => Some(reason(extension)?),
        };
        match (status, reason) {
            (Status::Inactive, Some(SUSPENDED)) => Ok(Self::Suspended),
            (Status::Inactive, _) => Ok(Self::Withdrawn),
            (_, Some(_)) => Err(Rejection::CannotEnforce("Consent.extension".to_owned())),
            (Status::Draft, None) => Ok(Self::Draft),
            (Status::Proposed, None) => Ok(Self::Proposed),
            (Status::Active, None) => Ok(Self::Active),
            (Status::Rejected, None) => Ok(Self::Rejected),
            (Status::EnteredInError, None) => Ok(Self::EnteredInError),
        }
    }

    /// Whether the next version may be in state `next`.
    fn may_become(self, next: Self) -> bool {
        use State::{Active, Draft, EnteredInError, Proposed, Rejected, Suspended, Withdrawn};
        self == next
            || next == EnteredInError
            || matches!(
                (self, next),
                (Draft, Proposed | Active | Rejected)
                    | (Proposed, Draft | Active | Rejected)
                    | (Active, Suspended | Withdrawn)
                    | (Suspended, Active | Withdrawn)
            )
    }
}

/// Whether version `after` may follow version `before`: in its state, and about the same patient.
pub fn check_follows(before: &Value, after: &Value) -> Result<(), Rejection> {
    let does_not = |element: &str| Err(Rejection::DoesNotFollow(element.to_owned()));
    if before.pointer("/patient/reference") != after.pointer("/patient/reference") {
        return does_not("Consent.patient");
    }
    // What an earlier release took may say what this one does not read.
    let Ok(state) = State::of(before) else {
        return Ok(());
    };
    if state.may_become(State::of(after)?) {
        Ok(())
    } else {
        does_not("Consent.status")
    }
}

/// What a version did to the one before it, if there was one.
pub fn event(before: Option<&Value>, after: &Value) -> Result<Event, Rejection> {
    let was = before.map(State::of).transpose()?;
    Ok(match (was, State::of(after)?) {
        (_, State::Draft) => Event::Drafted,
        (_, State::Proposed) => Event::Proposed,
        (Some(State::Suspended), State::Active) => Event::Resumed,
        (Some(State::Active), State::Active) if before.is_some_and(|one| renews(one, after)) => {
            Event::Renewed
        }
        (Some(State::Active), State::Active) => Event::Amended,
        (_, State::Active) => Event::Given,
        (_, State::Suspended) => Event::Suspended,
        (_, State::Withdrawn) => Event::Withdrawn,
        (_, State::Rejected) => Event::Rejected,
        (_, State::EnteredInError) => Event::EnteredInError,
    })
}

impl Event {
    /// Its name in receipts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drafted => "drafted",
            Self::Proposed => "proposed",
            Self::Given => "given",
            Self::Amended => "amended",
            Self::Renewed => "renewed",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
            Self::Withdrawn => "withdrawn",
            Self::Rejected => "rejected",
            Self::EnteredInError => "entered-in-error",
        }
    }
}

/// The same consent, out of force until it is resumed.
pub fn suspended(consent: Value) -> Value {
    inactive(consent, SUSPENDED)
}

/// The same consent, out of force for good.
pub fn withdrawn(consent: Value) -> Value {
    inactive(consent, WITHDRAWN)
}

/// The same consent, in force again.
pub fn resumed(mut consent: Value) -> Value {
    if let Some(elements) = consent.as_object_mut() {
        elements.insert("status".to_owned(), "active".into());
        elements.shift_remove("extension");
    }
    consent
}

/// The same consent with another end (FHIR dateTime), in its text as well; `None` if it has no rules that could end.
pub fn renewed(mut consent: Value, end: &str) -> Option<Value> {
    let provision = consent.get_mut("provision")?.as_object_mut()?;
    let period = provision.entry("period");
    let period = period.or_insert_with(|| Value::Object(serde_json::Map::new()));
    let before = period.as_object_mut()?.insert("end".to_owned(), end.into());
    let before = before.as_ref().and_then(Value::as_str).and_then(day);
    if let Some((before, after)) = before.zip(day(end))
        && let Some(Value::String(text)) = consent.pointer_mut("/text/div")
    {
        *text = text.replace(before, after);
    }
    Some(consent)
}

/// The day of a FHIR date or dateTime that has one.
fn day(time: &str) -> Option<&str> {
    time.get(..10)
}

fn inactive(mut consent: Value, reason: &str) -> Value {
    if let Some(elements) = consent.as_object_mut() {
        elements.insert("status".to_owned(), "inactive".into());
        let reason = serde_json::json!([{ "url": STATUS_REASON, "valueCode": reason }]);
        elements.insert("extension".to_owned(), reason);
    }
    consent
}

/// Of the extensions of a consent this one is read, and no other.
fn reason(extension: &Value) -> Result<&'static str, Rejection> {
    let one = match extension.as_array().map(Vec::as_slice) {
        Some([one]) if one.get("url").and_then(Value::as_str) == Some(STATUS_REASON) => Some(one),
        _ => None,
    };
    let code = one.and_then(|one| one.get("valueCode")?.as_str());
    let known = [SUSPENDED, WITHDRAWN];
    let found = known.into_iter().find(|known| Some(*known) == code);
    found.ok_or_else(|| Rejection::CannotEnforce("Consent.extension".to_owned()))
}

fn renews(before: &Value, after: &Value) -> bool {
    let said = |consent: &Value| {
        let mut consent = consent.clone();
        for named in ["id", "meta"] {
            consent.as_object_mut()?.shift_remove(named);
        }
        Some(consent)
    };
    let end = |consent: &Value| {
        Some(
            consent
                .pointer("/provision/period/end")?
                .as_str()?
                .to_owned(),
        )
    };
    let (was, is) = (end(before), end(after));
    let moved = is.as_ref().and_then(|end| renewed(said(before)?, end));
    was != is && moved.is_some() && moved == said(after)
}
