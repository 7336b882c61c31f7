//! Values as they are compared.

use crate::fhir::search::fold;

/// Words of street names that have several forms, the short one first.
const STREET_WORDS: [(&str, &[&str]); 9] = [
    ("st", &["street", "str", "strasse", "straße"]),
    ("rd", &["road"]),
    ("ln", &["lane"]),
    ("ave", &["avenue", "av"]),
    ("dr", &["drive"]),
    ("ct", &["court"]),
    ("pl", &["place", "platz"]),
    ("apt", &["apartment", "flat", "unit"]),
    ("blvd", &["boulevard"]),
];
/// Particles that stand before a family name, or do not.
const PARTICLES: [&str; 15] = [
    "al", "da", "de", "del", "della", "den", "der", "di", "dos", "du", "el", "la", "le", "van",
    "von",
];
/// Digits of a telephone number that are compared, from its end: country code and trunk prefix come and go.
const PHONE_DIGITS: usize = 9;
const PHONE_DIGITS_MIN: usize = 6;

/// The words of a text: folded, runs of letters and digits.
pub(super) fn words(text: &str) -> Vec<String> {
    let folded = fold(text).replace(['\'', '’'], "");
    let words = folded.split(|letter: char| !letter.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .map(|word| word.replace('ß', "ss"))
        .collect()
}

/// A family name without particles, its parts joined; `None` if nothing is left.
pub(super) fn family(text: &str) -> Option<Vec<String>> {
    let all = words(text);
    let mut parts: Vec<String> = all.clone();
    parts.retain(|part| !PARTICLES.contains(&part.as_str()));
    let parts = if parts.is_empty() { all } else { parts };
    (!parts.is_empty()).then_some(parts)
}

/// A street and a number in any order and spelling.
pub(super) fn street(text: &str) -> Option<String> {
    let mut parts: Vec<String> = words(text)
        .into_iter()
        .map(|word| {
            let known = STREET_WORDS.iter();
            let mut known = known.filter(|(_, long)| long.contains(&word.as_str()));
            known.next().map_or(word, |(short, _)| (*short).to_owned())
        })
        .collect();
    parts.sort_unstable();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// A town or a postal code.
pub(super) fn area(text: &str) -> Option<String> {
    let joined = words(text).concat();
    (!joined.is_empty()).then_some(joined)
}

/// The last digits of a telephone number.
pub(super) fn phone(text: &str) -> Option<String> {
    let digits: Vec<char> = text.chars().filter(char::is_ascii_digit).collect();
    if digits.len() < PHONE_DIGITS_MIN {
        return None;
    }
    let cut = digits.len().saturating_sub(PHONE_DIGITS);
    Some(digits.into_iter().skip(cut).collect())
}

/// An e-mail address.
pub(super) fn email(text: &str) -> Option<String> {
    let folded = text.trim().to_lowercase();
    folded.contains('@').then_some(folded)
}

/// The value of an identifier: letters and digits alone, without regard to case.
pub(super) fn identifier(text: &str) -> Option<String> {
    let kept = text.chars().filter(|letter| letter.is_alphanumeric());
    let kept: String = kept.flat_map(char::to_uppercase).collect();
    (!kept.is_empty()).then_some(kept)
}
