//! Putting resources together from what other formats say.

use serde_json::{Map, Value};

/// Puts a value at a path such as `name[]`, `period.start` or `content[0].attachment`: `[]` adds to a list, `[0]` is its
/// first item. A single element that is there already stays.
pub(crate) fn put(target: &mut Value, path: &str, value: Value) {
    if value.is_null() {
        return;
    }
    let (step, rest) = match path.split_once('.') {
        Some((step, rest)) => (step, Some(rest)),
        None => (path, None),
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(object) = target else {
        return;
    };
    let (name, is_list, is_new) = match (step.strip_suffix("[]"), step.strip_suffix("[0]")) {
        (Some(name), _) => (name, true, true),
        (None, Some(name)) => (name, true, false),
        (None, None) => (step, false, false),
    };
    let slot = object.entry(name).or_insert(Value::Null);
    if !is_list {
        return match rest {
            Some(rest) => put(slot, rest, value),
            None if slot.is_null() => *slot = value,
            None => {}
        };
    }
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    let Value::Array(items) = slot else {
        return;
    };
    if is_new || items.is_empty() {
        items.push(Value::Null);
    }
    // `[]` has just made the last, `[0]` is the first.
    let item = if is_new {
        items.last_mut()
    } else {
        items.first_mut()
    };
    match (item, rest) {
        (Some(item), Some(rest)) => put(item, rest, value),
        (Some(item), None) => *item = value,
        (None, _) => {}
    }
}

/// Nothing for an object without elements.
pub(crate) fn filled(value: Value) -> Option<Value> {
    value
        .as_object()
        .is_some_and(|object: &Map<String, Value>| !object.is_empty())
        .then_some(value)
}

/// A text as a `code` of FHIR: no white space at its ends, single spaces within.
pub(crate) fn code_text(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// A value of a search parameter: FHIR's escapes, then those of URLs.
pub(crate) fn query_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '\\' | '|' | ',' | '$') {
            out.push_str("%5C");
        }
        percent(&mut out, letter, |byte| {
            byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte)
        });
    }
    out
}

/// Parts of a key in one text, from which they can be told apart.
pub(crate) fn key(parts: &[&str]) -> String {
    let mut out = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push('/');
        }
        for letter in part.chars() {
            percent(&mut out, letter, |byte| {
                byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
            });
        }
    }
    out
}

/// The parts of a [`key`]; nothing if it is none.
pub(crate) fn parts(key: &str) -> Option<Vec<String>> {
    let part = |part: &str| {
        let mut bytes = Vec::with_capacity(part.len());
        let mut rest = part.bytes();
        while let Some(byte) = rest.next() {
            let digit = |rest: &mut std::str::Bytes<'_>| char::from(rest.next()?).to_digit(16);
            match byte {
                b'%' => {
                    let code = digit(&mut rest)? * 16 + digit(&mut rest)?;
                    bytes.push(u8::try_from(code).ok()?);
                }
                plain => bytes.push(plain),
            }
        }
        String::from_utf8(bytes).ok()
    };
    key.split('/').map(part).collect()
}

fn percent(out: &mut String, letter: char, is_plain: impl Fn(u8) -> bool) {
    let mut buffer = [0; 4];
    for byte in letter.encode_utf8(&mut buffer).bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// A decimal as JSON writes it: no plus, no leading zeros, no bare point.
pub(crate) fn number(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_number =
        are_digits(whole) && are_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    // FHIR's decimals have at most 18 digits.
    if !is_number || whole.len() + fraction.len() > 18 {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}"))
}
