//! Slices: of all policies of a patient's consents those that can matter to a request.
//!
//! Cedar looks at every policy that it is shown. A consent of another member, of another time or for another purpose
//! decides nothing, nor does a built-in policy whose circumstance is absent, and they need not be shown: what is left out
//! is not satisfied, so neither the outcome nor the policies that determine it change. With them goes what they look at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cedar_policy::{Policy, PolicySet};

use super::attribute::Reads;
use super::circumstance::{Circumstance, Circumstances};
use super::{AccessError, Request};
use crate::consent::{Consent, Gate, rules};

/// Prepared sets of one patient at most.
const KEPT_MAX: usize = 256;

/// The policies of consents, found by what a request has to be like.
pub(super) struct Slices {
    /// The built-in policies, by their circumstance.
    built_in: Arc<[BuiltIn]>,
    implicit: BuiltIn,
    voted: Vec<(Policy, Reads)>,
    consents: Vec<Compiled>,
    /// Every rule, as an index into `consents` and a place in it.
    rules: Vec<Place>,
    /// Rules for one member alone, and those for any.
    of_member: BTreeMap<String, Vec<usize>>,
    of_any: Vec<usize>,
    prepared: Mutex<BTreeMap<Slice, Arc<Shown>>>,
}

/// What Cedar is shown.
pub(super) struct Shown {
    pub(super) policies: PolicySet,
    /// What the policies look at.
    pub(super) reads: Reads,
}

/// What chooses policies: circumstances, and numbers of rules.
type Slice = (Circumstances, Vec<usize>);

/// A policy that is no patient's, and the circumstance without which it is not satisfied.
#[derive(Clone)]
pub(super) struct BuiltIn {
    pub(super) policy: Policy,
    reads: Reads,
    only: Option<Circumstance>,
}

impl BuiltIn {
    /// `None` if nobody knows the circumstance that it names.
    pub(super) fn of(policy: Policy) -> Option<Self> {
        let only = match policy.annotation("only") {
            Some(named) => Some(Circumstance::named(named)?),
            None => None,
        };
        let reads = Reads::of(&policy);
        Some(Self {
            policy,
            reads,
            only,
        })
    }
}

struct Place {
    consent: usize,
    rule: usize,
    gate: Gate,
}

struct Compiled {
    consent: Consent,
    /// Made when they are first needed: most consents of a patient never matter again.
    policies: OnceLock<Option<Vec<(Policy, Reads)>>>,
}

/// What of a request tells which policies matter.
pub(super) struct Key<'a> {
    pub(super) request: &'a Request,
    pub(super) purposes: &'a BTreeSet<String>,
    /// Whether some consent is in force.
    pub(super) found: bool,
}

impl Slices {
    pub(super) fn of(
        (built_in, implicit): (Arc<[BuiltIn]>, BuiltIn),
        voted: Vec<Policy>,
        consents: &[Consent],
    ) -> Self {
        let mut slices = Self {
            built_in,
            implicit,
            voted: voted.into_iter().map(with_reads).collect(),
            consents: Vec::with_capacity(consents.len()),
            rules: Vec::new(),
            of_member: BTreeMap::new(),
            of_any: Vec::new(),
            prepared: Mutex::default(),
        };
        for consent in consents {
            slices.add(consent);
        }
        slices
    }

    fn add(&mut self, consent: &Consent) {
        let at = self.consents.len();
        for (rule, found) in rules(consent).iter().enumerate() {
            let gate = found.gate();
            let number = self.rules.len();
            match gate.members() {
                None => self.of_any.push(number),
                Some(members) => {
                    for member in members {
                        self.of_member
                            .entry(member.clone())
                            .or_default()
                            .push(number);
                    }
                }
            }
            self.rules.push(Place {
                consent: at,
                rule,
                gate,
            });
        }
        self.consents.push(Compiled {
            consent: consent.clone(),
            policies: OnceLock::new(),
        });
    }

    /// The policies that can matter to a request.
    pub(super) fn for_request(&self, key: &Key<'_>) -> Result<Arc<Shown>, AccessError> {
        let request = key.request;
        let of_member = self.of_member.get(&request.member).into_iter().flatten();
        let admitted = |number: &&usize| {
            let place = self.rules.get(**number);
            place.is_some_and(|place| {
                let gate = &place.gate;
                gate.admits(request.now, request.action, key.purposes)
            })
        };
        let numbers = of_member.chain(&self.of_any).filter(admitted);
        let slice = (Circumstances::of(key), numbers.copied().collect());
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = prepared.get(&slice) {
            return Ok(Arc::clone(set));
        }
        let (circumstances, numbers) = &slice;
        let set = Arc::new(self.set_of(|one| circumstances.have(one.only), numbers)?);
        if prepared.len() >= KEPT_MAX {
            prepared.clear();
        }
        prepared.insert(slice, Arc::clone(&set));
        Ok(set)
    }

    /// All policies, for what has to look at each.
    #[cfg(test)]
    pub(super) fn whole(&self) -> Result<Shown, AccessError> {
        let numbers: Vec<usize> = (0..self.rules.len()).collect();
        let mut whole = self.set_of(|_| true, &numbers)?;
        whole.reads = Reads::ALL;
        Ok(whole)
    }

    fn set_of(
        &self,
        matters: impl Fn(&BuiltIn) -> bool,
        numbers: &[usize],
    ) -> Result<Shown, AccessError> {
        let mut shown = Shown {
            policies: PolicySet::new(),
            reads: Reads::NONE,
        };
        let built_in = self.built_in.iter().chain([&self.implicit]);
        let built_in = built_in.filter(|one| matters(one));
        let built_in = built_in.map(|one| (&one.policy, one.reads));
        let voted = self.voted.iter().map(|(policy, reads)| (policy, *reads));
        for (policy, reads) in built_in.chain(voted) {
            let invalid = || AccessError::PolicyInvalid(policy.id().to_string());
            shown.add(policy, reads).ok_or_else(invalid)?;
        }
        for number in numbers {
            let invalid = || AccessError::RequestInvalid;
            let (policy, reads) = self.policy(*number).ok_or_else(invalid)?;
            shown.add(policy, *reads).ok_or_else(invalid)?;
        }
        Ok(shown)
    }

    fn policy(&self, number: usize) -> Option<&(Policy, Reads)> {
        let place = self.rules.get(number)?;
        let compiled = self.consents.get(place.consent)?;
        let policies = compiled.policies.get_or_init(|| {
            let rules = rules(&compiled.consent);
            let policies = rules.iter().map(|rule| rule.policy().map(with_reads));
            policies.collect()
        });
        policies.as_ref()?.get(place.rule)
    }
}

impl Shown {
    /// `None` if there is one of that name.
    fn add(&mut self, policy: &Policy, reads: Reads) -> Option<()> {
        self.reads = self.reads.and(reads);
        self.policies.add(policy.clone()).ok()
    }
}

fn with_reads(policy: Policy) -> (Policy, Reads) {
    let reads = Reads::of(&policy);
    (policy, reads)
}
