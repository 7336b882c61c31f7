//! Compiles a consent to Cedar policies: one for each provision that permits or denies.

use super::Consent;
use super::provision::{Actor, Kind, Provision, Span};

/// Purposes that a permit covers only if it names them.
const NAMED_ONLY: [&str; 2] = ["HMARKT", "HRESCH"];

/// The policies of an active consent: an id that decisions name, and Cedar text.
pub fn policies(consent: &Consent) -> Vec<(String, String)> {
    let mut compiled = Vec::new();
    if let (true, Some(root)) = (consent.is_active(), &consent.provision) {
        compile(
            &format!("consent/{}/{}", consent.id, consent.version),
            root,
            &[],
            &mut compiled,
        );
    }
    compiled
}

fn compile(id: &str, rule: &Provision, around: &[String], compiled: &mut Vec<(String, String)>) {
    let conditions: Vec<String> = around.iter().cloned().chain(conditions(rule)).collect();
    if let Some(kind) = rule.kind {
        let exceptions = rule
            .nested
            .iter()
            .filter(|nested| nested.kind.is_some_and(|one| one != kind));
        let unless: Vec<String> = exceptions
            .map(|nested| {
                format!(
                    "({})",
                    conjunction(&[self::conditions(nested), own(nested)].concat())
                )
            })
            .collect();
        let mut when = [conditions.clone(), own(rule)].concat();
        if !unless.is_empty() {
            when.push(format!("!({})", unless.join(" || ")));
        }
        let effect = match kind {
            Kind::Permit => "permit",
            Kind::Deny => "forbid",
        };
        let policy = format!(
            "{effect} (principal, action == Action::\"open\", resource) when {{ {} }};",
            conjunction(&when)
        );
        compiled.push((id.to_owned(), policy));
    }
    for (at, nested) in rule.nested.iter().enumerate() {
        compile(&format!("{id}/{at}"), nested, &conditions, compiled);
    }
}

/// Conditions that hold for a rule and for everything in it.
fn conditions(rule: &Provision) -> Vec<String> {
    let mut all = Vec::new();
    if !rule.covers_opening {
        all.push("false".to_owned());
    }
    if let Some(period) = rule.period {
        all.extend(within("context.now", "context.now", period));
    }
    if !rule.actors.is_empty() {
        let actors: Vec<String> = rule.actors.iter().map(actor).collect();
        all.push(format!("({})", actors.join(" || ")));
    }
    if !rule.purposes.is_empty() {
        all.push(format!("{}.contains(context.purpose)", set(&rule.purposes)));
    }
    if !rule.types.is_empty() {
        all.push(format!("{}.contains(resource.type)", set(&rule.types)));
    }
    if !rule.codes.is_empty() {
        all.push(format!("resource.codes.containsAny({})", set(&rule.codes)));
    }
    if let Some(period) = rule.data_period {
        all.push("resource has start && resource has end".to_owned());
        all.extend(within("resource.end", "resource.start", period));
    }
    all
}

/// Conditions of the rule itself, which its exceptions need not meet.
fn own(rule: &Provision) -> Vec<String> {
    match rule.kind {
        Some(Kind::Permit) => {
            let mut own = vec![format!(
                "{}.containsAll(resource.labels)",
                set(&rule.labels)
            )];
            if !rule.labels.is_empty() {
                own.push(format!(
                    "resource.labels.containsAny({})",
                    set(&rule.labels)
                ));
            }
            if rule.purposes.is_empty() {
                let named_only: Vec<String> = NAMED_ONLY.map(str::to_owned).to_vec();
                own.push(format!("!{}.contains(context.purpose)", set(&named_only)));
            }
            own
        }
        // The patient cannot be locked out of the own record.
        Some(Kind::Deny) => {
            let mut own = vec!["!(principal has patient)".to_owned()];
            if !rule.labels.is_empty() {
                own.push(format!(
                    "resource.labels.containsAny({})",
                    set(&rule.labels)
                ));
            }
            own
        }
        None => Vec::new(),
    }
}

fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Member(name) => format!("principal.member == {name:?}"),
        Actor::Practitioner(reference) => {
            format!("(principal has practitioner && principal.practitioner == {reference:?})")
        }
    }
}

/// `last` is not before the span, and `first` not after it.
fn within(last: &str, first: &str, span: Span) -> Vec<String> {
    let start = span.start.map(|start| format!("{last} >= {start}"));
    let end = span.end.map(|end| format!("{first} < {end}"));
    start.into_iter().chain(end).collect()
}

fn set(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[{}]", values.join(", "))
}

fn conjunction(conditions: &[String]) -> String {
    if conditions.is_empty() {
        "true".to_owned()
    } else {
        conditions.join(" && ")
    }
}
