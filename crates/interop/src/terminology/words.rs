//! The words by which concepts are found.

use crate::fhir::search::fold;

/// Longer words are cut.
const WORD_BYTES_MAX: usize = 40;

/// The folded words of a text.
pub fn words(text: &str) -> Vec<String> {
    let folded = fold(text);
    let words = folded.split(|letter: char| !letter.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words.map(|word| cut(word).to_owned()).collect()
}

fn cut(word: &str) -> &str {
    let mut end = word.len().min(WORD_BYTES_MAX);
    while !word.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    word.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_folded_and_cut() {
        assert_eq!(
            words("Ménière's disease, 2-sided"),
            ["meniere", "s", "disease", "2", "sided"]
        );
        assert_eq!(words(&"é".repeat(50)), ["e".repeat(40)]);
        assert!(words(" - ").is_empty());
    }
}
