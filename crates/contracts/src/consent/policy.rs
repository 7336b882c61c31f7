//! Compiles a consent to Cedar policies: one for each provision that permits or denies.

use super::Consent;
use super::provision::{Actor, Kind, Provision, Span};

/// Purposes that a permit covers only if it names them.
const NAMED_ONLY: [&str; 2] = ["HMARKT", "HRESCH"];

/// What a rule takes over from the rules around it.
#[derive(Clone, Default)]
struct Around<'a> {
    conditions: Vec<String>,
    names_purposes: bool,
    labels: &'a [String],
}

/// The policies of an active consent: an id that decisions name, and Cedar text.
pub fn policies(consent: &Consent) -> Vec<(String, String)> {
    let mut compiled = Vec::new();
    if let (true, Some(root)) = (consent.is_active(), &consent.provision) {
        compile(
            &format!("consent/{}/{}", consent.id, consent.version),
            root,
            &Around::default(),
            &mut compiled,
        );
    }
    compiled
}

fn compile(id: &str, rule: &Provision, around: &Around<'_>, compiled: &mut Vec<(String, String)>) {
    let inside = around.and(rule);
    if let Some(kind) = rule.kind {
        let mut when = [inside.conditions.clone(), own(kind, &inside)].concat();
        // The deepest rule that matches counts, whichever kind the ones between are of.
        let nested = rule.nested.iter();
        when.extend(nested.map(|nested| format!("!({})", decides(nested, &inside))));
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
        compile(&format!("{id}/{at}"), nested, &inside, compiled);
    }
}

/// When `rule`, or one within it, decides in the place of the rule around it.
fn decides(rule: &Provision, around: &Around<'_>) -> String {
    let inside = around.and(rule);
    let own = rule.kind.map(|kind| conjunction(&own(kind, &inside)));
    let nested = rule.nested.iter().map(|nested| decides(nested, &inside));
    let any: Vec<String> = own.into_iter().chain(nested).collect();
    let mut all = conditions(rule);
    all.push(if any.is_empty() {
        "false".to_owned()
    } else {
        format!("({})", any.join(" || "))
    });
    conjunction(&all)
}

impl<'a> Around<'a> {
    fn and(&self, rule: &'a Provision) -> Self {
        Self {
            conditions: [self.conditions.clone(), conditions(rule)].concat(),
            names_purposes: self.names_purposes || !rule.purposes.is_empty(),
            labels: if rule.labels.is_empty() {
                self.labels
            } else {
                &rule.labels
            },
        }
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
    if !rule.labels.is_empty() {
        all.push(format!(
            "resource.labels.containsAny({})",
            set(&rule.labels)
        ));
    }
    if let Some(period) = rule.data_period {
        let within = conjunction(&within("resource.end", "resource.start", period));
        // A document without a date may be of the period: nobody is let in by it, and somebody is kept out.
        let undated = rule.kind == Some(Kind::Deny);
        all.push(format!(
            "(if resource has start && resource has end then {within} else {undated})"
        ));
    }
    all
}

/// Conditions of the rule itself, which its exceptions need not meet.
fn own(kind: Kind, inside: &Around<'_>) -> Vec<String> {
    // A member's patients are not let in with its staff, and a patient is not locked out of the own record.
    let mut own = vec!["!(principal has patient)".to_owned()];
    if kind == Kind::Permit {
        own.push(if inside.labels.is_empty() {
            "resource.labels.isEmpty()".to_owned()
        } else {
            format!("{}.containsAll(resource.labels)", set(inside.labels))
        });
        if !inside.names_purposes {
            let named_only = set(&NAMED_ONLY.map(str::to_owned));
            own.push(format!("!{named_only}.contains(context.purpose)"));
        }
    }
    own
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
