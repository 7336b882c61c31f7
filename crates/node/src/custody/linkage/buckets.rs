//! Where candidates for another member's question are: the buckets of each patient, under a key of this member's on disk.
//!
//! They follow the change feed as the work list of matching does, and go with the Patient.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use interop::fhir::ResourceType;
use interop::identity::{Bucket, LinkageSecret, Traits};
use minicbor::{Decode, Encode};

use crate::custody::changes::Changed;
use crate::custody::matching::is_replaced;
use crate::custody::postings::{Place, Posting};
use crate::custody::rows::DocumentKey;
use crate::custody::store::{Table, Transaction, View};
use crate::custody::{Custody, CustodyError};

/// Changes between two notes of where to go on.
const STEP: usize = 64;
const CURSOR: &[u8] = b"cursor";
/// A bucket in which more patients are chooses nobody; others of the patient do.
const SHARED_MAX: usize = 512;
/// The first bytes of a key, before subject and document: `b` and what stands for the bucket.
const NAMED_BYTES: usize = 9;

/// How far the feed was looked at, and under which secret.
#[derive(Clone, Encode, Decode)]
struct CursorRow {
    #[n(0)]
    seen: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    secret: [u8; 8],
}

/// What stands for the buckets of a patient.
#[derive(Clone, Default, Encode, Decode)]
#[cbor(transparent)]
struct BucketsRow(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>);

/// The buckets of patients, and whose they are.
type Found = BTreeMap<Place, Vec<Posting>>;

impl Custody {
    /// Whether every Patient that was written is found by the questions of other members.
    pub fn has_looked_at_all(&self) -> bool {
        self.0.linking.seen.load(Ordering::Acquire) >= self.newest_change()
    }

    /// Puts the patients among the next changes into their buckets; says whether there may be more.
    pub(in crate::custody) async fn bucket_some(&self) -> Result<bool, CustodyError> {
        let Some(linkage) = &self.0.options.linkage else {
            return Ok(false);
        };
        let keys = &self.0.home.keys;
        let secret = linkage.secret.fingerprint();
        let cursor: Option<CursorRow> = keys.get(&self.0.store, Table::Linkage, CURSOR)?;
        // Under another secret all patients come to other buckets.
        let cursor = cursor.filter(|row| row.secret == secret);
        let cursor = cursor.map_or(0, |row| row.seen);
        let seen = self.0.linking.seen.load(Ordering::Acquire).max(cursor);
        self.0.linking.seen.fetch_max(seen, Ordering::AcqRel);
        let changes = self.changes(seen, STEP)?;
        let Some(last) = changes.last().map(|change| change.number) else {
            return Ok(false);
        };
        let is_full = changes.len() == STEP;
        let found = self.buckets_among(&changes, &linkage.secret)?;
        // What has no Patient among it is looked at again after a stop: that costs less than a sync for each.
        if !found.is_empty() || is_full {
            let home = self.0.home.clone();
            let forgotten = self.questions_of_nobody(&found)?;
            let put = move |transaction: &mut Transaction<'_>| {
                for (place, postings) in &found {
                    let key = row_key(&place.1);
                    let before = home.keys.get_in(transaction, Table::Linkage, &key)?;
                    replace(transaction, place, &before.unwrap_or_default(), postings);
                    let row = BucketsRow(postings.as_flattened().to_vec());
                    if postings.is_empty() {
                        transaction.remove(Table::Linkage, &key);
                    } else {
                        home.keys.put(transaction, Table::Linkage, &key, &row);
                    }
                }
                for key in forgotten {
                    transaction.remove(Table::Linkage, &key);
                }
                let cursor = CursorRow { seen: last, secret };
                home.keys.put(transaction, Table::Linkage, CURSOR, &cursor);
                Ok(())
            };
            self.0.store.transact(put).await?;
        }
        self.0.linking.seen.fetch_max(last, Ordering::AcqRel);
        Ok(true)
    }

    /// The rows of questions about patients who are not there any more.
    fn questions_of_nobody(&self, found: &Found) -> Result<Vec<Vec<u8>>, CustodyError> {
        let gone = found.iter().filter(|(_, postings)| postings.is_empty());
        let rows = gone.flat_map(|((subject, _), _)| {
            let prefix = [b"w".as_slice(), subject].concat();
            self.0.store.scan(Table::Linkage, &prefix)
        });
        rows.map(|row| row.map(|(key, _)| key)).collect()
    }

    /// The buckets of the Patients among what has changed, as they are now; none for who is not there any more.
    fn buckets_among(
        &self,
        changes: &[Changed],
        secret: &LinkageSecret,
    ) -> Result<Found, CustodyError> {
        let patients = changes
            .iter()
            .filter(|change| change.resource_type == ResourceType::PATIENT);
        let places: BTreeSet<Place> = patients
            .map(|change| (change.subject, change.document))
            .collect();
        let mut found: Found = places.iter().map(|place| (*place, Vec::new())).collect();
        let places: Vec<Place> = places.into_iter().collect();
        let view = self.0.store.view()?;
        for one in self.at_places(&view, ResourceType::PATIENT, &places)? {
            if is_replaced(&one.row.terms) {
                continue;
            }
            let buckets = secret.buckets(&Traits::of(&one.row.terms)).into_iter();
            let keys = &self.0.home.keys;
            let postings = buckets.map(|bucket| keys.bucketed(&bucket));
            found.insert((one.subject, one.document), postings.collect());
        }
        Ok(found)
    }

    /// The patients that share a bucket with an encoding.
    pub(super) fn in_buckets(
        &self,
        view: &View,
        buckets: &BTreeSet<Bucket>,
    ) -> Result<Vec<Place>, CustodyError> {
        let mut places = BTreeSet::new();
        for bucket in buckets {
            let prefix = [b"b".as_slice(), &self.0.home.keys.bucketed(bucket)].concat();
            let keys = view.keys(Table::Linkage, &prefix).take(SHARED_MAX + 1);
            let some: Vec<Place> = keys.map(|key| place(&key?)).collect::<Result<_, _>>()?;
            if some.len() <= SHARED_MAX {
                places.extend(some);
            }
        }
        Ok(places.into_iter().collect())
    }
}

fn replace(
    transaction: &mut Transaction<'_>,
    (subject, document): &Place,
    before: &BucketsRow,
    now: &[Posting],
) {
    let key = |posting: &Posting| [b"b".as_slice(), posting, subject, document].concat();
    let before: &[Posting] = before.0.as_chunks().0;
    for gone in before.iter().filter(|one| !now.contains(one)) {
        transaction.remove(Table::Linkage, &key(gone));
    }
    for new in now.iter().filter(|one| !before.contains(one)) {
        transaction.put(Table::Linkage, &key(new), Vec::new());
    }
}

fn row_key(document: &DocumentKey) -> Vec<u8> {
    [b"d".as_slice(), document].concat()
}

fn place(key: &[u8]) -> Result<Place, CustodyError> {
    let rest = key.get(NAMED_BYTES..);
    rest.and_then(|rest| {
        let (subject, document) = rest.split_first_chunk()?;
        Some((*subject, document.try_into().ok()?))
    })
    .ok_or_else(|| CustodyError::Storage("a bucket's key has another form".to_owned()))
}
