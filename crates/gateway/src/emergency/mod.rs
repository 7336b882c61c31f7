//! Break-glass at the edge: `Patient/[id]/$break-glass`, and the review of what was declared, `Task/[id]/$review`.
//!
//! Who declares has shown just now who they are. The declaration is durable, told and up for review before it is answered
//! with a token that opens this patient's records of the types that are needed, and nothing else, until it ends.

mod declare;
mod review;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::post;
use contracts::emergency::LASTS_MAX_MS;
use interop::fhir::ResourceType;
use node::custody::Custody;

use crate::auth::AuthorizationServer;
use crate::fhir::authenticate;
use crate::http::negotiate;

/// Minutes for which an emergency may be declared at most, in the whole network.
const MINUTES_MAX: u64 = (LASTS_MAX_MS / 60_000).unsigned_abs();
/// What care needs in an emergency, unless somebody says otherwise.
const TYPES: [&str; 18] = [
    "AllergyIntolerance",
    "CarePlan",
    "Condition",
    "Consent",
    "Device",
    "DeviceUseStatement",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "FamilyMemberHistory",
    "Flag",
    "Immunization",
    "MedicationAdministration",
    "MedicationRequest",
    "MedicationStatement",
    "Observation",
    "Patient",
    "Procedure",
];

/// How emergencies are declared and reviewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmergencyConfig {
    /// For how many minutes, unless the declaration says.
    pub minutes: u64,
    /// The most that a declaration may say.
    pub minutes_max: u64,
    /// The types that are opened, unless the declaration says.
    pub types: Vec<String>,
    /// The roles that review.
    pub reviewers: Vec<String>,
}

/// A configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EmergencyConfigError {
    #[error(
        "emergencies last from 1 to {MINUTES_MAX} minutes, and no longer by default than at most"
    )]
    Minutes,
    #[error("`{0}` is no resource type of R4")]
    TypeUnknown(String),
    #[error("emergencies open at least one resource type")]
    TypesMissing,
    #[error("nobody may review emergencies")]
    ReviewersMissing,
}

impl Default for EmergencyConfig {
    fn default() -> Self {
        Self {
            minutes: 60,
            minutes_max: MINUTES_MAX,
            types: TYPES.map(str::to_owned).to_vec(),
            reviewers: vec!["privacy-officer".to_owned()],
        }
    }
}

impl EmergencyConfig {
    /// Whether it can work.
    pub fn check(&self) -> Result<(), EmergencyConfigError> {
        let is_span = self.minutes >= 1
            && self.minutes <= self.minutes_max
            && self.minutes_max <= MINUTES_MAX;
        if !is_span {
            return Err(EmergencyConfigError::Minutes);
        }
        let unknown = self
            .types
            .iter()
            .find(|name| ResourceType::parse(name).is_none());
        if let Some(name) = unknown {
            return Err(EmergencyConfigError::TypeUnknown(name.clone()));
        }
        if self.types.is_empty() {
            return Err(EmergencyConfigError::TypesMissing);
        }
        if self.reviewers.is_empty() {
            return Err(EmergencyConfigError::ReviewersMissing);
        }
        Ok(())
    }
}

/// What both operations work with.
struct Desk {
    custody: Custody,
    auth: Arc<AuthorizationServer>,
    /// `…/fhir`, without a slash at its end.
    base: String,
    config: EmergencyConfig,
}

/// The routes; they go before those of all types.
pub(crate) fn routes(
    custody: Custody,
    auth: Arc<AuthorizationServer>,
    base: String,
    config: EmergencyConfig,
) -> Router {
    let desk = Arc::new(Desk {
        custody,
        auth: Arc::clone(&auth),
        base,
        config,
    });
    Router::new()
        .route("/fhir/Patient/{id}/$break-glass", post(declare::declare))
        .route("/fhir/Task/{id}/$review", post(review::review))
        .route_layer(from_fn(negotiate))
        .route_layer(from_fn_with_state(auth, authenticate))
        .with_state(desk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_may_allow_less_than_the_network_and_not_more() {
        assert_eq!(EmergencyConfig::default().check(), Ok(()));
        let changed = |change: fn(&mut EmergencyConfig)| {
            let mut config = EmergencyConfig::default();
            change(&mut config);
            config.check()
        };
        assert_eq!(changed(|one| one.minutes_max = 60), Ok(()));
        for wrong in [
            changed(|one| one.minutes_max = 241),
            changed(|one| one.minutes = 0),
            changed(|one| one.minutes_max = 59),
        ] {
            assert_eq!(wrong, Err(EmergencyConfigError::Minutes));
        }
        let unknown = changed(|one| one.types = vec!["Allergy".to_owned()]);
        assert_eq!(
            unknown,
            Err(EmergencyConfigError::TypeUnknown("Allergy".to_owned()))
        );
        assert_eq!(
            changed(|one| one.types.clear()),
            Err(EmergencyConfigError::TypesMissing)
        );
        let nobody = changed(|one| one.reviewers.clear());
        assert_eq!(nobody, Err(EmergencyConfigError::ReviewersMissing));
    }
}
