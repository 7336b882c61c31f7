//! The resource types of R4.

use std::fmt;
use std::sync::LazyLock;

/// A resource type that R4 defines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceType(&'static str);

impl ResourceType {
    /// The patient, on whom the compartment is built.
    pub const PATIENT: Self = Self("Patient");
    /// `Consent`.
    pub const CONSENT: Self = Self("Consent");
    /// A subscription.
    pub const SUBSCRIPTION: Self = Self("Subscription");
    /// `ValueSet`
    pub const VALUE_SET: Self = Self("ValueSet");
    /// `CodeSystem`
    pub const CODE_SYSTEM: Self = Self("CodeSystem");
    /// `AuditEvent`
    pub const AUDIT_EVENT: Self = Self("AuditEvent");
    /// A Bundle of resources.
    pub const BUNDLE: Self = Self("Bundle");

    /// The type with this name, if R4 has one.
    pub fn parse(name: &str) -> Option<Self> {
        let index = TYPES.binary_search(&name).ok()?;
        TYPES.get(index).map(|name| Self(name))
    }

    /// The name as it stands in `resourceType`.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// All types, in the order of their names.
    pub fn all() -> impl Iterator<Item = Self> {
        TYPES.iter().map(|name| Self(name))
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

impl fmt::Debug for ResourceType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

static TYPES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("data/resource-types.txt").lines().collect());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_the_table_is_found_by_name() {
        assert_eq!(ResourceType::all().count(), 146);
        for known in ResourceType::all() {
            assert_eq!(ResourceType::parse(known.as_str()), Some(known));
        }
    }

    #[test]
    fn other_names_are_no_types() {
        for name in [
            "",
            "patient",
            "Patients",
            "SubscriptionStatus",
            "DomainResource",
            "Patient ",
        ] {
            assert_eq!(ResourceType::parse(name), None, "{name}");
        }
    }
}
