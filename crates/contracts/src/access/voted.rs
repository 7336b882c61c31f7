//! Voted policies: what members have decided together, beside what is built in.

use std::str::FromStr;

use cedar_policy::{Policy, PolicyId, PolicySet};
use ledger::ids::Digest;

use super::{AccessError, Evaluator, Implicit};

/// What the ids of voted policies begin with, so that none passes for a built-in one or a patient's.
const PREFIX: &str = "voted/";
const TEXT: &str = "the voted policies";

/// The policies that members have voted, read once for all decisions.
#[derive(Debug, Clone)]
pub struct Voted {
    digest: Digest,
    policies: Result<Vec<Policy>, AccessError>,
}

impl Voted {
    /// Reads policies. Those that cannot be read deny everything: somebody may have meant to forbid it.
    pub fn of(text: &str) -> Self {
        Self {
            digest: digest_of(text),
            policies: read(text),
        }
    }

    /// SHA-256 of their text, by which decisions name them.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn policies(&self) -> Result<&[Policy], AccessError> {
        self.policies.as_deref().map_err(Clone::clone)
    }
}

/// By what decisions name the policies in force.
pub fn digest_of(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// Whether `text` has policies that could stand beside the built-in ones and those of consents.
pub fn check_policies(text: &str) -> Result<(), AccessError> {
    Evaluator::governed(Some(&Voted::of(text)), Implicit::default(), &[]).map(|_| ())
}

pub(super) fn is_voted(id: &str) -> bool {
    id.starts_with(PREFIX)
}

fn read(text: &str) -> Result<Vec<Policy>, AccessError> {
    let malformed = || AccessError::PolicyInvalid(TEXT.to_owned());
    let set = PolicySet::from_str(text).map_err(|_| malformed())?;
    // A template decides nothing until somebody links it, which nobody can.
    if set.templates().next().is_some() {
        return Err(malformed());
    }
    let renamed = |policy: &Policy| {
        let id = policy.annotation("id").ok_or_else(malformed)?;
        Ok(policy.new_id(PolicyId::new(format!("{PREFIX}{id}"))))
    };
    set.policies().map(renamed).collect()
}
