//! Lookup keys: few words for what a resource is found by, and for what a query leaves.
//!
//! A store keeps which documents have a key. A resource that a filter accepts has one of the keys that the filter asks
//! for; a resource that has one of them need not be accepted. So keys choose candidates, and [`Part::matches`] judges.
//!
//! What most records share gets no key, because it would choose nearly all of them: [`is_shared`].

mod days;

use std::collections::BTreeSet;
use std::fmt;

use super::filter::{Condition, Filter};
use super::parameter::{CONTENT, NARRATIVE, TABLES};
use super::place::Cell;
use super::query::Part;
use super::terms::{IndexTerms, Term};
use super::text::fold;
use super::wanted::Wanted;
use days::{Days, dated, days};

/// Which terms and keys a resource has under the same table of parameters: raise it when that changes.
const INDEX_REVISION: u32 = 3;

/// Names the form of the index, with the words of everything or without: terms and keys that were made under another are
/// made anew.
pub fn index_format(with_content: bool) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let table = TABLES.iter().flat_map(|table| table.as_bytes());
    let bytes = INDEX_REVISION.to_be_bytes();
    // FNV-1a: it tells tables apart, nobody forges them.
    let bytes = bytes.iter().chain(table).chain(with_content.then_some(&1));
    bytes.fold(OFFSET, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    })
}

/// Alternatives of one filter at most; above, the filter chooses nothing.
const ALTERNATIVES_MAX: usize = 512;
/// Letters of a text that become a key.
const PREFIXES: [usize; 2] = [2, 4];
/// Elements whose few values are shared by most records of their type.
const SHARED_PARAMETERS: &[&str] = &[
    "_language",
    "_profile",
    "_security",
    "active",
    "category",
    "class",
    "deceased",
    "gender",
    "intent",
    "language",
    "priority",
    "use",
    "verification-status",
];
/// Values of the elements `…status` in which most records end.
const SHARED_STATES: &[&str] = &["active", "completed", "final", "finished"];
/// Parameters whose values are values of others too, and have the keys of those.
const COVERED: &[(&str, &[&str])] = &[
    ("combo-code", &["code", "component-code"]),
    (
        "combo-value-concept",
        &["value-concept", "component-value-concept"],
    ),
    ("email", &["telecom"]),
    ("family", &["name"]),
    ("given", &["name"]),
    ("phone", &["telecom"]),
    ("phonetic", &["name"]),
];
/// Parameters whose references to patients need no key: custody confines such a query to the patient's own rows.
const CONFINING: &[&str] = &["patient", "subject", "beneficiary"];

/// A word that a resource is found by. It is patient data: store it hashed under a key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LookupKey(Vec<u8>);

impl fmt::Debug for LookupKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LookupKey(..)")
    }
}

impl LookupKey {
    /// Parameter, kind and value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn new(parameter: &str, kind: Kind, value: &[u8]) -> Self {
        Self([parameter.as_bytes(), &[0, kind as u8], value].concat())
    }

    fn text(parameter: &str, kind: Kind, value: &str) -> Self {
        Self::new(parameter, kind, value.to_lowercase().as_bytes())
    }

    fn cell(parameter: &str, cell: Cell) -> Self {
        Self::new(
            parameter,
            Kind::Cell,
            cell.map(i64::to_be_bytes).as_flattened(),
        )
    }
}

#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Code = b'c',
    Id = b'i',
    Identifier = b'n',
    Uri = b'u',
    Prefix = b'p',
    Days = b'd',
    Spread = b's',
    Word = b'w',
    Cell = b'g',
}

impl IndexTerms {
    /// What the resource is found by.
    pub fn lookup_keys(&self) -> BTreeSet<LookupKey> {
        let mut keys = BTreeSet::new();
        for (parameter, terms) in self.iter() {
            for term in terms {
                keys.extend(plain(parameter, term));
            }
            keys.extend(dated(parameter, terms));
        }
        keys
    }
}

impl Part {
    /// For each filter that chooses: the keys of which a match has at least one.
    pub fn lookups(&self) -> Vec<Vec<LookupKey>> {
        lookups_of(&self.required().collect::<Vec<_>>())
    }

    /// The ids that a match may have, if `_id` or a resolved `_has` names them.
    pub fn ids(&self) -> Option<Vec<&str>> {
        self.required().find_map(|filter| match filter.parameter {
            "_id" => filter.ids_of(self.resource_type),
            _ => None,
        })
    }
}

/// For each of the filters that chooses, if all have to hold: the keys of which a match has at least one.
fn lookups_of(filters: &[&Filter]) -> Vec<Vec<LookupKey>> {
    let filters = filters.iter().copied();
    let mut lookups: Vec<_> = filters.clone().filter_map(alternatives).collect();
    let dated = filters.clone().filter(|filter| days(filter).is_some());
    let dated: BTreeSet<&str> = dated.map(|filter| filter.parameter).collect();
    for parameter in dated {
        let of_it = filters.clone().filter(|one| one.parameter == parameter);
        let common = of_it.filter_map(days).reduce(Days::and);
        lookups.extend(common.map(|days| days.keys(parameter)));
    }
    lookups.retain(|keys| keys.len() <= ALTERNATIVES_MAX);
    lookups
}

/// The keys of which a match has one, if one of these holds; `None` if one of them chooses nothing.
fn either(ways: &[Filter]) -> Option<Vec<LookupKey>> {
    let keys = ways.iter().map(|way| {
        let lookups = lookups_of(&way.required());
        lookups.into_iter().min_by_key(Vec::len)
    });
    let keys: Option<Vec<_>> = keys.collect();
    keys.map(|keys| keys.concat())
}

/// Keys of a value that is not a date.
fn plain(parameter: &str, term: &Term) -> Vec<LookupKey> {
    if is_covered(parameter) || !is_posted(parameter) {
        return Vec::new();
    }
    match term {
        Term::Token(token) if is_shared(parameter, &token.code) => Vec::new(),
        Term::Token(token) => vec![LookupKey::text(parameter, Kind::Code, &token.code)],
        Term::Reference(reference) => {
            let is_patient = reference.resource_type.as_deref() == Some("Patient");
            let id = reference.id.as_deref();
            let id = id.filter(|_| !(is_patient && CONFINING.contains(&parameter)));
            let id = id.map(|id| LookupKey::text(parameter, Kind::Id, id));
            let uri = reference.uri.as_deref();
            let uri = uri.map(|uri| LookupKey::text(parameter, Kind::Uri, unversioned(uri)));
            let identifier = reference.identifier.as_ref();
            let identifier =
                identifier.map(|token| LookupKey::text(parameter, Kind::Identifier, &token.code));
            [id, uri, identifier].into_iter().flatten().collect()
        }
        Term::Uri(uri) => vec![LookupKey::text(parameter, Kind::Uri, unversioned(uri))],
        Term::Text(text) => {
            let text = fold(text);
            let prefixes = PREFIXES.iter();
            let prefixes = prefixes.filter_map(|length| prefix(&text, *length));
            prefixes
                .map(|prefix| LookupKey::text(parameter, Kind::Prefix, prefix))
                .collect()
        }
        Term::Words(text) => {
            let words = text.split(' ');
            words
                .map(|word| LookupKey::text(parameter, Kind::Word, word))
                .collect()
        }
        Term::Position(position) => vec![LookupKey::cell(parameter, position.cell())],
        Term::Date(_)
        | Term::Number(_)
        | Term::Quantity(_)
        | Term::Label(_)
        | Term::Typed(_)
        | Term::Composite(_) => Vec::new(),
    }
}

/// Keys of a filter that is not one of dates; `None` if one of its values has none.
fn alternatives(filter: &Filter) -> Option<Vec<LookupKey>> {
    match &filter.condition {
        Condition::AnyOf(wanted) if is_posted(filter.parameter) => {
            let covering = COVERED
                .iter()
                .find(|(parameter, _)| *parameter == filter.parameter);
            let parameters = match covering {
                Some((_, covering)) => covering,
                None if filter.parameter == CONTENT => [NARRATIVE, CONTENT].as_slice(),
                None => std::slice::from_ref(&filter.parameter),
            };
            let mut keys = Vec::new();
            for parameter in parameters {
                for wanted in wanted {
                    keys.extend(keys_of(parameter, wanted)?);
                }
            }
            Some(keys)
        }
        // A patient is in its own compartment, and has no key for that.
        Condition::RefersTo { parameters, .. } if parameters.contains(&"link") => None,
        Condition::RefersTo { parameters, id, .. } => {
            let key = |parameter: &&str| {
                let is_kept = !CONFINING.contains(parameter);
                is_kept.then(|| LookupKey::text(parameter, Kind::Id, id))
            };
            parameters.iter().map(key).collect()
        }
        Condition::Any(ways) => either(ways),
        _ => None,
    }
}

/// Keys of which a value as wanted has one.
fn keys_of(parameter: &str, wanted: &Wanted) -> Option<Vec<LookupKey>> {
    let one = |kind, value: &str| Some(vec![LookupKey::text(parameter, kind, value)]);
    let is_confining = CONFINING.contains(&parameter);
    match wanted {
        Wanted::Token(token) => {
            let code = token.code.as_deref()?;
            let is_kept = !is_shared(parameter, code);
            is_kept.then(|| one(Kind::Code, code)).flatten()
        }
        Wanted::Reference { id, .. } if !is_confining => one(Kind::Id, id),
        Wanted::OneOf(found) if !is_confining && found.len() <= ALTERNATIVES_MAX => {
            let key = |(_, id): &(_, String)| LookupKey::text(parameter, Kind::Id, id);
            Some(found.iter().map(key).collect())
        }
        Wanted::Canonical(uri) | Wanted::Uri(uri) => one(Kind::Uri, unversioned(uri)),
        Wanted::Identifier(token) => one(Kind::Identifier, token.code.as_deref()?),
        Wanted::Phrase(text) => {
            // The longest word is in the fewest texts, as a rule.
            let longest = text.split(' ').max_by_key(|word| word.len())?;
            one(Kind::Word, longest)
        }
        Wanted::Near(near) => {
            let cells = near.cells(ALTERNATIVES_MAX)?.into_iter();
            Some(cells.map(|cell| LookupKey::cell(parameter, cell)).collect())
        }
        Wanted::StartsWith(text) | Wanted::Exactly(text) | Wanted::Same(text) => {
            let text = fold(text);
            let longest = PREFIXES.iter().rev();
            let prefix = longest.filter_map(|length| prefix(&text, *length)).next()?;
            one(Kind::Prefix, prefix)
        }
        _ => None,
    }
}

/// Whether a value is one that most records have.
fn is_shared(parameter: &str, code: &str) -> bool {
    let is_state = parameter.ends_with("status");
    SHARED_PARAMETERS.contains(&parameter)
        || (is_state
            && SHARED_STATES
                .iter()
                .any(|state| state.eq_ignore_ascii_case(code)))
}

/// Whether values have the keys of other parameters.
fn is_covered(parameter: &str) -> bool {
    COVERED.iter().any(|(covered, _)| *covered == parameter)
}

/// Of what all types have, tags and words alone choose.
fn is_posted(parameter: &str) -> bool {
    ["_tag", NARRATIVE, CONTENT].contains(&parameter) || !parameter.starts_with('_')
}

/// A canonical without its version.
fn unversioned(uri: &str) -> &str {
    uri.split_once('|').map_or(uri, |(base, _)| base)
}

/// The first letters of a text that has as many.
fn prefix(text: &str, letters: usize) -> Option<&str> {
    let last = text.char_indices().nth(letters.checked_sub(1)?)?;
    text.get(..last.0 + last.1.len_utf8())
}

#[cfg(test)]
mod tests;
