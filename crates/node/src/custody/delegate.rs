//! Delegates: through which consents somebody stands in a patient's place.
//!
//! The chain is looked for here; whether it holds, and how far, is decided with every request (`contracts::access`).

use std::collections::{BTreeSet, VecDeque};

use contracts::access::{Delegation, HeadRef, LINKS_MAX, Limits, Link};
use contracts::consent::{Consent, Grant, grants};
use interop::fhir::ResourceType;

use super::request::Requester;
use super::subject::Subject;
use super::{Custody, CustodyError};

/// The delegations that a patient's consents grant, each with its consent.
pub(super) type Granted = Vec<(HeadRef, Grant)>;

/// Whose place somebody may take.
const RELATED: &str = "RelatedPerson";

impl Custody {
    /// The patient to whom a RelatedPerson of this member is related.
    pub fn principal_of(&self, related: &str) -> Result<Option<String>, CustodyError> {
        let place = related.strip_prefix("RelatedPerson/");
        let (Some(id), Some(kind)) = (place, ResourceType::parse(RELATED)) else {
            return Ok(None);
        };
        match self.head(kind, id)?.filter(|head| !head.deleted) {
            Some(head) => Ok(self.0.subjects.load(&head.subject)?.patient_id.clone()),
            None => Ok(None),
        }
    }

    /// The chain through which somebody asks in the place of this patient.
    pub(super) fn on_behalf_of(
        &self,
        by: &Requester,
        subject: &Subject,
        granted: &Granted,
    ) -> Option<Delegation> {
        let (who, patient) = (by.related.as_deref()?, subject.patient_id.as_deref()?);
        let now = i64::try_from((self.0.options.clock)()).unwrap_or(i64::MAX);
        let member = self.0.home.member.as_str();
        chain(patient, (who, member), granted, now)
    }
}

/// What consents grant.
pub(super) fn granted<'a>(consents: impl Iterator<Item = &'a Consent>) -> Granted {
    let each = consents.flat_map(|consent| {
        let head = HeadRef {
            id: consent.id.clone(),
            version: consent.version,
        };
        let all = grants(consent).into_iter();
        all.map(move |grant| (head.clone(), grant))
    });
    each.collect()
}

/// The shortest chain to `who` that is in force, else the shortest: then the decision says what it lacks.
fn chain(
    patient: &str,
    (who, member): (&str, &str),
    granted: &Granted,
    now: i64,
) -> Option<Delegation> {
    let mut fallback = None;
    let mut open = VecDeque::from([Vec::<Link>::new()]);
    while let Some(links) = open.pop_front() {
        let giver = links.last().map(|link| link.delegate.as_str());
        if giver == Some(who) {
            let is_in_force = links.iter().all(|link| in_force(&link.limits, now));
            let found = Delegation {
                patient: patient.to_owned(),
                links,
            };
            if is_in_force {
                return Some(found);
            }
            fallback = fallback.or(Some(found));
            continue;
        }
        if links.len() >= LINKS_MAX {
            continue;
        }
        let met: BTreeSet<&str> = links.iter().map(|link| link.delegate.as_str()).collect();
        for (consent, grant) in granted {
            let is_by = match giver {
                None => grant.by.is_empty(),
                Some(giver) => grant.by.contains(giver),
            };
            if grant.member == member && is_by && !met.contains(grant.delegate.as_str()) {
                let link = Link {
                    consent: consent.clone(),
                    delegate: grant.delegate.clone(),
                    limits: grant.limits.clone(),
                };
                open.push_back(links.iter().cloned().chain([link]).collect());
            }
        }
    }
    fallback
}

fn in_force(limits: &Limits, now: i64) -> bool {
    let ends = [limits.until, limits.majority].into_iter().flatten().min();
    limits.from.is_none_or(|from| from <= now) && ends.is_none_or(|end| now < end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(id: &str, by: &[&str], delegate: &str, until: Option<i64>) -> (HeadRef, Grant) {
        let head = HeadRef {
            id: id.to_owned(),
            version: 1,
        };
        let grant = Grant {
            by: by.iter().map(|one| (*one).to_owned()).collect(),
            delegate: delegate.to_owned(),
            member: "clinic".to_owned(),
            limits: Limits {
                until,
                ..Limits::default()
            },
        };
        (head, grant)
    }

    fn ids(granted: &Granted, who: &str) -> Option<Vec<String>> {
        let found = chain("p1", (who, "clinic"), granted, 10)?;
        Some(
            found
                .links
                .into_iter()
                .map(|link| link.consent.id)
                .collect(),
        )
    }

    #[test]
    fn a_chain_begins_with_the_patient_has_three_links_at_most_and_no_loop() {
        let of = |id: &str| format!("RelatedPerson/{id}");
        let (a, b, c, d) = (of("a"), of("b"), of("c"), of("d"));
        let granted = vec![
            grant("1", &[], &a, None),
            grant("2", &[&a], &b, None),
            grant("3", &[&b], &c, None),
            grant("4", &[&c], &d, None),
            grant("5", &[&b], &a, None),
        ];
        assert_eq!(ids(&granted, &a).unwrap(), ["1"]);
        assert_eq!(ids(&granted, &c).unwrap(), ["1", "2", "3"]);
        assert_eq!(ids(&granted, &d), None, "four links");
        assert_eq!(ids(&granted[1..].to_vec(), &b), None, "nobody begins it");
        let loops = vec![grant("1", &[&b], &a, None), grant("2", &[&a], &b, None)];
        assert_eq!(ids(&loops, &b), None);
        let elsewhere = chain("p1", (&a, "hospital"), &granted, 10);
        assert_eq!(
            elsewhere, None,
            "references are of the member that filed the consent"
        );
    }

    #[test]
    fn what_is_in_force_goes_before_what_has_ended() {
        let who = "RelatedPerson/a";
        let granted = vec![
            grant("old", &[], who, Some(10)),
            grant("new", &[], who, Some(11)),
        ];
        assert_eq!(ids(&granted, who).unwrap(), ["new"]);
        assert_eq!(
            ids(&granted[..1].to_vec(), who).unwrap(),
            ["old"],
            "the decision says so"
        );
    }
}
