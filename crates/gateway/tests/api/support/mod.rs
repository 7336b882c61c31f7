//! A node's gateway over real custody and a real store, asked as its clients ask it.

mod answer;
mod asking;
mod ledger;
mod log;
mod network;
mod people;
mod pki;
mod receiver;
mod tokens;
mod wallet;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::ledger::ids::{BlockTime, Digest, Epoch, Height, NetworkId};
use ::ledger::stream::RootKey;
use gateway::auth::Clock;
use gateway::enrolment::MemberKey;
use gateway::mllp::{Mllp, MllpListener, MllpTls};
use gateway::{
    ArchiveConfig, ForwardConfig, Gateway, GatewayParts, ImportConfig, NodeIdentity, RequestLimits,
    StatusSource, SubscriptionConfig,
};
use interop::fhir::Checking;
use interop::fhir::labels::RuleSet;
use interop::fhir::profile::Profiles;
use interop::hl7v2::{Overrides, SenderOverrides};
use node::custody::{
    Anchor, Custody, CustodyOptions, LabelProgress, PostgresqlConfig, RecordsConfig,
};
use node::health::Health;
use node::outbox::{OutboxConfig, OutboxStatus};
use node::terminology::{UnmappedCode, Vocabularies, resources_in, unmapped_in};
use serde_json::{Value, json};
use tempfile::TempDir;
use vault::blob::{BlobConfig, S3Config, S3Credentials};
use vault::wrap::{HpkeKeyPair, WrappedKey};
use zeroize::Zeroizing;

use crate::free::when_free;

pub(crate) use answer::Answer;
pub(crate) use ledger::Ledger;
pub(crate) use network::Others;
pub(crate) use people::{BACK, Browser, PASSWORD, VERIFIER, issuer, parameter};
pub(crate) use pki::pki;
pub(crate) use receiver::{Received, Receiver, Reply};
pub(crate) use tokens::{Ask, jwt};
pub(crate) use wallet::{Wallet, consent};

/// 2026-06-01 in milliseconds, within the certificates' validity.
pub(crate) const JUNE_MS: u64 = 1_780_272_000_000;

pub(crate) const BASE: &str = "http://127.0.0.1:8101";

/// The map by which codes are mapped on the way in, where it is loaded.
pub(crate) const MAP: &str = "http://example.org/map";

/// What a patient's records hold here and no error may repeat.
/// The member's own rules for labels.
const LABEL_RULES: &[u8] = br#"{"version": "own",
    "rules": [{"id": "note", "labels": ["PSY"], "words": ["despondent"], "possible": true}]}"#;
pub(crate) const PLANTED: [&str; 3] = ["Plantedfamily", "planted-7731", "plantedkey"];

/// One node.
pub(crate) struct Site {
    pub(crate) ledger: Ledger,
    pub(crate) others: Arc<Others>,
    router: axum::Router,
    records: Custody,
    mllp: Mllp,
    time: Arc<AtomicU64>,
    /// By which versions are dated.
    recording: Arc<AtomicU64>,
    hpke: HpkeKeyPair,
    folder: TempDir,
    further: Further,
    vocabularies: Vocabularies,
}

/// Other systems that a node goes to.
#[derive(Clone, Default)]
struct Further {
    import: ImportConfig,
    forward: ForwardConfig,
    archive: ArchiveConfig,
}

impl Site {
    /// The clinic's node.
    pub(crate) fn new() -> Self {
        Self::at("clinic", BASE, 5)
    }

    pub(crate) fn at(member: &str, base: &str, token_seed: u8) -> Self {
        Self::telling(member, base, token_seed, SubscriptionConfig::default())
    }

    /// A node that lets each client ask for so much.
    pub(crate) fn bounded(member: &str, base: &str, token_seed: u8, limits: RequestLimits) -> Self {
        let (folder, ledger) = (TempDir::new().unwrap(), Ledger::of(member));
        let how = (SubscriptionConfig::default(), limits, Checking::Strict);
        Self::on(folder, ledger, (member, base, token_seed), how)
    }

    /// A node that takes what could be better.
    pub(crate) fn lenient() -> Self {
        let (folder, ledger) = (TempDir::new().unwrap(), Ledger::of("clinic"));
        let limits = RequestLimits::default();
        let how = (SubscriptionConfig::default(), limits, Checking::Lenient);
        Self::on(folder, ledger, ("clinic", BASE, 5), how)
    }

    /// A node that tells subscribers in this way.
    pub(crate) fn telling(
        member: &str,
        base: &str,
        token_seed: u8,
        subscriptions: SubscriptionConfig,
    ) -> Self {
        let (folder, ledger) = (TempDir::new().unwrap(), Ledger::of(member));
        let how = (subscriptions, RequestLimits::default(), Checking::Strict);
        Self::on(folder, ledger, (member, base, token_seed), how)
    }

    /// A node that may fetch from this origin.
    pub(crate) fn importing(origin: &str) -> Self {
        let (folder, ledger) = (TempDir::new().unwrap(), Ledger::of("clinic"));
        let how = (
            SubscriptionConfig::default(),
            RequestLimits::default(),
            Checking::Strict,
        );
        let import = ImportConfig {
            allowed_origins: vec![origin.to_owned()],
        };
        let further = Further {
            import,
            ..Further::default()
        };
        Self::with(folder, ledger, ("clinic", BASE, 5), how, further)
    }

    /// A node that forwards its audit log.
    pub(crate) fn forwarding(forward: ForwardConfig) -> Self {
        let (folder, ledger) = (TempDir::new().unwrap(), Ledger::of("clinic"));
        let how = (
            SubscriptionConfig::default(),
            RequestLimits::default(),
            Checking::Strict,
        );
        let further = Further {
            forward,
            ..Further::default()
        };
        Self::with(folder, ledger, ("clinic", BASE, 5), how, further)
    }

    /// A node before this image archive, to which it shows a credential.
    pub(crate) fn before_archive(archive: ArchiveConfig, credential: &str) -> Self {
        let (folder, ledger) = (TempDir::new().unwrap(), Ledger::of("clinic"));
        let shown = folder.path().join("credential");
        std::fs::write(&shown, format!("{credential}\n")).unwrap();
        let how = (
            SubscriptionConfig::default(),
            RequestLimits::default(),
            Checking::Strict,
        );
        let further = Further {
            archive: ArchiveConfig {
                credential: Some(shown),
                ..archive
            },
            ..Further::default()
        };
        Self::with(folder, ledger, ("clinic", BASE, 5), how, further)
    }

    /// The same node, stopped and started again.
    pub(crate) fn again(self, subscriptions: SubscriptionConfig) -> Self {
        let Self {
            ledger,
            router,
            records,
            mllp,
            folder,
            further,
            ..
        } = self;
        drop((router, records, mllp));
        let how = (subscriptions, RequestLimits::default(), Checking::Strict);
        Self::with(folder, ledger, ("clinic", BASE, 5), how, further)
    }

    fn on(
        folder: TempDir,
        ledger: Ledger,
        (member, base, token_seed): (&str, &str, u8),
        how: (SubscriptionConfig, RequestLimits, Checking),
    ) -> Self {
        Self::with(
            folder,
            ledger,
            (member, base, token_seed),
            how,
            Further::default(),
        )
    }

    fn with(
        folder: TempDir,
        ledger: Ledger,
        (member, base, token_seed): (&str, &str, u8),
        (subscriptions, limits, checking): (SubscriptionConfig, RequestLimits, Checking),
        further: Further,
    ) -> Self {
        log::capture();
        let others = Arc::new(Others::default());
        let at = folder.path().join("terminology");
        let vocabularies = Vocabularies::open(&at, &[MAP.to_owned()]);
        let hpke = HpkeKeyPair::generate();
        let time = Arc::new(AtomicU64::new(JUNE_MS / 1_000));
        let recording = Arc::new(AtomicU64::new(JUNE_MS));
        let records = custody(member, &folder, (&ledger, Arc::clone(&recording)));
        records.map_by(vocabularies.clone());
        let parts = GatewayParts {
            base_url: base.to_owned(),
            identity: NodeIdentity {
                member: member.parse().unwrap(),
                network: Anchor::network(&ledger),
                certificate: Digest([1; 32]),
                has_test_clock: false,
            },
            custody: records.clone(),
            ledger: Arc::new(ledger.clone()),
            log: Arc::new(ledger.clone()),
            snapshots: Arc::new(ledger.clone()),
            network: Arc::clone(&others) as Arc<dyn gateway::Network>,
            status: health(records.clone()),
            clients: tokens::clients(),
            sign_in: people::sign_in(&folder),
            signer: tokens::signer(token_seed),
            token_seconds: 600,
            clock: Clock::from_fn({
                let time = Arc::clone(&time);
                move || time.load(Ordering::Relaxed)
            }),
            member_key: member_key(hpke.clone()),
            profiles: profiles(),
            checking,
            limits,
            serves_metrics: true,
            subscriptions,
            import: further.import.clone(),
            emergency: gateway::EmergencyConfig::default(),
            forward: further.forward.clone(),
            vocabularies: vocabularies.clone(),
            mllp: vec![listener(), private_listener()],
            archive: further.archive.clone(),
        };
        let gateway = Gateway::new(parts).unwrap();
        Self {
            router: gateway.router(),
            records,
            mllp: gateway.mllp(),
            ledger,
            others,
            time,
            recording,
            hpke,
            folder,
            further,
            vocabularies,
        }
    }

    /// Puts the file or the package in a folder into the node's vocabularies.
    pub(crate) fn load(&self, path: &Path) {
        let into = self.folder.path().join("terminology");
        resources_in(path, &into, &mut |_, _| {}).unwrap();
        self.vocabularies.refresh();
    }

    /// The codes that no map had anything for.
    pub(crate) fn unmapped(&self) -> Vec<UnmappedCode> {
        self.vocabularies.refresh();
        unmapped_in(&self.folder.path().join("terminology")).unwrap()
    }

    pub(crate) fn router(&self) -> axum::Router {
        self.router.clone()
    }

    /// The records, as the node's other parts have them.
    pub(crate) fn records(&self) -> &Custody {
        &self.records
    }

    pub(crate) fn mllp(&self) -> Mllp {
        self.mllp.clone()
    }

    pub(crate) fn network(&self) -> NetworkId {
        Anchor::network(&self.ledger)
    }

    pub(crate) fn now(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.time.fetch_add(seconds, Ordering::Relaxed);
    }

    /// What is recorded from now on has another date.
    pub(crate) fn record_later(&self) {
        self.recording.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn wrap(&self, info: &[u8], aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let wrapped = vault::wrap::wrap_for(&self.hpke.public_key(), info, aad, plain).unwrap();
        [wrapped.encapsulated.as_slice(), &wrapped.ciphertext].concat()
    }
}

pub(crate) fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": PLANTED[0]}],
        "identifier": [{"system": "urn:mrn", "value": PLANTED[1]}]})
}

pub(crate) fn observation(patient: &str, code: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final",
        "category": [{"coding": [{"system":
            "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": PLANTED[1]},
        "subject": {"reference": format!("Patient/{patient}")},
        "effectiveDateTime": "2026-05-01"})
}

/// A folder, or with `CARELEDGER_TEST_S3=http://HOST:PORT/BUCKET` a place of its own in that bucket.
fn blobs(folder: &TempDir) -> BlobConfig {
    let folder = folder.path();
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

/// A folder, or with `CARELEDGER_TEST_POSTGRESQL=postgresql://...` a schema of its own in that database.
fn records(folder: &TempDir) -> RecordsConfig {
    let folder = folder.path();
    let Ok(url) = std::env::var("CARELEDGER_TEST_POSTGRESQL") else {
        return folder.join("records").into();
    };
    let own = folder.file_name().unwrap().as_encoded_bytes();
    let schema = format!("test_{}_{}", std::process::id(), hex::encode(own));
    let config = PostgresqlConfig::parse(&url).unwrap();
    RecordsConfig::Postgresql(config.with_schema(&schema).unwrap())
}

/// Where messages of HL7 v2 are taken in, as the EHR.
fn listener() -> MllpListener {
    MllpListener {
        name: "adt".to_owned(),
        system: "ehr".to_owned(),
        senders: Vec::new(),
        overrides: Overrides {
            senders: vec![SenderOverrides {
                application: Some("LATIN".to_owned()),
                character_set: Some("8859/1".to_owned()),
                ..SenderOverrides::default()
            }],
        },
        tls: None,
    }
}

/// A listener to which senders show certificates.
fn private_listener() -> MllpListener {
    let (certificate, key) = &pki().listener;
    let authority = Some(pki().authority.as_bytes());
    let tls = MllpTls::new(certificate.as_bytes(), key.as_bytes(), authority);
    MllpListener {
        name: "private".to_owned(),
        overrides: Overrides::default(),
        tls: Some(tls.unwrap()),
        ..listener()
    }
}

/// One profile: an Observation with a method.
fn profiles() -> Profiles {
    let element = |id: &str, min: u32| json!({"id": id, "path": id, "min": min, "max": "*"});
    Profiles::of(&[json!({"resourceType": "StructureDefinition",
        "url": "http://example.org/with-method", "type": "Observation",
        "snapshot": {"element": [element("Observation", 0), element("Observation.method", 1)]}})])
}

fn custody(
    member: &str,
    folder: &TempDir,
    (ledger, recording): (&Ledger, Arc<AtomicU64>),
) -> Custody {
    let options = CustodyOptions {
        records: records(folder),
        blobs: blobs(folder),
        upstream: None,
        member: member.parse().unwrap(),
        root: RootKey::from_bytes([11; 32]),
        wrapping: Vec::new(),
        signer: ledger.signer(),
        outbox: OutboxConfig {
            cadence: Duration::from_millis(2),
            gather: Duration::from_millis(2),
            retry: Duration::from_millis(20),
            ..OutboxConfig::default()
        },
        full_text: true,
        restored: None,
        copies_at: Vec::new(),
        label_rules: vec![RuleSet::parse(LABEL_RULES).unwrap()],
        review_ms: 72 * 3_600_000,
        implicit: contracts::access::Implicit::default(),
        linkage: None,
        clock: Arc::new(move || recording.load(Ordering::Relaxed)),
    };
    when_free(|| Custody::open(options.clone(), Arc::new(ledger.clone())))
}

fn health(owing: Custody) -> StatusSource {
    StatusSource::new(move || Health {
        height: Height(1),
        final_height: Height(1),
        epoch: Epoch(0),
        validates: true,
        age_ms: 0,
        peers: 0,
        outbox: OutboxStatus::default(),
        certificate_expires: BlockTime(0),
        certificate_left_ms: 0,
        ledger_bytes: 0,
        contradictions: 0,
        damaged_rows: 0,
        open_proposals: 0,
        erasures: node::custody::ErasureStanding::default(),
        upstream: None,
        labelling: LabelProgress::default(),
        emergencies: owing.emergencies().unwrap(),
        duties: owing.duties().unwrap(),
        consents_missing: owing.consents_lacking(),
        forward: owing.forward_standing().unwrap(),
        waiting_bytes: Vec::new(),
    })
}

fn member_key(hpke: HpkeKeyPair) -> MemberKey {
    let public = hpke.public_key().0;
    MemberKey::new(
        move || Some(public),
        move |info, aad, sealed| {
            let (encapsulated, ciphertext) = sealed.split_first_chunk::<32>()?;
            let wrapped = WrappedKey {
                encapsulated: *encapsulated,
                ciphertext: ciphertext.to_vec(),
            };
            let plain = hpke.unwrap(info, aad, &wrapped).ok()?;
            Some(Zeroizing::new(plain.into_vec()))
        },
    )
}
