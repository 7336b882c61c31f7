//! Access: may this requester open this document, for this purpose, now?
//!
//! Built-in policies (`network.cedar`), those that members have voted, and the patient's consents are evaluated together
//! by Cedar. What members vote may forbid anything, and may permit what stays at the member that holds the document.
//!
//! # Invariants
//! - **X1** Without a permit that matches, the answer is deny; a forbid that matches wins over every permit.
//! - **X2** An error in evaluating any policy denies.
//! - **X3** Another member is permitted a patient's document only by a consent in force, or, where there is none, by
//!   the member's implicit policy, and only while the consents are known; no vote replaces a consent.
//! - **X5** A declared emergency opens to a practitioner, for care and for its time, what consents do not deny to
//!   emergencies by name, whether they are known or not.
//! - **X6** A delegate sees at most what the patient would, as far as every link of the chain goes.
//! - **X7** A consent or a voted policy that forbids to collect or to correct a document keeps it from being written; that
//!   nothing permits it does not.
//! - **X4** The answer names the policies that determine it.

mod asked;
mod attribute;
mod bare;
mod circumstance;
mod delegation;
mod emergency;
mod implicit;
pub mod published;
mod record;
mod request;
mod slice;
mod voted;
mod writing;

use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use cedar_policy::{Authorizer, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use ledger::ids::Digest;

use crate::consent::{Consent, rules};
use delegation::Grants;
use slice::{BuiltIn, Slices};

pub use asked::Asked;
pub use bare::Bare;
pub use delegation::{Action, Delegation, LINKS_MAX, Limits, Link, NotDelegated};
pub use emergency::Emergency;
pub use implicit::Implicit;
pub use voted::{Voted, check_policies, digest_of};

pub use request::{Document, Request};

pub use record::{
    DecisionRecord, HeadRef, RecordedRequest, RecordedRuling, Replay, replay, replay_prepared,
};

const SCHEMA: &str = include_str!("open.cedarschema");
const NETWORK: &str = include_str!("network.cedar");
const IMPLICIT: &str = include_str!("implicit.cedar");
/// How consents become policies: changes with every change of an outcome.
const COMPILATION: &str = "3";

/// The outcome for one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether the document may be opened.
    pub permitted: bool,
    /// The policies that determine the outcome; none where nothing permits.
    pub determining: Vec<String>,
    /// Why, in words without patient data.
    pub reason: &'static str,
}

/// Policies or a request that cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// A policy does not parse or does not fit the schema.
    #[error("policy `{0}` does not fit the schema")]
    PolicyInvalid(String),
    /// The request does not fit the schema.
    #[error("the request does not fit the schema")]
    RequestInvalid,
}

/// Built-in and voted policies and one patient's consents, ready to decide.
pub struct Evaluator {
    /// `None` if they cannot be read.
    policies: Option<Slices>,
    grants: Grants,
    authorizer: Authorizer,
    heads: Vec<HeadRef>,
    /// Whether some consent is in force.
    found: bool,
    implicit: Implicit,
    voted: Option<Digest>,
    /// Whether a consent in force says who may write.
    names_writing: bool,
}

impl std::fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator")
            .field("heads", &self.heads)
            .finish_non_exhaustive()
    }
}

static BASE: LazyLock<Result<Base, AccessError>> = LazyLock::new(|| Base::of(NETWORK));
static IMPLICITS: LazyLock<Result<Base, AccessError>> = LazyLock::new(|| Base::of(IMPLICIT));

/// The schema and the built-in policies, read and validated once.
struct Base {
    validator: Validator,
    policies: PolicySet,
    built_in: Arc<[BuiltIn]>,
}

impl Base {
    fn of(network: &str) -> Result<Self, AccessError> {
        let invalid = |id: &str| AccessError::PolicyInvalid(id.to_owned());
        let (schema, _) =
            Schema::from_cedarschema_str(SCHEMA).map_err(|_| invalid("open.cedarschema"))?;
        let network = PolicySet::from_str(network).map_err(|_| invalid("network.cedar"))?;
        let mut policies = PolicySet::new();
        let mut built_in = Vec::new();
        for policy in network.policies() {
            let id = policy
                .annotation("id")
                .ok_or_else(|| invalid("network.cedar"))?;
            let renamed = policy.new_id(PolicyId::new(id));
            built_in.extend(BuiltIn::of(renamed.clone()));
            policies.add(renamed).map_err(|_| invalid(id))?;
        }
        if built_in.len() != policies.num_of_policies() {
            return Err(invalid("network.cedar"));
        }
        let base = Self {
            validator: Validator::new(schema),
            policies,
            built_in: built_in.into(),
        };
        base.validate(&base.policies)?;
        Ok(base)
    }

    /// A policy is sound or not whichever others there are.
    fn validate(&self, policies: &PolicySet) -> Result<(), AccessError> {
        let validation = self.validator.validate(policies, ValidationMode::Strict);
        match validation.validation_errors().next() {
            Some(error) => Err(AccessError::PolicyInvalid(error.policy_id().to_string())),
            None => Ok(()),
        }
    }
}

/// What names the rules apart from consents: schema, network policies, engine.
pub fn rules_digest() -> Digest {
    static RULES: LazyLock<Digest> = LazyLock::new(digest_of_rules);
    *RULES
}

fn digest_of_rules() -> Digest {
    let engine = cedar_policy::get_lang_version().to_string();
    Digest::with_domain(
        "careledger/access-rules/v1",
        &[
            SCHEMA.as_bytes(),
            NETWORK.as_bytes(),
            engine.as_bytes(),
            IMPLICIT.as_bytes(),
            COMPILATION.as_bytes(),
        ],
    )
}

/// Whether the policies that a consent compiles to fit the schema.
pub fn check_consent(consent: &Consent) -> Result<(), AccessError> {
    let base = BASE.as_ref().map_err(Clone::clone)?;
    let mut policies = PolicySet::new();
    for rule in rules(consent) {
        let invalid = || AccessError::PolicyInvalid(rule.id());
        let policy = rule.policy().ok_or_else(invalid)?;
        policies.add(policy).map_err(|_| invalid())?;
    }
    base.validate(&policies)
}

impl Evaluator {
    /// Prepares the built-in policies and those of `consents`.
    pub fn new(consents: &[Consent]) -> Result<Self, AccessError> {
        Self::governed(None, Implicit::default(), consents)
    }

    /// The same beside what members have voted, and under the member's implicit policy.
    pub fn governed(
        voted: Option<&Voted>,
        implicit: Implicit,
        consents: &[Consent],
    ) -> Result<Self, AccessError> {
        Self::prepare(&BASE, voted, implicit, consents)
    }

    /// Denies everything, for voted policies that this release cannot evaluate.
    pub fn denying(voted: &Voted, implicit: Implicit, consents: &[Consent]) -> Self {
        Self {
            policies: None,
            grants: Grants::default(),
            authorizer: Authorizer::new(),
            heads: heads_of(consents),
            found: consents.iter().any(Consent::is_active),
            implicit,
            voted: Some(voted.digest()),
            names_writing: false,
        }
    }

    fn prepare(
        base: &Result<Base, AccessError>,
        voted: Option<&Voted>,
        implicit: Implicit,
        consents: &[Consent],
    ) -> Result<Self, AccessError> {
        let invalid = |id: &str| AccessError::PolicyInvalid(id.to_owned());
        let base = base.as_ref().map_err(Clone::clone)?;
        let implicits = IMPLICITS.as_ref().map_err(Clone::clone)?;
        let id = PolicyId::new(implicit.id());
        let chosen = implicits.built_in.iter().find(|one| *one.policy.id() == id);
        let chosen = chosen.ok_or_else(|| invalid("implicit.cedar"))?;
        let built_in = (Arc::clone(&base.built_in), chosen.clone());
        let policies = voted.map_or(Ok(&[][..]), Voted::policies)?;
        let mut more = PolicySet::new();
        for policy in policies {
            let invalid = || invalid(policy.id().as_ref());
            more.add(policy.clone()).map_err(|_| invalid())?;
        }
        base.validate(&more)?;
        let heads = heads_of(consents);
        let twice = heads
            .windows(2)
            .find(|two| matches!(two, [one, other] if one == other));
        if let Some([head, ..]) = twice {
            let HeadRef { id, version } = head;
            return Err(invalid(&format!("consent/{id}/{version}")));
        }
        Ok(Self {
            policies: Some(Slices::of(built_in, policies.to_vec(), consents)),
            grants: Grants::of(consents),
            authorizer: Authorizer::new(),
            heads,
            found: consents.iter().any(Consent::is_active),
            implicit,
            voted: voted.map(Voted::digest),
            names_writing: consents.iter().any(Consent::names_writing),
        })
    }

    /// How far who asks stands in a patient's place, or why not; `None` for who asks in the own name.
    pub fn delegated(&self, request: &Request) -> Option<Result<Limits, NotDelegated>> {
        let delegation = request.on_behalf_of.as_ref()?;
        Some(self.grants.limits(delegation, request))
    }

    /// Whether the outcome is the same for all documents of one patient at one member: the built-in policies look at
    /// nothing else, but for delegates and by some of the implicit ones, and there are no others.
    pub fn is_uniform(&self, request: &Request) -> bool {
        let looks_closer = matches!(self.implicit, Implicit::BasicNormal | Implicit::AllNormal);
        self.heads.is_empty()
            && self.voted.is_none()
            && request.on_behalf_of.is_none()
            && !looks_closer
    }

    /// The implicit policy that decisions rest on.
    pub fn implicit(&self) -> Implicit {
        self.implicit
    }

    /// The consents that decisions rest on, in the order of their ids.
    pub fn heads(&self) -> &[HeadRef] {
        &self.heads
    }

    /// Which voted policies decisions rest on, by the SHA-256 of their text.
    pub fn voted(&self) -> Option<Digest> {
        self.voted
    }

    /// Decides; what cannot be evaluated is denied (X2).
    pub fn decide(&self, request: &Request, document: &Document) -> Decision {
        self.asked(request).decide(document)
    }

    #[cfg(test)]
    pub(crate) fn decide_unsliced(&self, request: &Request, document: &Document) -> Decision {
        self.asked(request).unsliced().decide(document)
    }

    /// The request, ready to be decided for one document after the other.
    pub fn asked<'a>(&'a self, request: &'a Request) -> Asked<'a> {
        Asked::of(self, request)
    }
}

fn reason(
    permitted: bool,
    determining: &[String],
    request: &Request,
    document: &Document,
) -> &'static str {
    let names = |policy: &str| determining.iter().any(|id| id == policy);
    let unknown = names("network/consents-unknown");
    let by_vote = determining.iter().any(|id| voted::is_voted(id));
    match (permitted, determining.is_empty(), unknown) {
        (true, ..) => "permitted",
        (false, _, true) => "the patient's current consents are not known here",
        (false, false, false) if by_vote => "the network's members have forbidden it",
        (false, false, false) if names("network/undeclared-emergency") => {
            "no emergency was declared for it"
        }
        (false, false, false) if names("implicit/deny") => "no consent in force permits it",
        (false, false, false) => "the patient denies it",
        (false, true, false) if request.on_behalf_of.is_some() => {
            "no delegation in force covers it"
        }
        (false, true, false) if request.member == document.home => {
            "no policy permits this purpose or role"
        }
        (false, true, false) => "no consent in force permits it",
    }
}

fn heads_of(consents: &[Consent]) -> Vec<HeadRef> {
    let mut heads: Vec<HeadRef> = consents.iter().map(HeadRef::of).collect();
    heads.sort_unstable();
    heads
}

#[cfg(test)]
pub(crate) mod tests;
