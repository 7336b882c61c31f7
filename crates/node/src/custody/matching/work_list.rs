//! The work list: pairs of patients who may be one person, for somebody to look at.
//!
//! It follows the change feed: each version of a Patient is compared with its candidates, and where the feed was read to is
//! written in the batch of the rows, so that after any stop nothing is left out. A pair is there once, whichever of both was
//! written last; it goes when it is no longer alike, or one of both was deleted or erased. What somebody dismissed stays
//! dismissed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use interop::fhir::ResourceType;
use interop::identity::{Grade, Judgement, Reason, Traits};
use minicbor::{Decode, Encode};

use super::is_replaced;
use crate::custody::append::Home;
use crate::custody::changes::Changed;
use crate::custody::request::Requester;
use crate::custody::rows::DocumentKey;
use crate::custody::search::Match;
use crate::custody::store::{Table, Transaction};
use crate::custody::{Aim, Custody, CustodyError, Inner};

/// Changes between two notes of where to go on.
const STEP: usize = 64;
const CURSOR: &[u8] = b"cursor";
/// The index is made, or the store was away.
const WAIT: Duration = Duration::from_millis(500);
/// Pairs in a list at most.
const LISTED_MAX: usize = 1_000;

/// A pair on the list.
#[derive(Clone, PartialEq)]
pub struct PossibleMatch {
    /// The ids of both Patients, in order.
    pub patients: [String; 2],
    /// How sure it is.
    pub grade: Grade,
    /// Why.
    pub reason: Reason,
    /// The probability that they are one person, from 0 to 1.
    pub score: f64,
    /// Whether they are linked.
    pub is_linked: bool,
    /// Who said that they are two people, when (milliseconds since 1970), and why.
    pub dismissed: Option<(String, u64, String)>,
}

impl std::fmt::Debug for PossibleMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PossibleMatch({})", self.grade.code())
    }
}

/// The pairs of a Patient, by the other document.
type Pairs = Vec<(DocumentKey, PairRow)>;
/// The pairs of Patients; `None` for one that is not there any more.
type Found = BTreeMap<DocumentKey, Option<Pairs>>;

/// A pair as it is stored, sealed.
#[derive(Clone, PartialEq, Encode, Decode)]
pub(super) struct PairRow {
    #[n(0)]
    one: String,
    #[n(1)]
    other: String,
    /// `Grade::code`
    #[n(2)]
    grade: String,
    /// `Reason::code`
    #[n(3)]
    reason: String,
    /// Millionths.
    #[n(4)]
    score: u32,
    #[n(5)]
    is_linked: bool,
    #[n(6)]
    dismissed: Option<DismissedRow>,
}

#[derive(Clone, PartialEq, Encode, Decode)]
struct DismissedRow {
    #[n(0)]
    by: String,
    #[n(1)]
    at: u64,
    #[n(2)]
    why: String,
}

impl Custody {
    /// Pairs of patients who may be one person, the likeliest first; without those that are linked or dismissed, unless
    /// `all` are asked for. A pair is there if both Patients may be seen.
    pub async fn possible_matches(
        &self,
        by: &Requester,
        all: bool,
    ) -> Result<Vec<PossibleMatch>, CustodyError> {
        const TARGET: &str = "Patient/$possible-matches";
        let keys = &self.0.home.keys;
        let mut pairs = Vec::new();
        for row in self.0.store.scan(Table::Matches, b"p") {
            let (key, row) = row?;
            let row: PairRow = keys.open_row(Table::Matches, &key, &row)?;
            if all || (!row.is_linked && row.dismissed.is_none()) {
                pairs.push(row);
            }
        }
        pairs.sort_by_key(|row| std::cmp::Reverse(row.score));
        pairs.truncate(LISTED_MAX);
        let named = pairs.iter().flat_map(|row| [&row.one, &row.other]);
        let seen = self.seen(by, named.collect()).await?;
        self.audit_queries(by, "search", vec![TARGET.to_owned()])
            .await?;
        pairs.retain(|row| seen.contains(&row.one) && seen.contains(&row.other));
        pairs.into_iter().map(PairRow::shown).collect()
    }

    /// Notes that two patients are two people; the pair stays on record.
    pub async fn dismiss_match(
        &self,
        by: &Requester,
        patients: [&str; 2],
        why: &str,
    ) -> Result<(), CustodyError> {
        let wanted = BTreeSet::from(patients.map(str::to_owned));
        if self.seen(by, wanted.iter().collect()).await? != wanted {
            return Err(CustodyError::NotFound);
        }
        let home = self.0.home.clone();
        let [one, other] = patients.map(|id| home.keys.document("Patient", id));
        let dismissed = DismissedRow {
            by: by.principal(),
            at: self.now(),
            why: why.to_owned(),
        };
        let mut event = by.audited("dismiss-match");
        event.recorded = dismissed.at;
        event.target = format!("Patient/{}+Patient/{}", patients[0], patients[1]);
        let settle = move |transaction: &mut Transaction<'_>| {
            let key = pair_key(&one, &other);
            let row: Option<PairRow> = home.keys.get_in(transaction, Table::Matches, &key)?;
            let mut row = row.ok_or(CustodyError::NotFound)?;
            row.dismissed = Some(dismissed);
            home.keys.put(transaction, Table::Matches, &key, &row);
            home.audit(transaction, None, event)?;
            Ok(())
        };
        self.0.store.transact(settle).await
    }

    /// The ids of those among these patients that a search by the requester would show.
    pub(in crate::custody) async fn seen(
        &self,
        by: &Requester,
        ids: BTreeSet<&String>,
    ) -> Result<BTreeSet<String>, CustodyError> {
        let mut matches = Vec::new();
        for id in ids {
            let document = self.0.home.keys.document("Patient", id);
            if let Some(head) = self.head(ResourceType::PATIENT, id)? {
                let view = self.0.store.view()?;
                let place = [(head.subject, document)];
                matches.extend(self.at_places(&view, ResourceType::PATIENT, &place)?);
            }
        }
        let (permitted, _) = self.sift(by, Aim::Search, matches).await?;
        Ok(permitted.into_iter().map(|one| one.row.id).collect())
    }

    /// Looks at the next changes, for pairs here and for the questions of other members; says whether there may be more.
    async fn look_at_patients(&self) -> Result<bool, CustodyError> {
        let has_more_pairs = self.match_some().await?;
        let has_more_buckets = self.bucket_some().await?;
        Ok(has_more_pairs || has_more_buckets)
    }

    /// Looks at the next changes; says whether there may be more.
    pub(in crate::custody) async fn match_some(&self) -> Result<bool, CustodyError> {
        let _turn = self.0.comparing.turn.lock().await;
        let home = &self.0.home;
        let cursor: Option<u64> = home.keys.get(&self.0.store, Table::Matches, CURSOR)?;
        let seen = self.0.comparing.seen.load(Ordering::Acquire);
        let changes = self.changes(seen.max(cursor.unwrap_or(0)), STEP)?;
        let Some(last) = changes.last().map(|change| change.number) else {
            return Ok(false);
        };
        let is_full = changes.len() == STEP;
        let found = self.pairs_among(changes).await?;
        // What has no Patient among it is looked at again after a stop: that costs less than a sync for each.
        if !found.is_empty() || is_full {
            let home = home.clone();
            let put = move |transaction: &mut Transaction<'_>| {
                for (document, pairs) in found {
                    home.replace_pairs(transaction, &document, pairs)?;
                }
                home.keys.put(transaction, Table::Matches, CURSOR, &last);
                Ok(())
            };
            self.0.store.transact(put).await?;
        }
        self.0.comparing.seen.fetch_max(last, Ordering::AcqRel);
        Ok(true)
    }

    /// The pairs of the Patients among what has changed. Comparisons by the thousand keep no request waiting.
    async fn pairs_among(&self, changes: Vec<Changed>) -> Result<Found, CustodyError> {
        let mut found = Found::new();
        for change in changes {
            if change.resource_type != ResourceType::PATIENT || found.contains_key(&change.document)
            {
                continue;
            }
            let custody = self.clone();
            let document = change.document;
            let pairs = tokio::task::spawn_blocking(move || custody.pairs_of(&change)).await;
            let pairs = pairs.map_err(|error| CustodyError::Storage(error.to_string()))??;
            found.insert(document, pairs);
        }
        Ok(found)
    }

    /// The pairs of a Patient as it is now; `None` if it is not there any more.
    fn pairs_of(&self, change: &Changed) -> Result<Option<Pairs>, CustodyError> {
        let view = self.0.store.view()?;
        let place = [(change.subject, change.document)];
        let own = self.at_places(&view, ResourceType::PATIENT, &place)?;
        drop(view);
        let Some(own) = own.into_iter().next() else {
            return Ok(None);
        };
        if is_replaced(&own.row.terms) {
            return Ok(Some(Pairs::new()));
        }
        let traits = Traits::of(&own.row.terms);
        let candidates = self.candidates_for(&traits)?;
        let candidates = candidates
            .into_iter()
            .filter(|(one, it)| one.document != own.document && it.grade >= Grade::Possible);
        let pairs =
            candidates.map(|(one, judgement)| (one.document, PairRow::of(&own, &one, &judgement)));
        Ok(Some(pairs.collect()))
    }
}

impl Home {
    /// Puts the pairs of a Patient in the place of those it had. What was dismissed stays, unless the Patient is gone.
    fn replace_pairs(
        &self,
        transaction: &mut Transaction<'_>,
        document: &DocumentKey,
        pairs: Option<Pairs>,
    ) -> Result<(), CustodyError> {
        let partners = partners_key(document);
        let before: Option<PartnersRow> =
            self.keys.get_in(transaction, Table::Matches, &partners)?;
        let keeps_dismissed = pairs.is_some();
        let pairs = pairs.unwrap_or_default();
        let mut now: BTreeSet<DocumentKey> = pairs.iter().map(|(other, _)| *other).collect();
        for Partner(gone) in before.unwrap_or_default().0 {
            if now.contains(&gone) {
                continue;
            }
            let key = pair_key(document, &gone);
            let row: Option<PairRow> = self.keys.get_in(transaction, Table::Matches, &key)?;
            if keeps_dismissed && row.is_some_and(|row| row.dismissed.is_some()) {
                now.insert(gone);
                continue;
            }
            transaction.remove(Table::Matches, &key);
            self.change_partners(transaction, &gone, |all| all.retain(|it| it.0 != *document))?;
        }
        for (other, mut row) in pairs {
            let key = pair_key(document, &other);
            let known: Option<PairRow> = self.keys.get_in(transaction, Table::Matches, &key)?;
            row.dismissed = known.and_then(|known| known.dismissed);
            self.keys.put(transaction, Table::Matches, &key, &row);
            self.change_partners(transaction, &other, |all| all.push(Partner(*document)))?;
        }
        let row = PartnersRow(now.into_iter().map(Partner).collect());
        self.keys.put(transaction, Table::Matches, &partners, &row);
        Ok(())
    }

    fn change_partners(
        &self,
        transaction: &mut Transaction<'_>,
        of: &DocumentKey,
        change: impl FnOnce(&mut Vec<Partner>),
    ) -> Result<(), CustodyError> {
        let key = partners_key(of);
        let row: Option<PartnersRow> = self.keys.get_in(transaction, Table::Matches, &key)?;
        let mut row = row.unwrap_or_default();
        change(&mut row.0);
        row.0.sort_unstable();
        row.0.dedup();
        self.keys.put(transaction, Table::Matches, &key, &row);
        Ok(())
    }
}

/// The documents with which a Patient is paired.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
struct PartnersRow(#[n(0)] Vec<Partner>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
struct Partner(#[cbor(n(0), with = "minicbor::bytes")] DocumentKey);

impl PairRow {
    fn of(one: &Match, other: &Match, judgement: &Judgement) -> Self {
        let (first, second) = if one.row.id <= other.row.id {
            (one, other)
        } else {
            (other, one)
        };
        let refers = |from: &Match, to: &Match| {
            let mut links = from.row.terms.references("link");
            links.any(|place| place == ("Patient", to.row.id.as_str()))
        };
        Self {
            one: first.row.id.clone(),
            other: second.row.id.clone(),
            grade: judgement.grade.code().to_owned(),
            reason: judgement.reason.code().to_owned(),
            score: millionths(judgement.score),
            is_linked: refers(one, other) || refers(other, one),
            dismissed: None,
        }
    }

    fn shown(self) -> Result<PossibleMatch, CustodyError> {
        let malformed = || CustodyError::Storage("a pair's row has another form".to_owned());
        Ok(PossibleMatch {
            grade: Grade::with_code(&self.grade).ok_or_else(malformed)?,
            reason: Reason::with_code(&self.reason).ok_or_else(malformed)?,
            score: f64::from(self.score) / 1e6,
            is_linked: self.is_linked,
            dismissed: self.dismissed.map(|it| (it.by, it.at, it.why)),
            patients: [self.one, self.other],
        })
    }
}

/// A share of one as whole millionths.
pub(in crate::custody) fn millionths(share: f64) -> u32 {
    let text = format!("{:.0}", share.clamp(0.0, 1.0) * 1e6);
    text.parse().unwrap_or(0)
}

fn pair_key(one: &DocumentKey, other: &DocumentKey) -> Vec<u8> {
    let (low, high) = (one.min(other), one.max(other));
    [b"p".as_slice(), low, high].concat()
}

fn partners_key(of: &DocumentKey) -> Vec<u8> {
    [b"d".as_slice(), of].concat()
}

/// Follows the change feed until nobody holds the records any more.
pub(in crate::custody) async fn follow(records: Weak<Inner>) {
    let Some(mut changes) = records.upgrade().map(|inner| inner.store.changes()) else {
        return;
    };
    loop {
        let Some(custody) = records.upgrade().map(Custody) else {
            return;
        };
        let is_made = custody.0.indexing.is_complete();
        let outcome = if is_made {
            custody.look_at_patients().await
        } else {
            Ok(false)
        };
        drop(custody);
        match outcome {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) if is_made => {
                if changes.changed().await.is_err() {
                    return;
                }
            }
            Ok(false) => tokio::time::sleep(WAIT).await,
            Err(error) => {
                tracing::error!(%error, "the list of possible matches is not kept: it goes on with the next change");
                if changes.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}
