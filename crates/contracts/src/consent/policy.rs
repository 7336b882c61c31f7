//! Compiles a consent to Cedar policies: one for each provision that permits or denies.

use cedar_policy::pst::{
    self, ActionConstraint, Clause, Effect, PrincipalConstraint, ResourceConstraint, StaticPolicy,
    Template,
};
use cedar_policy::{Policy, PolicyId};

use super::actor::Actor;
use super::data::{Data, Meaning};
use super::expression::{
    Condition, all, any, at_least, at_most, before, contains, contains_all, contains_any, context,
    equal, has, is_action, is_empty, not, principal, resource, text, texts, truth, when,
};
use super::label::{Labels, NORMAL, RESTRICTED};
use super::provision::{Kind, Provision};
use super::span::Span;
use super::{Consent, purpose};
use crate::access::Action;

/// A provision that decides, with those around it, the outermost first.
pub(crate) struct Rule<'a> {
    pub(super) consent: &'a Consent,
    pub(super) kind: Kind,
    /// Where it stands: `/index` for each step from the root.
    place: String,
    pub(super) around: Vec<&'a Provision>,
    pub(super) own: &'a Provision,
}

/// What a rule takes over from the rules around it.
#[derive(Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says of one element whether it was named"
)]
pub(super) struct Around<'a> {
    names_members: bool,
    names_purposes: bool,
    names_emergencies: bool,
    pub(super) names_actions: bool,
    labels: &'a [String],
    actors: &'a [Actor],
}

/// The rules of an active consent that permit or deny.
pub(crate) fn rules(consent: &Consent) -> Vec<Rule<'_>> {
    let mut found = Vec::new();
    if let (true, Some(root)) = (consent.is_active(), &consent.provision) {
        collect(consent, root, "", &[], &mut found);
    }
    found
}

/// The policies of an active consent: an id that decisions name, and Cedar text.
pub fn policies(consent: &Consent) -> Vec<(String, String)> {
    let policies = rules(consent).into_iter().filter_map(|rule| {
        let policy = rule.policy()?;
        Some((rule.id(), policy.to_string()))
    });
    policies.collect()
}

fn collect<'a>(
    consent: &'a Consent,
    rule: &'a Provision,
    place: &str,
    around: &[&'a Provision],
    found: &mut Vec<Rule<'a>>,
) {
    // Whom a rule lets act in the patient's place is in no policy: see `grant`.
    if let (Some(kind), true) = (rule.kind, rule.delegates.is_empty()) {
        found.push(Rule {
            consent,
            kind,
            place: place.to_owned(),
            around: around.to_vec(),
            own: rule,
        });
    }
    let around = [around, &[rule]].concat();
    for (at, nested) in rule.nested.iter().enumerate() {
        collect(consent, nested, &format!("{place}/{at}"), &around, found);
    }
}

impl<'a> Rule<'a> {
    /// What decisions call it.
    pub(crate) fn id(&self) -> String {
        let Consent { id, version, .. } = self.consent;
        format!("consent/{id}/{version}{}", self.place)
    }

    /// The policy; `None` if the engine does not take it.
    pub(crate) fn policy(&self) -> Option<Policy> {
        let home = self.consent.home();
        let mut around = Around::default();
        let mut conditions = Vec::new();
        for rule in self.around.iter().chain([&self.own]) {
            conditions.extend(self::conditions(rule, home, &around));
            around = around.and(rule);
        }
        conditions.extend(own(self.kind, &around));
        // The deepest rule that matches counts, whichever kind the ones between are of.
        let nested = self.own.nested.iter();
        conditions.extend(nested.map(|nested| not(decides(nested, home, &around))));
        let effect = match self.kind {
            Kind::Permit => {
                // A patient lets nobody change what is no patient's, such as the directory.
                conditions.push(has("patient"));
                Effect::Permit
            }
            Kind::Deny => Effect::Forbid,
        };
        let template = Template::new(
            pst::PolicyID(self.id().into()),
            effect,
            PrincipalConstraint::Any,
            ActionConstraint::Any,
            ResourceConstraint::Any,
        );
        let template = template
            .try_with_clauses([Clause::When(all(conditions))])
            .ok()?;
        let policy = StaticPolicy::try_from(template).ok()?;
        let policy = Policy::from_pst(pst::Policy::Static(policy)).ok()?;
        Some(policy.new_id(PolicyId::new(self.id())))
    }
}

/// When `rule`, or one within it, decides in the place of the rule around it.
fn decides(rule: &Provision, home: &str, around: &Around<'_>) -> Condition {
    let mut conditions = conditions(rule, home, around);
    let inside = around.and(rule);
    let own = rule.kind.map(|kind| all(own(kind, &inside)));
    let nested = rule
        .nested
        .iter()
        .map(|nested| decides(nested, home, &inside));
    conditions.push(any(own.into_iter().chain(nested).collect()));
    all(conditions)
}

impl<'a> Around<'a> {
    pub(super) fn and(&self, rule: &'a Provision) -> Self {
        let is_member = |actor: &Actor| matches!(actor, Actor::Member(_));
        let nearest =
            |own: &'a [String], around: &'a [String]| if own.is_empty() { around } else { own };
        let names = |code: &str| rule.purposes.iter().any(|purpose| purpose == code);
        Self {
            names_members: self.names_members
                || (!rule.actors.is_empty() && rule.actors.iter().all(is_member)),
            names_purposes: self.names_purposes || !rule.purposes.is_empty(),
            names_emergencies: self.names_emergencies || names(purpose::BREAK_GLASS),
            names_actions: self.names_actions || rule.actions.is_some(),
            labels: nearest(&rule.labels, self.labels),
            actors: if rule.actors.is_empty() {
                self.actors
            } else {
                &rule.actors
            },
        }
    }
}

/// Conditions that hold for a rule and for everything in it.
fn conditions(rule: &Provision, home: &str, around: &Around<'_>) -> Vec<Condition> {
    let mut all = Vec::new();
    if let Some(actions) = &rule.actions {
        all.push(is_action(actions.iter().copied()));
    }
    if let Some(period) = rule.period {
        all.extend(within(&context("now"), &context("now"), period));
    }
    if !rule.actors.is_empty() {
        let is_bound = is_bound(rule, around);
        let actors = rule
            .actors
            .iter()
            .map(|actor| self::actor(actor, is_bound.then_some(home)));
        all.push(any(actors.collect()));
    }
    if !rule.purposes.is_empty() {
        all.push(contains_any(context("purposes"), texts(&rule.purposes)));
    }
    all.extend(class(rule));
    if !rule.codes.is_empty() {
        all.push(contains_any(resource("codes"), texts(&rule.codes)));
    }
    // A document that does not say may be of the period, or the one: nobody is let in by it, and somebody is kept out.
    let unsaid = rule.kind == Some(Kind::Deny);
    if let Some(period) = rule.data_period {
        let within = self::all(within(&resource("last"), &resource("first"), period));
        all.push(when(resource("dated"), within, truth(unsaid)));
    }
    if !rule.data.is_empty() {
        let data = rule
            .data
            .iter()
            .map(|data| self::data(data, unsaid))
            .collect();
        all.push(equal(resource("home"), text(home)));
        all.push(any(data));
    }
    all
}

fn class(rule: &Provision) -> Option<Condition> {
    let mut classes = Vec::new();
    if !rule.types.is_empty() {
        classes.push(contains(texts(&rule.types), resource("type")));
    }
    if !rule.documents.is_empty() {
        classes.push(contains_any(resource("codes"), texts(&rule.documents)));
    }
    (!classes.is_empty()).then(|| any(classes))
}

/// Whether persons that the rule names are those of the member through which the consent was filed.
pub(super) fn is_bound(rule: &Provision, around: &Around<'_>) -> bool {
    rule.kind != Some(Kind::Deny) && !around.names_members
}

fn actor(actor: &Actor, bound_to: Option<&str>) -> Condition {
    match actor {
        Actor::Member(name) => equal(principal("member"), text(name)),
        Actor::Named(reference) => {
            let named = contains(principal("names"), text(reference));
            let at = bound_to.map(|home| equal(principal("member"), text(home)));
            all(at.into_iter().chain([named]).collect())
        }
        Actor::Role(role) => match role.rsplit_once('|') {
            // Who states a code without its system may have any.
            Some((_, code)) => any(vec![
                contains(principal("roles"), text(role)),
                contains(principal("roles"), text(code)),
            ]),
            None => contains(principal("role_codes"), text(role)),
        },
    }
}

fn data(data: &Data, unsaid: bool) -> Condition {
    let reference = || text(&data.reference);
    let itself = || contains(resource("ids"), reference());
    let matching = match data.meaning {
        Meaning::Instance => itself(),
        Meaning::Dependents => any(vec![itself(), contains(resource("related"), reference())]),
        Meaning::AuthoredBy => contains(resource("authors"), reference()),
    };
    let unknown = match (data.meaning, data.reference.split_once('/')) {
        (Meaning::Instance, Some((kind, _))) => equal(resource("type"), text(kind)),
        _ => truth(true),
    };
    if unsaid {
        when(is_empty(resource("ids")), unknown, matching)
    } else {
        matching
    }
}

/// Conditions of the rule itself, which its exceptions need not meet.
fn own(kind: Kind, inside: &Around<'_>) -> Vec<Condition> {
    let mut own = Vec::new();
    if !inside.names_actions {
        own.push(is_action([Action::Open]));
    }
    let persons = inside.actors.iter().filter_map(|actor| match actor {
        Actor::Named(reference) if reference.starts_with("RelatedPerson/") => Some(reference),
        _ => None,
    });
    let persons: Vec<&String> = persons.collect();
    let is_person = || contains_any(principal("names"), texts(persons.iter().copied()));
    let labels = Labels::of(inside.labels);
    match kind {
        Kind::Permit => {
            // A member's patients and their families are not let in with its staff.
            let mut who = vec![principal("staff")];
            if !persons.is_empty() {
                who.push(all(vec![not(principal("own")), is_person()]));
            }
            own.push(any(who));
            own.extend(opened(&labels));
            if !inside.names_purposes {
                let named_only = purpose::NAMED_ONLY.map(str::to_owned);
                own.push(not(contains_any(context("purposes"), texts(&named_only))));
            }
        }
        Kind::Deny => {
            // Patients are not locked out of their own record, and who acts for them only by name.
            let mut who = vec![not(principal("own"))];
            if !persons.is_empty() {
                who.push(is_person());
            }
            own.push(any(who));
            own.extend(kept_back(&labels));
            if !inside.names_emergencies {
                own.push(not(context("break_glass")));
            }
        }
    }
    own
}

/// What a permit opens that names these labels.
fn opened(labels: &Labels) -> Vec<Condition> {
    let highest = labels.levels.last().copied().unwrap_or(NORMAL).max(NORMAL);
    let is_restricted_alone = || is_empty(resource("sensitive"));
    if labels.sensitive.is_empty() {
        // What is sensitive is restricted by that: below it there is nothing to look for.
        let alone = (highest >= RESTRICTED).then(is_restricted_alone);
        let level = at_most(resource("level"), highest);
        return alone.into_iter().chain([level]).collect();
    }
    let is_covered = contains_all(texts(&labels.covered()), resource("sensitive"));
    let implied = all(vec![
        at_most(resource("level"), RESTRICTED),
        not(is_restricted_alone()),
    ]);
    // Who names the sensitivity has named what it implies.
    let level = if labels.levels.is_empty() {
        implied
    } else {
        any(vec![at_most(resource("level"), highest), implied])
    };
    vec![is_covered, level]
}

/// What a deny keeps back that names these labels.
fn kept_back(labels: &Labels) -> Option<Condition> {
    let mut any_of = Vec::new();
    if !labels.sensitive.is_empty() {
        any_of.push(contains_any(
            resource("sensitive"),
            texts(&labels.touched()),
        ));
    }
    if !labels.are_told_apart() {
        let unsaid = vec![
            at_least(resource("level"), RESTRICTED),
            is_empty(resource("sensitive")),
        ];
        any_of.push(all(unsaid));
    }
    if let Some(lowest) = labels.levels.first() {
        any_of.push(at_least(resource("level"), *lowest));
    }
    (!any_of.is_empty()).then(|| any(any_of))
}

/// `last` is not before the span, and `first` not after it.
fn within(last: &Condition, first: &Condition, span: Span) -> Vec<Condition> {
    let start = span.start.map(|start| at_least(last.clone(), start));
    let end = span.end.map(|end| before(first.clone(), end));
    start.into_iter().chain(end).collect()
}
