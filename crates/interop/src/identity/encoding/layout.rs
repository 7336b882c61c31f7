//! Which values have a filter, and where it stands: every encoding has the same length.

use std::collections::BTreeSet;
use std::fmt;

use super::filter::{FILTER_BYTES, Filter};
use super::{BUCKET_BYTES, Bucket, Tokens};
use crate::identity::names;
use crate::identity::traits::{Born, Traits};

/// Buckets in an encoding at most; what is more chooses nothing.
const BUCKETS: usize = 24;
/// Places that no bucket takes are filled with this.
const NO_BUCKET: [u8; BUCKET_BYTES] = [0; BUCKET_BYTES];

/// A patient's traits for one question. Without the secret they are noise; with it, guesses can be tested against them.
#[derive(Clone, PartialEq, Eq)]
pub struct Encoding {
    pub(super) given: One,
    /// The full forms of the given name.
    pub(super) full_forms: [Filter; 3],
    /// There if the given name is one that many people have.
    pub(super) is_known: One,
    pub(super) other_given: [Filter; 2],
    pub(super) families: [Filter; 2],
    /// Parts of family names.
    pub(super) parts: [Filter; 4],
    /// A whole date of birth.
    pub(super) born: One,
    /// The same, whichever of day and month comes first.
    pub(super) born_either: One,
    pub(super) year: One,
    pub(super) gender: One,
    pub(super) streets: [Filter; 2],
    pub(super) areas: [Filter; 4],
    pub(super) contacts: [Filter; 4],
    /// Authorities of identifiers of which a person has one, and the identifiers.
    pub(super) authorities: [Filter; 2],
    pub(super) personal: [Filter; 2],
    pub(super) identifiers: [Filter; 4],
    pub(super) buckets: BTreeSet<Bucket>,
}

/// The place of one filter.
pub(super) type One = [Filter; 1];

const FILTERS: usize = 35;

/// What a token is of, so that one value in two fields is alike in neither, but for names, which change places.
mod kind {
    pub(super) const NAME: u8 = 1;
    pub(super) const FULL_FORM: u8 = 2;
    pub(super) const KNOWN: u8 = 3;
    pub(super) const BORN: u8 = 4;
    pub(super) const BORN_EITHER: u8 = 5;
    pub(super) const YEAR: u8 = 6;
    pub(super) const GENDER: u8 = 7;
    pub(super) const STREET: u8 = 8;
    pub(super) const AREA: u8 = 9;
    pub(super) const CONTACT: u8 = 10;
    pub(super) const AUTHORITY: u8 = 11;
    pub(super) const PERSONAL: u8 = 12;
    pub(super) const IDENTIFIER: u8 = 13;
}

impl fmt::Debug for Encoding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Encoding(..)")
    }
}

impl Encoding {
    /// Bytes of an encoding, whoever it is of.
    pub const BYTES: usize = FILTERS * FILTER_BYTES + BUCKETS * BUCKET_BYTES;

    /// Where candidates for it are.
    pub fn buckets(&self) -> &BTreeSet<Bucket> {
        &self.buckets
    }

    /// Its bytes: filters, then buckets.
    pub fn to_bytes(&self) -> Vec<u8> {
        let filters = self.places().into_iter().flatten();
        let mut bytes: Vec<u8> = filters.flat_map(|filter| filter.to_bytes()).collect();
        bytes.extend(self.buckets.iter().flat_map(|bucket| bucket.0));
        bytes.resize(Self::BYTES, 0);
        bytes
    }

    /// Reads an encoding; `None` if it has another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::BYTES {
            return None;
        }
        let (filters, buckets) = bytes.split_at_checked(FILTERS * FILTER_BYTES)?;
        let mut encoding = Self::empty();
        let places = encoding.places_mut().into_iter().flatten();
        for (place, bytes) in places.zip(filters.as_chunks().0) {
            *place = Filter::of(bytes);
        }
        let buckets = buckets.as_chunks().0.iter();
        let buckets = buckets.filter(|bucket| **bucket != NO_BUCKET);
        encoding.buckets = buckets.map(|bucket| Bucket(*bucket)).collect();
        Some(encoding)
    }

    fn empty() -> Self {
        Self {
            given: One::default(),
            full_forms: Default::default(),
            is_known: One::default(),
            other_given: Default::default(),
            families: Default::default(),
            parts: Default::default(),
            born: One::default(),
            born_either: One::default(),
            year: One::default(),
            gender: One::default(),
            streets: Default::default(),
            areas: Default::default(),
            contacts: Default::default(),
            authorities: Default::default(),
            personal: Default::default(),
            identifiers: Default::default(),
            buckets: BTreeSet::new(),
        }
    }

    fn places(&self) -> [&[Filter]; 16] {
        [
            &self.given,
            &self.full_forms,
            &self.is_known,
            &self.other_given,
            &self.families,
            &self.parts,
            &self.born,
            &self.born_either,
            &self.year,
            &self.gender,
            &self.streets,
            &self.areas,
            &self.contacts,
            &self.authorities,
            &self.personal,
            &self.identifiers,
        ]
    }

    fn places_mut(&mut self) -> [&mut [Filter]; 16] {
        [
            &mut self.given,
            &mut self.full_forms,
            &mut self.is_known,
            &mut self.other_given,
            &mut self.families,
            &mut self.parts,
            &mut self.born,
            &mut self.born_either,
            &mut self.year,
            &mut self.gender,
            &mut self.streets,
            &mut self.areas,
            &mut self.contacts,
            &mut self.authorities,
            &mut self.personal,
            &mut self.identifiers,
        ]
    }
}

pub(super) fn encode(tokens: &Tokens, of: &Traits, buckets: BTreeSet<Bucket>) -> Encoding {
    let name = |name: &String| tokens.filter(kind::NAME, grams(name));
    let exact = |kind: u8, value: &str| tokens.filter(kind, [value]);
    // An initial says too little to tell a twin by.
    let given = of.given.as_ref().filter(|it| it.chars().count() > 1);
    let forms = given.into_iter().flat_map(|it| names::full_forms(it));
    let whole = of.born.and_then(Day::of);
    let personal = || of.identifiers.iter().filter(|one| one.is_personal);
    Encoding {
        given: placed(given.map(name)),
        full_forms: placed(forms.map(|form| exact(kind::FULL_FORM, form))),
        is_known: placed(
            given
                .filter(|it| names::is_known(it))
                .map(|_| exact(kind::KNOWN, "")),
        ),
        other_given: placed(of.other_given.iter().map(name)),
        families: placed(of.families.iter().map(|parts| name(&parts.concat()))),
        parts: placed(of.families.iter().flatten().map(name)),
        born: placed(whole.map(|day| tokens.filter(kind::BORN, day.digits()))),
        born_either: placed(whole.map(|day| exact(kind::BORN_EITHER, &day.either()))),
        year: placed(
            of.born
                .map(|born| exact(kind::YEAR, &born.year.to_string())),
        ),
        gender: placed(of.gender.as_ref().map(|it| exact(kind::GENDER, it))),
        streets: placed(
            of.streets
                .iter()
                .map(|it| tokens.filter(kind::STREET, grams(it))),
        ),
        areas: placed(of.areas.iter().map(|it| exact(kind::AREA, it))),
        contacts: placed(of.contacts.iter().map(|it| exact(kind::CONTACT, it))),
        authorities: placed(personal().map(|one| exact(kind::AUTHORITY, &one.authority))),
        personal: placed(personal().map(|one| tokens.filter(kind::PERSONAL, grams(&one.value)))),
        identifiers: placed(of.identifiers.iter().map(|one| {
            let both = format!("{}\n{}", one.authority, one.value);
            exact(kind::IDENTIFIER, &both)
        })),
        buckets: buckets.into_iter().take(BUCKETS).collect(),
    }
}

/// The first values that there is place for.
fn placed<const N: usize>(values: impl IntoIterator<Item = Filter>) -> [Filter; N] {
    let mut places = [Filter::default(); N];
    for (place, value) in places.iter_mut().zip(values) {
        *place = value;
    }
    places
}

/// Pairs of letters that follow each other or have one between them, with the ends, and the whole: two letters in each
/// other's places leave most of them as they are.
fn grams(text: &str) -> Vec<String> {
    let letters: Vec<char> = std::iter::once('_')
        .chain(text.chars())
        .chain(std::iter::once('_'))
        .collect();
    let pair = |letters: &[char]| letters.first().into_iter().chain(letters.last()).collect();
    let pairs = letters.windows(2).chain(letters.windows(3)).map(pair);
    pairs.chain(std::iter::once(format!("={text}"))).collect()
}

/// Characters with their places, and the whole.
fn positioned(text: &str) -> Vec<String> {
    let characters = text.chars().enumerate();
    let characters = characters.map(|(place, it)| format!("{place}:{it}"));
    characters
        .chain(std::iter::once(format!("={text}")))
        .collect()
}

/// A whole date.
#[derive(Clone, Copy)]
struct Day {
    year: i32,
    month: u8,
    day: u8,
}

impl Day {
    fn of(born: Born) -> Option<Self> {
        Some(Self {
            year: born.year,
            month: born.month?,
            day: born.day?,
        })
    }

    fn digits(self) -> Vec<String> {
        positioned(&format!("{:04}{:02}{:02}", self.year, self.month, self.day))
    }

    fn either(self) -> String {
        let (low, high) = (self.month.min(self.day), self.month.max(self.day));
        format!("{:04}{low:02}{high:02}", self.year)
    }
}
