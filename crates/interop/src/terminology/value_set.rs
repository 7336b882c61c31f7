//! A value set's definition (<https://hl7.org/fhir/R4/valueset.html>), read once.

use serde_json::Value;

use super::problem::TerminologyProblem;
use super::{About, Canonical};

/// A value set as it is defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueSet {
    /// Which it is.
    pub about: About,
    pub(super) include: Vec<Part>,
    pub(super) exclude: Vec<Part>,
    /// Whether inactive concepts belong to it.
    pub(super) has_inactive: bool,
}

/// One `include` or `exclude`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) system: Option<Canonical>,
    /// Codes that are listed, with what they are shown as.
    pub(super) listed: Option<Vec<(String, Option<String>)>>,
    pub(super) filters: Vec<Filter>,
    /// Of which value sets the codes have to be too.
    pub(super) value_sets: Vec<Canonical>,
}

/// A filter by the properties of concepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) property: String,
    pub(super) op: Op,
    pub(super) value: String,
}

/// `filter-operator` of R4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Equal,
    IsA,
    DescendentOf,
    IsNotA,
    Regex,
    In,
    NotIn,
    Generalizes,
    Exists,
}

/// What stands before the concept in SNOMED CT's implicit value sets.
const SNOMED: &str = "http://snomed.info/sct";

impl ValueSet {
    /// Reads a `ValueSet`. An expansion that it brings counts if it has no definition.
    pub fn of(resource: &Value) -> Result<Self, TerminologyProblem> {
        let nameless = About {
            url: String::new(),
            version: String::new(),
            name: String::new(),
        };
        let about = About::of(resource).unwrap_or(nameless);
        let Some(compose) = resource.get("compose") else {
            let expansion = resource.get("expansion");
            let expansion = expansion.ok_or(TerminologyProblem::Malformed(
                "neither a definition nor an expansion",
            ))?;
            let mut include = Vec::new();
            contained(expansion, &mut include);
            return Ok(Self {
                about,
                include,
                exclude: Vec::new(),
                has_inactive: true,
            });
        };
        let parts = |name: &str| items(compose, name).map(Part::of).collect::<Result<_, _>>();
        Ok(Self {
            about,
            include: parts("include")?,
            exclude: parts("exclude")?,
            has_inactive: compose.get("inactive") != Some(&Value::Bool(false)),
        })
    }

    /// Value sets that are not written down: all of a code system, and SNOMED CT's `?fhir_vs` and `?fhir_vs=isa/[code]`
    /// (<https://hl7.org/fhir/R4/snomedct.html#implicit>).
    pub fn implicit(url: &str) -> Option<Self> {
        let (base, query) = url.split_once("?fhir_vs")?;
        let filters = match query.strip_prefix("=isa/") {
            Some(code) if !code.is_empty() => vec![Filter {
                property: "concept".to_owned(),
                op: Op::IsA,
                value: code.to_owned(),
            }],
            _ if query.is_empty() => Vec::new(),
            _ => return None,
        };
        // An edition or a version of it may stand before the question mark.
        let version = base.strip_prefix(SNOMED)?;
        let system = match version {
            "" => Canonical::of(SNOMED),
            _ if version.starts_with('/') => Canonical::of(SNOMED).with_version(Some(base)),
            _ => return None,
        };
        Some(Self::of_part(url, system, filters))
    }

    /// All concepts of a code system.
    pub fn all_of(about: &About) -> Self {
        let system = Canonical::of(&about.url).with_version(Some(&about.version));
        Self::of_part(&about.url, system, Vec::new())
    }

    fn of_part(url: &str, system: Canonical, filters: Vec<Filter>) -> Self {
        Self {
            about: About {
                url: url.to_owned(),
                version: String::new(),
                name: url.to_owned(),
            },
            include: vec![Part {
                system: Some(system),
                filters,
                ..Part::default()
            }],
            exclude: Vec::new(),
            has_inactive: true,
        }
    }

    /// The code systems that it takes codes from.
    pub fn code_systems(&self) -> impl Iterator<Item = &Canonical> {
        let parts = self.include.iter().chain(&self.exclude);
        parts.flat_map(|part| &part.system)
    }

    /// The value sets that it refers to.
    pub fn value_sets(&self) -> impl Iterator<Item = &Canonical> {
        let parts = self.include.iter().chain(&self.exclude);
        parts.flat_map(|part| &part.value_sets)
    }
}

impl Part {
    fn of(part: &Value) -> Result<Self, TerminologyProblem> {
        let text = |name: &str| part.get(name).and_then(Value::as_str);
        let system = text("system").map(|url| Canonical::of(url).with_version(text("version")));
        let sets = items(part, "valueSet").filter_map(Value::as_str);
        let listed = part.get("concept").map(|_| {
            let concepts = items(part, "concept");
            concepts.filter_map(named).collect()
        });
        let filters = items(part, "filter").map(Filter::of);
        let read = Self {
            system,
            listed,
            filters: filters.collect::<Result<_, _>>()?,
            value_sets: sets.map(Canonical::parse).collect(),
        };
        let has_codes = read.listed.is_some() || !read.filters.is_empty();
        if read.system.is_none() && (has_codes || read.value_sets.is_empty()) {
            let problem = "a part that names neither a code system nor value sets";
            return Err(TerminologyProblem::Malformed(problem));
        }
        Ok(read)
    }
}

impl Filter {
    fn of(filter: &Value) -> Result<Self, TerminologyProblem> {
        let text = |name: &str| filter.get(name).and_then(Value::as_str);
        let op = match text("op").unwrap_or_default() {
            "=" => Op::Equal,
            "is-a" => Op::IsA,
            "descendent-of" => Op::DescendentOf,
            "is-not-a" => Op::IsNotA,
            "regex" => Op::Regex,
            "in" => Op::In,
            "not-in" => Op::NotIn,
            "generalizes" => Op::Generalizes,
            "exists" => Op::Exists,
            _ => return Err(TerminologyProblem::FilterUnsupported),
        };
        let incomplete = TerminologyProblem::Malformed("a filter without a property or a value");
        let (property, value) = text("property").zip(text("value")).ok_or(incomplete)?;
        Ok(Self {
            property: property.to_owned(),
            op,
            value: value.to_owned(),
        })
    }
}

/// The codes of an expansion, those below others too.
fn contained(of: &Value, into: &mut Vec<Part>) {
    for one in items(of, "contains") {
        let system = one.get("system").and_then(Value::as_str);
        let version = one.get("version").and_then(Value::as_str);
        if let Some((system, code)) = system.zip(named(one)) {
            let is_abstract = one.get("abstract") == Some(&Value::Bool(true));
            if !is_abstract {
                into.push(Part {
                    system: Some(Canonical::of(system).with_version(version)),
                    listed: Some(vec![code]),
                    ..Part::default()
                });
            }
        }
        contained(one, into);
    }
}

fn named(concept: &Value) -> Option<(String, Option<String>)> {
    let text = |name: &str| concept.get(name).and_then(Value::as_str);
    Some((text("code")?.to_owned(), text("display").map(str::to_owned)))
}

pub(super) fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    let items = value.get(name).and_then(Value::as_array);
    items.into_iter().flatten()
}
