//! Searching: matches are found in sealed index terms, consent decides before anything is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use interop::fhir::care_services::is_of_network;
use interop::fhir::disclosure::DisclosureFacts;
use interop::fhir::search::{Candidate, Part, Query};
use interop::fhir::{Issue, IssueType, ResourceType};

use super::audit::decided_of;
use super::postings::Asked;
use super::read::{Loaded, is_recorded, is_sensitive};
use super::request::{Everything, Opened, Requester, SearchPage, Withheld};
use super::rows::{DocumentKey, SubjectId, TermsRow};
use super::search_rows::VERSIONS_AT_ONCE;
use super::subject::Subject;
use super::{Aim, Custody, CustodyError, Reached, labelling};

/// Contents that are opened at once: those of an existing server take their time.
const OPENED_AT_ONCE: usize = 8;
/// Pages of queries that were asked together, and are put on record at once.
const PAGES_AT_ONCE: usize = 16;

/// A current version that was found.
pub(super) struct Match {
    pub(super) document: DocumentKey,
    pub(super) subject: SubjectId,
    pub(super) resource_type: ResourceType,
    pub(super) row: TermsRow,
    /// What goes with it when it is shown, once it was decided.
    pub(super) scope: Option<Arc<str>>,
}

impl Custody {
    /// What matches `query` among the documents that the requester may see.
    pub async fn search(&self, by: &Requester, query: &Query) -> Result<SearchPage, CustodyError> {
        let (query, candidates) = self.candidates_of(by, query).await?;
        self.first_page(by, &query, candidates).await
    }

    /// What each of some queries finds, in their order, as [`Self::search`] finds it.
    pub async fn search_each(
        &self,
        by: &Requester,
        queries: &[Query],
    ) -> Result<Vec<SearchPage>, CustodyError> {
        let mut asked = Vec::with_capacity(queries.len());
        for query in queries {
            asked.push(self.candidates_of(by, query).await?);
        }
        let in_vain = asked.iter().filter(|(_, candidates)| candidates.is_empty());
        let in_vain = in_vain.map(|(query, _)| query.target()).collect();
        self.audit_queries(by, "search", in_vain).await?;
        futures::stream::iter(asked)
            .map(|(query, candidates)| async move {
                if candidates.is_empty() {
                    return Ok(SearchPage::empty());
                }
                self.first_page(by, &query, candidates).await
            })
            .buffered(PAGES_AT_ONCE)
            .try_collect()
            .await
    }

    /// The query without chains, and what matches it before consent is asked.
    async fn candidates_of(
        &self,
        by: &Requester,
        query: &Query,
    ) -> Result<(Query, Vec<Match>), CustodyError> {
        if query.asks_content() && !self.keeps_full_text() {
            return Err(CustodyError::Invalid(Issue::error(
                IssueType::NotSupported,
                "this node keeps no words but those of narratives: `_content` is not supported here",
            )));
        }
        let query = self.resolved(by, query).await?;
        let mut candidates = self.candidates(by, &query.parts).await?;
        if query.is_of_own {
            candidates.retain(|one| !is_of_network(one.resource_type, &one.row.id));
        }
        Ok((query, candidates))
    }

    /// Puts the openings on record, opens, and includes what was asked for.
    pub(super) async fn open_page(
        &self,
        by: &Requester,
        query: &Query,
        page: Vec<Permitted>,
    ) -> Result<SearchPage, CustodyError> {
        let target = query.target();
        let mut found = SearchPage {
            total: None,
            ..SearchPage::empty()
        };
        let mut is_on_record = false;
        for (matches, decided) in page {
            let (opened, recorded) = self.open_recorded(by, &target, matches, decided).await?;
            found.matches.extend(opened);
            is_on_record |= recorded;
        }
        if !is_on_record {
            self.audit_queries(by, "search", vec![target.clone()])
                .await?;
        }
        if !query.includes.is_empty() && !found.matches.is_empty() {
            let (rounds, is_all) = self.included(by, query, &found.matches).await?;
            found.includes_all = is_all;
            for (included, decided) in rounds {
                let (opened, _) = self.open_recorded(by, &target, included, decided).await?;
                found.included.extend(opened);
            }
        }
        Ok(found)
    }

    /// Opens what is on record by then; tells whether anything was put there.
    pub(super) async fn open_recorded(
        &self,
        by: &Requester,
        target: &str,
        page: Vec<Match>,
        mut decided: BTreeMap<SubjectId, Sifted>,
    ) -> Result<(Vec<Opened>, bool), CustodyError> {
        for one in &page {
            if let Some(decided) = decided.get_mut(&one.subject) {
                decided.opened.push(one.target());
            }
        }
        // What was neither opened nor withheld was only counted.
        decided.retain(|_, one| !one.opened.is_empty() || one.withheld() > 0);
        decided.retain(|_, one| one.is_recorded);
        let is_on_record = !decided.is_empty();
        self.record_all(by, "search", target.to_owned(), decided.into_values())
            .await?;
        Ok((self.open_all(page).await?, is_on_record))
    }

    /// What matches the parts and may be seen, and the decisions.
    pub(super) async fn permitted(
        &self,
        by: &Requester,
        parts: &[Part],
    ) -> Result<Permitted, CustodyError> {
        let matches = self.candidates(by, parts).await?;
        self.sift(by, Aim::Search, matches).await
    }

    /// What matches the parts, before consent is asked.
    pub(super) async fn candidates(
        &self,
        by: &Requester,
        parts: &[Part],
    ) -> Result<Vec<Match>, CustodyError> {
        let mut matches = Vec::new();
        for part in parts {
            for subject in self.confined_to(by, part)? {
                self.matches(subject.as_ref(), part, &mut matches).await?;
            }
        }
        Ok(matches)
    }

    /// The patient's documents at this member.
    pub async fn local_everything(
        &self,
        by: &Requester,
        patient_id: &str,
    ) -> Result<Everything, CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::NotFound)?;
        let mut matches = Vec::new();
        for resource_type in self.0.home.types.all() {
            let all = Asked::default();
            self.collect(resource_type, Some(&subject.id), &all, &mut matches, |_| {
                true
            })
            .await?;
        }
        let (permitted, mut decided) = self.sift(by, Aim::Read, matches).await?;
        for one in &permitted {
            if let Some(decided) = decided.get_mut(&one.subject) {
                decided.opened.push(one.target());
            }
        }
        let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
        for reason in decided.values().flat_map(|one| &one.reasons) {
            let count = reasons.entry(reason.clone()).or_default();
            *count = count.saturating_add(1);
        }
        let target = format!("Patient/{patient_id}/$everything");
        self.record_all(by, "everything", target, decided.into_values())
            .await?;
        let withheld = reasons.into_iter().map(|(reason, count)| Withheld {
            member: self.0.home.member.clone(),
            count,
            reason,
        });
        Ok(Everything {
            withheld: withheld.collect(),
            entries: self.open_all(permitted).await?,
        })
    }

    /// The subjects that a part is confined to, or one `None` for all. A patient's token finds
    /// that patient's documents alone.
    fn confined_to(
        &self,
        by: &Requester,
        part: &Part,
    ) -> Result<Vec<Option<SubjectId>>, CustodyError> {
        let own = match &by.patient {
            Some(own) => Some(self.0.subjects.of_patient(own)?.map(|subject| subject.id)),
            None => None,
        };
        let Some(patients) = part.patients() else {
            return Ok(match own {
                Some(own) => own.map(Some).into_iter().collect(),
                None => vec![None],
            });
        };
        let mut subjects = BTreeSet::new();
        for patient_id in patients {
            let subject = self.0.subjects.of_patient(patient_id)?;
            let subject = subject.map(|subject| subject.id);
            if own.is_none_or(|own| own == subject) {
                subjects.extend(subject);
            }
        }
        Ok(subjects.into_iter().map(Some).collect())
    }

    pub(super) async fn matches(
        &self,
        subject: Option<&SubjectId>,
        part: &Part,
        found: &mut Vec<Match>,
    ) -> Result<(), CustodyError> {
        let asked = self.0.home.keys.asked(part);
        let is_match =
            |row: &TermsRow| part.matches(&row.terms, milliseconds(row.facts.recorded_at), &row.id);
        self.collect(part.resource_type, subject, &asked, found, is_match)
            .await
    }

    /// Decides matches, subject by subject: those that are permitted, and what goes on record.
    pub(super) async fn sift(
        &self,
        by: &Requester,
        aim: Aim,
        matches: Vec<Match>,
    ) -> Result<Permitted, CustodyError> {
        let mut by_subject: BTreeMap<SubjectId, Vec<Match>> = BTreeMap::new();
        for one in matches {
            by_subject.entry(one.subject).or_default().push(one);
        }
        let mut permitted = Vec::new();
        let mut decided = BTreeMap::new();
        for (id, matches) in by_subject {
            let subject = self.0.subjects.load(&id)?;
            let patient_id = subject.patient_id.as_deref();
            let matches = matches.into_iter().filter(|one| {
                let reached = Reached {
                    resource_type: one.resource_type,
                    patient_id,
                    terms: &one.row.terms,
                    id: &one.row.id,
                };
                by.reach.admits(aim, &reached)
            });
            let matches: Vec<Match> = matches.collect();
            let facts: Vec<&DisclosureFacts> = matches
                .iter()
                .map(|one| &one.row.facts.disclosure)
                .collect();
            let decision = self.decide(by, &subject, &facts).await?;
            let is_recorded = matches
                .iter()
                .any(|one| is_recorded(&subject, one.resource_type));
            let documents = matches.iter().map(|one| (one.document, one.row.version));
            let documents = documents.collect();
            let mut reasons = Vec::new();
            let mut hidden = 0_usize;
            for (mut one, ruling) in matches.into_iter().zip(&decision.rulings) {
                if ruling.permitted {
                    one.scope.clone_from(&ruling.scope);
                    permitted.push(one);
                } else if is_sensitive(&one.row.facts) {
                    hidden = hidden.saturating_add(1);
                } else {
                    reasons.push(ruling.reason.clone());
                }
            }
            let sifted = Sifted {
                subject,
                decision,
                documents,
                opened: Vec::new(),
                reasons,
                hidden,
                is_recorded,
            };
            decided.insert(id, sifted);
        }
        Ok((permitted, decided))
    }

    async fn record_all(
        &self,
        by: &Requester,
        interaction: &str,
        target: String,
        decided: impl Iterator<Item = Sifted>,
    ) -> Result<(), CustodyError> {
        let decided = decided
            .map(|one| {
                let decided = one.decision.decided(one.opened);
                (one.subject, decided_of(decided, one.documents))
            })
            .collect();
        self.record(by, interaction, target, decided).await
    }

    async fn open_all(&self, page: Vec<Match>) -> Result<Vec<Opened>, CustodyError> {
        let mut opened = Vec::with_capacity(page.len());
        let mut rest = page.into_iter().peekable();
        while rest.peek().is_some() {
            let some: Vec<Match> = rest.by_ref().take(VERSIONS_AT_ONCE).collect();
            let versions = some.iter().map(|one| (one.document, one.row.version));
            let loaded = self.load_all(&versions.collect::<Vec<_>>())?;
            // Deleted or erased since it was found.
            let present = some.into_iter().zip(loaded);
            let present = present.filter_map(|(one, loaded)| Some((one, loaded?)));
            let contents = futures::stream::iter(present)
                .map(|(one, loaded)| self.open_match(one, loaded))
                .buffered(OPENED_AT_ONCE);
            let contents: Vec<Option<Opened>> = contents.try_collect().await?;
            opened.extend(contents.into_iter().flatten());
        }
        Ok(opened)
    }

    async fn open_match(&self, one: Match, loaded: Loaded) -> Result<Option<Opened>, CustodyError> {
        let resource = self.open_content(&loaded).await?;
        Ok(resource.map(|resource| Opened {
            member: self.0.home.member.clone(),
            resource,
            id: one.row.id,
            version: one.row.version,
            last_updated_ms: one.row.facts.recorded_at,
            labels: labelling::shown(&loaded.row.facts.disclosure.labels),
            scope: one.scope,
        }))
    }
}

/// What may be seen of some matches, and the decisions, by subject.
pub(super) type Permitted = (Vec<Match>, BTreeMap<SubjectId, Sifted>);

/// A decision on a subject's matches, and what came of it.
pub(super) struct Sifted {
    subject: Arc<Subject>,
    decision: super::decide::Decision,
    /// The versions that were decided.
    documents: Vec<(DocumentKey, u64)>,
    opened: Vec<String>,
    /// Why the others were withheld.
    reasons: Vec<String>,
    /// How many were withheld of which nobody is told.
    hidden: usize,
    is_recorded: bool,
}

impl Sifted {
    fn withheld(&self) -> usize {
        self.reasons.len().saturating_add(self.hidden)
    }
}

impl Match {
    /// A match before it is decided.
    pub(super) fn found(
        (document, subject): (DocumentKey, SubjectId),
        resource_type: ResourceType,
        row: TermsRow,
    ) -> Self {
        Self {
            document,
            subject,
            resource_type,
            row,
            scope: None,
        }
    }

    pub(super) fn candidate(&self) -> Candidate<'_> {
        Candidate {
            terms: &self.row.terms,
            last_updated_ms: milliseconds(self.row.facts.recorded_at),
            id: &self.row.id,
        }
    }

    pub(super) fn place(&self) -> (ResourceType, &str) {
        (self.resource_type, &self.row.id)
    }

    fn target(&self) -> String {
        format!("{}/{}", self.resource_type, self.row.id)
    }
}

fn milliseconds(recorded_at: u64) -> i64 {
    i64::try_from(recorded_at).unwrap_or(i64::MAX)
}
