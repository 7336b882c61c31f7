//! What of a patient is compared.

use std::collections::BTreeSet;
use std::fmt;

use time::OffsetDateTime;

use super::normal;
use crate::fhir::TimeSpan;
use crate::fhir::search::{IndexTerms, Term};

const DAY_MS: i64 = 86_400_000;
/// Types of identifiers (`v2-0203`) of which a person has one from an authority.
const PERSONAL_TYPES: [&str; 5] = ["SS", "NI", "NH", "NIIP", "TAX"];
/// Systems of which a person has one number.
const PERSONAL_SYSTEMS: [&str; 2] = [
    "http://hl7.org/fhir/sid/us-ssn",
    "https://fhir.nhs.uk/Id/nhs-number",
];

/// A patient's traits, normalised. They are patient data: Debug shows nothing of them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Traits {
    /// The first given name.
    pub(super) given: Option<String>,
    /// Other given names.
    pub(super) other_given: Vec<String>,
    /// Family names, each as its parts.
    pub(super) families: Vec<Vec<String>>,
    pub(super) born: Option<Born>,
    pub(super) gender: Option<String>,
    pub(super) streets: BTreeSet<String>,
    pub(super) areas: BTreeSet<String>,
    pub(super) contacts: BTreeSet<String>,
    pub(super) identifiers: Vec<Identity>,
}

/// An identifier with its assigning authority.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) authority: String,
    pub(super) value: String,
    /// Whether a person has one of the authority: two that differ are of two people.
    pub(super) is_personal: bool,
}

/// A date of birth, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Born {
    pub(super) year: i32,
    pub(super) month: Option<u8>,
    pub(super) day: Option<u8>,
}

impl fmt::Debug for Traits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Traits(..)")
    }
}

impl fmt::Debug for Born {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Born(..)")
    }
}

impl Born {
    fn of(span: TimeSpan) -> Option<Self> {
        let first = OffsetDateTime::from_unix_timestamp(span.start_ms.div_euclid(1_000)).ok()?;
        let days = span.end_ms.saturating_sub(span.start_ms) / DAY_MS;
        Some(Self {
            year: first.year(),
            month: (days <= 31).then(|| first.month().into()),
            day: (days <= 1).then(|| first.day()),
        })
    }
}

impl Traits {
    /// The traits of a Patient with these index terms.
    pub fn of(terms: &IndexTerms) -> Self {
        let areas = ["address-city", "address-postalcode"];
        let not_streets = [
            "address-city",
            "address-postalcode",
            "address-state",
            "address-country",
        ];
        let aside: BTreeSet<&str> = not_streets
            .iter()
            .flat_map(|name| texts(terms, name))
            .collect();
        let streets = texts(terms, "address").filter(|text| !aside.contains(text));
        let mut given = texts(terms, "given").flat_map(normal::words);
        let phones = codes(terms, "phone").filter_map(|(_, code)| normal::phone(code));
        let emails = codes(terms, "email").filter_map(|(_, code)| normal::email(code));
        let born = terms.get("birthdate").iter().find_map(|term| match term {
            Term::Date(span) => Born::of(*span),
            _ => None,
        });
        Self {
            given: given.next(),
            other_given: given.collect(),
            families: texts(terms, "family").filter_map(normal::family).collect(),
            born,
            gender: codes(terms, "gender")
                .map(|(_, code)| code.to_owned())
                .find(|code| code == "female" || code == "male"),
            streets: streets.filter_map(normal::street).collect(),
            areas: areas
                .iter()
                .flat_map(|name| texts(terms, name))
                .filter_map(normal::area)
                .collect(),
            contacts: phones.chain(emails).collect(),
            identifiers: identifiers(terms),
        }
    }

    /// Whether there is enough to look anybody up by.
    pub fn is_comparable(&self) -> bool {
        let has_name = self.given.is_some() || !self.families.is_empty();
        !self.identifiers.is_empty()
            || (has_name && (self.born.is_some() || !self.areas.is_empty()))
            || (has_name && !self.contacts.is_empty())
    }

    /// Whether both have an identifier of one authority in common.
    pub(super) fn shares_identifier(&self, other: &Self) -> bool {
        let has = |one: &Identity| {
            let mut all = other.identifiers.iter();
            all.any(|it| (&it.authority, &it.value) == (&one.authority, &one.value))
        };
        self.identifiers.iter().any(has)
    }
}

fn texts<'a>(terms: &'a IndexTerms, parameter: &str) -> impl Iterator<Item = &'a str> {
    terms.get(parameter).iter().filter_map(|term| match term {
        Term::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

fn codes<'a>(
    terms: &'a IndexTerms,
    parameter: &str,
) -> impl Iterator<Item = (Option<&'a str>, &'a str)> {
    terms.get(parameter).iter().filter_map(|term| match term {
        Term::Token(token) => Some((token.system.as_deref(), token.code.as_str())),
        _ => None,
    })
}

/// Identifiers that say who gave them out; others tell nothing.
fn identifiers(terms: &IndexTerms) -> Vec<Identity> {
    let all = terms.get("identifier");
    let typed: BTreeSet<&str> = all
        .iter()
        .filter_map(|term| match term {
            Term::Typed(typed) if PERSONAL_TYPES.contains(&typed.kind.code.as_str()) => {
                Some(typed.value.as_str())
            }
            _ => None,
        })
        .collect();
    let identities: BTreeSet<Identity> = codes(terms, "identifier")
        .filter_map(|(authority, code)| {
            let authority = authority.filter(|it| !it.is_empty())?;
            Some(Identity {
                authority: authority.to_owned(),
                value: normal::identifier(code)?,
                is_personal: typed.contains(code) || PERSONAL_SYSTEMS.contains(&authority),
            })
        })
        .collect();
    identities.into_iter().collect()
}
