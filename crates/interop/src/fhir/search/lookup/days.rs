//! Keys of dates: a day, and the spans of days that hold it.

use super::{ALTERNATIVES_MAX, Kind, LookupKey, is_posted};
use crate::fhir::search::filter::{Condition, Filter};
use crate::fhir::search::terms::Term;
use crate::fhir::search::wanted::{Prefix, Wanted};

const MS_PER_DAY: i64 = 86_400_000;
/// Days of the spans that become keys, each a multiple of the one before.
const WIDTHS: [i64; 3] = [1, 32, 512];
/// Days since 1970, of the years 1900 to 2099; what is outside is counted to the first and the last.
const DAYS: (i64, i64) = (-25_567, 47_481);

/// Keys of the dates: of a single one within a day, the spans that hold it.
pub(super) fn dated(parameter: &str, terms: &[Term]) -> Vec<LookupKey> {
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

/// The days on which a date within one day is accepted; `None` if the filter is not one of dates or of several spans.
pub(super) fn days(filter: &Filter) -> Option<Days> {
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
pub(super) struct Days {
    first: i64,
    last: i64,
}

impl Days {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        }
    }

    /// The keys of all these days, and that of resources whose dates say more than one day.
    pub(super) fn keys(self, parameter: &str) -> Vec<LookupKey> {
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

impl LookupKey {
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

fn within_range(day: i64) -> i64 {
    day.clamp(DAYS.0, DAYS.1)
}

fn day_of(unix_ms: i64) -> i64 {
    unix_ms.div_euclid(MS_PER_DAY)
}
