//! The words of a resource (`_text`, `_content`), and what a query asks of them.

use serde_json::{Map, Value};

use super::limits::{WORD_BYTES_MAX, WORDS_MAX};
use super::text::fold;
use crate::fhir::TimeSpan;

/// Words of a text as they are compared, one blank between two; long texts count by their beginning.
#[derive(Default)]
pub(super) struct Words {
    text: String,
    count: usize,
}

impl Words {
    pub(super) fn is_full(&self) -> bool {
        self.count >= WORDS_MAX
    }

    /// Adds the words of a text. What is longer than any word, such as encoded data, is left out.
    pub(super) fn add(&mut self, text: &str) {
        for word in split(&fold(text)) {
            if self.is_full() {
                return;
            }
            if word.len() <= WORD_BYTES_MAX {
                if !self.text.is_empty() {
                    self.text.push(' ');
                }
                self.text.push_str(word);
                self.count += 1;
            }
        }
    }

    pub(super) fn into_text(self) -> Option<String> {
        Some(self.text).filter(|text| !text.is_empty())
    }
}

/// The words of the narrative.
pub(super) fn of_narrative(root: &Map<String, Value>) -> Option<String> {
    let mut words = Words::default();
    let narrative = root.get("text").and_then(|text| text.get("div"));
    add_xhtml(&mut words, narrative.and_then(Value::as_str)?);
    words.into_text()
}

/// The words of everything but the narrative: what people write or read, not addresses, dates and encoded data.
pub(super) fn of_content(root: &Map<String, Value>) -> Option<String> {
    let mut words = Words::default();
    for (name, value) in root {
        if !["resourceType", "id", "meta", "text"].contains(&name.as_str()) {
            collect(&mut words, name, value);
        }
    }
    words.into_text()
}

fn collect(words: &mut Words, name: &str, value: &Value) {
    match value {
        Value::String(text) if name == "div" => add_xhtml(words, text),
        Value::String(text) if is_written(name, text) => words.add(text),
        Value::Array(items) => items.iter().for_each(|item| collect(words, name, item)),
        Value::Object(object) if !words.is_full() => {
            object
                .iter()
                .for_each(|(name, value)| collect(words, name, value));
        }
        _ => {}
    }
}

fn is_written(name: &str, text: &str) -> bool {
    let is_address = text.contains("://") || text.starts_with("urn:");
    let is_other = ["data", "reference", "resourceType", "system"].contains(&name);
    !is_address && !is_other && TimeSpan::parse(text).is_none()
}

/// Adds the text between the tags.
fn add_xhtml(words: &mut Words, xhtml: &str) {
    for piece in xhtml.split('<') {
        // Before the first tag there is no end of one.
        let text = piece.split_once('>').map_or("", |(_, text)| text);
        if text.contains('&') {
            words.add(&resolved(text));
        } else {
            words.add(text);
        }
    }
}

/// The text with its entities and character references in their letters.
fn resolved(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let Some((name, following)) = after.split_once(';') else {
            rest = after;
            break;
        };
        plain.push(letter(name).unwrap_or(' '));
        rest = following;
    }
    plain.push_str(rest);
    plain
}

fn letter(entity: &str) -> Option<char> {
    let number = entity.strip_prefix('#')?;
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code)
}

/// The words of a folded text: runs of letters and digits; of scripts without blanks each letter is one.
pub(super) fn split(folded: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, letter) in folded.char_indices() {
        let end = at + letter.len_utf8();
        let is_alone = is_without_blanks(letter);
        if !letter.is_alphanumeric() || is_alone {
            words.extend(start.take().and_then(|start| folded.get(start..at)));
            words.extend(folded.get(at..end).filter(|_| is_alone));
        } else if start.is_none() {
            start = Some(at);
        }
    }
    words.extend(start.and_then(|start| folded.get(start..)));
    words
}

fn is_without_blanks(letter: char) -> bool {
    matches!(letter, '\u{0e00}'..='\u{0e7f}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
        && letter.is_alphanumeric()
}

/// Whether the words stand in the text one after the other; both as [`Words`] writes them.
pub(super) fn has_phrase(text: &str, phrase: &str) -> bool {
    let is_edge = |letter: Option<&u8>| letter.is_none_or(|letter| *letter == b' ');
    text.match_indices(phrase).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| text.as_bytes().get(at));
        is_edge(before) && is_edge(text.as_bytes().get(at + phrase.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn narrative(div: &str) -> String {
        let root = json!({"text": {"div": div}});
        of_narrative(root.as_object().unwrap()).unwrap_or_default()
    }

    #[test]
    fn words_are_what_stands_between_tags() {
        for (div, expected) in [
            ("<div>Bone-Liver</div>", "bone liver"),
            (
                "<div><b>M&#252;ller</b>&nbsp;Stra&#xdf;e</div>",
                "muller straße",
            ),
            (
                "<div title=\"hidden\">13.5 g/dL &lt; x</div>",
                "13 5 g dl x",
            ),
            ("<div>肝臓 scan</div>", "肝 臓 scan"),
            ("<div></div>", ""),
        ] {
            assert_eq!(narrative(div), expected, "{div}");
        }
        assert_eq!(
            narrative(&format!("<div>a {} b</div>", "x".repeat(200))),
            "a b"
        );
        let long = narrative(&format!("<div>{}</div>", "ab ".repeat(WORDS_MAX + 9)));
        assert_eq!(long.split(' ').count(), WORDS_MAX);
    }

    #[test]
    fn content_is_what_people_write() {
        let root = json!({"resourceType": "Patient", "id": "secret", "text": {"div": "<div>no</div>"},
            "birthDate": "1970-01-01", "name": [{"family": "Grey"}], "photo": [{"data": "QUJD", "title": "Front"}],
            "managingOrganization": {"reference": "Organization/o", "display": "Hill"},
            "identifier": [{"system": "urn:mrn", "value": "A-7"}],
            "contained": [{"resourceType": "Basic", "text": {"div": "<div>inner</div>"}}]});
        let words = of_content(root.as_object().unwrap()).unwrap();
        assert_eq!(words, "grey front hill a 7 inner");
    }

    #[test]
    fn a_phrase_is_of_whole_words() {
        for (phrase, expected) in [
            ("b c", true),
            ("a", true),
            ("d", true),
            ("a b", false),
            ("b d", false),
            ("bb", true),
            ("b", true),
            ("x", false),
        ] {
            assert_eq!(has_phrase("a bb b c d", phrase), expected, "{phrase}");
        }
    }
}
