//! What a consent covers, said to whoever is shown records on it (42 CFR 2.32(b): a copy of the consent, or a clear
//! explanation of its scope).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Consent;
use super::explain::sentences;
use super::life::State;

/// Characters of an explanation after which no further sentence is begun: it goes with each record.
const CHARS_MAX: usize = 1_500;

/// Explanations of consents in force, by what decisions call their policies.
#[derive(Clone, Default)]
pub struct Scopes(BTreeMap<String, Arc<str>>);

impl Scopes {
    /// Those of these consents.
    pub fn of<'a>(consents: impl IntoIterator<Item = &'a Consent>) -> Self {
        let active = consents.into_iter().filter(|consent| consent.is_active());
        let named = active.map(|consent| {
            let Consent { id, version, .. } = consent;
            (format!("consent/{id}/{version}"), said(consent).into())
        });
        Self(named.collect())
    }

    /// The explanation of the consents among the policies that determined a decision; `None` if none did.
    pub fn among(&self, determining: &[String]) -> Option<Arc<str>> {
        let mut found: Vec<&Arc<str>> = Vec::new();
        for policy in determining {
            let scope = self.named(policy);
            found.extend(scope.filter(|scope| !found.contains(scope)));
        }
        match found.as_slice() {
            [] => None,
            [one] => Some(Arc::clone(one)),
            several => {
                let several: Vec<&str> = several.iter().map(|one| &***one).collect();
                Some(several.join(" ").into())
            }
        }
    }

    /// A policy is called by its consent, its version and its place in it.
    fn named(&self, policy: &str) -> Option<&Arc<str>> {
        let mut name = policy;
        loop {
            if let Some(scope) = self.0.get(name) {
                return Some(scope);
            }
            (name, _) = name.rsplit_once('/')?;
        }
    }
}

impl std::fmt::Debug for Scopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scopes(..)")
    }
}

fn said(consent: &Consent) -> String {
    let mut said = format!(
        "Disclosed on the patient's consent {} (version {}), which says to the patient:",
        consent.id, consent.version
    );
    for sentence in sentences(consent, State::Active) {
        if said.len() > CHARS_MAX {
            said.push_str(" It says more: ask the member for the consent.");
            break;
        }
        said.push(' ');
        said.push_str(&sentence);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::template::{DataClass, Grant, access};

    fn consent(id: &str, grantee: &str) -> Consent {
        let filed = access(&Grant {
            patient: "Patient/p",
            grantee,
            data: &[DataClass::Laboratory],
            purpose: "TREAT",
            start: "2026-01-01T00:00:00Z",
            end: "2036-01-01T00:00:00Z",
        });
        Consent::read(id, 2, &filed).unwrap()
    }

    #[test]
    fn part2_2_an_explanation_is_of_the_consents_that_permitted_and_of_no_other() {
        let mut ended = consent("clinic/c", "laboratory");
        ended.status = super::super::Status::Inactive;
        let scopes = Scopes::of(&[
            consent("clinic/a", "hospital"),
            consent("clinic/b", "payer"),
            ended,
        ]);
        let among = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            scopes.among(&names)
        };
        let one = among(&[
            "consent/clinic/a/2/0",
            "consent/clinic/a/2",
            "network/treatment",
        ]);
        let one = one.unwrap();
        assert!(one.contains("consent clinic/a (version 2)"), "{one}");
        assert!(
            one.contains("hospital may see") && one.contains("to treat you"),
            "{one}"
        );
        assert_eq!(one.matches("Disclosed").count(), 1);
        let both = among(&["consent/clinic/a/2", "consent/clinic/b/2"]).unwrap();
        assert!(both.contains("hospital may see") && both.contains("payer may see"));
        for none in [
            "network/treatment",
            "consent/clinic/a/1",
            "consent/clinic/c/2",
        ] {
            assert!(among(&[none]).is_none(), "{none}");
        }
    }
}
