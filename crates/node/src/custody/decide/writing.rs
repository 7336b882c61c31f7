//! Writing under consents: what a patient, or the members, forbid to collect or to correct is refused before it is written.

use std::sync::Arc;

use contracts::access::{Action, Request};
use interop::fhir::ResourceType;
use interop::fhir::audit::{AuditEntry, AuditOutcome};
use interop::fhir::disclosure::DisclosureFacts;

use super::{Rules, Ruling, document};
use crate::custody::filing::Sources;
use crate::custody::labelling::Together;
use crate::custody::request::Requester;
use crate::custody::subject::Subject;
use crate::custody::write::Named;
use crate::custody::{Custody, CustodyError};

impl Custody {
    /// Refuses a change that is denied: a new document is collected, another is corrected, for which both what it says and
    /// what it will say count. Consents, and what is filed with them, may always be written. A refusal is in the audit log.
    ///
    /// # Errors
    ///
    /// `Denied` with the policies that determine it.
    pub(in crate::custody) async fn must_be_consented(
        &self,
        by: &Requester,
        (change, sources): (&Named, &Sources),
        subject: &Arc<Subject>,
        together: &Together,
    ) -> Result<(), CustodyError> {
        let is_of_consent =
            change.resource_type == ResourceType::CONSENT || sources.include(change);
        if is_of_consent || change.by_node || subject.patient_id.is_none() {
            return Ok(());
        }
        let (_, registry) = self.0.anchor.governed();
        let rules = self.rules(subject, &registry).await?;
        if !rules.evaluator.restrains_writing() {
            return Ok(());
        }
        let has_all = self.knows_all_consents(subject)?;
        let current = self.current_facts(change)?;
        let action = match current {
            Some(_) => Action::Correct,
            None => Action::Collect,
        };
        let request = Request {
            action,
            ..self.request(by, subject, (rules.as_ref(), has_all))?
        };
        let next = change.resource.as_ref().map(|resource| {
            let labelled = self.label(resource, subject, together)?;
            Ok::<_, CustodyError>(DisclosureFacts {
                id: Some(format!("{}/{}", change.resource_type, change.id)),
                labels: labelled.codes(),
                ..DisclosureFacts::of(resource)
            })
        });
        for facts in current.into_iter().chain(next.transpose()?) {
            if let Some(ruling) = self.refusal(&rules, (&request, subject), &facts) {
                self.audit(self.refused(by, (change, action), subject, &ruling))
                    .await?;
                return Err(ruling.into());
            }
        }
        Ok(())
    }

    fn refusal(
        &self,
        rules: &Rules,
        (request, subject): (&Request, &Subject),
        facts: &DisclosureFacts,
    ) -> Option<Ruling> {
        let home = self.0.home.member.as_str();
        let document = document(home, subject.patient_id.as_deref(), facts);
        rules
            .evaluator
            .refusal(request, &document)
            .map(Ruling::from)
    }

    /// What decisions look at in a document's current version, if it has one.
    fn current_facts(&self, change: &Named) -> Result<Option<DisclosureFacts>, CustodyError> {
        let Some(head) = self.head(change.resource_type, &change.id)? else {
            return Ok(None);
        };
        if head.deleted {
            return Ok(None);
        }
        let kind = change.resource_type.as_str();
        let document = self.0.home.keys.document(kind, &change.id);
        let loaded = self.load_all(&[(document, head.version)])?;
        let loaded = loaded.into_iter().flatten().next();
        Ok(loaded.map(|loaded| loaded.row.facts.disclosure))
    }

    fn refused(
        &self,
        by: &Requester,
        (change, action): (&Named, Action),
        subject: &Subject,
        ruling: &Ruling,
    ) -> AuditEntry {
        let interaction = match action {
            Action::Collect => "create",
            Action::Open | Action::Correct => "update",
        };
        AuditEntry {
            patient: subject.patient_id.clone(),
            target: format!("{}/{}", change.resource_type, change.id),
            outcome: AuditOutcome::Denied,
            reason: Some(ruling.reason.clone()),
            rules: ruling.determining.clone(),
            ..by.audited(interaction)
        }
    }
}
