//! What names a code system, a value set or a concept map.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A canonical URL, with a version or without (<https://hl7.org/fhir/R4/references.html#canonical>).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Canonical {
    /// The URL.
    pub url: String,
    /// The version that is meant; without it, the newest.
    pub version: Option<String>,
}

impl Canonical {
    /// Reads `url` or `url|version`.
    pub fn parse(text: &str) -> Self {
        match text.split_once('|') {
            Some((url, version)) if !version.is_empty() => Self {
                url: url.to_owned(),
                version: Some(version.to_owned()),
            },
            Some((url, _)) => Self::of(url),
            None => Self::of(text),
        }
    }

    /// Any version of this URL.
    pub fn of(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            version: None,
        }
    }

    /// The same, with a version if one is given.
    pub fn with_version(mut self, version: Option<&str>) -> Self {
        if let Some(version) = version {
            self.version = Some(version.to_owned());
        }
        self
    }

    /// Whether something with this URL and version is meant.
    pub fn means(&self, about: &About) -> bool {
        let version = self.version.as_ref();
        self.url == about.url && version.is_none_or(|version| *version == about.version)
    }
}

impl fmt::Display for Canonical {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(out, "{}|{version}", self.url),
            None => out.write_str(&self.url),
        }
    }
}

/// Orders versions: numbers within them count as numbers, so that 2.10 comes after 2.9.
pub fn by_version(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (pieces(one), pieces(other));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return Ordering::Equal,
            (one, other) => match one.cmp(&other) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
        }
    }
}

/// Runs of digits, as long as they are without zeros before them, and single letters.
fn pieces(version: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = version;
    std::iter::from_fn(move || {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let first = rest.chars().next()?.len_utf8();
        let (piece, after) = rest.split_at_checked(digits.max(first))?;
        rest = after;
        Some(match digits {
            0 => (0, piece),
            _ => {
                let number = piece.trim_start_matches('0');
                (number.len().saturating_add(1), number)
            }
        })
    })
}

/// What something of a vocabulary is, whatever is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The canonical URL.
    pub url: String,
    /// The version, empty if it has none.
    pub version: String,
    /// What people call it.
    pub name: String,
}

impl About {
    /// What a `CodeSystem`, `ValueSet` or `ConceptMap` says of itself; `None` without a URL.
    pub fn of(resource: &Value) -> Option<Self> {
        let text = |name: &str| resource.get(name).and_then(Value::as_str);
        let url = text("url")?;
        Some(Self {
            url: url.to_owned(),
            version: text("version").unwrap_or_default().to_owned(),
            name: text("title").or(text("name")).unwrap_or(url).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_of_their_numbers() {
        for (older, newer) in [
            ("2.9", "2.10"),
            ("", "1"),
            ("2025", "2026"),
            ("1.0", "1.0.1"),
            (
                "http://snomed.info/sct/9/version/20250901",
                "http://snomed.info/sct/9/version/20260301",
            ),
        ] {
            assert_eq!(by_version(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(
                by_version(newer, older),
                Ordering::Greater,
                "{older} {newer}"
            );
        }
        assert_eq!(by_version("1.01", "1.1"), Ordering::Equal);
    }
}
