//! The parameters of a history.

use interop::fhir::TimeSpan;
use interop::fhir::search::Handling;

use crate::fhir::shape::Shape;
use crate::http::pairs_of;
use crate::problem::Problem;

/// Versions on a page when no number is asked for, and the most.
const COUNT_DEFAULT: usize = 50;
const COUNT_MAX: usize = 1_000;

/// The parameter of a link to a further page.
pub(super) const PAGE: &str = "_page";

/// What of a history is asked for.
pub(super) struct Parameters {
    pub(super) count: usize,
    pub(super) since_ms: Option<u64>,
    /// Both ends included.
    pub(super) at: Option<(u64, u64)>,
    pub(super) page: Option<String>,
    pub(super) shape: Shape,
    /// As they were given, for links.
    pub(super) pairs: Vec<(String, String)>,
}

impl Parameters {
    pub(super) fn read(query: &str, handling: Handling) -> Result<Self, Problem> {
        let mut read = Self {
            count: COUNT_DEFAULT,
            since_ms: None,
            at: None,
            page: None,
            shape: Shape::of(query)?,
            pairs: Vec::new(),
        };
        for (name, value) in pairs_of(query) {
            match name.as_str() {
                "_count" => {
                    let count: usize = value.parse().map_err(|_| malformed("_count"))?;
                    read.count = count.min(COUNT_MAX);
                }
                "_since" => read.since_ms = Some(span("_since", &value)?.0),
                "_at" => read.at = Some(span("_at", &value)?),
                PAGE => {
                    read.page = Some(value);
                    continue;
                }
                "_format" | "_pretty" | "_summary" | "_elements" => {}
                "_list" => {
                    return Err(Problem::not_supported(
                        "`_list` is not supported on a history",
                    ));
                }
                _ if handling == Handling::Strict => {
                    return Err(Problem::not_supported(
                        "a history is supported with `_count`, `_since` and `_at`",
                    ));
                }
                _ => continue,
            }
            read.pairs.push((name, value));
        }
        Ok(read)
    }

    /// The URL of this history, with the page if one is named.
    pub(super) fn link(&self, path: &str, page: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.pairs);
        if let Some(page) = page {
            query.append_pair(PAGE, page);
        }
        match query.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    /// Whether a version that was current from one time to another is asked for.
    pub(super) fn wants(&self, from_ms: u64, to_ms: Option<u64>) -> bool {
        let is_recent = self.since_ms.is_none_or(|since| from_ms >= since);
        let was_current = self
            .at
            .is_none_or(|(start, end)| from_ms <= end && to_ms.is_none_or(|to| to > start));
        is_recent && was_current
    }
}

/// First and last millisecond.
fn span(name: &'static str, text: &str) -> Result<(u64, u64), Problem> {
    // In a query `+` is a blank.
    let span = TimeSpan::parse(&text.replace(' ', "+")).ok_or_else(|| malformed(name))?;
    let millisecond = |ms: i64| u64::try_from(ms).unwrap_or(0);
    Ok((
        millisecond(span.start_ms),
        millisecond(span.end_ms.saturating_sub(1)),
    ))
}

fn malformed(name: &'static str) -> Problem {
    Problem::malformed(format!(
        "the parameter `{name}` has a value of another form"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_repeat_what_was_asked_and_name_the_page() {
        let query = "_count=2&_since=2026-01-01T00:00:00%2B01:00&_page=x&unknown=1";
        let read = Parameters::read(query, Handling::Lenient).unwrap();
        assert_eq!((read.count, read.page.as_deref()), (2, Some("x")));
        assert_eq!(
            read.link("http://a/_history", Some("y")),
            "http://a/_history?_count=2&_since=2026-01-01T00%3A00%3A00%2B01%3A00&_page=y"
        );
        for wrong in ["_count=x", "_since=yesterday", "_at=1", "_list=1"] {
            assert!(
                Parameters::read(wrong, Handling::Lenient).is_err(),
                "{wrong}"
            );
        }
        assert!(Parameters::read("unknown=1", Handling::Strict).is_err());
    }

    #[test]
    fn a_version_is_wanted_while_it_was_current() {
        let at = Parameters::read("_at=2026-01-01T00:00:00Z", Handling::Lenient).unwrap();
        let (start, _) = at.at.unwrap();
        assert!(at.wants(start - 5, None));
        assert!(at.wants(start - 5, Some(start + 1)));
        assert!(!at.wants(start - 5, Some(start)));
        assert!(!at.wants(start + 2_000, None));
    }
}
