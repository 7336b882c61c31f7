//! Telling subscribers: who may hear of a version is decided as for a read, when its event is made and again whenever
//! something of it is told.

use interop::fhir::ResourceType;
use interop::fhir::disclosure::DisclosureFacts;
use interop::fhir::search::{IndexTerms, Query};

use super::audit::decided_of;
use super::changes::Changed;
use super::read::{Loaded, is_recorded};
use super::request::{Opened, Requester};
use super::rows::Head;
use super::search::Match;
use super::{Custody, CustodyError};

/// What a subscriber may be told of a version.
#[derive(Clone)]
pub enum Told {
    /// The version has content; it is there if it was asked for.
    Written(Option<Opened>),
    /// The version deletes the document, or says that it was erased.
    Deleted,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told(..)")
    }
}

impl Custody {
    /// Whether a subscriber may know of a change, and it matches all of `filters`.
    ///
    /// A version without content matches by the one before it. Nothing is told yet, so nothing goes on record.
    pub async fn concerns(
        &self,
        by: &Requester,
        change: &Changed,
        filters: &[Query],
    ) -> Result<bool, CustodyError> {
        let Some(head) = self.head(change.resource_type, &change.id)? else {
            return Ok(false);
        };
        let Some(loaded) = self.load(&change.document, change.version)? else {
            return Ok(false);
        };
        if !self.may_know(by, &head, &loaded).await? {
            return Ok(false);
        }
        if filters.is_empty() {
            return Ok(true);
        }
        let content = if loaded.row.facts.deleted {
            let before = change.version.saturating_sub(1);
            match self.load(&change.document, before)? {
                Some(before) => self.open_content(&before).await?,
                None => None,
            }
        } else {
            self.open_content(&loaded).await?
        };
        let Some(content) = content else {
            return Ok(false);
        };
        let terms = IndexTerms::of(&content);
        let recorded_at = i64::try_from(change.recorded_at_ms).unwrap_or(i64::MAX);
        Ok(filters
            .iter()
            .all(|filter| filter.matches(&terms, recorded_at, &change.id)))
    }

    /// Whether anything that matches `query` was written together with a change.
    ///
    /// It is for the node's own use: who asks for whom decides nothing, and nothing is opened or goes on record.
    pub async fn is_written_with(
        &self,
        change: &Changed,
        query: &Query,
    ) -> Result<bool, CustodyError> {
        let mut found = Vec::new();
        for part in &query.parts {
            self.matches(None, part, &mut found).await?;
        }
        // What one transaction writes is recorded at one moment.
        let same = |one: &Match| one.row.facts.recorded_at == change.recorded_at_ms;
        Ok(found.iter().any(same))
    }

    /// What a subscriber may be told of a version now; that it was told is on record when this returns. `None` if the
    /// subscriber may not know of it any more, or it was erased.
    pub async fn tell(
        &self,
        by: &Requester,
        (resource_type, id, version): (ResourceType, &str, u64),
        with_content: bool,
    ) -> Result<Option<Told>, CustodyError> {
        let Some(head) = self.head(resource_type, id)? else {
            return Ok(None);
        };
        let document = self.0.home.keys.document(resource_type.as_str(), id);
        let Some(loaded) = self.load(&document, version)? else {
            return Ok(None);
        };
        let subject = self.0.subjects.load(&head.subject)?;
        let facts = self.facts(&head, &loaded)?;
        let decision = self.decide(by, &subject, &[&facts]).await?;
        if !decision.permits_all() {
            return Ok(None);
        }
        if is_recorded(&subject, resource_type) {
            let target = format!("{resource_type}/{id}");
            let decided = decision.decided(vec![target.clone()]);
            let decided = decided_of(decided, [(document, version)]);
            self.record(by, "notify", target, vec![(subject, decided)])
                .await?;
        }
        if loaded.row.facts.deleted {
            return Ok(Some(Told::Deleted));
        }
        let scope = decision.into_result()?;
        let opened = if with_content {
            self.unseal(&head, version, (&loaded, scope)).await?
        } else {
            None
        };
        Ok(Some(Told::Written(opened)))
    }

    /// Whether the requester may know that there is something new of a patient: as if the Patient were read.
    pub async fn may_follow(&self, by: &Requester, patient_id: &str) -> Result<bool, CustodyError> {
        let Some(head) = self.head(ResourceType::PATIENT, patient_id)? else {
            // A patient who has enrolled, and of whom nothing is here yet.
            let known = self.0.subjects.of_patient(patient_id)?.is_some();
            return Ok(known && by.patient.as_deref() == Some(patient_id));
        };
        let loaded = self.current(&head)?;
        self.may_know(by, &head, &loaded).await
    }

    async fn may_know(
        &self,
        by: &Requester,
        head: &Head,
        loaded: &Loaded,
    ) -> Result<bool, CustodyError> {
        let subject = self.0.subjects.load(&head.subject)?;
        let facts = self.facts(head, loaded)?;
        Ok(self.decide(by, &subject, &[&facts]).await?.permits_all())
    }

    /// What has become sensitive is so in older versions too.
    fn facts(&self, head: &Head, loaded: &Loaded) -> Result<DisclosureFacts, CustodyError> {
        let mut facts = loaded.row.facts.disclosure.clone();
        let current = self.current(head)?;
        facts
            .labels
            .extend(current.row.facts.disclosure.labels.iter().cloned());
        Ok(facts)
    }
}
