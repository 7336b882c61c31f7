//! Encodings held against each other: the same fields, levels and rules as for traits in clear ([`super::super::compare`]).

use super::filter::Filter;
use super::layout::Encoding;
use crate::identity::compare::{
    BORN_NEAR, BORN_SAME, BORN_SWAPPED, DIFFERS, FAMILY_CLOSE, FAMILY_SAME, GIVEN_CLOSE,
    GIVEN_RELATED, GIVEN_SAME, MISSING, PERSONAL_CLOSE, PERSONAL_SAME, Pattern, SAME, STREET_CLOSE,
    STREET_SAME,
};
use crate::identity::frequency::Frequencies;
use crate::identity::grade::{Common, Judgement, graded};
use crate::identity::model::Model;
use crate::identity::traits::Traits;

/// Dice of what is the same.
const SAME_BITS: f64 = 1.0;
/// Dice from which a name may be a misspelling of another.
const NAME_CLOSE: f64 = 0.48;
/// The same of streets, which are longer.
const STREET_LIKE: f64 = 0.80;
/// The same of digits in their places: one of eight is another.
const DIGITS_CLOSE: f64 = 0.72;
/// The same of identifiers, one slip apart.
const IDENTIFIER_CLOSE: f64 = 0.60;

/// Grades an encoding that another member sent against a patient here, both under one salt.
pub fn judge_encoded(
    asked: &Encoding,
    (own, encoded): (&Traits, &Encoding),
    model: &Model,
    frequencies: &Frequencies,
) -> Judgement {
    let common = Common {
        has_identifier: shares(&asked.identifiers, &encoded.identifiers),
        goes_by_another_given: goes_by_another_given(asked, encoded),
        // Where names agree they are those of the patient here.
        family_share: frequencies.family(own, own),
        given_share: frequencies.given(own, own),
    };
    graded(pattern(asked, encoded), &common, model)
}

fn pattern(one: &Encoding, other: &Encoding) -> Pattern {
    let (given, family) = name(one, other);
    Pattern([
        given,
        family,
        born(one, other),
        exact(&one.gender, &other.gender),
        best(&one.streets, &other.streets, |dice| match dice {
            SAME_BITS.. => STREET_SAME,
            STREET_LIKE.. => STREET_CLOSE,
            _ => DIFFERS,
        }),
        exact(&one.areas, &other.areas),
        exact(&one.contacts, &other.contacts),
        personal(one, other),
    ])
}

fn there(filters: &[Filter]) -> impl Iterator<Item = &Filter> {
    filters.iter().filter(|filter| !filter.is_empty())
}

fn shares(one: &[Filter], other: &[Filter]) -> bool {
    there(one).any(|filter| other.contains(filter))
}

/// The best level among the values of both.
fn best(one: &[Filter], other: &[Filter], level: impl Fn(f64) -> u8) -> u8 {
    let pairs = there(one).flat_map(|one| there(other).map(move |other| one.dice(other)));
    pairs.map(level).max().unwrap_or(MISSING)
}

fn exact(one: &[Filter], other: &[Filter]) -> u8 {
    best(
        one,
        other,
        |dice| if dice >= SAME_BITS { SAME } else { DIFFERS },
    )
}

/// Levels of given and family names; names in each other's places count as family the same, given related.
fn name(one: &Encoding, other: &Encoding) -> (u8, u8) {
    let straight = (given(one, other), family(one, other));
    let crossed = |a: &Encoding, b: &Encoding| shares(&a.given, &b.families);
    if straight.1 < FAMILY_SAME && crossed(one, other) && crossed(other, one) {
        return (GIVEN_RELATED, FAMILY_SAME);
    }
    straight
}

fn given(one: &Encoding, other: &Encoding) -> u8 {
    let are_known = shares(&one.is_known, &other.is_known);
    let is_related =
        shares(&one.full_forms, &other.full_forms) || goes_by_another_given(one, other);
    best(&one.given, &other.given, |dice| match dice {
        SAME_BITS.. => GIVEN_SAME,
        _ if is_related => GIVEN_RELATED,
        NAME_CLOSE.. if !are_known => GIVEN_CLOSE,
        _ => DIFFERS,
    })
}

fn goes_by_another_given(one: &Encoding, other: &Encoding) -> bool {
    let is_further =
        shares(&one.given, &other.other_given) || shares(&other.given, &one.other_given);
    is_further && !shares(&one.given, &other.given) && !shares(&one.full_forms, &other.full_forms)
}

fn family(one: &Encoding, other: &Encoding) -> u8 {
    let number = |of: &Encoding| there(&of.parts).count();
    let shares_part = number(one) != number(other) && shares(&one.parts, &other.parts);
    best(&one.families, &other.families, |dice| match dice {
        SAME_BITS.. => FAMILY_SAME,
        NAME_CLOSE.. => FAMILY_CLOSE,
        _ if shares_part => FAMILY_CLOSE,
        _ => DIFFERS,
    })
}

fn born(one: &Encoding, other: &Encoding) -> u8 {
    if there(&one.born).chain(there(&other.born)).count() < 2 {
        return best(&one.year, &other.year, |dice| match dice {
            SAME_BITS.. => BORN_NEAR,
            _ => DIFFERS,
        });
    }
    let is_swapped = shares(&one.born_either, &other.born_either);
    best(&one.born, &other.born, |dice| match dice {
        SAME_BITS.. => BORN_SAME,
        _ if is_swapped => BORN_SWAPPED,
        DIGITS_CLOSE.. => BORN_NEAR,
        _ => DIFFERS,
    })
}

/// Identifiers of which a person has one: the same, one slip away, or another. A contradiction is not made up for.
fn personal(one: &Encoding, other: &Encoding) -> u8 {
    let own = |of: &Encoding| of.authorities.into_iter().zip(of.personal);
    let pairs = own(one).flat_map(|one| own(other).map(move |other| (one, other)));
    let of_one_authority = pairs.filter(|(one, other)| !one.0.is_empty() && one.0 == other.0);
    let levels = of_one_authority.map(|(one, other)| match one.1.dice(&other.1) {
        SAME_BITS.. => PERSONAL_SAME,
        IDENTIFIER_CLOSE.. => PERSONAL_CLOSE,
        _ => DIFFERS,
    });
    levels.min().unwrap_or(MISSING)
}
