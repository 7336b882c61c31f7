//! The codes of a value set.
//!
//! Of code systems that are at hand the numbers of concepts are kept, one bit each; of others the codes that are listed.

use std::collections::BTreeMap;
use std::sync::Arc;

use fixedbitset::FixedBitSet;
use regex::RegexBuilder;

use super::problem::TerminologyProblem;
use super::value_set::{Filter, Op, Part};
use super::{Canonical, Concepts, Library, ValueSet};

/// How deep value sets refer to each other.
const DEPTH_MAX: usize = 16;
/// How large a compiled regular expression is at most.
const REGEX_BYTES_MAX: usize = 1 << 18;
/// How many concepts are looked at by their names for a regular expression.
const LOOKED_AT_MAX: usize = 50_000;

/// Codes of several code systems, by URL.
#[derive(Default)]
pub(super) struct Selection(pub(super) BTreeMap<String, Chosen>);

/// Codes of one code system.
#[derive(Default)]
pub(super) struct Chosen {
    pub(super) concepts: Option<Arc<dyn Concepts>>,
    pub(super) numbers: FixedBitSet,
    /// Codes that are listed, by what they are shown as: of a code system that is not at hand, or that does not know
    /// them.
    pub(super) listed: BTreeMap<String, Option<String>>,
    /// Whether all codes of a grammar are chosen.
    pub(super) is_grammar: bool,
    /// What the definition shows concepts as.
    pub(super) shown: BTreeMap<u32, String>,
}

impl Selection {
    /// The codes of a value set.
    pub(super) fn of(
        value_set: &ValueSet,
        library: &dyn Library,
    ) -> Result<Self, TerminologyProblem> {
        Self::at_depth(value_set, library, 0)
    }

    fn at_depth(
        value_set: &ValueSet,
        library: &dyn Library,
        depth: usize,
    ) -> Result<Self, TerminologyProblem> {
        if depth > DEPTH_MAX {
            return Err(TerminologyProblem::TooDeep(DEPTH_MAX));
        }
        let mut selection = Self::default();
        for part in &value_set.include {
            selection.add(chosen(part, library, depth)?);
        }
        for part in &value_set.exclude {
            selection.remove(&chosen(part, library, depth)?);
        }
        if !value_set.has_inactive {
            selection.remove_inactive()?;
        }
        Ok(selection)
    }

    /// Takes away what is not to be used any more.
    pub(super) fn remove_inactive(&mut self) -> Result<(), TerminologyProblem> {
        for chosen in self.0.values_mut() {
            if let Some(concepts) = &chosen.concepts {
                let inactive = concepts.with_property("inactive", "true")?;
                inactive.into_iter().filter_map(place).for_each(|number| {
                    chosen.numbers.set_within(number, false);
                });
            }
        }
        Ok(())
    }

    /// How many codes there are.
    pub(super) fn len(&self) -> usize {
        let all = self.0.values();
        all.map(|one| one.numbers.count_ones(..).saturating_add(one.listed.len()))
            .sum()
    }

    fn add(&mut self, other: Self) {
        for (system, chosen) in other.0 {
            let own = self.0.entry(system).or_default();
            own.concepts = own.concepts.take().or(chosen.concepts);
            own.numbers.union_with(&chosen.numbers);
            own.listed.extend(chosen.listed);
            own.is_grammar |= chosen.is_grammar;
            own.shown.extend(chosen.shown);
        }
    }

    fn remove(&mut self, other: &Self) {
        for (system, chosen) in &other.0 {
            if let Some(own) = self.0.get_mut(system) {
                own.numbers.difference_with(&chosen.numbers);
                own.listed
                    .retain(|code, _| !chosen.listed.contains_key(code));
                own.is_grammar &= !chosen.is_grammar;
            }
        }
    }

    fn keep(&mut self, other: &Self) {
        self.0.retain(|system, own| {
            let Some(chosen) = other.0.get(system) else {
                return false;
            };
            own.numbers.intersect_with(&chosen.numbers);
            let of_grammar = own.is_grammar.then_some(&chosen.listed);
            own.listed
                .retain(|code, _| chosen.is_grammar || chosen.listed.contains_key(code));
            own.listed.extend(of_grammar.cloned().into_iter().flatten());
            own.is_grammar &= chosen.is_grammar;
            true
        });
    }
}

impl Chosen {
    /// Whether a code is chosen.
    pub(super) fn has(&self, code: &str) -> Result<bool, TerminologyProblem> {
        let number = match &self.concepts {
            Some(concepts) => concepts.number(code)?,
            None => None,
        };
        let is_numbered = number
            .and_then(place)
            .is_some_and(|it| self.numbers.contains(it));
        if is_numbered || self.listed.contains_key(code) {
            return Ok(true);
        }
        match self.concepts.as_ref().filter(|_| self.is_grammar) {
            Some(grammar) => Ok(grammar.of_code(code)?.is_some()),
            None => Ok(false),
        }
    }
}

/// What one part of a definition chooses.
fn chosen(
    part: &Part,
    library: &dyn Library,
    depth: usize,
) -> Result<Selection, TerminologyProblem> {
    let mut selection = match &part.system {
        Some(system) => {
            let chosen = of_system(part, system, library)?;
            Selection(BTreeMap::from([(system.url.clone(), chosen)]))
        }
        None => Selection::default(),
    };
    let deeper = depth.saturating_add(1);
    for (at, wanted) in part.value_sets.iter().enumerate() {
        let found = known(wanted, library);
        let found = found.ok_or_else(|| TerminologyProblem::ValueSetMissing(wanted.to_string()))?;
        let other = Selection::at_depth(&found, library, deeper)?;
        if at == 0 && part.system.is_none() {
            selection = other;
        } else {
            selection.keep(&other);
        }
    }
    Ok(selection)
}

/// A value set of the library, or one that is not written down.
pub(super) fn known(wanted: &Canonical, library: &dyn Library) -> Option<Arc<ValueSet>> {
    let implicit = || ValueSet::implicit(&wanted.url).map(Arc::new);
    library.value_set(wanted).or_else(implicit)
}

fn of_system(
    part: &Part,
    system: &Canonical,
    library: &dyn Library,
) -> Result<Chosen, TerminologyProblem> {
    let concepts = library.code_system(system);
    let mut chosen = Chosen::default();
    if let Some(listed) = &part.listed {
        for (code, display) in listed {
            let number = match &concepts {
                Some(concepts) => concepts.number(code)?,
                None => None,
            };
            match number {
                Some(number) => {
                    chosen
                        .numbers
                        .grow_and_insert(place(number).unwrap_or_default());
                    chosen.shown.extend(display.clone().map(|it| (number, it)));
                }
                None => {
                    chosen.listed.insert(code.clone(), display.clone());
                }
            }
        }
        chosen.concepts = concepts;
        return Ok(chosen);
    }
    let missing = || TerminologyProblem::SystemMissing(system.to_string());
    let concepts = concepts.ok_or_else(missing)?;
    let all = concepts.hierarchy().len();
    chosen.is_grammar = concepts.is_grammar();
    if chosen.is_grammar && !part.filters.is_empty() {
        return Err(TerminologyProblem::FilterUnsupported);
    }
    chosen.numbers = FixedBitSet::with_capacity(all);
    chosen.numbers.insert_range(..);
    for filter in &part.filters {
        chosen
            .numbers
            .intersect_with(&filtered(filter, concepts.as_ref())?);
    }
    chosen.concepts = Some(concepts);
    Ok(chosen)
}

/// The concepts that a filter leaves.
fn filtered(filter: &Filter, of: &dyn Concepts) -> Result<FixedBitSet, TerminologyProblem> {
    match filter.property.as_str() {
        "concept" | "code" => by_concept(filter, of),
        "parent" | "child" => by_neighbour(filter, of),
        "display" if filter.op == Op::Regex => by_names(filter, of),
        _ => by_property(filter, of),
    }
}

fn by_concept(filter: &Filter, of: &dyn Concepts) -> Result<FixedBitSet, TerminologyProblem> {
    let hierarchy = of.hierarchy();
    let mut found = FixedBitSet::with_capacity(hierarchy.len());
    match filter.op {
        Op::IsA | Op::DescendentOf | Op::IsNotA | Op::Generalizes => {
            let Some(number) = of.number(&filter.value)? else {
                return Ok(match filter.op {
                    Op::IsNotA => inverted(found),
                    _ => found,
                });
            };
            found.union_with(&match filter.op {
                Op::Generalizes => hierarchy.above(number),
                _ => hierarchy.below(number),
            });
            if filter.op == Op::DescendentOf {
                found.set_within(place(number).unwrap_or_default(), false);
            }
            Ok(if filter.op == Op::IsNotA {
                inverted(found)
            } else {
                found
            })
        }
        Op::Equal | Op::In | Op::NotIn => {
            for code in alternatives(filter) {
                found.extend(of.number(code)?.and_then(place));
            }
            Ok(if filter.op == Op::NotIn {
                inverted(found)
            } else {
                found
            })
        }
        Op::Regex => by_names(filter, of),
        Op::Exists => Err(TerminologyProblem::FilterUnsupported),
    }
}

/// By what is directly above or below.
fn by_neighbour(filter: &Filter, of: &dyn Concepts) -> Result<FixedBitSet, TerminologyProblem> {
    let hierarchy = of.hierarchy();
    let mut found = FixedBitSet::with_capacity(hierarchy.len());
    let is_parent = filter.property == "parent";
    match filter.op {
        Op::Equal | Op::In => {
            for code in alternatives(filter) {
                let Some(number) = of.number(code)? else {
                    continue;
                };
                let near = match is_parent {
                    true => hierarchy.children(number),
                    false => hierarchy.parents(number),
                };
                found.extend(near.iter().copied().filter_map(place));
            }
            Ok(found)
        }
        Op::Exists => {
            let all = u32::try_from(hierarchy.len()).unwrap_or(u32::MAX);
            let has = |number: &u32| match is_parent {
                true => !hierarchy.parents(*number).is_empty(),
                false => !hierarchy.children(*number).is_empty(),
            };
            found.extend((0..all).filter(has).filter_map(place));
            Ok(if filter.value == "false" {
                inverted(found)
            } else {
                found
            })
        }
        _ => Err(TerminologyProblem::FilterUnsupported),
    }
}

fn by_property(filter: &Filter, of: &dyn Concepts) -> Result<FixedBitSet, TerminologyProblem> {
    let mut found = FixedBitSet::with_capacity(of.hierarchy().len());
    let name = filter.property.as_str();
    match filter.op {
        Op::Equal | Op::In | Op::NotIn => {
            for value in alternatives(filter) {
                found.extend(of.with_property(name, value)?.into_iter().filter_map(place));
            }
            Ok(if filter.op == Op::NotIn {
                inverted(found)
            } else {
                found
            })
        }
        Op::Exists => {
            of.each_value(name, &mut |_, numbers| {
                found.extend(numbers.iter().copied().filter_map(place));
            })?;
            Ok(if filter.value == "false" {
                inverted(found)
            } else {
                found
            })
        }
        Op::Regex => {
            let pattern = compiled(&filter.value)?;
            of.each_value(name, &mut |value, numbers| {
                if pattern.is_match(value) {
                    found.extend(numbers.iter().copied().filter_map(place));
                }
            })?;
            Ok(found)
        }
        Op::IsA | Op::DescendentOf | Op::IsNotA | Op::Generalizes => {
            Err(TerminologyProblem::FilterUnsupported)
        }
    }
}

/// By a regular expression over codes or displays.
fn by_names(filter: &Filter, of: &dyn Concepts) -> Result<FixedBitSet, TerminologyProblem> {
    let pattern = compiled(&filter.value)?;
    let all = of.hierarchy().len();
    if all > LOOKED_AT_MAX {
        let limit = LOOKED_AT_MAX;
        return Err(TerminologyProblem::TooCostly { found: all, limit });
    }
    let mut found = FixedBitSet::with_capacity(all);
    for number in 0..u32::try_from(all).unwrap_or(u32::MAX) {
        let Some(concept) = of.concept(number)? else {
            continue;
        };
        let name = match filter.property.as_str() {
            "display" => concept.display.unwrap_or_default(),
            _ => concept.code,
        };
        if pattern.is_match(&name) {
            found.extend(place(number));
        }
    }
    Ok(found)
}

/// The whole has to match.
fn compiled(pattern: &str) -> Result<regex::Regex, TerminologyProblem> {
    let built = RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(REGEX_BYTES_MAX)
        .build();
    built.map_err(|_| TerminologyProblem::RegexRefused)
}

fn alternatives(filter: &Filter) -> impl Iterator<Item = &str> {
    let is_list = matches!(filter.op, Op::In | Op::NotIn);
    let values = filter.value.split(move |letter| is_list && letter == ',');
    values.map(str::trim)
}

fn inverted(mut set: FixedBitSet) -> FixedBitSet {
    set.toggle_range(..);
    set
}

pub(super) fn place(number: u32) -> Option<usize> {
    usize::try_from(number).ok()
}

/// What is beyond the end is not there.
trait Within {
    fn set_within(&mut self, at: usize, value: bool);
}

impl Within for FixedBitSet {
    fn set_within(&mut self, at: usize, value: bool) {
        if at < self.len() {
            self.set(at, value);
        }
    }
}
