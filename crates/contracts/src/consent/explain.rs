//! What a consent says, in sentences for the patient who gave it.

use interop::fhir::timespan::format_instant;

use super::life::State;
use super::{Actor, Consent, Kind, Meaning, Provision, Span};

/// What people call purposes (v3-ActReason).
pub(super) const PURPOSES: [(&str, &str); 12] = [
    ("TREAT", "to treat you"),
    ("ETREAT", "to treat you in an emergency"),
    ("BTG", "to treat you in a declared emergency"),
    ("COC", "to coordinate your care"),
    ("HPAYMT", "to pay for your care"),
    ("HOPERAT", "to run their organization"),
    ("HLEGAL", "for legal proceedings"),
    ("HRESCH", "for research"),
    ("HMARKT", "for marketing"),
    ("PUBHLTH", "for public health"),
    ("PATRQT", "because you ask for it"),
    ("FAMRQT", "because your family asks for it"),
];

/// What people call types of records.
pub(super) const TYPES: [(&str, &str); 12] = [
    ("AllergyIntolerance", "allergies"),
    ("CarePlan", "care plans"),
    ("Condition", "diagnoses"),
    ("DiagnosticReport", "test reports"),
    ("DocumentReference", "documents"),
    ("Encounter", "visits"),
    ("Immunization", "vaccinations"),
    ("Medication", "medicines"),
    ("MedicationRequest", "prescriptions"),
    ("Observation", "test results and measurements"),
    ("Patient", "your name, birth date and contact"),
    ("Procedure", "procedures"),
];

/// What people call sensitive kinds of records (v3-ActCode).
const LABELS: [(&str, &str); 14] = [
    ("42CFRPart2", "substance use treatment"),
    ("ADOL", "what minors may keep private"),
    ("BH", "mental health and substance use"),
    ("ETH", "substance use"),
    ("ETHUD", "alcohol use"),
    ("GDIS", "genetics"),
    ("HIV", "HIV"),
    ("MH", "mental health"),
    ("OPIOIDUD", "opioid use"),
    ("PSY", "mental health"),
    ("PSYTHPN", "counseling notes"),
    ("SDV", "sexual assault and abuse"),
    ("SEX", "sexual and reproductive health"),
    ("SUD", "substance use"),
];

/// What a consent in this state says, a sentence for each rule.
pub fn sentences(consent: &Consent, state: State) -> Vec<String> {
    let standing = match state {
        State::Active => "You have agreed to what follows.",
        State::Draft => "This is a draft: it changes nothing yet.",
        State::Proposed => "You have been asked to agree to what follows: it changes nothing yet.",
        State::Suspended => {
            "You have suspended this consent: until you resume it, it changes nothing."
        }
        State::Withdrawn => "This consent is withdrawn: it changes nothing any more.",
        State::Rejected => "You have not agreed to this: it changes nothing.",
        State::EnteredInError => "This consent was filed by mistake: it changes nothing.",
    };
    let mut all = vec![standing.to_owned()];
    if let Some(root) = &consent.provision {
        add(root, &[], &mut all);
    }
    if state == State::Active {
        all.push("You can withdraw this at any time; what was seen before stays seen.".to_owned());
    }
    all
}

/// Adds what a rule and those in it say; those around it, the outermost first, have to hold as well.
fn add(rule: &Provision, around: &[&Provision], all: &mut Vec<String>) {
    let path: Vec<&Provision> = around.iter().copied().chain([rule]).collect();
    let is_exception = around.iter().any(|one| one.kind.is_some());
    let but = if is_exception { "But " } else { "" };
    for delegate in &rule.delegates {
        let (who, what) = (&delegate.who, what(Kind::Permit, &path));
        all.push(format!(
            "{but}{who} may act in your place for {what}{}.",
            when(&path)
        ));
    }
    if let Some(kind) = rule.kind.filter(|_| rule.delegates.is_empty()) {
        let sentence = sentence(kind, &path);
        all.push(format!("{but}{sentence}"));
    }
    rule.nested
        .iter()
        .for_each(|nested| add(nested, &path, all));
}

fn sentence(kind: Kind, path: &[&Provision]) -> String {
    let groups = path
        .iter()
        .map(|rule| listed(rule.actors.iter().map(actor)));
    let who = both(groups.rev(), ", of ");
    let (who, may) = match (who, kind) {
        (Some(who), Kind::Permit) => (who, "may"),
        (Some(who), Kind::Deny) => (who, "may not"),
        (None, Kind::Permit) => ("everybody".to_owned(), "may"),
        (None, Kind::Deny) => ("nobody".to_owned(), "may"),
    };
    let actions = path.iter().rev().find_map(|rule| rule.actions.as_ref());
    let does = actions.map_or_else(
        || "see".to_owned(),
        |actions| {
            let names = actions.iter().map(|action| match action.name() {
                "open" => "see".to_owned(),
                other => other.to_owned(),
            });
            listed(names).unwrap_or_default()
        },
    );
    let reasons = path
        .iter()
        .map(|rule| listed(rule.purposes.iter().map(|one| called(&PURPOSES, one))));
    let why = both(reasons, " and at the same time ").map(|why| format!(" {why}"));
    format!(
        "{who} {may} {does} {}{}{}.",
        what(kind, path),
        why.unwrap_or_default(),
        when(path)
    )
}

fn what(kind: Kind, path: &[&Provision]) -> String {
    let kinds = path.iter().map(|rule| {
        let types = rule.types.iter().map(|one| called(&TYPES, one));
        let documents = rule
            .documents
            .iter()
            .map(|one| format!("documents of kind {}", code(one)));
        listed(types.chain(documents))
    });
    let mut what = both(kinds, " that are also ").unwrap_or_else(|| "your records".to_owned());
    let codes = path
        .iter()
        .map(|rule| listed(rule.codes.iter().map(|one| code(one).to_owned())));
    if let Some(codes) = both(codes, " and ") {
        what.push_str(&format!(" marked {codes}"));
    }
    let data = path.iter().map(|rule| {
        listed(rule.data.iter().map(|one| match one.meaning {
            Meaning::Instance => one.reference.clone(),
            Meaning::Dependents => format!("what belongs to {}", one.reference),
            Meaning::AuthoredBy => format!("what {} wrote", code(&one.reference)),
        }))
    });
    if let Some(data) = both(data, " and ") {
        what.push_str(&format!(" ({data})"));
    }
    let spans = path.iter().filter_map(|rule| rule.data_period);
    if let Some(span) = spans.reduce(Span::and) {
        what.push_str(&format!(" dated{}", days(span)));
    }
    let labels = path.iter().rev().find(|rule| !rule.labels.is_empty());
    let labels = labels.and_then(|rule| listed(rule.labels.iter().map(|one| called(&LABELS, one))));
    match (labels, kind) {
        (Some(labels), Kind::Permit) => format!("{what}, also about {labels},"),
        (Some(labels), Kind::Deny) => format!("{what} about {labels}"),
        (None, _) => what,
    }
}

fn when(path: &[&Provision]) -> String {
    let spans = path.iter().filter_map(|rule| rule.period);
    spans.reduce(Span::and).map(days).unwrap_or_default()
}

fn days(span: Span) -> String {
    let day = |ms: i64| format_instant(ms).chars().take(10).collect::<String>();
    let from = span.start.map(|start| format!(" from {}", day(start)));
    // The end is the first moment after.
    let until = span
        .end
        .map(|end| format!(" until {}", day(end.saturating_sub(1))));
    [from, until].into_iter().flatten().collect()
}

fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Member(name) => name.clone(),
        Actor::Named(who) => who.clone(),
        Actor::Role(role) => format!("anybody with the role {}", code(role)),
    }
}

pub(super) fn called(words: &[(&str, &str)], code: &str) -> String {
    let known = words.iter().find(|(one, _)| *one == code);
    known.map_or(code, |(_, word)| word).to_owned()
}

fn code(text: &str) -> &str {
    text.rsplit_once('|').map_or(text, |(_, code)| code)
}

/// "a, b or c"; nothing of nothing.
pub(super) fn listed(all: impl Iterator<Item = String>) -> Option<String> {
    let all: Vec<String> = all.collect();
    match all.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        [first @ .., last] => Some(format!("{} or {last}", first.join(", "))),
    }
}

/// What several rules say, each of which has to hold.
fn both(groups: impl Iterator<Item = Option<String>>, and: &str) -> Option<String> {
    let groups: Vec<String> = groups.flatten().collect();
    (!groups.is_empty()).then(|| groups.join(and))
}
