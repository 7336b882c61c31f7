//! Rules in force, and what they find in a resource.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Label;
use super::age::may_be_under;
use super::finding::{Cause, Context, Finding, Needs};
use super::rule_set::{Inherit, Pattern, Rule, RuleSet};
use super::vocabulary::{CONFIDENTIALITY, rank, security_label};
use super::walk::{Place, Seen, walk};
use crate::fhir::Resource;
use crate::fhir::disclosure::DisclosureFacts;
use crate::fhir::reference::Target;

const ICD_10_CM: &str = "http://hl7.org/fhir/sid/icd-10-cm";
const ICD_10: &str = "http://hl7.org/fhir/sid/icd-10";
/// References whose labels are taken over, at most; with more, nobody can say that nothing sensitive is behind them.
const SOURCES_MAX: usize = 1_024;

/// Rule sets in force together: each adds labels, none takes one away.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    sets: Vec<RuleSet>,
    codes: BTreeMap<String, Codes>,
    references: BTreeMap<String, Vec<At>>,
    words: Vec<(String, At)>,
}

/// Which rules a code of one system meets.
#[derive(Debug, Clone, Default)]
struct Codes {
    exact: BTreeMap<String, Vec<At>>,
    prefixes: BTreeMap<String, Vec<At>>,
    ranges: Vec<(String, String, At)>,
}

/// A rule, by its set and its place in it.
type At = (usize, usize);

/// A resource that was gone over.
pub struct Looked<'a> {
    rules: &'a Rules,
    resource: &'a Resource,
    hits: BTreeMap<At, Hits>,
    security: Vec<Finding>,
    sources: Vec<(String, String)>,
    /// Whether somebody has put down that it is not confidential.
    is_cleared: bool,
}

impl std::fmt::Debug for Looked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Looked(..)")
    }
}

/// What met a rule's conditions.
#[derive(Default)]
struct Hits {
    codes: Vec<Hit>,
    references: Vec<Hit>,
    words: Vec<Hit>,
}

struct Hit {
    path: String,
    system: Option<String>,
    met: String,
}

impl Rules {
    /// The rules of these sets.
    pub fn of(sets: Vec<RuleSet>) -> Self {
        let mut rules = Self::default();
        for (set, one) in sets.iter().enumerate() {
            for (place, rule) in one.rules.iter().enumerate() {
                rules.index((set, place), rule);
            }
        }
        rules.sets = sets;
        rules
    }

    /// The versions of the sets, in their order.
    pub fn versions(&self) -> impl Iterator<Item = &str> {
        self.sets.iter().map(RuleSet::version)
    }

    /// The texts of the sets, in their order: what a digest is of.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.sets.iter().map(RuleSet::text)
    }

    /// Goes over a resource.
    pub fn look<'a>(&'a self, resource: &'a Resource) -> Looked<'a> {
        let kind = resource.resource_type().as_str();
        let mut looked = Looked {
            rules: self,
            resource,
            hits: BTreeMap::new(),
            security: Vec::new(),
            sources: self.sources(resource),
            is_cleared: is_cleared(resource),
        };
        // What a Consent names is what it is about, not what the patient has.
        let is_consent = kind == "Consent";
        walk(resource.object(), &mut |seen, place| match seen {
            Seen::Security { system, code } if !is_consent || place.is_in("meta") => {
                looked
                    .security
                    .extend(security(kind, place, (system, code)));
            }
            Seen::Security { .. } => {}
            _ if is_consent => {}
            Seen::Coding { system, code } => looked.coding(place, system, code),
            Seen::Reference(first, value) => looked.reference(place, first, value),
            Seen::Text(text) => looked.text(place, text),
        });
        looked
    }

    /// What makes a resource sensitive.
    pub fn findings(&self, resource: &Resource, context: &Context) -> Vec<Finding> {
        self.look(resource).findings(context)
    }

    fn index(&mut self, at: At, rule: &Rule) {
        for (system, pattern) in rule.codes.iter().flatten() {
            let codes = self.codes.entry(plain(system).to_owned()).or_default();
            match pattern {
                Pattern::Exact(code) => codes.exact.entry(code.clone()).or_default().push(at),
                Pattern::Prefix(code) => codes.prefixes.entry(code.clone()).or_default().push(at),
                Pattern::Range(first, last) => codes.ranges.push((first.clone(), last.clone(), at)),
            }
        }
        for reference in &rule.references {
            self.references
                .entry(reference.clone())
                .or_default()
                .push(at);
        }
        let words = rule.words.iter().map(|word| (word.clone(), at));
        self.words.extend(words);
    }

    fn rule(&self, (set, place): At) -> Option<(&RuleSet, &Rule)> {
        let set = self.sets.get(set)?;
        Some((set, set.rules.get(place)?))
    }

    /// Through which elements the resource takes labels over, and from what.
    fn sources(&self, resource: &Resource) -> Vec<(String, String)> {
        let kind = resource.resource_type().as_str();
        let holds = |one: &&Inherit| one.types.is_empty() || one.types.iter().any(|it| it == kind);
        let clauses = self.sets.iter().flat_map(|set| &set.inherit).filter(holds);
        let mut sources = Vec::new();
        for path in clauses.flat_map(|clause| &clause.elements) {
            let mut at: Vec<&Value> = Vec::new();
            let mut steps = path.split('.');
            at.extend(steps.next().and_then(|first| resource.get(first)));
            for step in steps {
                at = flat(at)
                    .into_iter()
                    .filter_map(|one| one.get(step))
                    .collect();
            }
            for reference in flat(at) {
                let text = reference.get("reference").and_then(Value::as_str);
                let local = text.and_then(|text| Target::parse(text).local());
                if let Some(local) = local {
                    let path = format!("{kind}.{path}");
                    sources.push((format!("{}/{}", local.resource_type, local.id), path));
                }
            }
        }
        sources
    }
}

impl Looked<'_> {
    /// What has to be loaded before labels can be decided.
    pub fn needs(&self) -> Needs {
        let fired = self.fired();
        let sources = self.sources.iter().map(|(source, _)| source.clone());
        Needs {
            birth_date: fired.iter().any(|(_, rule, _)| rule.under_age.is_some()),
            sources: sources.take(SOURCES_MAX).collect(),
        }
    }

    /// What makes the resource sensitive.
    pub fn findings(&self, context: &Context) -> Vec<Finding> {
        let mut findings = self.security.clone();
        for (set, rule, hits) in self.fired() {
            if let Some(age) = rule.under_age
                && !self.was_under(age, context)
            {
                continue;
            }
            if rule.possible && self.is_cleared {
                continue;
            }
            findings.extend(found(set, rule, hits));
        }
        for (source, path) in self.sources.iter().take(SOURCES_MAX) {
            let labels = context.inherited.get(source).into_iter().flatten();
            findings.extend(labels.map(|label| Finding {
                label: *label,
                path: path.clone(),
                cause: Cause::Inherited {
                    from: source.clone(),
                },
                possible: false,
            }));
        }
        if let Some((source, path)) = self.sources.get(SOURCES_MAX) {
            findings.push(Finding {
                label: Label::Restricted,
                path: path.clone(),
                cause: Cause::Inherited {
                    from: source.clone(),
                },
                possible: true,
            });
        }
        findings
    }

    /// Rules all of whose conditions hold but for age.
    fn fired(&self) -> Vec<(&RuleSet, &Rule, &Hits)> {
        let kind = self.resource.resource_type().as_str();
        let fired = self.hits.iter().filter_map(|(at, hits)| {
            let (set, rule) = self.rules.rule(*at)?;
            let is_met = (rule.codes.is_none() || !hits.codes.is_empty())
                && (rule.references.is_empty() || !hits.references.is_empty())
                && (rule.words.is_empty() || !hits.words.is_empty())
                && (rule.types.is_empty() || rule.types.iter().any(|one| one == kind));
            is_met.then_some((set, rule, hits))
        });
        fired.collect()
    }

    fn was_under(&self, age: u8, context: &Context) -> bool {
        let Some(born) = context.birth_date.as_deref() else {
            return false;
        };
        let happened = DisclosureFacts::of(self.resource).period;
        let at_ms = happened.map_or(context.recorded_ms, |span| span.start_ms);
        may_be_under(age, born, at_ms)
    }

    fn coding(&mut self, place: &Place<'_>, system: &str, code: &str) {
        let rules = self.rules;
        let Some(codes) = rules.codes.get(plain(system)) else {
            return;
        };
        let path = std::cell::OnceCell::new();
        let kind = self.resource.resource_type().as_str();
        let hits = &mut self.hits;
        codes.meets(code, |at| {
            let elements = rules.rule(at).map_or(&[][..], |(_, rule)| &rule.elements);
            if elements.is_empty() || elements.iter().any(|one| place.is_in(one)) {
                hits.entry(at).or_default().codes.push(Hit {
                    path: path.get_or_init(|| place.path(kind)).clone(),
                    system: Some(system.to_owned()),
                    met: code.to_owned(),
                });
            }
        });
    }

    fn reference(&mut self, place: &Place<'_>, first: &str, value: Option<&str>) {
        if self.rules.references.is_empty() {
            return;
        }
        let met = match value {
            Some(value) => format!("{first}|{value}"),
            None => match Target::parse(first).local() {
                Some(local) => format!("{}/{}", local.resource_type, local.id),
                None => first.to_owned(),
            },
        };
        let path = place.path(self.resource.resource_type().as_str());
        for at in self.rules.references.get(&met).into_iter().flatten() {
            self.hits.entry(*at).or_default().references.push(Hit {
                path: path.clone(),
                system: None,
                met: met.clone(),
            });
        }
    }

    fn text(&mut self, place: &Place<'_>, text: &str) {
        if self.rules.words.is_empty() {
            return;
        }
        let text = text.to_lowercase();
        for (word, at) in &self.rules.words {
            if text.contains(word.as_str()) {
                self.hits.entry(*at).or_default().words.push(Hit {
                    path: place.path(self.resource.resource_type().as_str()),
                    system: None,
                    met: word.clone(),
                });
            }
        }
    }
}

impl Codes {
    fn meets(&self, code: &str, mut meet: impl FnMut(At)) {
        self.exact
            .get(code)
            .into_iter()
            .flatten()
            .for_each(|at| meet(*at));
        if !self.prefixes.is_empty() {
            let ends = code
                .char_indices()
                .map(|(at, one)| at.saturating_add(one.len_utf8()));
            for prefix in ends.filter_map(|end| code.get(..end)) {
                let rules = self.prefixes.get(prefix).into_iter().flatten();
                rules.for_each(|at| meet(*at));
            }
        }
        for (first, last, at) in &self.ranges {
            if code.len() == first.len() && (first.as_str()..=last.as_str()).contains(&code) {
                meet(*at);
            }
        }
    }
}

fn found(set: &RuleSet, rule: &Rule, hits: &Hits) -> Vec<Finding> {
    let hits = hits.codes.iter().chain(&hits.references).chain(&hits.words);
    let of_hit = |hit: &Hit| {
        let cause = Cause::Rule {
            set: set.version.clone(),
            id: rule.id.clone(),
            system: hit.system.clone(),
            met: hit.met.clone(),
        };
        let labels = rule.labels.iter();
        let finding = |label: &Label| Finding {
            label: *label,
            path: hit.path.clone(),
            cause: cause.clone(),
            possible: rule.possible,
        };
        labels.map(finding).collect::<Vec<_>>()
    };
    hits.flat_map(of_hit).collect()
}

fn security(kind: &str, place: &Place<'_>, (system, code): (&str, &str)) -> Option<Finding> {
    Some(Finding {
        label: security_label(system, code)?,
        path: place.path(kind),
        cause: Cause::Security {
            system: system.to_owned(),
            code: code.to_owned(),
        },
        possible: false,
    })
}

/// Rules for ICD-10 hold for its clinical modification as well.
fn plain(system: &str) -> &str {
    if system == ICD_10_CM { ICD_10 } else { system }
}

fn is_cleared(resource: &Resource) -> bool {
    let security = resource
        .get("meta")
        .and_then(|meta| meta.get("security")?.as_array());
    security.into_iter().flatten().any(|coding| {
        coding["system"] == CONFIDENTIALITY
            && coding["code"]
                .as_str()
                .and_then(rank)
                .is_some_and(|one| Some(one) < rank("R"))
    })
}

fn flat(values: Vec<&Value>) -> Vec<&Value> {
    let mut flat = Vec::with_capacity(values.len());
    for value in values {
        match value {
            Value::Array(items) => flat.extend(items),
            value => flat.push(value),
        }
    }
    flat
}
