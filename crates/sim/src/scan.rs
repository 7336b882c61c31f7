//! The scan: looks through everything that a ledger stores for values that must not be there.
//!
//! Each value is looked for as it is and in hexadecimal, letters in either case; in base64, at each of its three
//! alignments and in both alphabets; and as its SHA-256, in the same encodings.

use aho_corasick::{AhoCorasick, BuildError, MatchKind};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use ledger::ids::Digest;

/// Bytes below which a value is found by chance.
pub const VALUE_BYTES_MIN: usize = 6;

/// A value that must not be found, and what findings call it: findings never show the value.
#[derive(Clone)]
pub struct Planted {
    label: String,
    value: Vec<u8>,
}

/// How a value was written where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// As it is.
    Plain,
    /// In hexadecimal.
    Hex,
    /// In base64.
    Base64,
    /// As its SHA-256, in any of these encodings.
    Hash,
}

/// A place where a value was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What the value is called.
    pub label: String,
    /// How it was written.
    pub form: Form,
    /// The store.
    pub store: String,
    /// Where in the store, in bytes.
    pub offset: usize,
}

impl Planted {
    /// A value to look for; `None` if it is so short that it would be found by chance.
    pub fn new(label: impl Into<String>, value: impl Into<Vec<u8>>) -> Option<Self> {
        let value = value.into();
        (value.len() >= VALUE_BYTES_MIN).then(|| Self {
            label: label.into(),
            value,
        })
    }
}

impl std::fmt::Debug for Planted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Planted({})", self.label)
    }
}

/// Looks for `planted` and for the hashes of `hashed` in `stores`, each a name and its bytes.
pub fn find<'s>(
    stores: impl IntoIterator<Item = (&'s str, &'s [u8])>,
    planted: &[Planted],
    hashed: &[Planted],
) -> Result<Vec<Finding>, BuildError> {
    let patterns = patterns(planted, hashed);
    let (in_any_case, exact): (Vec<_>, Vec<_>) =
        patterns.into_iter().partition(|pattern| pattern.any_case);
    let mut findings = Vec::new();
    let automata = [
        (build(&in_any_case, true)?, in_any_case),
        (build(&exact, false)?, exact),
    ];
    for (store, bytes) in stores {
        for (automaton, patterns) in &automata {
            findings.extend(automaton.find_overlapping_iter(bytes).filter_map(|found| {
                let pattern = patterns.get(found.pattern().as_usize())?;
                Some(Finding {
                    label: pattern.label.to_owned(),
                    form: pattern.form,
                    store: store.to_owned(),
                    offset: found.start(),
                })
            }));
        }
    }
    findings.sort_unstable();
    findings.dedup();
    Ok(findings)
}

struct Pattern<'a> {
    label: &'a str,
    form: Form,
    any_case: bool,
    bytes: Vec<u8>,
}

fn build(patterns: &[Pattern<'_>], any_case: bool) -> Result<AhoCorasick, BuildError> {
    AhoCorasick::builder()
        .ascii_case_insensitive(any_case)
        .match_kind(MatchKind::Standard)
        .build(patterns.iter().map(|pattern| &pattern.bytes))
}

fn patterns<'a>(planted: &'a [Planted], hashed: &'a [Planted]) -> Vec<Pattern<'a>> {
    let mut patterns = Vec::new();
    for Planted { label, value } in planted {
        let mut add = |form, any_case, bytes| {
            patterns.push(Pattern {
                label,
                form,
                any_case,
                bytes,
            });
        };
        add(Form::Plain, true, value.clone());
        add(Form::Hex, true, hex::encode(value).into_bytes());
        for text in base64_forms(value) {
            add(Form::Base64, false, text);
        }
    }
    for Planted { label, value } in planted.iter().chain(hashed) {
        let hash = Digest::of(value).0;
        let mut add = |any_case, bytes| {
            patterns.push(Pattern {
                label,
                form: Form::Hash,
                any_case,
                bytes,
            });
        };
        add(false, hash.to_vec());
        add(true, hex::encode(hash).into_bytes());
        for text in base64_forms(&hash) {
            add(false, text);
        }
    }
    patterns
}

/// The characters that `value` alone determines, wherever it stands within what was encoded.
fn base64_forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for before in 0..3 {
        let padded = [vec![0; before], value.to_vec()].concat();
        // Characters that share bits with the bytes before or after are left out.
        let first = (before * 8).div_ceil(6);
        let after = padded.len() * 8 / 6;
        for text in [
            BASE64_STANDARD_NO_PAD.encode(&padded),
            BASE64_URL_SAFE_NO_PAD.encode(&padded),
        ] {
            forms.extend(text.as_bytes().get(first..after).map(<[u8]>::to_vec));
        }
    }
    forms.sort_unstable();
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAME: &str = "Zebulon Quartermain";

    fn found_in(bytes: &[u8]) -> Vec<Form> {
        let planted = [Planted::new("name of patient 1", NAME).unwrap()];
        let findings = find([("blocks", bytes)], &planted, &[]).unwrap();
        assert!(findings.iter().all(|finding| finding.store == "blocks"));
        findings.into_iter().map(|finding| finding.form).collect()
    }

    #[test]
    fn a_value_is_found_in_every_form() {
        let around = |bytes: &[u8]| [b"\x00\xffsome", bytes, b"bytes"].concat();
        assert_eq!(found_in(&around(NAME.as_bytes())), [Form::Plain]);
        assert_eq!(
            found_in(&around(NAME.to_uppercase().as_bytes())),
            [Form::Plain]
        );
        assert_eq!(
            found_in(&around(hex::encode_upper(NAME).as_bytes())),
            [Form::Hex]
        );
        let hash = Digest::of(NAME.as_bytes()).0;
        assert_eq!(found_in(&around(&hash)), [Form::Hash]);
        assert_eq!(
            found_in(&around(hex::encode(hash).as_bytes())),
            [Form::Hash]
        );
        assert_eq!(
            found_in(&around(BASE64_URL_SAFE_NO_PAD.encode(hash).as_bytes())),
            [Form::Hash]
        );
        assert_eq!(found_in(b"Zebulon, but not Quartermain"), []);
    }

    #[test]
    fn a_resource_is_looked_for_by_its_hash_alone() {
        let resource = [Planted::new("resource 1", "{\"resourceType\":\"Patient\"}").unwrap()];
        let hash = Digest::of(b"{\"resourceType\":\"Patient\"}").0;
        let stores = [
            ("one", hash.as_slice()),
            ("other", b"{\"resourceType\":\"Patient\"}"),
        ];
        let findings = find(stores, &[], &resource).unwrap();
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].store.as_str(), findings[0].offset), ("one", 0));
        assert_eq!(format!("{resource:?}"), "[Planted(resource 1)]");
    }

    #[test]
    fn short_values_are_not_looked_for() {
        assert!(Planted::new("year", "1980").is_none());
        assert!(Planted::new("birth date", "1980-03-01").is_some());
    }

    proptest! {
        #[test]
        fn base64_gives_a_value_away_wherever_it_stands(
            before in prop::collection::vec(any::<u8>(), 0..20),
            after in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let bytes = [before, NAME.as_bytes().to_vec(), after].concat();
            prop_assert_eq!(found_in(BASE64_STANDARD_NO_PAD.encode(&bytes).as_bytes()), [Form::Base64]);
            prop_assert_eq!(found_in(BASE64_URL_SAFE_NO_PAD.encode(&bytes).as_bytes()), [Form::Base64]);
        }

        #[test]
        fn noise_holds_nothing(bytes in prop::collection::vec(any::<u8>(), 0..4_000)) {
            prop_assert_eq!(found_in(&bytes), []);
        }
    }
}
