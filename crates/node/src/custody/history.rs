//! Histories: of one document, of a type, of everything. Each version is decided as a read of it would be, before it is
//! counted or put on a page.

use std::collections::BTreeMap;
use std::sync::Arc;

use interop::fhir::disclosure::DisclosureFacts;
use interop::fhir::{Resource, ResourceType};

use super::audit::decided_of;
use super::changes::Changed;
use super::decide::Decision;
use super::read::{Loaded, is_recorded};
use super::request::{HistoryEntry, HistoryPage, HistoryQuery, Requester};
use super::rows::{DocumentKey, SubjectId};
use super::subject::Subject;
use super::{Aim, Custody, CustodyError};

/// Changes that are decided together.
const WINDOW: usize = 256;

/// What a requester may see beyond what custody decides, such as by the scopes of a token.
pub type Visible<'a> = dyn Fn(&Resource) -> bool + Send + Sync + 'a;

/// A change that was decided, with what is on record of it.
struct Judged {
    change: Changed,
    loaded: Loaded,
    scope: Option<Arc<str>>,
}

/// The start of the window in which changes of a subject were decided, and the subject.
type Place = (u64, SubjectId);

/// What goes on record for one decision.
struct Account {
    subject: Arc<Subject>,
    decision: Decision,
    /// The versions that were decided.
    documents: Vec<(DocumentKey, u64)>,
    opened: Vec<String>,
    withheld: bool,
}

impl Custody {
    pub(super) async fn read_history(
        &self,
        by: &Requester,
        resource_type: ResourceType,
        id: &str,
    ) -> Result<Vec<HistoryEntry>, CustodyError> {
        let head = self.known(by, resource_type, id)?;
        let subject = self.0.subjects.load(&head.subject)?;
        let current = self.current(&head)?;
        let facts = (head.version, &current.row.facts);
        self.admit(by, "history", &subject, &head, facts).await?;
        let document = self.0.home.keys.document(&head.resource_type, &head.id);
        let mut versions = Vec::new();
        for version in (1..=head.version).rev() {
            versions.push((version, self.load(&document, version)?));
        }
        let readable = versions.iter().filter_map(|(_, loaded)| loaded.as_ref());
        let facts: Vec<DisclosureFacts> = readable
            .map(|loaded| {
                loaded
                    .row
                    .facts
                    .with_labels_of(&current.row.facts)
                    .disclosure
            })
            .collect();
        let facts: Vec<&DisclosureFacts> = facts.iter().collect();
        let mut rulings = self.decide(by, &subject, &facts).await?.rulings.into_iter();
        let mut entries = Vec::new();
        for (version, loaded) in &versions {
            let entry = |last_updated_ms, opened, is_erased| HistoryEntry {
                resource_type,
                id: id.to_owned(),
                version: *version,
                last_updated_ms,
                opened,
                is_erased,
            };
            match loaded {
                None => entries.push(entry(head.recorded_at, None, true)),
                Some(loaded) => {
                    let permitted = rulings.next().filter(|ruling| ruling.permitted);
                    if let Some(ruling) = permitted {
                        let shown = (loaded, ruling.scope);
                        let opened = self.unseal(&head, *version, shown).await?;
                        entries.push(entry(loaded.row.facts.recorded_at, opened, false));
                    }
                }
            }
        }
        Ok(entries)
    }

    /// A page of the history of types, or of everything; each version is decided as a read of it would be, and must be
    /// `visible` besides.
    pub async fn history_of_all(
        &self,
        by: &Requester,
        query: &HistoryQuery,
        visible: &Visible<'_>,
    ) -> Result<HistoryPage, CustodyError> {
        let mut accounts = BTreeMap::new();
        let mut entries: Vec<(u64, Place, HistoryEntry)> = Vec::new();
        let newest = self.newest_change().saturating_add(1);
        let mut before = query.before.unwrap_or(newest).min(newest);
        // One more than the page holds tells whether there is a further page.
        while before > 1 && entries.len() <= query.count {
            let window = u64::try_from(WINDOW).unwrap_or(u64::MAX);
            let after = before.saturating_sub(1).saturating_sub(window);
            let mut changes = self.changes(after, WINDOW)?;
            changes.retain(|change| change.number < before);
            before = after.saturating_add(1);
            let reached_since = self.retain_wanted(by, query, &mut changes)?;
            let judged = self.judge(by, after, changes, &mut accounts).await?;
            for one in judged.into_iter().rev() {
                if entries.len() > query.count {
                    break;
                }
                let (number, place) = (one.change.number, (after, one.change.subject));
                let entry = self.shown(by, one, visible).await?;
                entries.extend(entry.map(|entry| (number, place, entry)));
            }
            if reached_since {
                break;
            }
        }
        let has_more = entries.len() > query.count;
        entries.truncate(query.count);
        let next = entries.last().map(|(number, ..)| *number);
        let next = next.filter(|_| has_more);
        for (_, place, entry) in &entries {
            if let Some(account) = accounts.get_mut(place) {
                account.open(entry);
            }
        }
        self.record_history(by, query, accounts).await?;
        let entries = entries.into_iter().map(|(_, _, entry)| entry);
        Ok(HistoryPage {
            entries: entries.collect(),
            next,
        })
    }

    /// Keeps what the query asks for; tells whether everything before is older than that.
    fn retain_wanted(
        &self,
        by: &Requester,
        query: &HistoryQuery,
        changes: &mut Vec<Changed>,
    ) -> Result<bool, CustodyError> {
        // A patient's token sees that patient's history alone.
        let own = match &by.patient {
            None => None,
            Some(patient) => {
                let subject = self.0.subjects.of_patient(patient)?;
                Some(subject.ok_or(CustodyError::UnknownPatient)?.id)
            }
        };
        let is_recent = |change: &Changed| {
            query
                .since_ms
                .is_none_or(|since| change.recorded_at_ms >= since)
        };
        let oldest = changes.first().map(|change| change.recorded_at_ms);
        let reached_since = oldest.is_some_and(|at| query.since_ms.is_some_and(|since| at < since));
        let mut kept = Vec::with_capacity(changes.len());
        for change in changes.drain(..) {
            let is_wanted = is_recent(&change)
                && query
                    .types
                    .as_ref()
                    .is_none_or(|types| types.contains(&change.resource_type))
                && own.is_none_or(|own| own == change.subject)
                && self.was_current(&change, query)?;
            if is_wanted {
                kept.push(change);
            }
        }
        *changes = kept;
        Ok(reached_since)
    }

    /// Whether the version was current at some time of the query's `_at`.
    fn was_current(&self, change: &Changed, query: &HistoryQuery) -> Result<bool, CustodyError> {
        let Some((start, end)) = query.at else {
            return Ok(true);
        };
        if change.recorded_at_ms > end {
            return Ok(false);
        }
        let next = self.load(&change.document, change.version.saturating_add(1))?;
        Ok(next.is_none_or(|next| next.row.facts.recorded_at > start))
    }

    /// Decides changes, subject by subject; those that are permitted, in the order of the feed.
    async fn judge(
        &self,
        by: &Requester,
        after: u64,
        changes: Vec<Changed>,
        accounts: &mut BTreeMap<Place, Account>,
    ) -> Result<Vec<Judged>, CustodyError> {
        let mut by_subject: BTreeMap<SubjectId, Vec<Judged>> = BTreeMap::new();
        for change in changes {
            // Of what was erased nothing is left that could be decided.
            if let Some(loaded) = self.load(&change.document, change.version)? {
                let of_subject = by_subject.entry(change.subject).or_default();
                of_subject.push(Judged {
                    change,
                    loaded,
                    scope: None,
                });
            }
        }
        let mut permitted = BTreeMap::new();
        for (id, judged) in by_subject {
            let subject = self.0.subjects.load(&id)?;
            let facts: Vec<&DisclosureFacts> = judged
                .iter()
                .map(|one| &one.loaded.row.facts.disclosure)
                .collect();
            let decision = self.decide(by, &subject, &facts).await?;
            let withheld = !decision.permits_all();
            let documents = judged
                .iter()
                .map(|one| (one.change.document, one.change.version));
            let documents = documents.collect();
            for (mut one, ruling) in judged.into_iter().zip(&decision.rulings) {
                if ruling.permitted {
                    one.scope.clone_from(&ruling.scope);
                    permitted.insert(one.change.number, one);
                }
            }
            let account = Account {
                subject,
                decision,
                documents,
                opened: Vec::new(),
                withheld,
            };
            accounts.insert((after, id), account);
        }
        Ok(permitted.into_values().collect())
    }

    async fn shown(
        &self,
        by: &Requester,
        one: Judged,
        visible: &Visible<'_>,
    ) -> Result<Option<HistoryEntry>, CustodyError> {
        let Judged {
            change,
            loaded,
            scope,
        } = one;
        let content = self.open_content(&loaded).await?;
        let place = (change.resource_type, change.id.as_str());
        let is_seen = |content: &Resource| {
            visible(content) && self.reach_version(by, Aim::Read, place, content).is_ok()
        };
        let is_visible = match &content {
            Some(content) => is_seen(content),
            // What deletes is as visible as what it deleted.
            None => self
                .content_before(&change.document, change.version)
                .await?
                .is_none_or(|before| is_seen(&before)),
        };
        if !is_visible {
            return Ok(None);
        }
        let opened = content.map(|resource| super::Opened {
            member: self.0.home.member.clone(),
            resource,
            id: change.id.clone(),
            version: change.version,
            last_updated_ms: change.recorded_at_ms,
            labels: super::labelling::shown(&loaded.row.facts.disclosure.labels),
            scope,
        });
        Ok(Some(HistoryEntry {
            resource_type: change.resource_type,
            id: change.id,
            version: change.version,
            last_updated_ms: change.recorded_at_ms,
            opened,
            is_erased: false,
        }))
    }

    /// The last content of a document before a version; `None` if nothing of it is left.
    async fn content_before(
        &self,
        document: &DocumentKey,
        version: u64,
    ) -> Result<Option<Resource>, CustodyError> {
        for earlier in (1..version).rev() {
            match self.load(document, earlier)? {
                None => return Ok(None),
                Some(loaded) if loaded.row.facts.deleted => {}
                Some(loaded) => return self.open_content(&loaded).await,
            }
        }
        Ok(None)
    }

    async fn record_history(
        &self,
        by: &Requester,
        query: &HistoryQuery,
        accounts: BTreeMap<Place, Account>,
    ) -> Result<(), CustodyError> {
        let target = match query.types.as_deref() {
            Some([one]) => format!("{one}/_history"),
            _ => "_history".to_owned(),
        };
        let decided = accounts
            .into_values()
            .filter(Account::counts)
            .map(|account| {
                let decided = account.decision.decided(account.opened);
                (account.subject, decided_of(decided, account.documents))
            })
            .collect();
        self.record(by, "history", target, decided).await
    }
}

impl Account {
    fn open(&mut self, entry: &HistoryEntry) {
        let (kind, id, version) = (entry.resource_type, &entry.id, entry.version);
        if is_recorded(&self.subject, kind) {
            self.opened.push(format!("{kind}/{id}/_history/{version}"));
        }
    }

    /// What was neither opened nor withheld was only passed over.
    fn counts(&self) -> bool {
        !self.opened.is_empty() || self.withheld && self.subject.patient_id.is_some()
    }
}
