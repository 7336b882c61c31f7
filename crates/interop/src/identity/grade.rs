//! Grades: <https://hl7.org/fhir/R4/valueset-match-grade.html>.

use super::compare::{
    BORN_SAME, DIFFERS, FAMILY_SAME, Field, GIVEN_CLOSE, GIVEN_SAME, MISSING, Pattern,
    goes_by_another_given,
};
use super::frequency::Frequencies;
use super::model::Model;
use super::traits::Traits;

/// Weights from which a pair is graded, in bits.
const CERTAIN_BITS: f64 = 22.0;
const PROBABLE_BITS: f64 = 16.0;
const POSSIBLE_BITS: f64 = 8.0;
/// That a pair is of one person before anything is known of it, as the logarithm of the odds: one in 65,536.
const PRIOR_BITS: f64 = -16.0;
/// Nobody's name is rarer than that, as far as weights go.
const SHARE_MIN: f64 = 1e-5;

/// How sure it is that two patients are one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// They are two people.
    CertainlyNot,
    /// Somebody should look.
    Possible,
    /// Most likely one person.
    Probable,
    /// One person.
    Certain,
}

impl Grade {
    const ALL: [Self; 4] = [
        Self::CertainlyNot,
        Self::Possible,
        Self::Probable,
        Self::Certain,
    ];

    /// The R4 code.
    pub fn code(self) -> &'static str {
        match self {
            Self::CertainlyNot => "certainly-not",
            Self::Possible => "possible",
            Self::Probable => "probable",
            Self::Certain => "certain",
        }
    }

    /// The grade with a code.
    pub fn with_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grade| grade.code() == code)
    }
}

/// What a grade rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The weights of what agrees and differs.
    Weights,
    /// An identifier of one authority that both have, and nothing that speaks against it.
    SameIdentifier,
    /// An identifier of one authority that both have, although they look like two people: one of the records is wrong.
    SharedIdentifier,
    /// Numbers of one authority, of which a person has one, that differ.
    ContradictingIdentifiers,
}

impl Reason {
    const ALL: [Self; 4] = [
        Self::Weights,
        Self::SameIdentifier,
        Self::SharedIdentifier,
        Self::ContradictingIdentifiers,
    ];

    /// The word for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::SameIdentifier => "same-identifier",
            Self::SharedIdentifier => "shared-identifier",
            Self::ContradictingIdentifiers => "contradicting-identifiers",
        }
    }

    /// The reason with a word.
    pub fn with_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

/// What is thought of a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// How sure it is.
    pub grade: Grade,
    /// Why.
    pub reason: Reason,
    /// The probability that they are one person, from 0 to 1.
    pub score: f64,
    /// The weight of the evidence, in bits.
    pub bits: f64,
}

/// What a pair has in common beside its pattern.
pub(super) struct Common {
    /// An identifier of one authority.
    pub(super) has_identifier: bool,
    /// The first given name of one is a further one of the other.
    pub(super) goes_by_another_given: bool,
    /// The share of those who have the family name, if it is the same.
    pub(super) family_share: Option<f64>,
    /// The share of those who have the given name, if it is the same.
    pub(super) given_share: Option<f64>,
}

/// Grades a pair; the same whichever is named first.
pub fn judge(one: &Traits, other: &Traits, model: &Model, frequencies: &Frequencies) -> Judgement {
    let common = Common {
        has_identifier: one.shares_identifier(other),
        goes_by_another_given: goes_by_another_given(one, other),
        family_share: frequencies.family(one, other),
        given_share: frequencies.given(one, other),
    };
    graded(Pattern::of(one, other), &common, model)
}

/// Grades a pattern.
pub(super) fn graded(pattern: Pattern, common: &Common, model: &Model) -> Judgement {
    let bits = weighed(pattern, common, model);
    let of = |grade, reason, bits: f64| Judgement {
        grade,
        reason,
        score: 1.0 / (1.0 + (-(bits + PRIOR_BITS)).exp2()),
        bits,
    };
    let level = |field| pattern.level(field);
    let differs = |field| level(field) == DIFFERS;
    if common.has_identifier {
        let is_another = differs(Field::Born) || (differs(Field::Given) && differs(Field::Family));
        let is_twin = differs(Field::Given) && level(Field::Born) == BORN_SAME;
        return if is_another || is_twin || differs(Field::Personal) {
            of(
                Grade::Possible,
                Reason::SharedIdentifier,
                bits.min(PROBABLE_BITS),
            )
        } else {
            of(
                Grade::Certain,
                Reason::SameIdentifier,
                bits.max(CERTAIN_BITS),
            )
        };
    }
    if differs(Field::Personal) {
        let bits = bits.min(0.0);
        return of(Grade::CertainlyNot, Reason::ContradictingIdentifiers, bits);
    }
    let weighed = match bits {
        bits if bits >= CERTAIN_BITS => Grade::Certain,
        bits if bits >= PROBABLE_BITS => Grade::Probable,
        bits if bits >= POSSIBLE_BITS => Grade::Possible,
        _ => Grade::CertainlyNot,
    };
    // A score is within its grade: what is held down says less than its weights.
    let ceiling = if common.goes_by_another_given {
        // The twin may have it as a second name.
        ceiling(pattern).min(Grade::Probable)
    } else {
        ceiling(pattern)
    };
    match weighed.min(ceiling) {
        Grade::Certain => of(Grade::Certain, Reason::Weights, bits),
        Grade::Probable => of(Grade::Probable, Reason::Weights, bits.min(CERTAIN_BITS)),
        Grade::Possible => of(Grade::Possible, Reason::Weights, bits.min(PROBABLE_BITS)),
        Grade::CertainlyNot => of(
            Grade::CertainlyNot,
            Reason::Weights,
            bits.min(POSSIBLE_BITS),
        ),
    }
}

/// What a pair without a common identifier may be graded at most.
fn ceiling(pattern: Pattern) -> Grade {
    let given = pattern.level(Field::Given);
    let born = pattern.level(Field::Born);
    if given == DIFFERS && born == DIFFERS {
        // Those who live together agree in the rest.
        return Grade::CertainlyNot;
    }
    if given == DIFFERS || born == DIFFERS {
        return Grade::Possible;
    }
    // Brother and sister, father and daughter may have one name, and their dates be one slip apart.
    let is_other_gender = pattern.level(Field::Gender) == DIFFERS;
    if given == MISSING || born == MISSING || is_other_gender {
        return Grade::Probable;
    }
    let is_misspelt = given == GIVEN_CLOSE;
    // A misspelt name beside another date is two faults at once.
    if is_misspelt && born != BORN_SAME {
        return Grade::Probable;
    }
    Grade::Certain
}

fn weighed(pattern: Pattern, common: &Common, model: &Model) -> f64 {
    let mut bits = model.bits(pattern);
    let named = [
        (Field::Family, FAMILY_SAME, common.family_share),
        (Field::Given, GIVEN_SAME, common.given_share),
    ];
    for (field, exact, share) in named {
        if let Some(share) = share.filter(|_| pattern.level(field) == exact) {
            let own = (model.same(field, exact) / share.max(SHARE_MIN)).log2();
            bits += own - model.weight(field, exact);
        }
    }
    bits
}
