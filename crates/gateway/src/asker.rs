//! On whose behalf work goes on after the request that asked for it was answered.

use ledger::ids::MemberName;
use minicbor::{Decode, Encode};
use node::custody::{Reach, Requester, Trail};

use crate::auth::{ScopeError, Scopes};
use crate::fhir::{Caller, reach};

/// Whoever asked, as it is kept in rows: what the token said.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Asker {
    #[n(0)]
    pub(crate) client: String,
    #[n(1)]
    pub(crate) practitioner: Option<String>,
    #[n(2)]
    pub(crate) role: Option<String>,
    /// The one patient to whom the token was bound.
    #[n(3)]
    pub(crate) patient: Option<String>,
    #[n(4)]
    pub(crate) purpose: String,
    #[n(5)]
    pub(crate) scopes: String,
    /// Who acted in a patient's place.
    #[n(6)]
    pub(crate) related: Option<String>,
    /// The patient in context then.
    #[n(7)]
    pub(crate) context: Option<String>,
}

impl Asker {
    pub(crate) fn of(caller: &Caller) -> Self {
        let by = caller.requester();
        Self {
            client: by.client.clone(),
            practitioner: by.practitioner.clone(),
            role: by.role.clone(),
            patient: by.patient.clone(),
            purpose: by.purpose.clone(),
            scopes: caller.scopes(),
            related: by.related.clone(),
            context: caller
                .token()
                .context
                .clone()
                .filter(|_| by.related.is_some()),
        }
    }

    /// What the token could be used for, unless such scopes cannot be read any more.
    pub(crate) fn scopes(&self) -> Result<Scopes, ScopeError> {
        self.scopes.parse()
    }

    /// The same as whoever asks the record store. Scopes that cannot be read any more reach nothing.
    pub(crate) fn requester(&self, member: &MemberName) -> Requester {
        Requester {
            member: member.clone(),
            client: self.client.clone(),
            practitioner: self.practitioner.clone(),
            role: self.role.clone(),
            patient: self.patient.clone(),
            related: self.related.clone(),
            emergency: None,
            purpose: self.purpose.clone(),
            request_id: None,
            reach: self.scopes().map_or_else(
                |_| Reach::limited(|_, _| false),
                |scopes| {
                    let context = self.patient.as_deref().or(self.context.as_deref());
                    reach(&scopes, context)
                },
            ),
            trail: Trail::default(),
        }
    }
}
