//! The table of search parameters.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::value_path::ValuePath;
use crate::fhir::ResourceType;

/// The words of everything but the narrative; found where a member keeps them.
pub(super) const CONTENT: &str = "_content";
/// The words of the narrative.
pub(super) const NARRATIVE: &str = "_text";

/// How values of a parameter are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the codes of R4")]
pub enum ParameterKind {
    Number,
    Date,
    String,
    Token,
    Reference,
    Composite,
    Quantity,
    Uri,
    Special,
}

impl ParameterKind {
    const ALL: [Self; 9] = [
        Self::Number,
        Self::Date,
        Self::String,
        Self::Token,
        Self::Reference,
        Self::Composite,
        Self::Quantity,
        Self::Uri,
        Self::Special,
    ];

    /// The R4 code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Date => "date",
            Self::String => "string",
            Self::Token => "token",
            Self::Reference => "reference",
            Self::Composite => "composite",
            Self::Quantity => "quantity",
            Self::Uri => "uri",
            Self::Special => "special",
        }
    }

    fn with_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// Where R4's definitions are.
const R4_DEFINITIONS: &str = "http://hl7.org/fhir/SearchParameter/";

/// A parameter of one resource type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchParameter {
    /// Its name in a query.
    pub name: &'static str,
    /// How its values are compared.
    pub kind: ParameterKind,
    /// The id of its definition, below [`R4_DEFINITIONS`]; the whole URL of one that is not R4's.
    id: &'static str,
    pub(super) targets: Targets,
    pub(super) places: Places,
}

/// Where the values of a parameter are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Places {
    /// Beside the resource: its id, when it was written.
    Row,
    Paths(Vec<ValuePath>),
    Composite {
        bases: Vec<ValuePath>,
        components: Vec<Component>,
    },
    /// In the words of the narrative.
    Narrative,
    /// In the words of everything but the narrative.
    Content,
    /// In the position of a Location.
    Position,
    /// Nowhere: the parameter is not supported.
    Nowhere,
}

/// A component of a composite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) kind: ParameterKind,
    /// Whether its paths start at the resource, not at the composite's base.
    pub(super) is_absolute: bool,
    pub(super) paths: Vec<ValuePath>,
}

/// The types that a reference may point to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Targets {
    All,
    Only(Vec<ResourceType>),
}

impl SearchParameter {
    /// The URL of its definition.
    pub fn definition(&self) -> String {
        if self.id.contains("://") {
            return self.id.to_owned();
        }
        format!("{R4_DEFINITIONS}{}", self.id)
    }

    /// Whether a query may use it.
    pub fn is_supported(&self) -> bool {
        self.places != Places::Nowhere
    }

    /// Whether it is compared word by word.
    pub(super) fn is_of_words(&self) -> bool {
        matches!(self.places, Places::Narrative | Places::Content)
    }

    /// The types that its references may point to.
    pub fn targets(&self) -> Vec<ResourceType> {
        match &self.targets {
            Targets::All => ResourceType::all().collect(),
            Targets::Only(types) => types.clone(),
        }
    }

    pub(super) fn may_target(&self, resource_type: ResourceType) -> bool {
        match &self.targets {
            Targets::All => true,
            Targets::Only(types) => types.contains(&resource_type),
        }
    }
}

/// The parameters of a type, those included that every type has.
pub fn parameters(
    resource_type: ResourceType,
) -> impl Iterator<Item = &'static SearchParameter> + Clone {
    let own = TABLE
        .get(resource_type.as_str())
        .map_or(&[][..], Vec::as_slice);
    let common = ["Resource", "DomainResource"];
    let common = common
        .into_iter()
        .filter_map(|base| TABLE.get(base))
        .flatten();
    own.iter().chain(common)
}

/// The parameter of a type with this name.
pub fn parameter(resource_type: ResourceType, name: &str) -> Option<&'static SearchParameter> {
    parameters(resource_type).find(|parameter| parameter.name == name)
}

static TABLE: LazyLock<BTreeMap<&'static str, Vec<SearchParameter>>> = LazyLock::new(|| {
    let mut table: BTreeMap<&'static str, Vec<SearchParameter>> = BTreeMap::new();
    for (base, parameter) in lines().filter_map(parse_line) {
        table.entry(base).or_default().push(parameter);
    }
    table
});

/// R4's parameters, and those of IHE's profiles.
pub(super) static TABLES: [&str; 2] = [
    include_str!("../data/search-parameters.txt"),
    include_str!("../data/search-parameters-ihe.txt"),
];

fn lines() -> impl Iterator<Item = &'static str> {
    let lines = TABLES.iter().flat_map(|table| table.lines());
    lines.filter(|line| !line.starts_with('#'))
}

fn parse_line(line: &'static str) -> Option<(&'static str, SearchParameter)> {
    let mut words = line.split(' ');
    let (base, name) = (words.next()?, words.next()?);
    let kind = ParameterKind::with_code(words.next()?)?;
    let id = words.next()?;
    let targets = match words.next()? {
        "*" => Targets::All,
        "-" => Targets::Only(Vec::new()),
        names => Targets::Only(names.split(',').filter_map(ResourceType::parse).collect()),
    };
    let words: Vec<&'static str> = words.collect();
    let places = match (words.as_slice(), kind) {
        (["-"], _) => Places::Row,
        (["!"], _) => Places::Nowhere,
        (["=narrative"], _) => Places::Narrative,
        (["=content"], _) => Places::Content,
        (["=position"], _) => Places::Position,
        ([bases, components @ ..], ParameterKind::Composite) => Places::Composite {
            bases: bases
                .split('+')
                .map(ValuePath::base)
                .collect::<Option<_>>()?,
            components: components
                .iter()
                .map(|word| component(word))
                .collect::<Option<_>>()?,
        },
        (paths, _) => Places::Paths(
            paths
                .iter()
                .map(|word| ValuePath::parse(word))
                .collect::<Option<_>>()?,
        ),
    };
    Some((
        base,
        SearchParameter {
            name,
            kind,
            id,
            targets,
            places,
        },
    ))
}

fn component(word: &'static str) -> Option<Component> {
    let (kind, paths) = word.split_once('=')?;
    let relative = paths.strip_prefix('/');
    let paths = relative.unwrap_or(paths).split(',').map(ValuePath::parse);
    Some(Component {
        kind: ParameterKind::with_code(kind)?,
        is_absolute: relative.is_some(),
        paths: paths.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// How many SearchParameters R4 4.0.1 publishes.
    const PUBLISHED: usize = 1_378;

    #[test]
    fn every_published_parameter_is_in_the_table() {
        let ids: BTreeSet<&str> = lines().filter_map(|line| line.split(' ').nth(3)).collect();
        let (others, published): (BTreeSet<&str>, BTreeSet<&str>) =
            ids.into_iter().partition(|id| id.contains("://"));
        assert_eq!((published.len(), others.len()), (PUBLISHED, 5));
        assert_eq!(TABLE.values().map(Vec::len).sum::<usize>(), lines().count());
        for base in TABLE.keys() {
            let is_common = ["Resource", "DomainResource"].contains(base);
            assert!(is_common || ResourceType::parse(base).is_some(), "{base}");
        }
    }

    #[test]
    fn these_alone_are_not_supported() {
        let missing = TABLE.iter().flat_map(|(base, parameters)| {
            let missing = parameters.iter().filter(|it| !it.is_supported());
            missing.map(move |it| format!("{base} {}", it.name))
        });
        assert_eq!(missing.collect::<Vec<_>>(), ["Resource _query"]);
    }

    #[test]
    fn paths_name_elements_of_r4() {
        let names: BTreeSet<&str> = include_str!("../data/element-names.txt").lines().collect();
        for (base, parameters) in TABLE.iter() {
            for parameter in parameters {
                if let Places::Paths(paths) = &parameter.places {
                    assert!(!paths.is_empty(), "{base} {}", parameter.name);
                    for name in paths.iter().flat_map(ValuePath::names) {
                        assert!(names.contains(name), "{base} {} {name}", parameter.name);
                    }
                }
            }
        }
    }
}
