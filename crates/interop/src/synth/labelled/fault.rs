//! The faults of a second record.

use super::{GIVEN, Home, Someone, capitalised, family, telephone};
use crate::synth::draw::Draw;
use crate::synth::person::DAY_MS;
use crate::synth::record::date_text;

/// What a record shows of somebody.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each element is there or is not, by itself"
)]
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) has_national: bool,
    pub(super) has_gender: bool,
    pub(super) has_phone: bool,
    pub(super) has_address: bool,
    /// Given names that are there.
    pub(super) given: usize,
    pub(super) is_upper: bool,
    pub(super) maiden: Option<String>,
    /// The date of birth as it is written, if not as it is; empty for none.
    pub(super) born: Option<String>,
}

impl Shown {
    pub(super) fn first(draw: &mut Draw) -> Self {
        Self {
            has_national: draw.below(100) < 70,
            has_gender: true,
            has_phone: draw.below(100) < 90,
            has_address: draw.below(100) < 97,
            given: if draw.is_one_in(3) { 2 } else { 1 },
            is_upper: false,
            maiden: None,
            born: None,
        }
    }
}

/// The person as a second record has them.
pub(super) fn again(someone: &Someone, draw: &mut Draw) -> (Someone, Shown) {
    let mut shown = Shown::first(draw);
    let mut other = someone.clone();
    shown.is_upper = draw.is_one_in(5);
    shown.has_gender = draw.below(100) < 97;
    names(&mut other, &mut shown, draw);
    if draw.below(100) < 15 {
        other.home = Home::drawn(draw);
    } else if draw.is_one_in(3) {
        other.home.street = respelt(&other.home.street);
    }
    if draw.below(100) < 20 {
        other.phone = telephone(draw);
    } else if draw.is_one_in(3) {
        other.phone = other.phone.replace("+1 (", "1-").replace(") ", "-");
    }
    if draw.below(100) < 2 {
        other.national = with_slip(&other.national, draw);
    }
    shown.born = born(someone, draw);
    (other, shown)
}

fn names(other: &mut Someone, shown: &mut Shown, draw: &mut Draw) {
    let first = other.given.first_mut();
    match (draw.below(100), first) {
        (0..4, Some(given)) => *given = with_slip(given, draw),
        (4..12, Some(given)) => {
            if let Some(short) = short_form(given, draw) {
                *given = short;
            }
        }
        (12..14, Some(given)) => std::mem::swap(given, &mut other.family),
        (14, Some(given)) => *given = given.chars().take(1).collect(),
        _ => {}
    }
    match draw.below(100) {
        0..4 => other.family = with_slip(&other.family, draw),
        4..7 if other.is_woman => {
            let maiden = std::mem::replace(&mut other.family, family(draw));
            shown.maiden = draw.is_one_in(2).then_some(maiden);
        }
        7..9 if other.is_woman => other.family = format!("{}-{}", other.family, family(draw)),
        _ => {}
    }
}

fn born(someone: &Someone, draw: &mut Draw) -> Option<String> {
    let date = date_text(someone.born_day * DAY_MS);
    match draw.below(100) {
        0 => Some(String::new()),
        1 => Some(date.chars().take(4).collect()),
        2 | 3 => {
            let parts: Vec<&str> = date.split('-').collect();
            match parts.as_slice() {
                [year, month, day] if *day <= "12" => Some(format!("{year}-{day}-{month}")),
                _ => None,
            }
        }
        4 => Some(date_text((someone.born_day + 1) * DAY_MS)),
        _ => None,
    }
}

fn short_form(given: &str, draw: &mut Draw) -> Option<String> {
    let name = given.to_lowercase();
    let mut lines = GIVEN
        .lines()
        .filter(|line| line.split(' ').next() == Some(name.as_str()));
    let others: Vec<&str> = lines.next()?.split_whitespace().skip(1).collect();
    (!others.is_empty()).then(|| capitalised(draw.pick::<&str>(&others)))
}

/// A letter or digit that is swapped with the next, left out, doubled or another.
fn with_slip(text: &str, draw: &mut Draw) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let last = letters.len().saturating_sub(1);
    if last < 2 {
        return text.to_owned();
    }
    let at = usize::try_from(draw.between(1, last as u64 - 1)).unwrap_or(1);
    match draw.below(4) {
        0 => letters.swap(at, at + 1),
        1 => drop(letters.remove(at)),
        2 => letters.insert(at, letters[at]),
        _ => {
            letters[at] = if letters[at].is_ascii_digit() {
                '7'
            } else {
                'e'
            }
        }
    }
    letters.into_iter().collect()
}

fn respelt(street: &str) -> String {
    let words = [
        ("Street", "St."),
        ("Road", "Rd"),
        ("Lane", "Ln"),
        ("Avenue", "Ave."),
    ];
    let respelt = words
        .iter()
        .find_map(|(long, short)| street.contains(long).then(|| street.replace(long, short)));
    respelt.unwrap_or_else(|| street.to_uppercase())
}
