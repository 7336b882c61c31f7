//! The policies as decisions evaluate them, for whoever analyses them before they are in force.

use std::str::FromStr;

use cedar_policy::{Policy, PolicyId, PolicySet, Schema};

use super::{AccessError, BASE, SCHEMA, Voted, voted};

/// What stands for the consents of patients who permit everything to everybody.
pub const ANY_CONSENT: &str = "consent/any";

/// What a voted permit is confined to, beside its own conditions: no vote discloses a patient's document (X3).
const STAYS: &str = "when { principal.member == resource.home || !(resource has patient) }";

/// The schema of requests and documents.
pub fn schema() -> Result<Schema, AccessError> {
    let invalid = |_| AccessError::PolicyInvalid("open.cedarschema".to_owned());
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA).map_err(invalid)?;
    Ok(schema)
}

/// The built-in policies and those that are voted, by the names that decisions give them, with what follows from X3
/// written out.
pub fn policies(voted_text: &str) -> Result<PolicySet, AccessError> {
    let base = BASE.as_ref().map_err(Clone::clone)?;
    let mut policies = base.policies.clone();
    for policy in Voted::of(voted_text).policies()? {
        let id = policy.id().clone();
        let invalid = || AccessError::PolicyInvalid(id.to_string());
        let policy = match policy.effect() {
            cedar_policy::Effect::Permit => confined(policy).ok_or_else(invalid)?,
            cedar_policy::Effect::Forbid => policy.clone(),
        };
        policies.add(policy).map_err(|_| invalid())?;
    }
    base.validate(&policies)?;
    Ok(policies)
}

/// The same where every patient permits everything: what is left to forbid.
pub fn with_any_consent(mut policies: PolicySet) -> Result<PolicySet, AccessError> {
    let invalid = || AccessError::PolicyInvalid(ANY_CONSENT.to_owned());
    let text = "permit (principal, action == Action::\"open\", resource) when { !principal.own };";
    let any = Policy::parse(Some(PolicyId::new(ANY_CONSENT)), text).map_err(|_| invalid())?;
    policies.add(any).map_err(|_| invalid())?;
    Ok(policies)
}

/// Whether members voted the policy of this name.
pub fn is_voted(id: &str) -> bool {
    voted::is_voted(id)
}

fn confined(policy: &Policy) -> Option<Policy> {
    let text = policy.to_cedar()?;
    let text = text.trim_end().strip_suffix(';')?;
    let policy = Policy::from_str(&format!("{text} {STAYS};"))
        .ok()?
        .new_id(policy.id().clone());
    Some(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voted_permit_is_confined_and_a_forbid_is_not() {
        let text = "@id(\"a\") permit (principal, action, resource) when { context.purpose == \"HRESCH\" };
            @id(\"b\") forbid (principal, action, resource) when { context.purpose == \"HPAYMT\" };";
        let all = policies(text).unwrap();
        let of = |id: &str| all.policy(&PolicyId::new(id)).unwrap().to_cedar().unwrap();
        assert!(of("voted/a").contains("principal.member == resource.home"));
        assert!(!of("voted/b").contains("resource.home"));
        assert!(is_voted("voted/a") && !is_voted("network/own-care"));
        let (before, after) = (all.num_of_policies(), with_any_consent(all).unwrap());
        assert_eq!(after.num_of_policies(), before + 1);
    }

    #[test]
    fn what_does_not_fit_the_schema_is_not_published() {
        assert!(
            policies("@id(\"a\") permit (principal, action, resource) when { principal.age > 3 };")
                .is_err()
        );
        assert!(policies("permit (").is_err());
    }
}
