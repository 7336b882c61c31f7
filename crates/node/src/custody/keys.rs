//! Keys of the record store: what seals rows, what names them, and what erases a version.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::hmac;
use interop::fhir::search::LookupKey;
use interop::identity::{BlockingKey, Bucket};
use ledger::codec;
use ledger::ids::{Digest, MemberName, NetworkId, Tag};
use ledger::item::Opening;
use ledger::stream::{RootKey, StreamKey};
use minicbor::{Decode, Encode};
use rand::RngCore;
use vault::keytable::WrappedEraseKey;
use vault::secret::{DataKey, SmallKey};
use vault::wrap::WrappingKey;
use zeroize::Zeroizing;

use super::CustodyError;
use super::cipher;
use super::postings::Posting;
use super::rows::{DocumentKey, decode, version_key};
use super::store::{Store, Table, Transaction};

/// The epoch of the wrapping key that derives from the root.
pub(super) const WRAPPING_EPOCH: u32 = 1;

/// Keys that derive from the member's root, and the wrapping keys that came after it.
pub(crate) struct Keys {
    /// Seals rows that are not of one version.
    rows: Zeroizing<[u8; 32]>,
    wrapping: RwLock<Wrappings>,
    names: Zeroizing<[u8; 32]>,
    lookups: hmac::Key,
    /// Marks on the ledger what was erased, for this member alone.
    marks: hmac::Key,
    /// The stream that numbers this member's erasures.
    pub(crate) erasures: StreamKey,
    pub(crate) directory: RootKey,
}

impl Keys {
    /// The keys of a root; `later` are the wrapping keys of epochs after its own.
    pub(crate) fn new(root: &RootKey, later: &[WrappingKey]) -> Arc<Self> {
        let first = SmallKey::from_bytes(root.purpose("custody/wrapping"));
        let mut wrapping = Wrappings(BTreeMap::new());
        wrapping.add(WrappingKey::new(WRAPPING_EPOCH, first));
        later.iter().cloned().for_each(|key| wrapping.add(key));
        Arc::new(Self {
            rows: Zeroizing::new(root.purpose("custody/rows")),
            wrapping: RwLock::new(wrapping),
            names: Zeroizing::new(root.purpose("custody/row-names")),
            lookups: hmac::Key::new(hmac::HMAC_SHA256, &root.purpose("custody/lookups")),
            marks: hmac::Key::new(hmac::HMAC_SHA256, &root.purpose("custody/erasure-marks")),
            erasures: StreamKey::from_bytes(root.purpose("custody/erasures")),
            directory: RootKey::from_bytes(root.purpose("custody/directory")),
        })
    }

    /// The tag that is on the ledger once the version with this index tag was erased.
    pub(crate) fn erasure_mark(&self, index: Tag) -> Tag {
        let signed = hmac::sign(&self.marks, &index.0);
        Tag(signed.as_ref().first_chunk().copied().unwrap_or_default())
    }

    /// The key of a document's rows.
    pub(crate) fn document(&self, resource_type: &str, id: &str) -> DocumentKey {
        truncated(Digest::with_domain(
            "careledger/row-name/v1",
            &[&*self.names, resource_type.as_bytes(), id.as_bytes()],
        ))
    }

    /// The prefix of the terms of a type, and with a subject and a document the rest of the key.
    pub(crate) fn terms(&self, resource_type: &str, rest: &[&[u8; 16]]) -> Vec<u8> {
        let named: [u8; 8] = truncated(Digest::with_domain(
            "careledger/type-name/v1",
            &[&*self.names, resource_type.as_bytes()],
        ));
        rest.iter().fold(named.to_vec(), |mut key, part| {
            key.extend(*part);
            key
        })
    }

    /// What stands for a lookup key of a type.
    pub(crate) fn posting(&self, resource_type: &str, key: &LookupKey) -> Posting {
        let mut hash = hmac::Context::with_key(&self.lookups);
        hash.update(resource_type.as_bytes());
        hash.update(b"/");
        hash.update(key.as_bytes());
        let hash = hash.sign();
        let first = hash.as_ref().first_chunk();
        first.copied().unwrap_or_default()
    }

    /// What stands for a blocking key of a patient.
    pub(super) fn blocking(&self, key: &BlockingKey) -> Posting {
        // No type of FHIR begins so.
        self.looked_up(b"match/", key.as_bytes())
    }

    /// What stands for a bucket of other members' questions.
    pub(super) fn bucketed(&self, bucket: &Bucket) -> Posting {
        self.looked_up(b"link/", bucket.as_bytes())
    }

    fn looked_up(&self, kind: &[u8], key: &[u8]) -> Posting {
        let mut hash = hmac::Context::with_key(&self.lookups);
        hash.update(kind);
        hash.update(key);
        let hash = hash.sign();
        let first = hash.as_ref().first_chunk();
        first.copied().unwrap_or_default()
    }

    /// Reads a row that is sealed under the member's key.
    pub(crate) fn get<T>(
        &self,
        store: &Store,
        table: Table,
        key: &[u8],
    ) -> Result<Option<T>, CustodyError>
    where
        T: for<'b> Decode<'b, ()> + Encode<()>,
    {
        let row = store.get(table, key)?;
        row.map(|row| self.open_row(table, key, &row)).transpose()
    }

    /// The same on the writer's thread.
    pub(crate) fn get_in<T>(
        &self,
        transaction: &Transaction<'_>,
        table: Table,
        key: &[u8],
    ) -> Result<Option<T>, CustodyError>
    where
        T: for<'b> Decode<'b, ()> + Encode<()>,
    {
        let row = transaction.get(table, key)?;
        row.map(|row| self.open_row(table, key, &row)).transpose()
    }

    /// Writes a row sealed under the member's key.
    pub(crate) fn put<T: Encode<()>>(
        &self,
        transaction: &mut Transaction<'_>,
        table: Table,
        key: &[u8],
        row: &T,
    ) {
        let row = Zeroizing::new(codec::encode(row));
        transaction.put(table, key, self.seal_row(table, key, &row));
    }

    /// Seals an encoded row under the member's key.
    pub(crate) fn seal_row(&self, table: Table, key: &[u8], row: &[u8]) -> Vec<u8> {
        cipher::seal(&self.rows, &bound(table, key), row)
    }

    /// Opens a row that is sealed under the member's key.
    pub(crate) fn open_bytes(
        &self,
        table: Table,
        key: &[u8],
        row: &[u8],
    ) -> Result<Vec<u8>, CustodyError> {
        Ok(cipher::open(&self.rows, &bound(table, key), row)?.to_vec())
    }

    pub(crate) fn open_row<T>(
        &self,
        table: Table,
        key: &[u8],
        row: &[u8],
    ) -> Result<T, CustodyError>
    where
        T: for<'b> Decode<'b, ()> + Encode<()>,
    {
        let row = cipher::open(&self.rows, &bound(table, key), row)?;
        decode(table.name(), &row)
    }

    /// The erase key of a version; `None` once it was destroyed.
    pub(crate) fn erase_key(
        &self,
        store: &Store,
        document: &DocumentKey,
        version: u64,
    ) -> Result<Option<EraseKey>, CustodyError> {
        let key = version_key(document, version);
        let wrapped = store.get(Table::EraseKeys, &key)?;
        wrapped
            .map(|wrapped| self.unwrap(&key, &wrapped))
            .transpose()
    }

    /// The erase keys of versions.
    pub(crate) fn erase_keys(
        &self,
        store: &Store,
        versions: &[(DocumentKey, u64)],
    ) -> Result<Vec<Result<Option<EraseKey>, CustodyError>>, CustodyError> {
        let keys = versions.iter();
        let keys: Vec<_> = keys
            .map(|(document, version)| version_key(document, *version))
            .collect();
        let wrapped = store.get_all(Table::EraseKeys, &keys)?;
        let unwrapped = keys.iter().zip(wrapped).map(|(key, wrapped)| {
            let unwrapped = wrapped.map(|wrapped| self.unwrap(key, &wrapped));
            unwrapped.transpose()
        });
        Ok(unwrapped.collect())
    }

    /// The same on the writer's thread.
    pub(crate) fn erase_key_in(
        &self,
        transaction: &Transaction<'_>,
        key: &[u8; 24],
    ) -> Result<Option<EraseKey>, CustodyError> {
        let wrapped = transaction.get(Table::EraseKeys, key)?;
        wrapped
            .map(|wrapped| self.unwrap(key, &wrapped))
            .transpose()
    }

    fn unwrap(&self, key: &[u8; 24], wrapped: &[u8]) -> Result<EraseKey, CustodyError> {
        let damaged = || CustodyError::Storage("an erase key does not unwrap".to_owned());
        let wrapped = WrappedEraseKey::from_bytes(wrapped).map_err(|_| damaged())?;
        let wrapping = self.wrapping.read().unwrap_or_else(PoisonError::into_inner);
        let of_epoch = wrapping.0.get(&wrapped.epoch).ok_or_else(damaged)?;
        let unwrapped = of_epoch.unwrap(key, &wrapped);
        unwrapped.map(EraseKey).map_err(|_| damaged())
    }

    pub(crate) fn put_erase_key(
        &self,
        transaction: &mut Transaction<'_>,
        document: &DocumentKey,
        version: u64,
        erase: &EraseKey,
    ) {
        let key = version_key(document, version);
        transaction.put(Table::EraseKeys, &key, self.wrap(&key, erase));
    }

    fn wrap(&self, key: &[u8; 24], erase: &EraseKey) -> Vec<u8> {
        let wrapping = self.wrapping.read().unwrap_or_else(PoisonError::into_inner);
        wrapping.newest().wrap(key, &erase.0).to_bytes()
    }

    /// The epoch under which erase keys are wrapped from now on.
    pub(crate) fn wrapping_epoch(&self) -> u32 {
        let wrapping = self.wrapping.read().unwrap_or_else(PoisonError::into_inner);
        wrapping.newest().epoch()
    }

    /// Wraps from now on under `next`, if its epoch is a later one; what is wrapped already can still be unwrapped.
    pub(crate) fn wrap_under(&self, next: WrappingKey) {
        let mut wrapping = self
            .wrapping
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        wrapping.add(next);
    }

    /// An erase key's row under the newest wrapping key; `None` if that is how it is wrapped already.
    pub(crate) fn rewrapped(
        &self,
        key: &[u8; 24],
        wrapped: &[u8],
    ) -> Result<Option<Vec<u8>>, CustodyError> {
        let is_newest = WrappedEraseKey::from_bytes(wrapped)
            .is_ok_and(|wrapped| wrapped.epoch == self.wrapping_epoch());
        if is_newest {
            return Ok(None);
        }
        let erase = self.unwrap(key, wrapped)?;
        Ok(Some(self.wrap(key, &erase)))
    }
}

/// Wrapping keys by epoch; there is always one.
struct Wrappings(BTreeMap<u32, WrappingKey>);

impl Wrappings {
    fn add(&mut self, key: WrappingKey) {
        self.0.entry(key.epoch()).or_insert(key);
    }

    #[expect(
        clippy::expect_used,
        reason = "the root's own epoch is put in first and never removed"
    )]
    fn newest(&self) -> &WrappingKey {
        let newest = self.0.last_key_value();
        newest.expect("there is a wrapping key").1
    }
}

/// The key whose destruction erases a version: all that opens it derives from it.
#[derive(Clone)]
pub(crate) struct EraseKey(vault::secret::EraseKey);

impl EraseKey {
    pub(crate) fn new() -> Self {
        Self(vault::secret::EraseKey::generate())
    }

    pub(crate) fn opening(&self) -> Opening {
        Opening(*self.0.opening().expose())
    }

    /// The data key of the payload.
    pub(crate) fn payload(&self) -> DataKey {
        self.0.data_key()
    }

    /// Seals a row of the version.
    pub(crate) fn seal<T: Encode<()>>(&self, table: Table, key: &[u8], row: &T) -> Vec<u8> {
        let row = Zeroizing::new(codec::encode(row));
        cipher::seal(self.rows().expose(), &bound(table, key), &row)
    }

    pub(crate) fn open<T>(&self, table: Table, key: &[u8], row: &[u8]) -> Result<T, CustodyError>
    where
        T: for<'b> Decode<'b, ()> + Encode<()>,
    {
        let row = cipher::open(self.rows().expose(), &bound(table, key), row)?;
        decode(table.name(), &row)
    }

    fn rows(&self) -> SmallKey {
        self.0.row_key()
    }

    /// The key with every byte inverted, for tests that look whether it is anywhere.
    #[cfg(test)]
    pub(crate) fn masked(&self) -> [u8; 32] {
        let mut masked = [0; 32];
        let bytes = masked.iter_mut().zip(self.0.expose());
        bytes.for_each(|(to, from)| *to = !from);
        masked
    }
}

/// Random bytes of the operating system's generator, spread by the thread's own.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

pub(crate) fn random_tag() -> Tag {
    Tag(random())
}

/// What is bound into a descriptor's seal: its place in the network.
pub(crate) fn descriptor_binding(network: NetworkId, member: &MemberName, tag: Tag) -> Vec<u8> {
    [
        b"careledger/descriptor/v1".as_slice(),
        &network.0.0,
        member.as_str().as_bytes(),
        &tag.0,
    ]
    .concat()
}

fn bound(table: Table, key: &[u8]) -> Vec<u8> {
    [table.name().as_bytes(), b"/", key].concat()
}

fn truncated<const N: usize>(digest: Digest) -> [u8; N] {
    let mut bytes = [0; N];
    bytes
        .iter_mut()
        .zip(digest.0)
        .for_each(|(to, from)| *to = from);
    bytes
}
