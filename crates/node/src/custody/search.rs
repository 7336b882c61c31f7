//! Searching: matches are found in sealed index terms, consent decides before anything is counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use interop::fhir::ResourceType;
use interop::fhir::disclosure::DisclosureFacts;
use interop::fhir::search::{Candidate, Query};

use super::read::is_recorded;
use super::request::{Everything, Opened, Requester, SearchPage, Withheld};
use super::rows::{DocumentKey, SubjectId, TermsRow};
use super::store::Table;
use super::subject::Subject;
use super::{Aim, Custody, CustodyError, Reached};

/// A current version that was found.
struct Match {
    document: DocumentKey,
    subject: SubjectId,
    resource_type: ResourceType,
    row: TermsRow,
}

impl Custody {
    pub(super) async fn find(
        &self,
        by: &Requester,
        query: &Query,
    ) -> Result<SearchPage, CustodyError> {
        let mut matches = Vec::new();
        for subject in self.confined_to(query)? {
            self.matches(query.resource_type, subject.as_ref(), query, &mut matches)?;
        }
        let (mut permitted, mut decided) = self.sift(by, Aim::Search, matches).await?;
        permitted.sort_by(|one, other| query.order(one.candidate(), other.candidate()));
        let total = permitted.len();
        let page: Vec<Match> = permitted
            .into_iter()
            .skip(query.offset)
            .take(query.count)
            .collect();
        for one in &page {
            if let Some(decided) = decided.get_mut(&one.subject) {
                decided.opened.push(one.target());
            }
        }
        // What was neither opened nor withheld was only counted.
        decided.retain(|_, one| !one.opened.is_empty() || one.withheld() > 0);
        decided.retain(|_, one| is_recorded(&one.subject, query.resource_type));
        let target = format!("{}?", query.resource_type);
        self.record_all(by, "search", target, decided.into_values())
            .await?;
        Ok(SearchPage {
            matches: self.open_all(page).await?,
            total,
        })
    }

    pub(super) async fn everything_here(
        &self,
        by: &Requester,
        patient_id: &str,
    ) -> Result<Everything, CustodyError> {
        let subject = self.0.subjects.of_patient(patient_id)?;
        let subject = subject.ok_or(CustodyError::NotFound)?;
        let mut matches = Vec::new();
        for resource_type in ResourceType::all() {
            self.collect(resource_type, Some(&subject.id), &mut matches, |_| true)?;
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

    /// The subjects that a query is confined to, or one `None` for all.
    fn confined_to(&self, query: &Query) -> Result<Vec<Option<SubjectId>>, CustodyError> {
        let Some(patients) = query.patients() else {
            return Ok(vec![None]);
        };
        let mut subjects = Vec::new();
        for patient_id in patients {
            let subject = self.0.subjects.of_patient(patient_id)?;
            subjects.extend(subject.map(|subject| Some(subject.id)));
        }
        Ok(subjects)
    }

    fn matches(
        &self,
        resource_type: ResourceType,
        subject: Option<&SubjectId>,
        query: &Query,
        found: &mut Vec<Match>,
    ) -> Result<(), CustodyError> {
        self.collect(resource_type, subject, found, |row| {
            query.matches(&row.terms, milliseconds(row.facts.recorded_at), &row.id)
        })
    }

    /// Current versions of one type and subject.
    pub(super) fn current_of(
        &self,
        resource_type: ResourceType,
        subject: &SubjectId,
    ) -> Result<Vec<(DocumentKey, TermsRow)>, CustodyError> {
        let mut found = Vec::new();
        self.collect(resource_type, Some(subject), &mut found, |_| true)?;
        let rows = found.into_iter().map(|one| (one.document, one.row));
        Ok(rows.collect())
    }

    fn collect(
        &self,
        resource_type: ResourceType,
        subject: Option<&SubjectId>,
        found: &mut Vec<Match>,
        wanted: impl Fn(&TermsRow) -> bool,
    ) -> Result<(), CustodyError> {
        let keys = &self.0.home.keys;
        let rest: Vec<_> = subject.into_iter().collect();
        let prefix = keys.terms(resource_type.as_str(), &rest);
        for row in self.0.store.scan(Table::Terms, &prefix) {
            let (key, sealed) = row?;
            let (subject, document) = places(&key)?;
            // Erased since.
            let Some(row) = self.terms(&key, &document, &sealed)? else {
                continue;
            };
            if wanted(&row) {
                found.push(Match {
                    document,
                    subject,
                    resource_type,
                    row,
                });
            }
        }
        Ok(())
    }

    /// Opens a row of the terms: the version's number, then the sealed row.
    pub(super) fn terms(
        &self,
        key: &[u8],
        document: &DocumentKey,
        row: &[u8],
    ) -> Result<Option<TermsRow>, CustodyError> {
        let (version, sealed) = row
            .split_first_chunk()
            .ok_or_else(|| CustodyError::Storage("a row of the index is too short".to_owned()))?;
        let version = u64::from_be_bytes(*version);
        let erase = self
            .0
            .home
            .keys
            .erase_key(&self.0.store, document, version)?;
        erase
            .map(|erase| erase.open(Table::Terms, key, sealed))
            .transpose()
    }

    /// Decides matches, subject by subject: those that are permitted, and what goes on record.
    async fn sift(
        &self,
        by: &Requester,
        aim: Aim,
        matches: Vec<Match>,
    ) -> Result<(Vec<Match>, BTreeMap<SubjectId, Sifted>), CustodyError> {
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
            let mut reasons = Vec::new();
            for (one, ruling) in matches.into_iter().zip(&decision.rulings) {
                if ruling.permitted {
                    permitted.push(one);
                } else {
                    reasons.push(ruling.reason.clone());
                }
            }
            let sifted = Sifted {
                subject,
                decision,
                opened: Vec::new(),
                reasons,
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
            .map(|one| (one.subject, one.decision.decided(one.opened)))
            .collect();
        self.record(by, interaction, target, decided).await
    }

    async fn open_all(&self, page: Vec<Match>) -> Result<Vec<Opened>, CustodyError> {
        let mut opened = Vec::with_capacity(page.len());
        for one in page {
            // Deleted or erased since it was found.
            let Some(loaded) = self.load(&one.document, one.row.version)? else {
                continue;
            };
            let resource = self.open_content(&loaded).await?;
            opened.extend(resource.map(|resource| Opened {
                member: self.0.home.member.clone(),
                resource,
                id: one.row.id,
                version: one.row.version,
                last_updated_ms: one.row.facts.recorded_at,
            }));
        }
        Ok(opened)
    }
}

/// A decision on a subject's matches, and what came of it.
struct Sifted {
    subject: Arc<Subject>,
    decision: super::decide::Decision,
    opened: Vec<String>,
    reasons: Vec<String>,
}

impl Sifted {
    fn withheld(&self) -> usize {
        self.reasons.len()
    }
}

impl Match {
    fn candidate(&self) -> Candidate<'_> {
        Candidate {
            terms: &self.row.terms,
            last_updated_ms: milliseconds(self.row.facts.recorded_at),
            id: &self.row.id,
        }
    }

    fn target(&self) -> String {
        format!("{}/{}", self.resource_type, self.row.id)
    }
}

fn milliseconds(recorded_at: u64) -> i64 {
    i64::try_from(recorded_at).unwrap_or(i64::MAX)
}

/// Subject and document in a key of the terms.
fn places(key: &[u8]) -> Result<(SubjectId, DocumentKey), CustodyError> {
    let rest = key.get(8..).and_then(<[u8]>::split_first_chunk::<16>);
    rest.and_then(|(subject, document)| Some((*subject, document.try_into().ok()?)))
        .ok_or_else(|| CustodyError::Storage("a key of the index has another form".to_owned()))
}
