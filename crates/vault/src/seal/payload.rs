//! Sealed payloads: a header and chunks of up to 64 KiB, each sealed with its number and whether it is the last.

use std::fmt;

use zeroize::Zeroizing;

use crate::aead::{Aead, NONCE_BYTES, TAG_BYTES};
use crate::derive::derive;
use crate::entropy::random;
use crate::secret::{ClearBytes, DataKey};

/// Clear bytes of every chunk but the last.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes before the first chunk: version and salt.
pub const HEADER_BYTES: usize = 1 + SALT_BYTES;

const VERSION: u8 = 0x01;
const SALT_BYTES: usize = 16;
const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

/// Why sealed bytes do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The first byte names a format that this software does not know.
    #[error("sealed bytes have the unknown format version {0}")]
    UnknownVersion(u8),
    /// The bytes end before their last chunk does.
    #[error("sealed bytes end too early")]
    Truncated,
    /// The bytes were changed, or sealed under another key or for another place.
    #[error("sealed bytes are not authentic under this key and associated data")]
    NotAuthentic,
    /// A last chunk is empty though others precede it; the sealer never writes that.
    #[error("sealed bytes end with an empty chunk")]
    EmptyLastChunk,
}

/// A sealed payload in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedPayload(Vec<u8>);

/// Seals a payload that is in memory. Up to 64 KiB it is one chunk.
pub fn seal(data_key: &DataKey, associated_data: &[u8], clear: &[u8]) -> SealedPayload {
    seal_with_salt(data_key, random(), associated_data, clear)
}

/// Opens a payload in memory.
pub fn open(
    data_key: &DataKey,
    associated_data: &[u8],
    sealed: &SealedPayload,
) -> Result<ClearBytes, OpenError> {
    let mut clear = Zeroizing::new(Vec::with_capacity(sealed.0.len()));
    let mut opener = PayloadOpener::new(data_key, associated_data);
    opener.update(&sealed.0, &mut clear)?;
    opener.finish(&mut clear)?;
    Ok(ClearBytes::new(clear))
}

/// How many bytes a payload of `clear_bytes` takes when sealed.
pub fn sealed_bytes(clear_bytes: u64) -> u64 {
    let chunks = clear_bytes.div_ceil(CHUNK_BYTES as u64).max(1);
    HEADER_BYTES as u64 + clear_bytes + chunks * TAG_BYTES as u64
}

impl SealedPayload {
    /// Takes bytes that claim to be a sealed payload; whether they are shows when they are opened.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, OpenError> {
        match bytes.first() {
            Some(&VERSION) if bytes.len() >= HEADER_BYTES + TAG_BYTES => Ok(Self(bytes)),
            Some(&VERSION) | None => Err(OpenError::Truncated),
            Some(&version) => Err(OpenError::UnknownVersion(version)),
        }
    }

    /// The sealed bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Hands the sealed bytes over.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Debug for SealedPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedPayload({} bytes)", self.0.len())
    }
}

/// Seals a payload piece by piece, holding one chunk.
pub struct PayloadSealer {
    header: Option<[u8; HEADER_BYTES]>,
    chunks: ChunkCipher,
    pending: Zeroizing<Vec<u8>>,
}

impl PayloadSealer {
    /// Begins a payload.
    pub fn new(data_key: &DataKey, associated_data: &[u8]) -> Self {
        Self::with_salt(data_key, random(), associated_data)
    }

    fn with_salt(data_key: &DataKey, salt: [u8; SALT_BYTES], associated_data: &[u8]) -> Self {
        let mut header = [VERSION; HEADER_BYTES];
        header[1..].copy_from_slice(&salt);
        Self {
            header: Some(header),
            chunks: ChunkCipher::new(data_key, salt, associated_data),
            pending: Zeroizing::new(Vec::new()),
        }
    }

    /// Takes the next clear bytes and appends what is complete to `out`.
    pub fn update(&mut self, mut clear: &[u8], out: &mut Vec<u8>) {
        out.extend(self.header.take().into_iter().flatten());
        // A full chunk waits until more follows: only then is it known not to be the last.
        while self.pending.len() + clear.len() > CHUNK_BYTES {
            let (head, tail) = clear.split_at(CHUNK_BYTES - self.pending.len());
            if self.pending.is_empty() {
                self.chunks.seal(head, false, out);
            } else {
                self.pending.extend_from_slice(head);
                self.chunks.seal(&self.pending, false, out);
                self.pending.clear();
            }
            clear = tail;
        }
        if self.pending.is_empty() && !clear.is_empty() {
            // Growing would leave copies of clear bytes in freed memory.
            self.pending.reserve_exact(CHUNK_BYTES);
        }
        self.pending.extend_from_slice(clear);
    }

    /// Seals the last chunk; without this the payload does not open.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        out.extend(self.header.take().into_iter().flatten());
        self.chunks.seal(&self.pending, true, out);
    }
}

impl fmt::Debug for PayloadSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayloadSealer(chunk {})", self.chunks.next)
    }
}

/// Opens a payload piece by piece, holding one chunk.
///
/// What [`PayloadOpener::update`] yields is authentic and in order; that nothing is missing at the end is known only
/// when [`PayloadOpener::finish`] succeeds. After an error it yields nothing more.
pub struct PayloadOpener {
    data_key: DataKey,
    associated_data: Vec<u8>,
    chunks: Option<ChunkCipher>,
    pending: Vec<u8>,
    failed: Option<OpenError>,
}

impl PayloadOpener {
    /// Begins a payload.
    pub fn new(data_key: &DataKey, associated_data: &[u8]) -> Self {
        Self {
            data_key: data_key.clone(),
            associated_data: associated_data.to_vec(),
            chunks: None,
            pending: Vec::new(),
            failed: None,
        }
    }

    /// Takes the next sealed bytes and appends what could be opened to `out`.
    pub fn update(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        match self.failed {
            Some(error) => Err(error),
            None => self
                .open_complete(sealed, out)
                .inspect_err(|error| self.failed = Some(*error)),
        }
    }

    /// Opens the last chunk; fails if the payload was cut.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), OpenError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let Some(mut chunks) = self.chunks else {
            return Err(OpenError::Truncated);
        };
        if self.pending.len() < TAG_BYTES {
            return Err(OpenError::Truncated);
        }
        if self.pending.len() == TAG_BYTES && chunks.next > 0 {
            return Err(OpenError::EmptyLastChunk);
        }
        chunks.open(&self.pending, true, out).map_err(|error| {
            // A chunk that opens as one in the middle shows that what followed was cut off.
            let mut discarded = Zeroizing::new(Vec::with_capacity(self.pending.len()));
            match chunks.open(&self.pending, false, &mut discarded) {
                Ok(()) => OpenError::Truncated,
                Err(_) => error,
            }
        })
    }

    fn open_complete(&mut self, mut sealed: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        if self.chunks.is_none() {
            sealed = self.take_header(sealed)?;
        }
        let Some(chunks) = &mut self.chunks else {
            return Ok(());
        };
        while self.pending.len() + sealed.len() > SEALED_CHUNK_BYTES {
            if self.pending.is_empty() {
                let (chunk, rest) = sealed.split_at(SEALED_CHUNK_BYTES);
                chunks.open(chunk, false, out)?;
                sealed = rest;
                continue;
            }
            let missing = SEALED_CHUNK_BYTES - self.pending.len();
            let (head, rest) = sealed.split_at(missing);
            self.pending.extend_from_slice(head);
            sealed = rest;
            chunks.open(&self.pending, false, out)?;
            self.pending.clear();
        }
        self.pending.extend_from_slice(sealed);
        Ok(())
    }

    /// Collects the header; answers the bytes after it.
    fn take_header<'s>(&mut self, sealed: &'s [u8]) -> Result<&'s [u8], OpenError> {
        let taken = sealed.len().min(HEADER_BYTES - self.pending.len());
        let (head, rest) = sealed.split_at(taken);
        self.pending.extend_from_slice(head);
        if let Some(version) = self.pending.first().filter(|version| **version != VERSION) {
            return Err(OpenError::UnknownVersion(*version));
        }
        if let Some((_, salt)) = self.pending.split_first_chunk::<1>()
            && let Ok(salt) = salt.try_into()
        {
            let cipher = ChunkCipher::new(&self.data_key, salt, &self.associated_data);
            self.chunks = Some(cipher);
            self.pending.clear();
        }
        Ok(rest)
    }
}

impl fmt::Debug for PayloadOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chunk = self.chunks.as_ref().map_or(0, |chunks| chunks.next);
        write!(f, "PayloadOpener(chunk {chunk})")
    }
}

/// One stream key and the number of the next chunk.
struct ChunkCipher {
    aead: Aead,
    associated_data: Vec<u8>,
    next: u64,
}

impl ChunkCipher {
    fn new(data_key: &DataKey, salt: [u8; SALT_BYTES], associated_data: &[u8]) -> Self {
        let stream_key = derive(data_key.expose(), &salt, "careledger/payload/v1");
        Self {
            aead: Aead::new(&stream_key),
            associated_data: associated_data.to_vec(),
            next: 0,
        }
    }

    fn seal(&mut self, clear: &[u8], last: bool, out: &mut Vec<u8>) {
        let nonce = nonce(self.next, last);
        self.aead.seal(nonce, &self.associated_data, clear, out);
        self.next += 1;
    }

    fn open(&mut self, sealed: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), OpenError> {
        let nonce = nonce(self.next, last);
        self.aead
            .open(nonce, &self.associated_data, sealed, out)
            .map_err(|_| OpenError::NotAuthentic)?;
        self.next += 1;
        Ok(())
    }
}

/// Three zero bytes, the chunk's number (big-endian), 1 for the last chunk.
fn nonce(chunk: u64, last: bool) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[3..11].copy_from_slice(&chunk.to_be_bytes());
    nonce[11] = u8::from(last);
    nonce
}

pub(super) fn seal_with_salt(
    data_key: &DataKey,
    salt: [u8; SALT_BYTES],
    associated_data: &[u8],
    clear: &[u8],
) -> SealedPayload {
    let mut sealed = Vec::with_capacity(sealed_bytes(clear.len() as u64) as usize);
    let mut sealer = PayloadSealer::with_salt(data_key, salt, associated_data);
    sealer.update(clear, &mut sealed);
    sealer.finish(&mut sealed);
    SealedPayload(sealed)
}
