//! Gates: what a request has to be like for a rule to matter, whatever document is asked for.

use std::collections::BTreeSet;

use super::actor::Actor;
use super::policy::{Around, Rule, is_bound};
use super::provision::Provision;
use super::span::Span;
use crate::access::Action;

impl Rule<'_> {
    /// What has to be true of a request for the rule to decide on any document.
    pub(crate) fn gate(&self) -> Gate {
        let home = self.consent.home();
        let mut gate = Gate::default();
        let mut around = Around::default();
        for rule in self.around.iter().chain([&self.own]) {
            gate.narrow(rule, home, &around);
            around = around.and(rule);
        }
        if !around.names_actions {
            gate.actions = Some(BTreeSet::from([Action::Open]));
        }
        gate
    }
}

/// What a request has to be like for a rule to matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Gate {
    period: Span,
    /// Members of whom one has to ask; any if there are none to choose from.
    members: Option<BTreeSet<String>>,
    actions: Option<BTreeSet<Action>>,
    /// Of each of these, one purpose.
    purposes: Vec<Vec<String>>,
}

impl Gate {
    /// The members that could pass; `None` for all.
    pub(crate) fn members(&self) -> Option<&BTreeSet<String>> {
        self.members.as_ref()
    }

    /// Whether a request passes, its member apart.
    pub(crate) fn admits(&self, now: i64, action: Action, purposes: &BTreeSet<String>) -> bool {
        self.period.contains(now)
            && self
                .actions
                .as_ref()
                .is_none_or(|some| some.contains(&action))
            && self
                .purposes
                .iter()
                .all(|some| some.iter().any(|one| purposes.contains(one)))
    }

    fn narrow(&mut self, rule: &Provision, home: &str, around: &Around<'_>) {
        self.period = self.period.and(rule.period.unwrap_or_default());
        if !rule.purposes.is_empty() {
            self.purposes.push(rule.purposes.clone());
        }
        if let Some(actions) = &rule.actions {
            let narrowed = self
                .actions
                .as_ref()
                .map_or(actions.clone(), |some| some & actions);
            self.actions = Some(narrowed);
        }
        let is_bound = is_bound(rule, around);
        let member = |actor: &Actor| match actor {
            Actor::Member(name) => Some(name.clone()),
            Actor::Named(_) if is_bound => Some(home.to_owned()),
            Actor::Named(_) | Actor::Role(_) => None,
        };
        let members: Option<BTreeSet<String>> = rule.actors.iter().map(member).collect();
        if let (Some(members), false) = (members, rule.actors.is_empty()) {
            let narrowed = self
                .members
                .as_ref()
                .map_or(members.clone(), |some| some & &members);
            self.members = Some(narrowed);
        }
    }
}
