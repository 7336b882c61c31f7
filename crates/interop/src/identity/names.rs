//! Given names and their short forms.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Each line is one name: the full form, then others that people go by.
const GROUPS: &str = include_str!("data/given-names.txt");

static KNOWN: LazyLock<BTreeMap<&'static str, Vec<usize>>> = LazyLock::new(|| {
    let mut known: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (group, line) in GROUPS.lines().enumerate() {
        for name in line.split_whitespace() {
            known.entry(name).or_default().push(group);
        }
    }
    known
});

/// Whether it is a given name that many people have.
pub(super) fn is_known(name: &str) -> bool {
    KNOWN.contains_key(name)
}

/// Whether both are forms of one name.
pub(super) fn are_forms(one: &str, other: &str) -> bool {
    let groups = |name| KNOWN.get(name).map(Vec::as_slice).unwrap_or_default();
    groups(one)
        .iter()
        .any(|group| groups(other).contains(group))
}

/// The full forms of a name, if it is known; several people's short names are of more than one.
pub(super) fn full_forms(name: &str) -> impl Iterator<Item = &'static str> {
    let groups = KNOWN.get(name).map(Vec::as_slice).unwrap_or_default();
    let lines = groups.iter().filter_map(|group| GROUPS.lines().nth(*group));
    lines.filter_map(|line| line.split_whitespace().next())
}

/// The full form of a name; itself if it has no other or several.
pub(super) fn full_form(name: &str) -> &str {
    match KNOWN.get(name).map(Vec::as_slice) {
        Some([group]) => {
            let line = GROUPS.lines().nth(*group);
            line.and_then(|line| line.split_whitespace().next())
                .unwrap_or(name)
        }
        _ => name,
    }
}
