//! The table of elements, read once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{Definition, DefinitionId, Element, Kind, Place, Primitive, Shape, ValueSet};
use crate::fhir::{ResourceType, path};

pub(super) struct Table {
    definitions: Vec<Definition>,
    /// By the place of the type among all types.
    resources: BTreeMap<ResourceType, DefinitionId>,
    pub(super) codeable_concept: DefinitionId,
    pub(super) reference: DefinitionId,
    pub(super) element: DefinitionId,
}

pub(super) static R4: LazyLock<Table> =
    LazyLock::new(|| Table::read(include_str!("../data/elements.txt")));

static NOTHING: Definition = Definition {
    elements: Vec::new(),
    required: 0,
    names: Vec::new(),
};

pub(super) fn get(id: DefinitionId) -> &'static Definition {
    R4.definitions.get(usize::from(id.0)).unwrap_or(&NOTHING)
}

pub(super) fn of_resource(resource_type: ResourceType) -> &'static Definition {
    R4.resources
        .get(&resource_type)
        .map_or(&NOTHING, |id| get(*id))
}

/// A line of the table.
struct Line {
    base: Option<&'static str>,
    words: Vec<&'static str>,
}

impl Table {
    fn read(text: &'static str) -> Self {
        let mut lines = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split(' ');
            let head = words.next().unwrap_or_default();
            let (name, base) = match head.split_once('<') {
                Some((name, base)) => (name, Some(base)),
                None => (head, None),
            };
            let words = words.collect();
            lines.insert(name, Line { base, words });
        }
        let ids: BTreeMap<&str, DefinitionId> =
            lines.keys().copied().zip((0..).map(DefinitionId)).collect();
        let id = |name: &str| ids.get(name).copied().unwrap_or(DefinitionId(u16::MAX));
        let definitions = lines
            .keys()
            .map(|name| definition(name, &lines, &ids))
            .collect();
        Self {
            definitions,
            resources: ResourceType::all()
                .map(|kind| (kind, id(kind.as_str())))
                .collect(),
            codeable_concept: id("CodeableConcept"),
            reference: id("Reference"),
            element: id("Element"),
        }
    }
}

fn definition(
    name: &str,
    lines: &BTreeMap<&'static str, Line>,
    ids: &BTreeMap<&'static str, DefinitionId>,
) -> Definition {
    let mut chain = Vec::new();
    let mut next = lines.get(name);
    while let Some(line) = next {
        chain.push(line);
        next = line.base.and_then(|base| lines.get(base));
    }
    let words = chain.iter().rev().flat_map(|line| &line.words);
    let mut elements = Vec::new();
    let mut required = 0;
    for word in words {
        let (element, is_required) = element(word, ids);
        if is_required {
            required |= 1 << elements.len();
        }
        elements.push(element);
    }
    let mut names = Vec::new();
    for (element, index) in elements.iter().zip(0..) {
        for (kind, place) in element.kinds.iter().zip(0..) {
            names.push((
                kind.name,
                Place {
                    element: index,
                    kind: place,
                },
            ));
        }
    }
    names.sort_unstable_by_key(|(name, _)| *name);
    Definition {
        elements,
        required,
        names,
    }
}

fn element(word: &'static str, ids: &BTreeMap<&'static str, DefinitionId>) -> (Element, bool) {
    let (head, rest) = word.split_once(':').unwrap_or((word, ""));
    let (kinds, binding) = match rest.find(['=', '+', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let plain = head.trim_start_matches('@');
    let is_attribute = plain.len() < head.len();
    let single = plain.trim_end_matches('*');
    let is_repeating = single.len() < plain.len();
    let optional = single.trim_end_matches('!');
    let name = optional.trim_end_matches("[x]");
    let is_choice = name.len() < optional.len();
    let kinds = kinds
        .split(',')
        .map(|word| kind(word, name, is_choice, ids))
        .collect();
    let element = Element {
        name,
        is_attribute,
        is_choice,
        is_repeating,
        kinds,
        codes: binding.strip_prefix('=').and_then(ValueSet::named),
    };
    (element, optional.len() < single.len())
}

fn kind(
    word: &'static str,
    name: &'static str,
    is_choice: bool,
    ids: &BTreeMap<&'static str, DefinitionId>,
) -> Kind {
    let (of, targets) = word.split_once('(').unwrap_or((word, ""));
    let targets = targets
        .trim_end_matches(')')
        .split('|')
        .filter_map(ResourceType::parse);
    let shape = match (Primitive::named(of), ids.get(of)) {
        (Some(primitive), _) => Shape::Primitive(primitive),
        (None, _) if of == "Resource" => Shape::Resource,
        (None, id) => Shape::Complex(id.copied().unwrap_or(DefinitionId(u16::MAX))),
    };
    Kind {
        name: if is_choice {
            choice_name(name, of)
        } else {
            name
        },
        shape,
        targets: targets.collect(),
    }
}

/// The name of an alternative, out of the table of names: it lives as long as the program.
fn choice_name(base: &str, of: &str) -> &'static str {
    let of = if of == "SimpleQuantity" {
        "Quantity"
    } else {
        of
    };
    let mut letters = of.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    let name: String = base.chars().chain(first).chain(letters).collect();
    path::defined_name(&name).unwrap_or("*")
}
