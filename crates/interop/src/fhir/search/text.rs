//! Texts as they are compared: without regard to case, accents and the ends.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The text folded: decomposed, without marks, in lower case, blanks at its ends cut off.
pub fn fold(text: &str) -> String {
    let trimmed = text.trim();
    if trimmed.is_ascii() {
        return trimmed.to_ascii_lowercase();
    }
    let plain = trimmed.nfkd().filter(|letter| !is_combining_mark(*letter));
    plain.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_ends_do_not_count() {
        assert_eq!(fold(" Müller "), "muller");
        assert_eq!(fold("ÉTÉ"), fold("ete"));
        assert_eq!(fold("Ωmega"), fold("ωMEGA"));
        assert_eq!(fold("王"), "王");
    }
}
