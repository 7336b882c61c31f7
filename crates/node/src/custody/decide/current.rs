//! The consents that count now, and the policies that follow from them.

use std::collections::BTreeMap;

use contracts::access::{Evaluator, Implicit, Voted, check_consent};
use contracts::consent::Consent;
use contracts::consent::scope::Scopes;
use interop::fhir::Resource;
use ledger::ids::MemberName;

use super::{CustodyError, Rules};
use crate::custody::delegate::granted;

/// The current version of every consent that is known here, by name.
#[derive(Clone, Default)]
pub(super) struct Current {
    consents: BTreeMap<String, Option<Consent>>,
}

impl Current {
    pub(super) fn is_empty(&self) -> bool {
        self.consents.is_empty()
    }

    /// Those that can be read.
    pub(super) fn all(&self) -> Vec<Consent> {
        self.consents.values().flatten().cloned().collect()
    }

    /// What cannot be read, such as a form that this release refuses, is kept as a gap.
    pub(super) fn put(
        &mut self,
        member: &MemberName,
        id: &str,
        version: u64,
        resource: Option<Resource>,
    ) {
        let name = named(member, id);
        let consent = resource
            .and_then(|resource| Consent::read(&name, version, &resource.into_value()).ok());
        self.consents.insert(name, consent);
    }

    fn is_readable(&self) -> bool {
        self.consents.values().all(Option::is_some)
    }

    pub(super) fn remove(&mut self, member: &MemberName, id: &str) {
        self.consents.remove(&named(member, id));
    }

    /// A gap denies disclosure to others, and leaves the member's own care alone. Voted policies that cannot be
    /// evaluated deny everything.
    pub(super) fn rules(
        mut self,
        voted: Option<&Voted>,
        implicit: Implicit,
    ) -> Result<Rules, CustodyError> {
        let all = self.all();
        if let (true, Ok(evaluator)) = (
            self.is_readable(),
            Evaluator::governed(voted, implicit, &all),
        ) {
            return Ok(Rules {
                evaluator,
                complete: true,
                granted: granted(all.iter()),
                scopes: Scopes::of(&all),
            });
        }
        // Some of them, or what was voted, does not compile: which?
        for consent in self.consents.values_mut() {
            consent.take_if(|one| check_consent(one).is_err());
        }
        let complete = self.is_readable();
        if !complete {
            tracing::error!(
                "a stored consent cannot be read: the patient's records are not disclosed"
            );
        }
        let readable: Vec<Consent> = self.consents.into_values().flatten().collect();
        let evaluator = match (Evaluator::governed(voted, implicit, &readable), voted) {
            (Ok(evaluator), _) => evaluator,
            (Err(error), Some(voted)) => {
                tracing::error!(%error, "the voted policies cannot be evaluated: everything is denied");
                Evaluator::denying(voted, implicit, &readable)
            }
            (Err(error), None) => {
                let why = format!("the policies do not compile: {error}");
                return Err(CustodyError::Storage(why));
            }
        };
        Ok(Rules {
            evaluator,
            complete,
            granted: granted(readable.iter()),
            scopes: Scopes::of(&readable),
        })
    }
}

fn named(member: &MemberName, id: &str) -> String {
    format!("{}/{id}", member.as_str())
}
