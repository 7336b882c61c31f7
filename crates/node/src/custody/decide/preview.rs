//! Previews of decisions on a patient's documents here: who could open what, and what a consent would change.

use std::collections::BTreeSet;
use std::sync::Arc;

use contracts::consent::Consent;
use contracts::consent::preview::{
    Asker, Change, Moment, Preview, Records, Row, askers, looks_closely, what_if, who_can_see,
};
use contracts::descriptor::Decided;
use interop::fhir::{Resource, ResourceType};

use super::super::request::Requester;
use super::super::subject::Subject;
use super::super::{Custody, CustodyError};
use super::current::Current;
use super::{Rules, document};

/// What a preview is made of.
struct Basis {
    subject: Arc<Subject>,
    current: Current,
    moment: Moment,
    members: BTreeSet<String>,
}

impl Custody {
    /// Who could open what of a patient's documents here, under which policies; on record unless the patient asks.
    pub async fn who_can_see(
        &self,
        by: &Requester,
        patient_id: &str,
    ) -> Result<Preview<Row>, CustodyError> {
        let basis = self.basis(by, patient_id).await?;
        let consents = basis.current.all();
        let rules = self.prepared(basis.current.clone())?;
        let moment = under(basis.moment, &rules);
        let consents: Vec<&Consent> = consents.iter().collect();
        let closely = looks_closely(&consents, &[&rules.evaluator]);
        let askers: BTreeSet<Asker> = askers(basis.members.iter().map(String::as_str), &consents);
        let records = self.records(&basis.subject, closely).await?;
        let target = format!("Patient/{patient_id}/$who-can-see");
        self.note_preview(by, &basis.subject, ("who-can-see", target))
            .await?;
        off_thread(move || who_can_see(&rules.evaluator, (&askers, &records), moment)).await
    }

    /// What a consent would change for a patient's documents here if it were filed, as a new one or in the place of
    /// `replaces`; nothing is stored. On record unless the patient asks.
    pub async fn what_if(
        &self,
        by: &Requester,
        patient_id: &str,
        (consent, replaces): (Resource, Option<&str>),
    ) -> Result<Preview<Change>, CustodyError> {
        self.check_consent(&consent)?;
        let basis = self.basis(by, patient_id).await?;
        let home = &self.0.home.member;
        let mut then = basis.current.clone();
        let (id, version) = match replaces {
            None => ("preview", 1),
            Some(id) => {
                let head = self.head(ResourceType::CONSENT, id)?;
                let head = head.filter(|head| head.subject == basis.subject.id);
                (
                    id,
                    head.ok_or(CustodyError::NotFound)?
                        .version
                        .saturating_add(1),
                )
            }
        };
        then.put(home, id, version, Some(consent));
        let consents = [basis.current.all(), then.all()].concat();
        let consents: Vec<&Consent> = consents.iter().collect();
        let (before, after) = (self.prepared(basis.current)?, self.prepared(then)?);
        let moment = under(basis.moment, &before);
        let closely = looks_closely(&consents, &[&before.evaluator, &after.evaluator]);
        let askers: BTreeSet<Asker> = askers(basis.members.iter().map(String::as_str), &consents);
        let records = self.records(&basis.subject, closely).await?;
        let target = format!("Patient/{patient_id}/$what-if");
        self.note_preview(by, &basis.subject, ("what-if", target))
            .await?;
        off_thread(move || {
            let both = (&before.evaluator, &after.evaluator);
            what_if(both, (&askers, &records), moment)
        })
        .await
    }

    async fn basis(&self, by: &Requester, patient_id: &str) -> Result<Basis, CustodyError> {
        self.must_serve()?;
        if by.member != self.0.home.member {
            return Err(CustodyError::NotFound);
        }
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::NotFound)?;
        let (_, registry) = self.0.anchor.governed();
        // As decisions do: what arrives in between is known in vain.
        let consents_known = self.knows_all_consents(&subject)?;
        let mut current = Current::default();
        self.filed_here(&subject, &mut current).await?;
        for (from, _) in subject.foreign_consents(&self.0.home.member) {
            self.filed_at(&subject, from, &mut current)?;
        }
        let members = registry.members().map(|member| member.as_str().to_owned());
        Ok(Basis {
            moment: Moment {
                now: i64::try_from((self.0.options.clock)()).unwrap_or(i64::MAX),
                consents_known,
            },
            members: members.collect(),
            subject,
            current,
        })
    }

    fn prepared(&self, current: Current) -> Result<Rules, CustodyError> {
        let (_, registry) = self.0.anchor.governed();
        let voted = self.0.rulings.voted(&registry);
        current.rules(voted.as_deref(), self.0.options.implicit)
    }

    /// The patient's documents here, as decisions look at them.
    async fn records(&self, subject: &Subject, closely: bool) -> Result<Records, CustodyError> {
        let home = self.0.home.member.as_str();
        let patient = subject.patient_id.as_deref();
        let mut documents = Vec::new();
        for resource_type in self.0.home.types.all() {
            let rows = self.current_of(resource_type, &subject.id).await?;
            let rows = rows.iter();
            documents.extend(rows.map(|(_, row)| document(home, patient, &row.facts.disclosure)));
        }
        Ok(Records::of(documents, closely))
    }

    async fn note_preview(
        &self,
        by: &Requester,
        subject: &Arc<Subject>,
        (interaction, target): (&str, String),
    ) -> Result<(), CustodyError> {
        if by.patient.is_some() && by.patient == subject.patient_id {
            return Ok(());
        }
        let decided = Decided {
            permitted: vec![target.clone()],
            withheld: 0,
            reason: None,
            record: None,
            documents: None,
        };
        let decided = vec![(Arc::clone(subject), decided)];
        self.record(by, interaction, target, decided).await
    }
}

/// The moment, with whether every consent that is stored here could be read.
fn under(moment: Moment, rules: &Rules) -> Moment {
    Moment {
        consents_known: moment.consents_known && rules.complete,
        ..moment
    }
}

/// Decisions by the thousand keep no other request waiting.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CustodyError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| CustodyError::Storage(error.to_string()))
}
