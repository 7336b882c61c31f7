//! JSON text to an object, with limits, before any other code sees it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::resource::{ParseLimits, ResourceError};

/// `serde_json` gives objects with these names a meaning of their own.
const RESERVED_PREFIX: &[u8] = b"$serde_json::private::";

pub(super) fn parse_object(
    bytes: &[u8],
    limits: &ParseLimits,
) -> Result<Map<String, Value>, ResourceError> {
    if bytes.len() > limits.bytes_max {
        return Err(ResourceError::TooLarge {
            bytes: bytes.len(),
            limit: limits.bytes_max,
        });
    }
    Scan {
        bytes,
        at: 0,
        stack: Vec::new(),
        depth_max: limits.depth_max,
    }
    .run()?;
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ResourceError::NotAnObject),
        Err(error) if error.is_eof() => Err(ResourceError::Truncated),
        Err(error) => Err(ResourceError::Malformed {
            line: error.line(),
            column: error.column(),
        }),
    }
}

/// Finds what the parser would let pass: deep nesting and elements named twice. Syntax is the
/// parser's affair; on malformed text the scan may stop at any of the two.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Frame<'a>>,
    depth_max: usize,
}

enum Frame<'a> {
    Array,
    Object {
        names: BTreeSet<Cow<'a, [u8]>>,
        expects_name: bool,
    },
}

impl<'a> Scan<'a> {
    fn run(mut self) -> Result<(), ResourceError> {
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'{' => {
                    self.push(Frame::Object {
                        names: BTreeSet::new(),
                        expects_name: true,
                    })?;
                }
                b'[' => self.push(Frame::Array)?,
                b'}' | b']' => {
                    self.stack.pop();
                }
                b',' => self.expect_name(true),
                b':' => self.expect_name(false),
                b'"' => self.string()?,
                _ => {}
            }
        }
        Ok(())
    }

    fn push(&mut self, frame: Frame<'a>) -> Result<(), ResourceError> {
        if self.stack.len() >= self.depth_max {
            return Err(ResourceError::TooDeep {
                limit: self.depth_max,
            });
        }
        self.stack.push(frame);
        Ok(())
    }

    fn expect_name(&mut self, expected: bool) {
        if let Some(Frame::Object { expects_name, .. }) = self.stack.last_mut() {
            *expects_name = expected;
        }
    }

    fn string(&mut self) -> Result<(), ResourceError> {
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.bytes.get(self.at) {
                None => return Err(ResourceError::Truncated),
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => self.at += 1,
            }
        }
        let content = self.bytes.get(start..self.at).unwrap_or_default();
        self.at += 1;
        let Some(Frame::Object {
            names,
            expects_name: true,
        }) = self.stack.last_mut()
        else {
            return Ok(());
        };
        let quoted = self.bytes.get(start - 1..self.at).unwrap_or_default();
        let name = match escaped.then(|| serde_json::from_slice::<String>(quoted)) {
            None => Cow::Borrowed(content),
            Some(Ok(decoded)) => Cow::Owned(decoded.into_bytes()),
            // The parser names the place of a bad escape.
            Some(Err(_)) => return Ok(()),
        };
        if name.starts_with(RESERVED_PREFIX) {
            return Err(ResourceError::ReservedElement);
        }
        if names.insert(name) {
            Ok(())
        } else {
            Err(ResourceError::RepeatedElement)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Map<String, Value>, ResourceError> {
        parse_object(
            text.as_bytes(),
            &ParseLimits {
                bytes_max: 1_000,
                depth_max: 4,
                ..ParseLimits::default()
            },
        )
    }

    #[test]
    fn bad_json_is_named_exactly() {
        use ResourceError as E;
        let table: &[(&str, E)] = &[
            ("", E::Truncated),
            ("{", E::Truncated),
            (r#"{"a""#, E::Truncated),
            (r#"{"a":"b"#, E::Truncated),
            (r#"{"a":"b\"#, E::Truncated),
            (r#"{"a":1}}"#, E::Malformed { line: 1, column: 8 }),
            ("{'a':1}", E::Malformed { line: 1, column: 2 }),
            (r#"{"a":01}"#, E::Malformed { line: 1, column: 7 }),
            ("[]", E::NotAnObject),
            ("null", E::NotAnObject),
            (r#"{"a":[[[[]]]]}"#, E::TooDeep { limit: 4 }),
            (r#"{"a":1,"a":2}"#, E::RepeatedElement),
            (r#"{"a":1,"\u0061":2}"#, E::RepeatedElement),
            (
                r#"{"x":{"$serde_json::private::Number":"1"}}"#,
                E::ReservedElement,
            ),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).unwrap_err(), *expected, "{text}");
        }
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(1_000));
        assert_eq!(
            parse(&long).unwrap_err(),
            E::TooLarge {
                bytes: 1_008,
                limit: 1_000
            }
        );
    }

    #[test]
    fn equal_names_in_different_objects_are_fine() {
        assert!(parse(r#"{"a":{"a":[{"a":"a"},{"a":","}]},"b":"a"}"#).is_ok());
        assert!(parse(r#"{"a":[[[]]]}"#).is_ok());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(parse_object(&bytes, &ParseLimits::default()));
        }

        #[test]
        fn jsonlike_text_never_panics(text in r#"[\{\}\[\]",:\\ab01]{0,60}"#) {
            drop(parse(&text));
        }
    }
}
