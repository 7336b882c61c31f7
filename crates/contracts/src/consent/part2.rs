//! What 42 CFR 2.31 demands of a consent to disclose records of substance use.
//!
//! A consent is of this kind if a category or the policy rule says `42CFRPart2` or `42CFRPart2CD` (v3-ActCode). What has
//! to be stated in words is stated in `Consent.text` or in the document that was signed; `Consent.policy.uri` cites the
//! paragraph, so that a machine sees that it is.
//!
//! | Paragraph | Element |
//! |---|---|
//! | (a)(1) patient | `patient.display` |
//! | (a)(2) who discloses | `organization` |
//! | (a)(3) what | `securityLabel` of each permit: one of substance use |
//! | (a)(4) recipients | `actor` of each permit; (iii) cited, if any is for treatment, payment or operations |
//! | (a)(5) purpose | `purpose` of each permit |
//! | (a)(6) right to revoke | cited |
//! | (a)(7) expiry | `period.end` of each permit, unless it is for treatment, payment and operations |
//! | (a)(8) signature | the wallet's, or `sourceReference` or `sourceAttachment` |
//! | (a)(9) date | `dateTime` |
//! | (a)(10) redisclosure, refusal | cited, if any is for treatment, payment or operations |
//! | (b) counselling notes | `PSYTHPN` in all permits or in none |
//! | (d) proceedings | `HLEGAL` alone; `HOPERAT`, which covers it, with an exception that denies it |

use interop::fhir::labels::needs_notice;
use serde_json::{Value, json};

use super::{Consent, Kind, Provision, Rejection, purpose};

/// Where a statement is cited, followed by its paragraph.
pub const SECTION: &str = "https://www.ecfr.gov/current/title-42/section-2.31#p-2.31";
/// v3-ActCode: the law, and a consent under it.
const CODES: [&str; 2] = ["42CFRPart2", "42CFRPart2CD"];
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
/// Statements that each consent makes.
const STATED: [&str; 1] = ["(a)(6)"];
/// Statements of a consent for treatment, payment and operations.
const STATED_FOR_CARE: [&str; 3] = ["(a)(4)(iii)", "(a)(10)(i)", "(a)(10)(ii)"];
/// Treatment, payment and health care operations.
const CARE: [&str; 3] = ["TREAT", "HPAYMT", "HOPERAT"];
/// Proceedings.
const PROCEEDINGS: &str = "HLEGAL";
/// Counselling notes.
const NOTES: &str = "PSYTHPN";

/// A permit with what the rules around it say.
#[derive(Clone, Default)]
struct Permit<'a> {
    path: String,
    labels: &'a [String],
    purposes: &'a [String],
    ends: bool,
    excludes_proceedings: bool,
}

/// The coding of a category that says so.
pub(super) fn category() -> Value {
    json!({ "system": ACT_CODE, "code": "42CFRPart2CD" })
}

/// Whether a consent says that it is one under 42 CFR part 2.
pub fn is_part2(consent: &Value) -> bool {
    let categories = consent.get("category").and_then(Value::as_array);
    let concepts = categories.into_iter().flatten();
    let concepts = concepts.chain(consent.get("policyRule"));
    let codings = concepts.filter_map(|concept| concept.get("coding")?.as_array());
    codings.flatten().any(|coding| {
        let system = coding.get("system").and_then(Value::as_str);
        let code = coding.get("code").and_then(Value::as_str);
        system.is_none_or(|system| system == ACT_CODE)
            && code.is_some_and(|code| CODES.contains(&code))
    })
}

/// Refuses a consent under 42 CFR part 2 that is to be in force and lacks an element of § 2.31, or combines what has to
/// stand alone; any other consent passes. `is_signed`: the patient's wallet has signed it.
pub fn check(consent: &Value, is_signed: bool) -> Result<(), Rejection> {
    if !is_part2(consent) {
        return Ok(());
    }
    let read = Consent::read("filed", 1, consent)?;
    if !read.is_active() {
        return Ok(());
    }
    let says = |pointer: &str| consent.pointer(pointer).is_some_and(is_said);
    let is_signed = is_signed || says("/sourceReference") || says("/sourceAttachment");
    let required = [
        (
            says("/patient/display"),
            "Consent.patient.display",
            "(a)(1)",
        ),
        (says("/organization"), "Consent.organization", "(a)(2)"),
        (says("/dateTime"), "Consent.dateTime", "(a)(9)"),
        (is_signed, "Consent.sourceReference", "(a)(8)"),
    ];
    for (is_there, element, paragraph) in required {
        must(is_there, element, paragraph)?;
    }
    let mut permits = Vec::new();
    if let Some(root) = &read.provision {
        let path = "Consent.provision".to_owned();
        collect(
            root,
            Permit {
                path,
                ..Permit::default()
            },
            &mut permits,
        );
    }
    must(!permits.is_empty(), "Consent.provision", "(a)(3)")?;
    permits.iter().try_for_each(Permit::check)?;
    let covers_care = permits.iter().any(Permit::covers_care);
    let statements = STATED.iter().chain(
        covers_care
            .then_some(&STATED_FOR_CARE)
            .into_iter()
            .flatten(),
    );
    for paragraph in statements {
        must(cites(consent, paragraph), "Consent.policy.uri", *paragraph)?;
    }
    check_apart(&permits)
}

fn must(is_there: bool, element: &str, paragraph: &'static str) -> Result<(), Rejection> {
    let lacks = || Rejection::LacksPart2 {
        element: element.to_owned(),
        paragraph,
    };
    is_there.then_some(()).ok_or_else(lacks)
}

fn is_said(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(all) => !all.is_empty() && all.iter().all(is_said),
        Value::Object(all) => !all.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn cites(consent: &Value, paragraph: &str) -> bool {
    let policies = consent.get("policy").and_then(Value::as_array);
    let mut uris = policies
        .into_iter()
        .flatten()
        .filter_map(|one| one.get("uri")?.as_str());
    uris.any(|uri| uri.strip_prefix(SECTION) == Some(paragraph))
}

fn collect<'a>(rule: &'a Provision, around: Permit<'a>, found: &mut Vec<Permit<'a>>) {
    let nearest =
        |own: &'a [String], around: &'a [String]| if own.is_empty() { around } else { own };
    let denies = |one: &Provision| one.kind == Some(Kind::Deny) && one.keeps_from(PROCEEDINGS);
    let here = Permit {
        labels: nearest(&rule.labels, around.labels),
        purposes: nearest(&rule.purposes, around.purposes),
        ends: around.ends || rule.period.is_some_and(|period| period.end.is_some()),
        // A deny wins wherever it applies.
        excludes_proceedings: around.excludes_proceedings || rule.nested.iter().any(denies),
        path: around.path,
    };
    if rule.kind == Some(Kind::Permit) {
        found.push(here.clone());
    }
    for (index, nested) in rule.nested.iter().enumerate() {
        let path = format!("{}.provision[{index}]", here.path);
        collect(
            nested,
            Permit {
                path,
                ..here.clone()
            },
            found,
        );
    }
}

impl Permit<'_> {
    fn check(&self) -> Result<(), Rejection> {
        let at = |element: &str| format!("{}.{element}", self.path);
        let is_specific = needs_notice(
            self.labels
                .iter()
                .map(|code| format!("{ACT_CODE}|{code}"))
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str),
        );
        must(is_specific, &at("securityLabel"), "(a)(3)")?;
        must(!self.purposes.is_empty(), &at("purpose"), "(a)(5)")?;
        must(self.ends || self.is_for_care(), &at("period.end"), "(a)(7)")
    }

    /// Whether all purposes are kinds of treatment, payment and operations, proceedings excepted.
    fn is_for_care(&self) -> bool {
        !self.purposes.is_empty() && self.purposes.iter().all(is_care)
    }

    /// Whether some purpose is.
    fn covers_care(&self) -> bool {
        self.purposes.iter().any(is_care)
    }

    fn is_for_proceedings_alone(&self) -> bool {
        self.purposes.iter().all(|one| one == PROCEEDINGS)
    }

    /// Whether it opens for proceedings.
    fn covers_proceedings(&self) -> bool {
        let covering = purpose::with_broader(PROCEEDINGS);
        let covers = self
            .purposes
            .iter()
            .any(|one| covering.contains(&one.as_str()));
        covers && !self.excludes_proceedings
    }
}

fn is_care(purpose: &String) -> bool {
    let all = purpose::with_broader(purpose);
    !all.contains(&PROCEEDINGS) && all.iter().any(|one| CARE.contains(one))
}

fn check_apart(permits: &[Permit<'_>]) -> Result<(), Rejection> {
    let combines = |permit: &Permit<'_>, element: &str, paragraph| Rejection::CombinesPart2 {
        element: format!("{}.{element}", permit.path),
        paragraph,
    };
    let opens = permits.iter().find(|one| one.covers_proceedings());
    let is_alone = permits.iter().all(Permit::is_for_proceedings_alone);
    if let Some(permit) = opens.filter(|_| !is_alone) {
        return Err(combines(permit, "purpose", "(d)"));
    }
    let is_of_notes = |one: &&Permit<'_>| one.labels.iter().any(|label| label == NOTES);
    let of_notes = permits.iter().find(is_of_notes);
    let are_all = permits.iter().all(|one| is_of_notes(&one));
    match of_notes.filter(|_| !are_all) {
        Some(permit) => Err(combines(permit, "securityLabel", "(b)")),
        None => Ok(()),
    }
}
