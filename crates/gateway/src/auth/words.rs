//! Scopes, as people read them.

use crate::http::pairs_of;

/// What an app may do with a scope.
pub(super) fn of(scope: &str) -> String {
    let words = match scope {
        "openid" | "profile" => "know that you signed in",
        "fhirUser" => "know who you are",
        "launch" | "launch/patient" => "know which patient this is about",
        "launch/encounter" => "know which encounter this is about",
        "offline_access" => "keep this access for up to 90 days, also when you are away",
        "online_access" => "keep this access for up to 12 hours",
        data => return of_data(data),
    };
    words.to_owned()
}

fn of_data(scope: &str) -> String {
    let (scope, query) = scope.split_once('?').unwrap_or((scope, ""));
    let (context, rest) = scope.split_once('/').unwrap_or(("", scope));
    let (kind, letters) = rest.split_once('.').unwrap_or((rest, ""));
    let has = |letter: char| letters.contains(letter);
    let see = match (has('r'), has('s')) {
        (true, true) => Some("see"),
        (true, false) => Some("open"),
        (false, true) => Some("search"),
        (false, false) => None,
    };
    let mut verbs: Vec<&str> = see.into_iter().collect();
    let changes = [('c', "add"), ('u', "change"), ('d', "delete")];
    verbs.extend(
        changes
            .iter()
            .filter(|(letter, _)| has(*letter))
            .map(|(_, verb)| *verb),
    );
    let kind = if kind == "*" {
        "all records".to_owned()
    } else {
        format!("{} records", spaced(kind))
    };
    let whose = match context {
        "user" | "system" => " of every patient whom you may see",
        _ => "",
    };
    let mut words = format!("{} {kind}{whose}", listed(&verbs));
    let only: Vec<String> = pairs_of(query)
        .map(|(name, value)| format!("{name} is {value}"))
        .collect();
    if !only.is_empty() {
        words.push_str(", only where ");
        words.push_str(&only.join(" and "));
    }
    words
}

/// `MedicationRequest` as "medication request".
fn spaced(kind: &str) -> String {
    let mut words = String::new();
    for one in kind.chars() {
        if one.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(one.to_ascii_lowercase());
    }
    words
}

fn listed(verbs: &[&str]) -> String {
    match verbs {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        verbs => verbs.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_scope_says_whose_records_it_reaches_and_which() {
        for (scope, words) in [
            (
                "patient/MedicationRequest.rs",
                "see medication request records",
            ),
            ("patient/*.cruds", "see, add, change and delete all records"),
            (
                "user/Patient.r",
                "open patient records of every patient whom you may see",
            ),
            (
                "patient/Observation.s?category=laboratory&status=final",
                "search observation records, only where category is laboratory and status is final",
            ),
            (
                "offline_access",
                "keep this access for up to 90 days, also when you are away",
            ),
        ] {
            assert_eq!(of(scope), words);
        }
    }
}
