//! Blocking: words that patients who may be one person share, so that few are compared.
//!
//! Several passes, each blind to other faults: an identifier, a telephone number, the day of birth with the sound of
//! either name (month and day in order of size, so that they may be swapped), and both names with the year of birth or
//! the place.

use std::collections::BTreeSet;
use std::fmt;

use rphonetic::{DoubleMetaphone, Encoder as _};

use super::names;
use super::traits::{Born, Traits};

/// Letters of a sound that are kept.
const SOUND_LENGTH: usize = 4;

/// A word by which a patient is found. It is patient data: store it hashed under a key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockingKey(String);

impl fmt::Debug for BlockingKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("BlockingKey(..)")
    }
}

impl BlockingKey {
    /// The pass and what it looks at.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The words by which candidates for a patient are found; two patients are compared if they have one in common.
pub fn blocking_keys(of: &Traits) -> BTreeSet<BlockingKey> {
    let mut keys = BTreeSet::new();
    let mut add = |key: String| {
        keys.insert(BlockingKey(key));
    };
    for one in &of.identifiers {
        add(format!("i {} {}", one.authority, one.value));
    }
    for contact in &of.contacts {
        add(format!("c {contact}"));
    }
    let families: BTreeSet<String> = of.families.iter().map(|parts| parts.concat()).collect();
    let parts: BTreeSet<&str> = of.families.iter().flatten().map(String::as_str).collect();
    let given = of.given.as_deref().map(names::full_form);
    if let Some(day) = of.born.and_then(day) {
        for name in parts.iter().copied().chain(given) {
            add(format!("d {day} {}", sound(name)));
        }
    }
    if let Some(given) = given {
        for family in &families {
            let mut both = [family.as_str(), given];
            both.sort_unstable();
            let both = both.join(" ");
            if let Some(born) = of.born {
                add(format!("y {both} {}", born.year));
            }
            for area in &of.areas {
                add(format!("a {both} {area}"));
            }
        }
    }
    keys
}

/// The key that all patients with the family name have, to count them by; `None` without one.
pub fn family_key(of: &Traits) -> Option<BlockingKey> {
    let name = family_name(of).into_iter().next()?;
    Some(BlockingKey(format!("f {name}")))
}

/// The key that all patients with the first given name have, to count them by; `None` without one.
pub fn given_key(of: &Traits) -> Option<BlockingKey> {
    let name = given_name(of).into_iter().next()?;
    Some(BlockingKey(format!("g {name}")))
}

pub(super) fn family_name(of: &Traits) -> Vec<String> {
    of.families.iter().map(|parts| parts.concat()).collect()
}

pub(super) fn given_name(of: &Traits) -> Vec<String> {
    of.given.iter().cloned().collect()
}

/// A whole date; day and month in order of size.
fn day(born: Born) -> Option<String> {
    let (month, day) = (born.month?, born.day?);
    let (low, high) = (month.min(day), month.max(day));
    Some(format!("{:04}{low:02}{high:02}", born.year))
}

/// How a name sounds; itself where nothing is known of its letters.
fn sound(name: &str) -> String {
    // The library is for Latin letters.
    if !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return name.to_owned();
    }
    let sound = DoubleMetaphone::new(Some(SOUND_LENGTH)).encode(name);
    if sound.is_empty() {
        name.to_owned()
    } else {
        sound
    }
}
