//! What custody promises, against a ledger with the real rules and stores on a real disk.

mod accesses;
mod audit;
mod authorization;
mod care_services;
mod changes;
mod crash;
mod erasure;
mod escrow;
mod exchange;
mod existing;
mod facade;
#[path = "../../../tests/patience/free.rs"]
mod free;
mod index;
mod inspect;
mod labels;
pub(crate) mod ledger;
mod linkage;
mod matching;
mod outbox;
#[path = "../../../tests/patience/mod.rs"]
mod patience;
mod payloads;
mod postgresql;
mod records;
mod recovery;
mod rewrap;
mod rotation;
mod searching;
mod share;
mod store;
mod unseen;
mod waiting;
mod writing;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ::ledger::ids::{MemberName, NetworkId};
use ::ledger::stream::{Branch, BranchKey, GrantedBranch, KeyEpoch, RootKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use contracts::erasure::Basis;
use ed25519_zebra::{SigningKey, VerificationKey};
use futures::TryStreamExt as _;
use interop::fhir::Resource;
use serde_json::{Value, json};
use tempfile::TempDir;
use vault::blob::{BlobConfig, BlobId, BlobStore, S3Config, S3Credentials};

use super::reach::Reach;
use super::request::{Change, Enrolment, Requester, SignedConsent, Trail};
use super::store::{Batch, Disk, Failure, Persist, Store};
use super::{
    Anchor, Custody, CustodyError, CustodyOptions, Erasure, ErasureOrder, MoveError,
    PostgresqlConfig, RecordsConfig, ToErase, move_records,
};
use crate::outbox::OutboxConfig;
use free::when_free;
use ledger::{JUNE, Ledger};
use patience::{PATIENCE, until};
use waiting::{entered, eventually, exported, settled};

/// A member's records in a folder of their own.
pub(super) struct Site {
    pub(super) folder: TempDir,
    pub(super) ledger: Ledger,
    pub(super) member: &'static str,
}

impl Site {
    pub(super) fn at(ledger: &Ledger, member: &'static str) -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            ledger: ledger.clone(),
            member,
        }
    }

    pub(super) fn options(&self) -> CustodyOptions {
        CustodyOptions {
            full_text: true,
            restored: None,
            copies_at: Vec::new(),
            label_rules: Vec::new(),
            review_ms: 72 * 3_600_000,
            implicit: contracts::access::Implicit::default(),
            linkage: None,
            records: self.records(),
            blobs: self.blobs(),
            upstream: None,
            member: self.member.parse().unwrap(),
            root: RootKey::from_bytes([11; 32]),
            wrapping: Vec::new(),
            signer: self.ledger.signer(self.member),
            outbox: OutboxConfig {
                cadence: Duration::from_millis(5),
                gather: Duration::from_millis(5),
                retry: Duration::from_millis(20),
                lifetime_heights: 50,
                ..OutboxConfig::default()
            },
            clock: Arc::new(|| JUNE),
        }
    }

    /// A folder, or with `CARELEDGER_TEST_POSTGRESQL=postgresql://...` a schema of its own in that database.
    pub(super) fn records(&self) -> RecordsConfig {
        let folder = self.folder.path();
        let Ok(url) = std::env::var("CARELEDGER_TEST_POSTGRESQL") else {
            return folder.join("records").into();
        };
        let config = PostgresqlConfig::parse(&url).unwrap();
        RecordsConfig::Postgresql(config.with_schema(&self.schema()).unwrap())
    }

    pub(super) fn schema(&self) -> String {
        let own = self.folder.path().file_name().unwrap();
        let own = hex::encode(own.as_encoded_bytes());
        format!("test_{}_{own}", std::process::id())
    }

    /// Where the tables' files are; a server has written what it holds in memory to them.
    pub(super) async fn table_files(&self) -> PathBuf {
        if let Ok(url) = std::env::var("CARELEDGER_TEST_POSTGRESQL") {
            let connected = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
            let (client, connection) = connected.unwrap();
            tokio::spawn(connection);
            client.batch_execute("CHECKPOINT").await.unwrap();
            return std::env::var("CARELEDGER_TEST_POSTGRESQL_FILES")
                .unwrap()
                .into();
        }
        self.folder.path().join("records").join("keyspaces")
    }

    /// The store without what goes on in it.
    pub(super) fn store(&self) -> Store {
        when_free(|| Store::open(&self.records(), Disk))
    }

    /// A folder, or with `CARELEDGER_TEST_S3=http://HOST:PORT/BUCKET` a place of its own in that bucket.
    pub(super) fn blobs(&self) -> BlobConfig {
        let folder = self.folder.path();
        let Ok(url) = std::env::var("CARELEDGER_TEST_S3") else {
            return folder.join("blobs").into();
        };
        let (endpoint, bucket) = url.rsplit_once('/').unwrap();
        let own = folder.file_name().unwrap().to_str().unwrap();
        BlobConfig::S3(S3Config {
            bucket: bucket.to_owned(),
            endpoint: Some(endpoint.to_owned()),
            region: "us-east-1".to_owned(),
            prefix: format!("{}/{}", std::process::id(), own.trim_start_matches('.')),
            path_style: true,
            credentials: S3Credentials::new("test", "secret", None),
        })
    }

    /// The blobs that there are.
    pub(super) async fn blob_names(&self) -> Vec<BlobId> {
        let blobs = BlobStore::open(&self.blobs()).unwrap();
        blobs
            .list()
            .map_ok(|entry| entry.id)
            .try_collect()
            .await
            .unwrap()
    }

    /// Changes a byte of a blob; in a bucket, where nothing can be changed, it goes.
    pub(super) async fn spoil(&self, id: BlobId) {
        match self.blobs() {
            BlobConfig::Local { folder } => {
                let file = folder.join(id.shard()).join(id.to_string());
                let mut bytes = std::fs::read(&file).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                std::fs::write(&file, bytes).unwrap();
            }
            bucket => BlobStore::open(&bucket).unwrap().delete(id).await.unwrap(),
        }
    }

    pub(super) fn open(&self) -> Custody {
        self.open_with(&self.options())
    }

    /// Opens as these options say.
    pub(super) fn open_with(&self, options: &CustodyOptions) -> Custody {
        self.open_by(options, || Disk)
    }

    /// Opens on a disk that may fail; what an opening writes is there before it does.
    pub(super) fn open_on(&self, persist: &(impl Persist + Clone)) -> Custody {
        drop(self.open());
        self.open_by(&self.options(), || persist.clone())
    }

    /// Opens as these options say, on disks that are made for each attempt.
    pub(super) fn open_by<P: Persist>(
        &self,
        options: &CustodyOptions,
        persist: impl Fn() -> P,
    ) -> Custody {
        when_free(|| {
            let anchor: Arc<dyn Anchor> = Arc::new(self.ledger.clone());
            Custody::open_on(options.clone(), anchor, persist())
        })
    }
}

/// A disk that fails, before or after it wrote, when its countdown reaches zero.
#[derive(Clone)]
pub(super) struct Failing {
    pub(super) batches_left: Arc<AtomicI64>,
    pub(super) writes_first: bool,
}

impl Failing {
    pub(super) fn after(batches: i64, writes_first: bool) -> Self {
        Self {
            batches_left: Arc::new(AtomicI64::new(batches)),
            writes_first,
        }
    }
}

impl Persist for Failing {
    fn persist(&mut self, batch: Batch<'_>) -> Result<(), Failure> {
        if self.batches_left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Disk.persist(batch);
        }
        if self.writes_first {
            Disk.persist(batch)?;
        }
        Err(Failure::Refused("the disk is gone".to_owned()))
    }
}

pub(super) fn clinician(member: &str) -> Requester {
    Requester {
        member: member.parse().unwrap(),
        client: "ehr".to_owned(),
        practitioner: Some("Practitioner/p1".to_owned()),
        role: None,
        patient: None,
        related: None,
        emergency: None,
        purpose: "TREAT".to_owned(),
        request_id: None,
        reach: Reach::default(),
        trail: Trail::default(),
    }
}

/// Erases all versions of a document because its patient has asked.
pub(super) async fn erase_whole(
    custody: &Custody,
    by: &Requester,
    resource_type: interop::fhir::ResourceType,
    id: &str,
) -> Result<Vec<Erasure>, CustodyError> {
    let order = ErasureOrder {
        what: ToErase::Document(resource_type, id.to_owned()),
        basis: Basis::Gdpr17,
        authority: "the patient".to_owned(),
        justification: "Plantedjustification".to_owned(),
        is_redaction: false,
    };
    custody.erase(by, &order).await
}

pub(super) fn resource(value: Value) -> Resource {
    Resource::from_value(value).unwrap()
}

pub(super) fn create(value: Value) -> Change {
    Change::Create {
        resource: resource(value),
        id: None,
    }
}

pub(super) fn update(value: Value, if_match: Option<u64>) -> Change {
    Change::Update {
        resource: resource(value),
        if_match,
    }
}

pub(super) fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": "Plantedfamily"}]})
}

pub(super) fn observation(patient: &str, text: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final",
        "category": [{"coding": [{"system":
            "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}], "text": text},
        "subject": {"reference": format!("Patient/{patient}")},
        "effectiveDateTime": "2026-05-01"})
}

/// The patient's side: a root, and a key that signs.
pub(super) struct Wallet {
    root: RootKey,
    key: SigningKey,
}

impl Wallet {
    pub(super) fn new(seed: u8) -> Self {
        let root = RootKey::from_bytes([seed; 32]);
        let key = SigningKey::from_bytes(&root.purpose("signing"));
        Self { root, key }
    }

    pub(super) fn public(&self) -> [u8; 32] {
        VerificationKey::from(&self.key).into()
    }

    pub(super) fn branch(&self, network: NetworkId, branch: &Branch) -> BranchKey {
        self.root.branch(network, branch, 0)
    }

    pub(super) fn grant(
        &self,
        network: NetworkId,
        branch: Branch,
        epoch: KeyEpoch,
    ) -> GrantedBranch {
        self.root.grant(network, branch, epoch)
    }

    /// All four branches of `member`, and the consent branches of `others`.
    pub(super) fn enrolment(&self, network: NetworkId, member: &str, others: &[&str]) -> Enrolment {
        let member: MemberName = member.parse().unwrap();
        let consents = others
            .iter()
            .map(|other| Branch::Consent(other.parse().unwrap()));
        let own = [
            Branch::Consent(member.clone()),
            Branch::Index(member.clone()),
            Branch::Restricted(member.clone()),
            Branch::Access(member),
        ];
        let branches = own
            .into_iter()
            .chain(consents)
            .map(|branch| self.root.grant(network, branch, 0));
        Enrolment {
            wallet_key: self.public(),
            branches: branches.collect(),
            patient_id: None,
        }
    }

    pub(super) fn sign(&self, consent: &Value) -> SignedConsent {
        let body = consent.to_string().into_bytes();
        let header = BASE64_URL_SAFE_NO_PAD.encode(br#"{"alg":"EdDSA"}"#);
        let input = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(&body));
        let signature = self.key.sign(input.as_bytes()).to_bytes();
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        SignedConsent {
            jws: format!("{header}..{signature}"),
            body,
            id: None,
            if_match: None,
        }
    }
}

/// An erasure that the patient asked for.
pub(super) fn erasure_of(resource_type: interop::fhir::ResourceType, id: &str) -> ErasureOrder {
    ErasureOrder {
        what: ToErase::Document(resource_type, id.to_owned()),
        basis: Basis::Gdpr17,
        authority: "the patient".to_owned(),
        justification: "asked for".to_owned(),
        is_redaction: false,
    }
}
