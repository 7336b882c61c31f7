//! Rule sets: what a network, a member, and this release say makes a resource sensitive; checked before they are used.
//!
//! A rule set is JSON. A code is written as it is, as a prefix (`F11*`), or as a range of codes of one length
//! (`90832..90853`). The conditions of a rule all have to hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Label;
use crate::fhir::ResourceType;

/// Bytes of a rule set at most.
pub const SET_BYTES_MAX: usize = 256 * 1024;
const RULES_MAX: usize = 1_000;
const CODES_MAX: usize = 50_000;
const NAME_MAX: usize = 128;
/// Shorter words are found everywhere.
const WORD_MIN: usize = 4;
const AGES: std::ops::RangeInclusive<u8> = 1..=26;

/// Systems that a rule set may name without declaring them.
const SYSTEMS: [&str; 13] = [
    "http://snomed.info/sct",
    "http://loinc.org",
    "http://hl7.org/fhir/sid/icd-10",
    "http://hl7.org/fhir/sid/icd-10-cm",
    "http://www.cms.gov/Medicare/Coding/ICD10",
    "http://hl7.org/fhir/sid/icd-9-cm",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "http://hl7.org/fhir/sid/cvx",
    "http://hl7.org/fhir/sid/ndc",
    "http://www.ama-assn.org/go/cpt",
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "http://www.whocc.no/atc",
    "http://terminology.hl7.org/CodeSystem/v3-ActCode",
];

/// Why a rule set is refused. Names rules and value sets, never more of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleProblem {
    /// More than is taken.
    #[error(
        "a rule set has at most {SET_BYTES_MAX} bytes, {RULES_MAX} rules and {CODES_MAX} codes"
    )]
    TooLarge,
    /// Not the JSON of a rule set.
    #[error("not a rule set, at line {0}")]
    Malformed(usize),
    /// A name is missing, too long, or there twice.
    #[error("`{0}` is not a name that is there once")]
    Name(String),
    /// A label is not one of those that decisions look at.
    #[error("rule `{0}` gives no label, or one that is not known")]
    UnknownLabel(String),
    /// A system is neither known nor declared.
    #[error("value set `{0}` names a code system that is neither known nor declared in `systems`")]
    UnknownSystem(String),
    /// A value set is not there.
    #[error("`{0}` names a value set that is not there")]
    UnknownValueSet(String),
    /// A value set includes itself.
    #[error("value set `{0}` includes itself")]
    Cycle(String),
    /// Nothing can match.
    #[error("`{0}` matches nothing")]
    MatchesNothing(String),
    /// Whatever is written would match.
    #[error("`{0}` matches everything")]
    MatchesEverything(String),
    /// Words do not prove anything.
    #[error(
        "rule `{0}` looks for words: it has to be `possible`, with words of {WORD_MIN} letters or more"
    )]
    Words(String),
    /// Not an age.
    #[error("rule `{0}` has an age out of {min} to {max}", min = AGES.start(), max = AGES.end())]
    Age(String),
}

/// A rule set that is sound.
#[derive(Debug, Clone)]
pub struct RuleSet {
    pub(super) text: Vec<u8>,
    pub(super) version: String,
    pub(super) rules: Vec<Rule>,
    pub(super) inherit: Vec<Inherit>,
}

/// A rule with the codes of its value sets.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) labels: Vec<Label>,
    pub(super) types: Vec<String>,
    pub(super) elements: Vec<String>,
    /// `None` if the rule does not look at codes.
    pub(super) codes: Option<Vec<(String, Pattern)>>,
    pub(super) references: Vec<String>,
    pub(super) words: Vec<String>,
    pub(super) under_age: Option<u8>,
    pub(super) possible: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pattern {
    Exact(String),
    Prefix(String),
    Range(String, String),
}

/// Through which elements a resource takes the labels of another.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inherit {
    /// Of these types; of all if it is empty.
    #[serde(default)]
    pub(super) types: Vec<String>,
    /// Dotted paths of references.
    pub(super) elements: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Written {
    version: String,
    #[serde(default)]
    systems: Vec<String>,
    #[serde(default)]
    value_sets: BTreeMap<String, ValueSet>,
    #[serde(default)]
    rules: Vec<WrittenRule>,
    #[serde(default)]
    inherit: Vec<Inherit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValueSet {
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    codes: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenRule {
    id: String,
    labels: Vec<String>,
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    elements: Vec<String>,
    #[serde(default)]
    codes: Vec<String>,
    #[serde(default)]
    references: Vec<String>,
    #[serde(default)]
    words: Vec<String>,
    under_age: Option<u8>,
    #[serde(default)]
    possible: bool,
}

impl RuleSet {
    /// Reads and checks a rule set.
    pub fn parse(text: &[u8]) -> Result<Self, RuleProblem> {
        if text.len() > SET_BYTES_MAX {
            return Err(RuleProblem::TooLarge);
        }
        let written: Written =
            serde_json::from_slice(text).map_err(|error| RuleProblem::Malformed(error.line()))?;
        check_name(&written.version)?;
        let codes = written
            .value_sets
            .values()
            .flat_map(|set| set.codes.values());
        if written.rules.len() > RULES_MAX || codes.map(Vec::len).sum::<usize>() > CODES_MAX {
            return Err(RuleProblem::TooLarge);
        }
        if written.rules.is_empty() && written.inherit.is_empty() {
            return Err(RuleProblem::MatchesNothing(written.version));
        }
        let sets = expanded(&written)?;
        let mut ids = BTreeSet::new();
        let mut rules = Vec::with_capacity(written.rules.len());
        let mut size = 0_usize;
        for rule in written.rules {
            check_name(&rule.id)?;
            if !ids.insert(rule.id.clone()) {
                return Err(RuleProblem::Name(rule.id));
            }
            let rule = checked(rule, &sets)?;
            // Before the next one: rules over one value set have copies of it.
            size = size.saturating_add(rule.size());
            if size > CODES_MAX {
                return Err(RuleProblem::TooLarge);
            }
            rules.push(rule);
        }
        for inherit in &written.inherit {
            check_types(&inherit.types, "inherit")?;
            if inherit.elements.is_empty() || inherit.elements.iter().any(String::is_empty) {
                return Err(RuleProblem::MatchesNothing("inherit".to_owned()));
            }
        }
        Ok(Self {
            text: text.to_vec(),
            version: written.version,
            rules,
            inherit: written.inherit,
        })
    }

    /// The rule set that labels whatever refers to one of these organisations or places as substance use records
    /// (42 CFR Part 2); `None` without any.
    pub fn of_programmes(references: &[String]) -> Option<Result<Self, RuleProblem>> {
        if references.is_empty() {
            return None;
        }
        let text = serde_json::json!({
            "version": "part-2-programmes",
            "rules": [{ "id": "part-2-programme", "labels": ["ETH"], "references": references }],
        });
        Some(Self::parse(text.to_string().as_bytes()))
    }

    /// The set's own name for itself.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The bytes that were read.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

impl Rule {
    fn size(&self) -> usize {
        let codes = self.codes.as_ref().map_or(0, Vec::len);
        codes
            .saturating_add(self.references.len())
            .saturating_add(self.words.len())
    }
}

type Sets = BTreeMap<String, BTreeSet<(String, Pattern)>>;

/// The value sets with those that they include.
fn expanded(written: &Written) -> Result<Sets, RuleProblem> {
    let mut own = Sets::new();
    for (name, set) in &written.value_sets {
        check_name(name)?;
        let mut codes = BTreeSet::new();
        for (system, listed) in &set.codes {
            if !SYSTEMS.contains(&system.as_str()) && !written.systems.contains(system) {
                return Err(RuleProblem::UnknownSystem(name.clone()));
            }
            for code in listed {
                codes.insert((system.clone(), pattern(name, code)?));
            }
        }
        own.insert(name.clone(), codes);
    }
    let mut sets = Sets::new();
    for name in written.value_sets.keys() {
        let mut codes = BTreeSet::new();
        for included in reached(written, name)? {
            codes.extend(own.get(included).into_iter().flatten().cloned());
        }
        if codes.is_empty() {
            return Err(RuleProblem::MatchesNothing(name.clone()));
        }
        sets.insert(name.clone(), codes);
    }
    Ok(sets)
}

/// A value set and all that it includes, at any depth.
fn reached<'a>(written: &'a Written, name: &'a str) -> Result<BTreeSet<&'a str>, RuleProblem> {
    let mut reached = BTreeSet::from([name]);
    let mut at = vec![name];
    while let Some(one) = at.pop() {
        let set = written.value_sets.get(one);
        let set = set.ok_or_else(|| RuleProblem::UnknownValueSet(name.to_owned()))?;
        for included in &set.include {
            if included == name {
                return Err(RuleProblem::Cycle(name.to_owned()));
            }
            if reached.insert(included) {
                at.push(included);
            }
        }
    }
    Ok(reached)
}

fn pattern(set: &str, code: &str) -> Result<Pattern, RuleProblem> {
    let nothing = || RuleProblem::MatchesNothing(set.to_owned());
    if let Some(prefix) = code.strip_suffix('*') {
        return match prefix {
            "" => Err(RuleProblem::MatchesEverything(set.to_owned())),
            prefix => Ok(Pattern::Prefix(prefix.to_owned())),
        };
    }
    if let Some((first, last)) = code.split_once("..") {
        if first.is_empty() || first.len() != last.len() || first > last {
            return Err(nothing());
        }
        return Ok(Pattern::Range(first.to_owned(), last.to_owned()));
    }
    if code.is_empty() {
        return Err(nothing());
    }
    Ok(Pattern::Exact(code.to_owned()))
}

fn checked(rule: WrittenRule, sets: &Sets) -> Result<Rule, RuleProblem> {
    let labels: Option<Vec<Label>> = rule.labels.iter().map(|one| Label::parse(one)).collect();
    let labels = labels.filter(|labels| !labels.is_empty());
    let labels = labels.ok_or_else(|| RuleProblem::UnknownLabel(rule.id.clone()))?;
    check_types(&rule.types, &rule.id)?;
    let mut codes = BTreeSet::new();
    for name in &rule.codes {
        let set = sets.get(name);
        let set = set.ok_or_else(|| RuleProblem::UnknownValueSet(rule.id.clone()))?;
        codes.extend(set.iter().cloned());
    }
    if codes.is_empty() && rule.references.is_empty() && rule.words.is_empty() {
        return Err(RuleProblem::MatchesEverything(rule.id));
    }
    let mut conditions = rule.elements.iter().chain(&rule.references);
    if conditions.any(String::is_empty) || (codes.is_empty() && !rule.elements.is_empty()) {
        return Err(RuleProblem::MatchesNothing(rule.id));
    }
    let are_words = |word: &String| word.trim().chars().count() >= WORD_MIN;
    let are_sound = rule.possible && rule.words.iter().all(are_words);
    if !rule.words.is_empty() && !are_sound {
        return Err(RuleProblem::Words(rule.id));
    }
    if rule.under_age.is_some_and(|age| !AGES.contains(&age)) {
        return Err(RuleProblem::Age(rule.id));
    }
    Ok(Rule {
        id: rule.id,
        labels,
        types: rule.types,
        elements: rule.elements,
        codes: (!rule.codes.is_empty()).then(|| codes.into_iter().collect()),
        references: rule.references,
        words: rule.words.iter().map(|word| word.to_lowercase()).collect(),
        under_age: rule.under_age,
        possible: rule.possible,
    })
}

fn check_types(types: &[String], name: &str) -> Result<(), RuleProblem> {
    // What a Consent names is what it is about, not what the patient has.
    let is_type = |one: &String| one != "Consent" && ResourceType::parse(one).is_some();
    if types.iter().all(is_type) {
        Ok(())
    } else {
        Err(RuleProblem::MatchesNothing(name.to_owned()))
    }
}

fn check_name(name: &str) -> Result<(), RuleProblem> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(plain) {
        let shown: String = name.chars().filter(|one| plain(*one)).take(32).collect();
        return Err(RuleProblem::Name(shown));
    }
    Ok(())
}
