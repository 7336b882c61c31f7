//! Concept maps (<https://hl7.org/fhir/R4/conceptmap.html>), with what leads back.

use std::collections::BTreeMap;

use serde_json::Value;

use super::problem::TerminologyProblem;
use super::value_set::items;
use super::{About, Canonical};

/// A concept map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConceptMap {
    /// Which it is.
    pub about: About,
    /// The value sets from which and to which it leads.
    pub(super) scopes: [Option<String>; 2],
    pub(super) groups: Vec<Group>,
}

/// Mappings from one code system to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) source: Canonical,
    pub(super) target: Canonical,
    forward: BTreeMap<String, Vec<Mapping>>,
    /// Codes of the source by codes of the target.
    back: BTreeMap<String, Vec<String>>,
    /// Where a code has no mapping.
    unmapped: Option<Fallback>,
}

/// To what a code leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) relation: Relation,
    pub(super) code: Option<String>,
    pub(super) display: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fallback {
    /// The same code.
    Provided,
    /// One code for all.
    Fixed(String, Option<String>),
}

/// What is found, with the code system that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) relation: Relation,
    pub(super) system: Canonical,
    pub(super) code: Option<String>,
    pub(super) display: Option<String>,
}

macro_rules! relations {
    ($($name:ident = $code:literal / $turned:ident),+ $(,)?) => {
        /// How a target stands to its source: `concept-map-equivalence` of R4.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names are the codes of the R4 value set")]
        pub enum Relation { $($name),+ }

        impl Relation {
            /// The R4 code.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            fn of(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$name),)+ _ => None }
            }

            /// How the source stands to the target.
            pub(super) fn turned(self) -> Self {
                match self { $(Self::$name => Self::$turned),+ }
            }
        }
    };
}

relations! {
    RelatedTo = "relatedto" / RelatedTo, Equivalent = "equivalent" / Equivalent, Equal = "equal" / Equal,
    Wider = "wider" / Narrower, Subsumes = "subsumes" / Specializes, Narrower = "narrower" / Wider,
    Specializes = "specializes" / Subsumes, Inexact = "inexact" / Inexact,
    Unmatched = "unmatched" / Unmatched, Disjoint = "disjoint" / Disjoint,
}

impl Relation {
    /// Whether the target says something about the source.
    pub(super) fn leads(self) -> bool {
        !matches!(self, Self::Unmatched | Self::Disjoint)
    }

    /// Whether the target is true of whatever the source is true of.
    pub(super) fn holds(self) -> bool {
        matches!(
            self,
            Self::Equivalent | Self::Equal | Self::Wider | Self::Subsumes
        )
    }
}

impl ConceptMap {
    /// Reads a `ConceptMap`.
    pub fn of(resource: &Value) -> Result<Self, TerminologyProblem> {
        let malformed = TerminologyProblem::Malformed;
        let about = About::of(resource).ok_or(malformed("no canonical URL"))?;
        let scope = |name: &str| {
            let one = |kind: &str| {
                resource
                    .get(format!("{name}{kind}"))
                    .and_then(Value::as_str)
            };
            one("Canonical").or(one("Uri")).map(str::to_owned)
        };
        Ok(Self {
            about,
            scopes: [scope("source"), scope("target")],
            groups: items(resource, "group")
                .map(Group::of)
                .collect::<Result<_, _>>()?,
        })
    }

    /// How many codes lead to others.
    pub fn len(&self) -> usize {
        self.groups.iter().map(|group| group.forward.len()).sum()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether codes of this system are mapped.
    pub fn maps(&self, system: &str) -> bool {
        self.groups.iter().any(|group| group.source.url == system)
    }

    /// To what a code leads, of `system` if one is named, in `target` if one is named.
    pub(super) fn forward(
        &self,
        system: Option<&str>,
        code: &str,
        target: Option<&str>,
    ) -> Vec<Match> {
        let groups = self.groups.iter().filter(|group| {
            system.is_none_or(|it| it == group.source.url)
                && target.is_none_or(|it| it == group.target.url)
        });
        groups.flat_map(|group| group.forward_of(code)).collect()
    }

    /// From what a code comes.
    pub(super) fn back(
        &self,
        system: Option<&str>,
        code: &str,
        target: Option<&str>,
    ) -> Vec<Match> {
        let groups = self.groups.iter().filter(|group| {
            system.is_none_or(|it| it == group.target.url)
                && target.is_none_or(|it| it == group.source.url)
        });
        groups.flat_map(|group| group.back_of(code)).collect()
    }
}

impl Group {
    fn of(group: &Value) -> Result<Self, TerminologyProblem> {
        let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
        let system = |name: &str, version: &str| {
            let url = text(group, name).unwrap_or_default();
            Canonical::of(&url).with_version(text(group, version).as_deref())
        };
        let malformed = TerminologyProblem::Malformed;
        let (mut forward, mut back) = (BTreeMap::new(), BTreeMap::<_, Vec<String>>::new());
        for element in items(group, "element") {
            let Some(code) = text(element, "code") else {
                continue;
            };
            let mut mappings = Vec::new();
            for target in items(element, "target") {
                let relation = text(target, "equivalence");
                let relation = relation.as_deref().and_then(Relation::of);
                let mapping = Mapping {
                    relation: relation.ok_or(malformed("a target without an equivalence"))?,
                    code: text(target, "code"),
                    display: text(target, "display"),
                };
                if let Some(target) = mapping.code.clone().filter(|_| mapping.relation.leads()) {
                    back.entry(target).or_default().push(code.clone());
                }
                mappings.push(mapping);
            }
            forward
                .entry(code)
                .or_insert_with(Vec::new)
                .extend(mappings);
        }
        let unmapped =
            group
                .get("unmapped")
                .and_then(|unmapped| match unmapped.get("mode")?.as_str()? {
                    "provided" => Some(Fallback::Provided),
                    "fixed" => Some(Fallback::Fixed(
                        text(unmapped, "code")?,
                        text(unmapped, "display"),
                    )),
                    _ => None,
                });
        Ok(Self {
            source: system("source", "sourceVersion"),
            target: system("target", "targetVersion"),
            forward,
            back,
            unmapped,
        })
    }

    fn forward_of(&self, code: &str) -> Vec<Match> {
        let matched = |relation, code, display| Match {
            relation,
            system: self.target.clone(),
            code,
            display,
        };
        let found = self.forward.get(code).into_iter().flatten();
        let found: Vec<Match> = found
            .map(|one| matched(one.relation, one.code.clone(), one.display.clone()))
            .collect();
        match &self.unmapped {
            _ if !found.is_empty() => found,
            Some(Fallback::Provided) => {
                vec![matched(Relation::Equal, Some(code.to_owned()), None)]
            }
            Some(Fallback::Fixed(fixed, display)) => {
                vec![matched(
                    Relation::Inexact,
                    Some(fixed.clone()),
                    display.clone(),
                )]
            }
            None => found,
        }
    }

    fn back_of(&self, code: &str) -> Vec<Match> {
        let sources = self.back.get(code).into_iter().flatten();
        let matches = sources.flat_map(|source| {
            let mappings = self.forward.get(source).into_iter().flatten();
            let own = mappings.filter(|one| one.code.as_deref() == Some(code));
            own.map(|one| Match {
                relation: one.relation.turned(),
                system: self.source.clone(),
                code: Some(source.clone()),
                display: None,
            })
        });
        matches.collect()
    }
}
