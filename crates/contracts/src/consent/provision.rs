//! Provisions: the tree of rules in a consent.

use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, Month, OffsetDateTime};

use super::{MEMBER_SYSTEM, Rejection};

/// Depth of nesting that is read.
const DEPTH_MAX: usize = 8;
/// Rules in one consent.
const PROVISIONS_MAX: usize = 256;
/// Repetitions of one element of a rule.
const REPETITIONS_MAX: usize = 256;

/// Actions that opening a document is an instance of (R4 value set consent-action).
const OPENING_ACTIONS: [&str; 3] = ["access", "use", "disclose"];
const OTHER_ACTIONS: [&str; 2] = ["collect", "correct"];

/// Parts that an actor may play here: somebody to whom information goes (v3-RoleCode, v3-ParticipationType).
const RECIPIENT_ROLES: [&str; 3] = ["IRCP", "PRCP", "GRANTEE"];

/// One rule and its exceptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provision {
    /// Permit or deny; a root without a kind only carries conditions for those in it.
    pub kind: Option<Kind>,
    /// When the rule is in force.
    pub period: Option<Span>,
    /// To whom it applies; to everybody if empty.
    pub actors: Vec<Actor>,
    /// Whether it is about opening documents at all.
    pub covers_opening: bool,
    /// Purposes of use; any if empty.
    pub purposes: Vec<String>,
    /// Resource types; any if empty.
    pub types: Vec<String>,
    /// `system|code` of what the document is about or of its category; any if empty.
    pub codes: Vec<String>,
    /// Codes of security labels; see C4.
    pub labels: Vec<String>,
    /// When the documented thing happened.
    pub data_period: Option<Span>,
    /// Exceptions.
    pub nested: Vec<Provision>,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Lets the actors in.
    Permit,
    /// Keeps the actors out.
    Deny,
}

/// To whom a rule applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Everybody at a member organisation.
    Member(String),
    /// One practitioner, as `Practitioner/id` at the requester's member; a permit names that member too.
    Practitioner(String),
}

/// A period in milliseconds since 1970, from `start` up to and without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first moment, if it has one.
    pub start: Option<i64>,
    /// The first moment after it, if it ends.
    pub end: Option<i64>,
}

/// Whom a rule and those around it name: a practitioner's reference means somebody only at a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Nobody,
    Practitioners,
    Members,
}

impl Provision {
    /// Reads `Consent.provision`.
    pub(super) fn read(provision: &Value) -> Result<Self, Rejection> {
        let path = "Consent.provision";
        let provision = read_at(path, provision, Named::Nobody, DEPTH_MAX)?;
        if provision.rules() > PROVISIONS_MAX {
            return Err(Rejection::CannotEnforce(format!("{path}.provision")));
        }
        Ok(provision)
    }

    fn rules(&self) -> usize {
        let nested = self.nested.iter().map(Self::rules);
        nested.fold(1, usize::saturating_add)
    }
}

fn read_at(path: &str, value: &Value, named: Named, depth: usize) -> Result<Provision, Rejection> {
    let malformed = |element: &str| Rejection::Malformed(format!("{path}.{element}"));
    let cannot = |element: &str| Rejection::CannotEnforce(format!("{path}.{element}"));
    let elements = value
        .as_object()
        .ok_or_else(|| Rejection::Malformed(path.to_owned()))?;
    let mut provision = Provision {
        kind: None,
        period: None,
        actors: Vec::new(),
        covers_opening: true,
        purposes: Vec::new(),
        types: Vec::new(),
        codes: Vec::new(),
        labels: Vec::new(),
        data_period: None,
        nested: Vec::new(),
    };
    for (element, value) in elements {
        if value
            .as_array()
            .is_some_and(|all| all.len() > REPETITIONS_MAX)
        {
            return Err(cannot(element));
        }
        match element.as_str() {
            "id" | "provision" => {}
            "type" => provision.kind = Some(kind(value).ok_or_else(|| malformed(element))?),
            "period" => provision.period = Some(span(value).ok_or_else(|| malformed(element))?),
            "dataPeriod" => {
                provision.data_period = Some(span(value).ok_or_else(|| malformed(element))?);
            }
            "actor" => provision.actors = each(value, actor).ok_or_else(|| cannot(element))?,
            "action" => {
                provision.covers_opening = covers_opening(value).ok_or_else(|| cannot(element))?;
            }
            "purpose" => {
                provision.purposes = each(value, code).ok_or_else(|| malformed(element))?;
            }
            "class" => provision.types = each(value, class).ok_or_else(|| cannot(element))?,
            "code" => {
                let concepts = each(value, concept).ok_or_else(|| malformed(element))?;
                provision.codes = concepts.concat();
            }
            "securityLabel" => {
                provision.labels = each(value, code).ok_or_else(|| malformed(element))?;
            }
            _ => return Err(cannot(element)),
        }
    }
    let named = named.max(named_by(&provision.actors));
    if provision.kind == Some(Kind::Permit) {
        match named {
            Named::Nobody => return Err(Rejection::NamesNobody(path.to_owned())),
            Named::Practitioners => return Err(cannot("actor")),
            Named::Members => {}
        }
    }
    if let Some(value) = elements.get("provision") {
        provision.nested = nested(path, value, named, depth)?;
    }
    Ok(provision)
}

fn nested(
    path: &str,
    value: &Value,
    named: Named,
    depth: usize,
) -> Result<Vec<Provision>, Rejection> {
    let path = format!("{path}.provision");
    let provisions = value
        .as_array()
        .ok_or_else(|| Rejection::Malformed(path.clone()))?;
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| Rejection::CannotEnforce(path.clone()))?;
    let read = |one| match read_at(&path, one, named, depth) {
        // R4 requires a type in every rule but the root.
        Ok(read) if read.kind.is_none() => Err(Rejection::Malformed(format!("{path}.type"))),
        read => read,
    };
    provisions.iter().map(read).collect()
}

fn named_by(actors: &[Actor]) -> Named {
    let is_member = |actor: &Actor| matches!(actor, Actor::Member(_));
    if actors.is_empty() {
        Named::Nobody
    } else if actors.iter().all(is_member) {
        Named::Members
    } else {
        Named::Practitioners
    }
}

/// Every repetition of an element, if they are within bounds; an empty list must not read as "any".
fn each<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    let repetitions = value.as_array()?;
    let within = 1..=REPETITIONS_MAX;
    let all = || repetitions.iter().map(read).collect();
    within.contains(&repetitions.len()).then(all).flatten()
}

fn kind(value: &Value) -> Option<Kind> {
    match value.as_str()? {
        "permit" => Some(Kind::Permit),
        "deny" => Some(Kind::Deny),
        _ => None,
    }
}

fn code(coding: &Value) -> Option<String> {
    Some(coding.get("code")?.as_str()?.to_owned())
}

fn class(coding: &Value) -> Option<String> {
    let system = coding.get("system")?.as_str()?;
    if system == "http://hl7.org/fhir/resource-types" {
        code(coding)
    } else {
        None
    }
}

fn concept(concept: &Value) -> Option<Vec<String>> {
    let coding = |coding: &Value| {
        let system = coding
            .get("system")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Some(format!("{system}|{}", code(coding)?))
    };
    each(concept.get("coding")?, coding)
}

fn covers_opening(actions: &Value) -> Option<bool> {
    let codes = each(actions, |action| each(action.get("coding")?, code))?.concat();
    let known = |code: &String| {
        OPENING_ACTIONS.contains(&code.as_str()) || OTHER_ACTIONS.contains(&code.as_str())
    };
    let covers = codes
        .iter()
        .any(|code| OPENING_ACTIONS.contains(&code.as_str()));
    codes.iter().all(known).then_some(covers)
}

fn actor(actor: &Value) -> Option<Actor> {
    let role = actor.pointer("/role/coding/0").and_then(code)?;
    if !RECIPIENT_ROLES.contains(&role.as_str()) {
        return None;
    }
    let reference = actor.get("reference")?;
    if let Some(identifier) = reference.get("identifier") {
        // Two names may be of two: which of them is meant is not ours to choose.
        if reference.get("reference").is_some() {
            return None;
        }
        let system = identifier.get("system")?.as_str()?;
        let value = identifier.get("value")?.as_str()?;
        return (system == MEMBER_SYSTEM).then(|| Actor::Member(value.to_owned()));
    }
    let reference = reference.get("reference")?.as_str()?;
    let is_practitioner = reference.starts_with("Practitioner/");
    is_practitioner.then(|| Actor::Practitioner(reference.to_owned()))
}

fn span(period: &Value) -> Option<Span> {
    let elements = period.as_object()?;
    if elements
        .keys()
        .any(|element| element != "start" && element != "end")
    {
        return None;
    }
    let bound = |element: &str, at: fn((i64, i64)) -> i64| match elements.get(element) {
        None => Some(None),
        Some(value) => moment(value.as_str()?).map(|moment| Some(at(moment))),
    };
    Some(Span {
        start: bound("start", |(first, _)| first)?,
        end: bound("end", |(_, after)| after)?,
    })
}

/// The first millisecond of a FHIR dateTime, and the first one after it; partial dates are in UTC.
pub(super) fn moment(text: &str) -> Option<(i64, i64)> {
    let millis = |time: OffsetDateTime| i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok();
    let midnight = |date: Date| millis(date.midnight().assume_utc());
    let year_month = |text: &str| {
        let (year, month) = text.split_once('-').unwrap_or((text, "1"));
        let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
        Some((year.parse::<i32>().ok()?, month))
    };
    let first_of = |(year, month)| Date::from_calendar_date(year, month, 1).ok();
    match text.len() {
        4 => {
            let (year, month) = year_month(text)?;
            let after = first_of((year.checked_add(1)?, month))?;
            Some((midnight(first_of((year, month))?)?, midnight(after)?))
        }
        7 => {
            let (year, month) = year_month(text)?;
            let later = if month == Month::December {
                year.checked_add(1)?
            } else {
                year
            };
            let after = first_of((later, month.next()))?;
            Some((midnight(first_of((year, month))?)?, midnight(after)?))
        }
        10 => {
            let date = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
            Some((midnight(date)?, midnight(date.next_day()?)?))
        }
        _ => {
            let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
            let unit = if text.contains('.') {
                Duration::MILLISECOND
            } else {
                Duration::SECOND
            };
            Some((millis(time)?, millis(time.checked_add(unit)?)?))
        }
    }
}
