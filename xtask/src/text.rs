//! What must not stand in a file, line by line.

/// More lines than this are said.
const LINES_LONG: usize = 500;
/// More lines than this are refused.
const LINES_MAX: usize = 600;

// Taken apart, so that this file does not find itself.
const UNFINISHED: [[&str; 2]; 4] = [["TO", "DO"], ["FIX", "ME"], ["HA", "CK"], ["X", "XX"]];
const PLACES: [[&str; 2]; 3] = [["/ho", "me/"], ["/ro", "ot/"], ["/wo", "rk/"]];
/// In code these tell of what is not there; in prose they may be the right word.
const EXCUSES: [[&str; 2]; 5] = [
    ["place", "holder"],
    ["for ", "now"],
    ["simpl", "ified"],
    ["not yet ", "implemented"],
    ["#[ig", "nore"],
];

/// How long a file is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Fits,
    Long(usize),
    TooLong(usize),
}

pub(crate) fn length(text: &str) -> Length {
    match text.lines().count() {
        lines if lines > LINES_MAX => Length::TooLong(lines),
        lines if lines > LINES_LONG => Length::Long(lines),
        _ => Length::Fits,
    }
}

pub(crate) fn faults_in(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.is_empty() && !text.ends_with('\n') {
        faults.push("no line end at the end".to_owned());
    }
    let is_code = is_code(name);
    for (line, number) in text.lines().zip(1..) {
        faults.extend(fault_in(line, is_code).map(|fault| format!("line {number}: {fault}")));
    }
    faults
}

fn is_code(name: &str) -> bool {
    name.ends_with(".rs") || name.ends_with(".sh") || !name.contains('.') || name == ".ci/run"
}

fn fault_in(line: &str, is_code: bool) -> Option<String> {
    if line.trim_end() != line {
        return Some("white space at the end".to_owned());
    }
    if line.contains('\t') {
        return Some("a tab".to_owned());
    }
    if let Some(word) = first(&UNFINISHED, |word| has_word(line, word)) {
        return Some(format!("`{word}`"));
    }
    if let Some(place) = first(&PLACES, |place| line.contains(place)) {
        return Some(format!("`{place}` is a path of one machine"));
    }
    if !is_code {
        return None;
    }
    let lower = line.to_lowercase();
    first(&EXCUSES, |excuse| has_word(&lower, excuse)).map(|excuse| format!("`{excuse}`"))
}

fn first(words: &[[&str; 2]], is_found: impl Fn(&str) -> bool) -> Option<String> {
    let mut words = words.iter().map(|parts| parts.concat());
    words.find(|word| is_found(word))
}

/// Whether `word` stands by itself: not as a part of a longer word or name.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(at, found)| {
        let (before, after) = line.split_at(at);
        let after = after.strip_prefix(found).unwrap_or_default();
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_code(line: &str) -> Vec<String> {
        faults_in("a.rs", &format!("{line}\n"))
    }

    #[test]
    fn clean_text_has_no_fault() {
        let none = Vec::<String>::new();
        assert_eq!(in_code("let xxxl = fixtures; // a workaround"), none);
        assert_eq!(in_code("EMPTY = b\"MERKLE_PLACEHOLDER_HASH\""), none);
        let [one, two] = EXCUSES[0];
        assert_eq!(faults_in("a.md", &format!("the {one}{two}\n")), none);
        assert_eq!(faults_in("a.md", ""), none);
    }

    #[test]
    fn untidy_lines_are_found() {
        assert_eq!(faults_in("a.md", "no end"), ["no line end at the end"]);
        assert_eq!(in_code("space "), ["line 1: white space at the end"]);
        assert_eq!(in_code("a\tb"), ["line 1: a tab"]);
    }

    #[test]
    fn every_unfinished_word_is_found() {
        for [one, two] in UNFINISHED {
            assert_eq!(in_code(&format!("// {one}{two}: later")).len(), 1, "{one}");
        }
        for [one, two] in EXCUSES {
            assert_eq!(in_code(&format!("// {one}{two}")).len(), 1, "{one}");
        }
        let [one, two] = EXCUSES[0];
        let capital = format!("// {one}{two}").replace("pl", "Pl");
        assert_eq!(in_code(&capital).len(), 1, "{capital}");
    }

    #[test]
    fn every_path_of_one_machine_is_found() {
        for [one, two] in PLACES {
            let faults = faults_in("a.md", &format!("see {one}{two}x\n"));
            assert_eq!(faults.len(), 1, "{one}");
        }
    }

    #[test]
    fn long_files_are_said_and_longer_ones_refused() {
        let lines = |count| length(&"line\n".repeat(count));
        assert_eq!(lines(LINES_LONG), Length::Fits);
        assert_eq!(lines(LINES_LONG + 1), Length::Long(LINES_LONG + 1));
        assert_eq!(lines(LINES_MAX), Length::Long(LINES_MAX));
        assert_eq!(lines(LINES_MAX + 1), Length::TooLong(LINES_MAX + 1));
    }
}
