//! The table of search parameters.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::fhir::ResourceType;

/// How values of a parameter are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the codes of R4")]
pub enum ParameterKind {
    Token,
    Reference,
    Date,
    String,
}

impl ParameterKind {
    /// The R4 code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Reference => "reference",
            Self::Date => "date",
            Self::String => "string",
        }
    }
}

/// A parameter of one resource type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchParameter {
    /// Its name in a query.
    pub name: &'static str,
    /// How its values are compared.
    pub kind: ParameterKind,
    /// Where its values stand.
    pub(super) paths: Vec<ValuePath>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ValuePath {
    steps: Vec<&'static str>,
    /// Only references to this type.
    pub(super) target: Option<ResourceType>,
}

/// The parameters of a type beside `_id` and `_lastUpdated`, which every type has.
pub fn parameters(resource_type: ResourceType) -> &'static [SearchParameter] {
    TABLE.get(resource_type.as_str()).map_or(&[], Vec::as_slice)
}

pub(super) fn parameter(
    resource_type: ResourceType,
    name: &str,
) -> Option<&'static SearchParameter> {
    parameters(resource_type)
        .iter()
        .find(|parameter| parameter.name == name)
}

impl ValuePath {
    /// The values at the path, arrays flattened.
    pub(super) fn values<'a>(
        &self,
        resource: &'a serde_json::Map<String, Value>,
    ) -> Vec<&'a Value> {
        let mut found = Vec::new();
        if let Some((first, rest)) = self.steps.split_first() {
            descend(resource, first, rest, &mut found);
        }
        found
    }
}

fn descend<'a>(
    object: &'a serde_json::Map<String, Value>,
    step: &str,
    rest: &[&'static str],
    found: &mut Vec<&'a Value>,
) {
    match step.strip_suffix("[x]") {
        None => object
            .get(step)
            .into_iter()
            .for_each(|value| gather(value, rest, found)),
        Some(base) => object
            .iter()
            .filter(|(name, _)| is_choice_of(name, base))
            .for_each(|(_, value)| gather(value, rest, found)),
    }
}

fn gather<'a>(value: &'a Value, rest: &[&'static str], found: &mut Vec<&'a Value>) {
    match (value, rest.split_first()) {
        (Value::Array(items), _) => items.iter().for_each(|item| gather(item, rest, found)),
        (value, None) => found.push(value),
        (Value::Object(object), Some((step, rest))) => descend(object, step, rest, found),
        _ => {}
    }
}

fn is_choice_of(name: &str, base: &str) -> bool {
    name.strip_prefix(base)
        .is_some_and(|kind| kind.starts_with(|letter: char| letter.is_ascii_uppercase()))
}

static TABLE: LazyLock<BTreeMap<&'static str, Vec<SearchParameter>>> = LazyLock::new(|| {
    let mut table: BTreeMap<&'static str, Vec<SearchParameter>> = BTreeMap::new();
    let lines = include_str!("../data/search-parameters.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        if let Some((resource_type, parameter)) = parse_line(line) {
            table.entry(resource_type).or_default().push(parameter);
        }
    }
    table
});

fn parse_line(line: &'static str) -> Option<(&'static str, SearchParameter)> {
    let mut words = line.split(' ');
    let (resource_type, name) = (words.next()?, words.next()?);
    let kind = match words.next()? {
        "token" => ParameterKind::Token,
        "reference" => ParameterKind::Reference,
        "date" => ParameterKind::Date,
        "string" => ParameterKind::String,
        _ => return None,
    };
    let paths = words
        .map(|word| {
            let (path, target) = word.split_once("->").unwrap_or((word, ""));
            ValuePath {
                steps: path.split('.').collect(),
                target: ResourceType::parse(target),
            }
        })
        .collect();
    Some((resource_type, SearchParameter { name, kind, paths }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_parameter() {
        let lines = include_str!("../data/search-parameters.txt").lines();
        let expected = lines.filter(|line| !line.starts_with('#')).count();
        assert_eq!(TABLE.values().map(Vec::len).sum::<usize>(), expected);
        let names = include_str!("../data/element-names.txt")
            .lines()
            .collect::<Vec<_>>();
        for (resource_type, parameters) in TABLE.iter() {
            assert!(
                ResourceType::parse(resource_type).is_some(),
                "{resource_type}"
            );
            for parameter in parameters {
                assert!(
                    !parameter.paths.is_empty(),
                    "{resource_type} {}",
                    parameter.name
                );
                let steps = parameter.paths.iter().flat_map(|path| &path.steps);
                for step in steps.filter(|step| !step.ends_with("[x]")) {
                    assert!(
                        names.contains(step),
                        "{resource_type} {} {step}",
                        parameter.name
                    );
                }
            }
        }
    }

    #[test]
    fn the_story_finds_its_parameters() {
        for (resource_type, names) in [
            ("Patient", "identifier name family given birthdate gender"),
            (
                "Observation",
                "patient subject code category status date encounter",
            ),
            ("Encounter", "patient class date status type"),
            ("Immunization", "patient vaccine-code date"),
            ("MedicationRequest", "patient intent status code authoredon"),
            ("DiagnosticReport", "patient category code date result"),
            ("Claim", "patient status use"),
            ("ExplanationOfBenefit", "patient claim"),
            ("Consent", "patient status period actor"),
        ] {
            let resource_type = ResourceType::parse(resource_type).unwrap();
            for name in names.split(' ') {
                assert!(
                    parameter(resource_type, name).is_some(),
                    "{resource_type} {name}"
                );
            }
        }
    }
}
