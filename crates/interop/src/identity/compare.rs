//! How far two patients agree, field by field.

use std::fmt;

use strsim::{damerau_levenshtein, jaro_winkler};

use super::names;
use super::traits::{Born, Traits};

/// How many fields are compared.
pub const FIELDS: usize = 8;
/// Levels of agreement of a field at most, with the one for a missing value.
pub(super) const LEVELS: usize = 5;
/// Similarity of Jaro and Winkler from which a name or street may be a misspelling of another.
const CLOSE: f64 = 0.90;

/// A field that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Field {
    Given,
    Family,
    Born,
    Gender,
    Street,
    Area,
    Contact,
    Personal,
}

impl Field {
    /// All of them, in the order of patterns.
    pub const ALL: [Self; FIELDS] = [
        Self::Given,
        Self::Family,
        Self::Born,
        Self::Gender,
        Self::Street,
        Self::Area,
        Self::Contact,
        Self::Personal,
    ];
}

/// Missing on one side: says nothing.
pub(super) const MISSING: u8 = 0;
/// Both are there and do not agree.
pub(super) const DIFFERS: u8 = 1;
/// Given names that may be a misspelling of each other.
pub(super) const GIVEN_CLOSE: u8 = 2;
/// Given names that are forms of one name, or another given name.
pub(super) const GIVEN_RELATED: u8 = 3;
pub(super) const GIVEN_SAME: u8 = 4;
pub(super) const FAMILY_CLOSE: u8 = 2;
pub(super) const FAMILY_SAME: u8 = 3;
pub(super) const BORN_NEAR: u8 = 2;
pub(super) const BORN_SWAPPED: u8 = 3;
pub(super) const BORN_SAME: u8 = 4;
pub(super) const STREET_CLOSE: u8 = 2;
pub(super) const STREET_SAME: u8 = 3;
pub(super) const SAME: u8 = 2;
pub(super) const PERSONAL_CLOSE: u8 = 2;
pub(super) const PERSONAL_SAME: u8 = 3;

/// For each field the level of agreement, from 0 (missing) and 1 (differs) upwards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(pub(super) [u8; FIELDS]);

impl fmt::Debug for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Pattern({:?})", self.0)
    }
}

impl Pattern {
    /// How far two patients agree; the same whichever is named first.
    pub fn of(one: &Traits, other: &Traits) -> Self {
        let (given, family) = name(one, other);
        Self([
            given,
            family,
            born(one.born, other.born),
            same(one.gender.as_ref(), other.gender.as_ref()),
            best(&one.streets, &other.streets, street),
            best(&one.areas, &other.areas, exact),
            best(&one.contacts, &other.contacts, exact),
            personal(one, other),
        ])
    }

    /// The level of a field.
    pub fn level(self, field: Field) -> u8 {
        let mut fields = Field::ALL.into_iter().zip(self.0);
        let found = fields.find(|(one, _)| *one == field);
        found.map_or(MISSING, |(_, level)| level)
    }
}

fn same<T: PartialEq>(one: Option<T>, other: Option<T>) -> u8 {
    match (one, other) {
        (Some(one), Some(other)) if one == other => SAME,
        (Some(_), Some(_)) => DIFFERS,
        _ => MISSING,
    }
}

/// The best level among the values of both.
fn best<'a, T: 'a, V>(one: &'a V, other: &'a V, level: fn(&T, &T) -> u8) -> u8
where
    &'a V: IntoIterator<Item = &'a T>,
{
    let pairs = one
        .into_iter()
        .flat_map(|one| other.into_iter().map(move |other| (one, other)));
    pairs
        .map(|(one, other)| level(one, other))
        .max()
        .unwrap_or(MISSING)
}

fn exact(one: &String, other: &String) -> u8 {
    if one == other { SAME } else { DIFFERS }
}

fn street(one: &String, other: &String) -> u8 {
    if one == other {
        STREET_SAME
    } else if damerau_levenshtein(one, other) <= 2 && digits(one) == digits(other) {
        STREET_CLOSE
    } else {
        DIFFERS
    }
}

fn digits(text: &str) -> Vec<char> {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Levels of given and family names; names in each other's places count as family the same, given related.
fn name(one: &Traits, other: &Traits) -> (u8, u8) {
    let straight = (
        given(one, other),
        best(&one.families, &other.families, |one, other| {
            family(one, other)
        }),
    );
    let crossed = |a: &Traits, b: &Traits| {
        let given = a.given.as_deref().unwrap_or_default();
        let families = b.families.iter().filter_map(|parts| parts.first());
        families.into_iter().any(|family| family == given)
    };
    if straight.1 < FAMILY_SAME && crossed(one, other) && crossed(other, one) {
        return (GIVEN_RELATED, FAMILY_SAME);
    }
    straight
}

fn given(one: &Traits, other: &Traits) -> u8 {
    let (Some(a), Some(b)) = (&one.given, &other.given) else {
        return MISSING;
    };
    let is_initial = |short: &str, long: &str| {
        short.chars().count() == 1 && long.starts_with(short) && long.len() > short.len()
    };
    if a == b {
        GIVEN_SAME
    } else if is_initial(a, b) || is_initial(b, a) {
        // It says too little to tell a twin by.
        MISSING
    } else if names::are_forms(a, b) || goes_by_another_given(one, other) {
        GIVEN_RELATED
    } else if is_misspelling(a, b) && !(names::is_known(a) && names::is_known(b)) {
        GIVEN_CLOSE
    } else {
        DIFFERS
    }
}

/// Whether the first given name of one is a further one of the other, and no form of the other's first.
pub(super) fn goes_by_another_given(one: &Traits, other: &Traits) -> bool {
    let (Some(a), Some(b)) = (&one.given, &other.given) else {
        return false;
    };
    let is_further = other.other_given.contains(a) || one.other_given.contains(b);
    a != b && is_further && !names::are_forms(a, b)
}

fn family(one: &[String], other: &[String]) -> u8 {
    let (a, b) = (one.concat(), other.concat());
    let shares_part = one.len() != other.len() && one.iter().any(|part| other.contains(part));
    if a == b {
        FAMILY_SAME
    } else if shares_part || is_misspelling(&a, &b) {
        FAMILY_CLOSE
    } else {
        DIFFERS
    }
}

fn is_misspelling(one: &str, other: &str) -> bool {
    let slips = damerau_levenshtein(one, other);
    let longest = one.chars().count().max(other.chars().count());
    slips <= 1 && longest > 3 || slips == 2 && longest > 6 && jaro_winkler(one, other) >= CLOSE
}

fn born(one: Option<Born>, other: Option<Born>) -> u8 {
    let (Some(a), Some(b)) = (one, other) else {
        return MISSING;
    };
    let is_whole = a.day.is_some() && b.day.is_some();
    if a == b && is_whole {
        return BORN_SAME;
    }
    if !is_whole {
        let months = a.month.zip(b.month).is_none_or(|(a, b)| a == b);
        return if a.year == b.year && months {
            BORN_NEAR
        } else {
            DIFFERS
        };
    }
    if a.year == b.year && a.month == b.day && a.day == b.month {
        return BORN_SWAPPED;
    }
    let digits = |born: Born| {
        let (month, day) = (born.month.unwrap_or(0), born.day.unwrap_or(0));
        format!("{:04}{month:02}{day:02}", born.year)
    };
    if damerau_levenshtein(&digits(a), &digits(b)) == 1 {
        BORN_NEAR
    } else {
        DIFFERS
    }
}

/// Identifiers of which a person has one: the same, one slip away, or another.
fn personal(one: &Traits, other: &Traits) -> u8 {
    let own = |of: &'_ Traits| {
        let all = of.identifiers.iter().filter(|it| it.is_personal).cloned();
        all.collect::<Vec<_>>()
    };
    let (ones, others) = (own(one), own(other));
    let mut found = MISSING;
    for a in &ones {
        for b in others.iter().filter(|b| b.authority == a.authority) {
            let level = match damerau_levenshtein(&a.value, &b.value) {
                0 => PERSONAL_SAME,
                1 => PERSONAL_CLOSE,
                _ => DIFFERS,
            };
            // A contradiction is not made up for by another number.
            found = if found == MISSING {
                level
            } else {
                found.min(level)
            };
        }
    }
    found
}
