//! Actors: to whom a rule applies, and to whom a patient delegates.

use serde_json::Value;

use super::MEMBER_SYSTEM;

/// Parts of somebody to whom information goes (v3-ParticipationType, v3-RoleCode).
const RECIPIENT_ROLES: [&str; 3] = ["IRCP", "PRCP", "GRANTEE"];
/// Parts of somebody who acts in the patient's place (v3-RoleCode, v3-RoleClass).
const DELEGATE_ROLES: [&str; 7] = [
    "DELEGATEE",
    "DPOWATT",
    "HPOWATT",
    "POWATT",
    "RESPRSN",
    "SPOWATT",
    "GUADLTM",
];
/// Those of parents and guardians of minors (v3-RoleCode, v3-RoleClass).
const PARENT_ROLES: [&str; 12] = [
    "ADOPTF", "ADOPTM", "ADOPTP", "FTH", "FTHFOST", "GUARD", "MTH", "MTHFOST", "NFTH", "NMTH",
    "PRN", "PRNFOST",
];
/// Code systems whose other codes say what part somebody plays in the consent or in the data, not who asks.
const PART_SYSTEMS: [&str; 5] = [
    "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
    "http://terminology.hl7.org/CodeSystem/v3-ParticipationFunction",
    "http://terminology.hl7.org/CodeSystem/v3-RoleClass",
    "http://terminology.hl7.org/CodeSystem/v3-RoleCode",
    "http://terminology.hl7.org/CodeSystem/extra-security-role-type",
];
/// Such codes of people who are known by them without a system.
const PARTS: [&str; 9] = [
    "AUT",
    "CST",
    "INF",
    "LA",
    "TRC",
    "WIT",
    "datasubject",
    "PAT",
    "CONSENTER",
];
/// What names somebody, other than a member, at a member.
const PERSONS: [&str; 6] = [
    "CareTeam",
    "Device",
    "Group",
    "Practitioner",
    "PractitionerRole",
    "RelatedPerson",
];
/// Who can act in a patient's place.
const DELEGATES: [&str; 3] = ["Patient", "Practitioner", "RelatedPerson"];

/// To whom a rule applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Everybody at a member organisation.
    Member(String),
    /// One person, device, group or role of a person, as `Type/id`: at the members that the rules around name, else
    /// at the member through which the consent was filed.
    Named(String),
    /// Everybody with a role: `system|code`, or a code whatever its system is.
    Role(String),
}

/// Somebody who may act in the patient's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegate {
    /// `RelatedPerson/id`, `Patient/id` or `Practitioner/id` at the member through which the consent was filed.
    pub who: String,
    /// Whether it is a parent or guardian of a minor.
    pub is_parent: bool,
}

/// What an element `actor` means.
pub(super) enum Read {
    Actor(Actor),
    Delegate(Delegate),
}

pub(super) fn read(actor: &Value) -> Option<Read> {
    let is_known = |element: &String| matches!(element.as_str(), "id" | "role" | "reference");
    if !actor.as_object()?.keys().all(is_known) {
        return None;
    }
    let codings = actor.pointer("/role/coding")?.as_array()?;
    let [coding] = codings.as_slice() else {
        // Of several codings one might be understood and another not.
        return several(actor, codings);
    };
    let code = coding.get("code")?.as_str()?;
    let reference = actor.get("reference");
    if RECIPIENT_ROLES.contains(&code) {
        return named(reference?).map(Read::Actor);
    }
    let is_parent = PARENT_ROLES.contains(&code);
    if is_parent || DELEGATE_ROLES.contains(&code) {
        let who = local(reference?, &DELEGATES)?;
        return Some(Read::Delegate(Delegate { who, is_parent }));
    }
    role(coding)
        .filter(|_| reference.is_none())
        .map(Read::Actor)
}

/// Translations of one role: the first counts where all are of recipients.
fn several(actor: &Value, codings: &[Value]) -> Option<Read> {
    let code = |coding: &Value| Some(coding.get("code")?.as_str()?.to_owned());
    let codes: Option<Vec<String>> = codings.iter().map(code).collect();
    let codes = codes.filter(|codes| !codes.is_empty())?;
    let are_recipients = codes
        .iter()
        .all(|code| RECIPIENT_ROLES.contains(&code.as_str()));
    let reference = actor.get("reference").filter(|_| are_recipients)?;
    named(reference).map(Read::Actor)
}

fn role(coding: &Value) -> Option<Actor> {
    let code = coding.get("code")?.as_str()?;
    let system = coding.get("system").and_then(Value::as_str);
    match system {
        Some(system) if !PART_SYSTEMS.contains(&system) => {
            Some(Actor::Role(format!("{system}|{code}")))
        }
        None if !PARTS.contains(&code) && !code.is_empty() => Some(Actor::Role(code.to_owned())),
        _ => None,
    }
}

fn named(reference: &Value) -> Option<Actor> {
    if let Some(identifier) = reference.get("identifier") {
        // Two names may be of two: which of them is meant is not ours to choose.
        if reference.get("reference").is_some() {
            return None;
        }
        let system = identifier.get("system")?.as_str()?;
        let value = identifier.get("value")?.as_str()?;
        return (system == MEMBER_SYSTEM).then(|| Actor::Member(value.to_owned()));
    }
    if let Some(organization) = local(reference, &["Organization"]) {
        // A member's name is the id of its Organization; of any other nobody here knows who belongs to it.
        let member = organization.strip_prefix("Organization/")?;
        let is_member = member.parse::<ledger::ids::MemberName>().is_ok();
        return is_member.then(|| Actor::Member(member.to_owned()));
    }
    local(reference, &PERSONS).map(Actor::Named)
}

/// A relative reference to one of these types.
pub(super) fn local(reference: &Value, types: &[&str]) -> Option<String> {
    let text = reference.get("reference")?.as_str()?;
    let (kind, id) = text.split_once('/')?;
    let is_id = !id.is_empty()
        && id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    (types.contains(&kind) && is_id).then(|| text.to_owned())
}
