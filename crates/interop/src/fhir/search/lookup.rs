//! Lookup keys: few words for what a resource is found by, and for what a query leaves.
//!
//! A store keeps which documents have a key. A resource that a filter accepts has one of the keys that the filter asks
//! for; a resource that has one of them need not be accepted. So keys choose candidates, and [`Part::matches`] judges.
//!
//! What most records share gets no key, because it would choose nearly all of them: [`is_shared`].

use std::collections::BTreeSet;
use std::fmt;

use super::filter::{Condition, Filter};
use super::query::Part;
use super::terms::{IndexTerms, Term};
use super::text::fold;
use super::wanted::{Prefix, Wanted};

/// Which terms and keys a resource has under the same table of parameters: raise it when that changes.
const INDEX_REVISION: u32 = 1;

/// Names the form of the index: terms and keys that were made under another are made anew.
pub fn index_format() -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let table = include_bytes!("../data/search-parameters.txt");
    let bytes = INDEX_REVISION.to_be_bytes();
    // FNV-1a: it tells tables apart, nobody forges them.
    let bytes = bytes.iter().chain(table);
    bytes.fold(OFFSET, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    })
}

/// Alternatives of one filter at most; above, the filter chooses nothing.
const ALTERNATIVES_MAX: usize = 512;
/// Letters of a text that become a key.
const PREFIXES: [usize; 2] = [2, 4];
const MS_PER_DAY: i64 = 86_400_000;
/// Days of the spans that become keys, each a multiple of the one before.
const WIDTHS: [i64; 3] = [1, 32, 512];
/// Days since 1970, of the years 1900 to 2099; what is outside is counted to the first and the last.
const DAYS: (i64, i64) = (-25_567, 47_481);

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

    /// For the span of `width` days that holds `day`.
    fn bucket(parameter: &str, width: i64, day: i64) -> Self {
        let number = [width, day.div_euclid(width)].map(i64::to_be_bytes);
        Self::new(parameter, Kind::Days, number.as_flattened())
    }

    /// For resources whose dates are not one within a day.
    fn spread(parameter: &str) -> Self {
        Self::new(parameter, Kind::Spread, &[])
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
        let filters = &self.filters;
        let mut lookups: Vec<_> = filters.iter().filter_map(alternatives).collect();
        let dated: BTreeSet<&str> = filters
            .iter()
            .filter(|filter| days(filter).is_some())
            .map(|filter| filter.parameter)
            .collect();
        for parameter in dated {
            let of_it = filters.iter().filter(|one| one.parameter == parameter);
            let common = of_it.filter_map(days).reduce(Days::and);
            lookups.extend(common.map(|days| days.keys(parameter)));
        }
        lookups.retain(|keys| keys.len() <= ALTERNATIVES_MAX);
        lookups
    }

    /// The ids that a match may have, if `_id` or a resolved `_has` names them.
    pub fn ids(&self) -> Option<Vec<&str>> {
        let mut filters = self.filters.iter();
        filters.find_map(|filter| match filter.parameter {
            "_id" => filter.ids_of(self.resource_type),
            _ => None,
        })
    }
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
        Term::Date(_)
        | Term::Number(_)
        | Term::Quantity(_)
        | Term::Label(_)
        | Term::Typed(_)
        | Term::Composite(_) => Vec::new(),
    }
}

/// Keys of the dates: of a single one within a day, the spans that hold it.
fn dated(parameter: &str, terms: &[Term]) -> Vec<LookupKey> {
    let mut spans = terms.iter().filter_map(|term| match term {
        Term::Date(span) => Some(*span),
        _ => None,
    });
    let Some(first) = spans.next().filter(|_| is_posted(parameter)) else {
        return Vec::new();
    };
    let day = day_of(first.start_ms);
    if spans.next().is_some() || day_of(first.end_ms.saturating_sub(1)) != day {
        return vec![LookupKey::spread(parameter)];
    }
    let day = within_range(day);
    let key = |width: &i64| LookupKey::bucket(parameter, *width, day);
    WIDTHS.iter().map(key).collect()
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
        Wanted::StartsWith(text) | Wanted::Exactly(text) => {
            let text = fold(text);
            let longest = PREFIXES.iter().rev();
            let prefix = longest.filter_map(|length| prefix(&text, *length)).next()?;
            one(Kind::Prefix, prefix)
        }
        _ => None,
    }
}

/// The days on which a date within one day is accepted; `None` if the filter is not one of dates or of several spans.
fn days(filter: &Filter) -> Option<Days> {
    let Condition::AnyOf(alternatives) = &filter.condition else {
        return None;
    };
    let [Wanted::Date(prefix, wanted)] = alternatives.as_slice() else {
        return None;
    };
    if !is_posted(filter.parameter) {
        return None;
    }
    let (first, last) = (wanted.start_ms, wanted.end_ms.saturating_sub(1));
    let days = |first, last| Days { first, last };
    match prefix {
        Prefix::Eq => Some(days(day_of(first), day_of(last))),
        Prefix::Gt | Prefix::Sa => Some(days(day_of(wanted.end_ms), i64::MAX)),
        Prefix::Ge => Some(days(day_of(first), i64::MAX)),
        Prefix::Lt | Prefix::Eb => Some(days(i64::MIN, day_of(first.saturating_sub(1)))),
        Prefix::Le => Some(days(i64::MIN, day_of(last))),
        Prefix::Ne | Prefix::Ap => None,
    }
}

/// Days from the first to the last.
#[derive(Debug, Clone, Copy)]
struct Days {
    first: i64,
    last: i64,
}

impl Days {
    fn and(self, other: Self) -> Self {
        Self {
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        }
    }

    /// The keys of all these days, and that of resources whose dates say more than one day.
    fn keys(self, parameter: &str) -> Vec<LookupKey> {
        let mut keys = vec![LookupKey::spread(parameter)];
        if self.first > self.last {
            return keys;
        }
        let (mut day, last) = (within_range(self.first), within_range(self.last));
        while day <= last && keys.len() <= ALTERNATIVES_MAX {
            let fits = |width: &&i64| day.rem_euclid(**width) == 0 && day + **width - 1 <= last;
            let width = WIDTHS.iter().rfind(fits).copied().unwrap_or(1);
            keys.push(LookupKey::bucket(parameter, width, day));
            day += width;
        }
        keys
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

/// Of what all types have, tags alone choose.
fn is_posted(parameter: &str) -> bool {
    parameter == "_tag" || !parameter.starts_with('_')
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

fn within_range(day: i64) -> i64 {
    day.clamp(DAYS.0, DAYS.1)
}

fn day_of(unix_ms: i64) -> i64 {
    unix_ms.div_euclid(MS_PER_DAY)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::fhir::search::{Handling, Query};
    use crate::fhir::{Resource, ResourceType};

    fn terms(resource: Value) -> IndexTerms {
        IndexTerms::of(&Resource::from_value(resource).unwrap())
    }

    fn query(name: &str, pairs: &[(String, String)]) -> Query {
        let resource_type = ResourceType::parse(name).unwrap();
        Query::parse(resource_type, pairs, Handling::Strict).unwrap()
    }

    fn one(name: &str, parameter: &str, value: &str) -> Query {
        query(name, &[(parameter.to_owned(), value.to_owned())])
    }

    fn lookups(query: &Query) -> Vec<Vec<LookupKey>> {
        query.parts.iter().flat_map(Part::lookups).collect()
    }

    /// Whether the keys leave a resource among the candidates of a query.
    fn is_left(query: &Query, terms: &IndexTerms) -> bool {
        let keys = terms.lookup_keys();
        let lookups = lookups(query);
        lookups
            .iter()
            .all(|alternatives| alternatives.iter().any(|key| keys.contains(key)))
    }

    const PREFIXES_OF_DATES: &[&str] = &["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];

    fn moment() -> impl Strategy<Value = String> {
        let parts = (
            prop_oneof![Just(1890_u32), 1999..2003_u32, Just(2150)],
            1..=12_u32,
            1..=28_u32,
            0..24_u32,
            0..5_u8,
        );
        parts.prop_map(|(year, month, day, hour, form)| match form {
            0 => format!("{year}"),
            1 => format!("{year}-{month:02}"),
            2 => format!("{year}-{month:02}-{day:02}"),
            3 => format!("{year}-{month:02}-{day:02}T{hour:02}:30:00Z"),
            _ => format!("{year}-{month:02}-{day:02}T{hour:02}:30:00-11:00"),
        })
    }

    fn effective() -> impl Strategy<Value = Value> {
        prop_oneof![
            4 => moment().prop_map(|at| json!({"effectiveDateTime": at})),
            1 => (moment(), moment())
                .prop_map(|(one, other)| json!({"effectivePeriod": {"start": one, "end": other}})),
            1 => moment().prop_map(|at| json!({"effectivePeriod": {"start": at}})),
            1 => prop::collection::vec(moment(), 1..3)
                .prop_map(|events| json!({"effectiveTiming": {"event": events}})),
        ]
    }

    fn word() -> impl Strategy<Value = String> {
        "[aAäß]{1,2}[bB]{0,3}"
    }

    fn observation() -> impl Strategy<Value = Value> {
        let parts = (
            effective(),
            word(),
            prop::option::of(Just("http://loinc.org")),
            prop_oneof![Just("final"), Just("preliminary")],
            prop_oneof![
                word().prop_map(|id| json!({"reference": format!("Encounter/e{}", id.len())})),
                word().prop_map(|id| json!({"reference": format!("http://else/Encounter/{id}")})),
                word().prop_map(|id| json!({"identifier": {"system": "urn:x", "value": id}})),
            ],
        );
        parts.prop_map(|(effective, code, system, status, encounter)| {
            let mut coding = json!({"code": code});
            if let Some(system) = system {
                coding["system"] = json!(system);
            }
            let mut resource = json!({
                "resourceType": "Observation", "status": status,
                "code": {"coding": [coding]},
                "subject": {"reference": "Patient/p1"}, "encounter": encounter,
            });
            let object = resource.as_object_mut().unwrap();
            object.extend(effective.as_object().unwrap().clone());
            resource
        })
    }

    fn filters() -> impl Strategy<Value = Vec<(String, String)>> {
        let prefix = prop::sample::select(PREFIXES_OF_DATES);
        let date = (prefix, moment())
            .prop_map(|(prefix, at)| ("date".to_owned(), format!("{prefix}{at}")));
        let filter = prop_oneof![
            5 => date,
            1 => word().prop_map(|code| ("code".to_owned(), code)),
            1 => word().prop_map(|code| ("code".to_owned(), format!("http://loinc.org|{code}"))),
            1 => word().prop_map(|code| ("code:not".to_owned(), code)),
            1 => Just(("code".to_owned(), "http://loinc.org|".to_owned())),
            1 => Just(("status".to_owned(), "final,preliminary".to_owned())),
            1 => Just(("status".to_owned(), "preliminary".to_owned())),
            1 => word().prop_map(|id| ("encounter".to_owned(), format!("e{}", id.len()))),
            1 => word().prop_map(|id| ("encounter".to_owned(), format!("http://else/Encounter/{id}"))),
            1 => word().prop_map(|id| ("encounter:identifier".to_owned(), id)),
            1 => Just(("patient".to_owned(), "p1".to_owned())),
            1 => Just(("subject".to_owned(), "Patient/p1".to_owned())),
            1 => Just(("date:missing".to_owned(), "false".to_owned())),
        ];
        prop::collection::vec(filter, 1..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_a_query_accepts_is_among_its_candidates(
            resource in observation(),
            filters in filters(),
        ) {
            let terms = terms(resource);
            let query = query("Observation", &filters);
            if query.matches(&terms, 0, "x") {
                prop_assert!(is_left(&query, &terms), "{filters:?}");
            }
        }

        #[test]
        fn a_name_is_among_the_candidates_of_its_prefixes(
            family in word(),
            value in word(),
            modifier in prop::sample::select(&["", ":exact", ":contains"][..]),
        ) {
            let terms = terms(json!({"resourceType": "Patient", "name": [{"family": family}]}));
            let query = one("Patient", &format!("family{modifier}"), &value);
            if query.matches(&terms, 0, "x") {
                prop_assert!(is_left(&query, &terms));
            }
        }
    }

    #[test]
    fn filters_choose() {
        let observation = terms(json!({
            "resourceType": "Observation", "status": "preliminary",
            "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
            "effectiveDateTime": "2026-05-01T09:00:00Z",
        }));
        for (parameter, value, expected) in [
            ("code", "http://loinc.org|718-7", true),
            ("code", "718-8", false),
            ("code", "718-8,718-7", true),
            ("date", "2026-05-01", true),
            ("date", "2026-05", true),
            ("date", "2026-04", false),
            ("date", "gt2026-05-01", false),
            ("date", "ge2026", true),
            ("date", "lt2026-05-01", false),
            ("date", "lt1850", false),
            ("status", "preliminary", true),
            ("status", "cancelled", false),
        ] {
            let query = one("Observation", parameter, value);
            assert!(!lookups(&query).is_empty(), "{parameter}={value}");
            assert_eq!(
                is_left(&query, &observation),
                expected,
                "{parameter}={value}"
            );
        }
    }

    #[test]
    fn bounds_of_one_date_meet_in_one_lookup() {
        let pairs = [("date", "ge2026-05-01"), ("date", "lt2026-05-04")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let lookups = lookups(&query("Observation", &pairs));
        let [days] = lookups.as_slice() else {
            panic!("{} lookups", lookups.len());
        };
        // Three days, and what says more than a day.
        assert_eq!(days.len(), 4);
    }

    #[test]
    fn what_most_records_share_has_no_key() {
        for (parameter, value) in [
            ("status", "final"),
            ("category", "laboratory"),
            ("patient", "Patient/p1"),
            ("code:not", "718-7"),
            ("code", "http://loinc.org|"),
            ("date:missing", "true"),
            ("date", "ne2026"),
        ] {
            let query = one("Observation", parameter, value);
            assert!(lookups(&query).is_empty(), "{parameter}={value}");
        }
    }
}
