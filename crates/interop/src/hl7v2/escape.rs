//! Escape sequences (HL7 v2.8, chapter 2.7).

use super::Separators;

/// The text without escape sequences. Highlighting is dropped, formatting commands of FT become line breaks; what is not
/// understood, such as a sequence of a site's own, stays as it stands.
pub(super) fn decode(text: &str, separators: &Separators) -> String {
    let Some(escape) = separators.escape else {
        return text.to_owned();
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(escape) {
        out.push_str(before);
        let Some((sequence, behind)) = after.split_once(escape) else {
            out.push(escape);
            rest = after;
            break;
        };
        if put(&mut out, sequence, separators) {
            rest = behind;
        } else {
            out.push(escape);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn put(out: &mut String, sequence: &str, separators: &Separators) -> bool {
    let standing_for = match sequence {
        "F" => Some(separators.field),
        "S" => Some(separators.component),
        "R" => Some(separators.repetition),
        "T" => Some(separators.subcomponent),
        "E" => separators.escape,
        "P" => separators.truncation,
        _ => None,
    };
    if let Some(letter) = standing_for {
        out.push(letter);
        return true;
    }
    if matches!(sequence, "H" | "N") {
        return true;
    }
    if let Some(command) = sequence.strip_prefix('.') {
        if ["br", "sp", "ce"]
            .iter()
            .any(|name| command.starts_with(name))
        {
            out.push('\n');
        }
        return true;
    }
    sequence
        .strip_prefix('X')
        .and_then(hexadecimal)
        .is_some_and(|text| {
            out.push_str(&text);
            true
        })
}

fn hexadecimal(digits: &str) -> Option<String> {
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    let bytes = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok());
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    // A NUL or another control character is no text of FHIR.
    String::from_utf8(bytes).ok().filter(|text| {
        text.chars()
            .all(|one| !one.is_control() || matches!(one, '\n' | '\r' | '\t'))
    })
}

/// The text as a value of a message with the separators that everybody uses.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '|' => out.push_str("\\F\\"),
            '^' => out.push_str("\\S\\"),
            '~' => out.push_str("\\R\\"),
            '&' => out.push_str("\\T\\"),
            '\\' => out.push_str("\\E\\"),
            '\n' => out.push_str("\\.br\\"),
            other if other.is_control() => {}
            other => out.push(other),
        }
    }
    out
}
