//! The policy engine alone: what a decision costs at least, for benchmarks to stand beside.

use std::str::FromStr;

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};

/// One policy and one request, without entities.
pub struct Bare {
    policies: PolicySet,
    request: Request,
    entities: Entities,
    authorizer: Authorizer,
}

impl std::fmt::Debug for Bare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bare(..)")
    }
}

impl Bare {
    /// A policy that permits.
    pub fn new() -> Option<Self> {
        let policy = "permit (principal, action, resource) when { context.asks };";
        let uid = |text: &str| EntityUid::from_str(text).ok();
        let context = Context::from_json_str("{\"asks\": true}", None).ok()?;
        let uids = (uid("A::\"a\"")?, uid("Action::\"a\"")?, uid("B::\"b\"")?);
        Some(Self {
            policies: PolicySet::from_str(policy).ok()?,
            request: Request::new(uids.0, uids.1, uids.2, context, None).ok()?,
            entities: Entities::empty(),
            authorizer: Authorizer::new(),
        })
    }

    /// Decides, with what determines the outcome.
    pub fn permits(&self) -> bool {
        let Self {
            policies,
            request,
            entities,
            authorizer,
        } = self;
        let response = authorizer.is_authorized(request, policies, entities);
        response.decision() == Decision::Allow && response.diagnostics().reason().next().is_some()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_one_policy_permits() {
        assert!(super::Bare::new().unwrap().permits());
    }
}
