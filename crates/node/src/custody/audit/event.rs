//! What goes into an entry: who asked, by which token, what was decided.

use std::collections::BTreeSet;

use contracts::access::DecisionRecord;
use contracts::descriptor::Decided;
use interop::fhir::ResourceType;
use interop::fhir::audit::{AuditAgent, AuditEntry, AuditOutcome, Passing};
use ledger::ids::{Digest, MemberName};

use crate::custody::access::AccessDraft;
use crate::custody::request::Requester;
use crate::custody::store::Transaction;
use crate::custody::subject::Subject;
use crate::custody::{Custody, CustodyError};

/// Policies that an entry names at most; the decision's record has all.
const RULES_MAX: usize = 16;

impl Requester {
    /// An entry of something that this requester does.
    pub fn audited(&self, interaction: &str) -> AuditEntry {
        let patient = || self.patient.as_ref().map(|id| format!("Patient/{id}"));
        let agent = AuditAgent {
            client: self.client.clone(),
            address: self.trail.address.clone(),
            user: self.practitioner.clone().or_else(patient),
            role: self.role.clone(),
            purpose: Some(self.purpose.clone()),
            organization: self.member.to_string(),
            token: self.trail.token.clone(),
        };
        let mut entry = AuditEntry::new(interaction, agent);
        entry.request_id.clone_from(&self.request_id);
        entry.query.clone_from(&self.trail.query);
        entry
    }

    /// The entry of an access that was decided here.
    pub(crate) fn audited_access(&self, subject: &Subject, draft: &AccessDraft) -> AuditEntry {
        let mut entry = self.audited(&draft.interaction);
        entry.recorded = draft.at;
        entry.patient.clone_from(&subject.patient_id);
        entry.target.clone_from(&draft.target);
        entry.request = draft.request.map(|digest| digest.to_string());
        if let Some(decision) = &draft.decision {
            decide(&mut entry, decision);
        }
        entry
    }

    /// The entry of a request to another member.
    pub(crate) fn audited_ask(&self, subject: &Subject, draft: &AccessDraft) -> AuditEntry {
        AuditEntry {
            passing: Some(Passing::From(draft.custodian.to_string())),
            ..self.audited_access(subject, draft)
        }
    }

    /// The entry of another member's request.
    pub(crate) fn audited_answer(&self, subject: &Subject, draft: &AccessDraft) -> AuditEntry {
        AuditEntry {
            passing: Some(Passing::To(self.member.to_string())),
            ..self.audited_access(subject, draft)
        }
    }
}

impl Custody {
    /// The entry of a change, but for what appending finds.
    pub(crate) fn change_by(&self, by: &Requester) -> AuditEntry {
        AuditEntry {
            recorded: (self.0.options.clock)(),
            ..by.audited("update")
        }
    }

    /// The entry of a change that no client asked for: it was found in the existing server, or on the ledger.
    pub(crate) fn change_found(&self, author: &str) -> AuditEntry {
        let agent = AuditAgent {
            client: "this node".to_owned(),
            address: None,
            user: Some(author.to_owned()),
            role: None,
            purpose: None,
            organization: self.0.home.member.to_string(),
            token: None,
        };
        AuditEntry {
            recorded: (self.0.options.clock)(),
            ..AuditEntry::new("update", agent)
        }
    }

    /// Puts the reading of what belongs to no patient into the log.
    pub(crate) async fn audit_shared(
        &self,
        by: &Requester,
        interaction: &str,
        target: &str,
        decided: &Decided,
    ) -> Result<(), CustodyError> {
        let mut entry = by.audited(interaction);
        target.clone_into(&mut entry.target);
        decide(&mut entry, decided);
        self.audit(entry).await?;
        Ok(())
    }

    /// Puts queries that opened nobody's records into the log, in one write.
    pub(crate) async fn audit_queries(
        &self,
        by: &Requester,
        interaction: &str,
        targets: Vec<String>,
    ) -> Result<(), CustodyError> {
        if targets.is_empty() {
            return Ok(());
        }
        let recorded = (self.0.options.clock)();
        let entries = targets.into_iter().map(|target| AuditEntry {
            recorded,
            target,
            ..by.audited(interaction)
        });
        let entries: Vec<AuditEntry> = entries.collect();
        let home = self.0.home.clone();
        let append = move |transaction: &mut Transaction<'_>| {
            for entry in entries {
                home.audit(transaction, None, entry)?;
            }
            Ok(())
        };
        self.0.store.transact(append).await
    }

    /// Passes an outcome on; a request for what is not here goes into the log first.
    pub(crate) async fn noting_absent<T>(
        &self,
        by: &Requester,
        interaction: &str,
        (resource_type, id): (ResourceType, &str),
        outcome: Result<T, CustodyError>,
    ) -> Result<T, CustodyError> {
        if let Err(CustodyError::NotFound) = outcome {
            let mut entry = by.audited(interaction);
            entry.target = format!("{resource_type}/{id}");
            entry.outcome = AuditOutcome::Failed;
            entry.reason = Some("no such document".to_owned());
            self.audit(entry).await?;
        }
        outcome
    }

    /// Puts what another member answered on record: documents, or why there are none.
    pub async fn note_answer(
        &self,
        by: &Requester,
        (patient_id, custodian): (&str, &MemberName),
        request: Digest,
        answer: Result<Vec<String>, String>,
    ) -> Result<(), CustodyError> {
        let mut entry = by.audited("received");
        entry.patient = Some(patient_id.to_owned());
        entry.passing = Some(Passing::From(custodian.to_string()));
        entry.request = Some(request.to_string());
        entry.target = format!("Patient/{patient_id}");
        match answer {
            Ok(documents) => entry.documents = documents,
            Err(reason) => {
                entry.outcome = AuditOutcome::Failed;
                entry.reason = Some(reason);
            }
        }
        self.audit(entry).await?;
        Ok(())
    }
}

fn decide(entry: &mut AuditEntry, decided: &Decided) {
    entry.documents.clone_from(&decided.permitted);
    if decided.withheld > 0 && decided.permitted.is_empty() {
        entry.outcome = AuditOutcome::Denied;
        entry.reason.clone_from(&decided.reason);
    } else if decided.withheld > 0 {
        let reason = decided.reason.as_deref().unwrap_or("withheld");
        entry.reason = Some(format!("{} withheld: {reason}", decided.withheld));
    }
    let record = decided.record.as_deref();
    let Some(record) = record.and_then(|bytes| DecisionRecord::decode(bytes).ok()) else {
        return;
    };
    let rulings = record.rulings.iter();
    let rules: BTreeSet<&String> = rulings.flat_map(|ruling| &ruling.determining).collect();
    entry.rules = rules.into_iter().take(RULES_MAX).cloned().collect();
    let heads = record.heads.iter().take(RULES_MAX);
    entry.consents = heads.map(|head| head.id.clone()).collect();
}
