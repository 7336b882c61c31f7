//! Founding: keys, certificates, clients and configuration of every member, and the genesis that names them.

use ::node::custody::RetentionSchedule;
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::auth::ClientConfig;
use ledger::genesis::{Genesis, Member, MlDsa44Key, PublicKey, Rules};
use ledger::ids::{BlockTime, MemberName};
use serde_json::{Value, json};
use vault::certificate::MemberCa;
use vault::keystore::{FileKeyStore, KdfCost, KeyStore, Secret, SecretKind, SecretName, Signer};

use super::KeyType;
use super::layout::{
    AddressEntry, Credential, ImportEntry, Layout, MemberEntry, MemberLayout, NetworkFile,
    NodeFile, write_secret,
};
use crate::node::{
    AuditEntry, CareServicesEntry, ConsentEntry, DicomWebEntry, EmergencyEntry, KeysEntry,
    LabelsEntry, LimitsEntry, LinkageEntry, PayloadsEntry, RecordsEntry, ReleaseEntry, SearchEntry,
    TerminologyEntry, ValidationEntry,
};

/// What a network is founded with.
#[derive(Debug, Clone)]
pub(crate) struct Founding {
    pub(crate) name: String,
    pub(crate) members: Vec<MemberName>,
    pub(crate) port_base: u16,
    pub(crate) rules: Rules,
    pub(crate) key_type: KeyType,
}

/// A client system that every member starts with.
struct ClientKind {
    name: &'static str,
    purposes: &'static [&'static str],
    roles: &'static [&'static str],
    scopes: &'static str,
}

const CLIENTS: [ClientKind; 9] = [
    ClientKind {
        name: "ehr",
        purposes: &["TREAT", "ETREAT", "CAREMGT", "HOPERAT"],
        roles: &["physician", "nurse", "privacy-officer"],
        scopes: "system/*.cruds careledger/launches",
    },
    ClientKind {
        name: "administrator",
        purposes: &["HOPERAT"],
        roles: &["administrator"],
        scopes: "careledger/clients",
    },
    ClientKind {
        name: "import",
        purposes: &["HOPERAT"],
        roles: &["clerk"],
        scopes: "careledger/import system/*.cruds",
    },
    ClientKind {
        name: "interface",
        purposes: &["TREAT"],
        roles: &[],
        scopes: "system/*.cruds",
    },
    ClientKind {
        name: "integrator",
        purposes: &["HOPERAT"],
        roles: &["administrator"],
        scopes: "careledger/messages",
    },
    ClientKind {
        name: "clerk",
        purposes: &["HOPERAT"],
        roles: &["clerk"],
        scopes: "system/Patient.cruds",
    },
    ClientKind {
        name: "privacy",
        purposes: &["HOPERAT"],
        roles: &["privacy-officer"],
        scopes: "careledger/erase",
    },
    ClientKind {
        name: "claims",
        purposes: &["HPAYMT", "HMARKT"],
        roles: &["adjuster"],
        scopes: "system/*.rs",
    },
    ClientKind {
        name: "audit",
        purposes: &["HOPERAT"],
        roles: &["privacy-officer"],
        scopes: "system/AuditEvent.rs system/Patient.rs",
    },
];

/// Makes all files of a new network.
pub(crate) fn found(layout: &Layout, founding: &Founding) -> anyhow::Result<NetworkFile> {
    let mut members = founding.members.clone();
    members.sort_unstable();
    let count = u16::try_from(members.len())?;
    anyhow::ensure!(count > 0, "a network needs a member");
    anyhow::ensure!(
        members.is_sorted_by(|one, next| one < next),
        "a member is named twice"
    );
    anyhow::ensure!(
        count <= 100,
        "more than 100 members need ports of their own"
    );
    let last = founding
        .port_base
        .checked_add(200)
        .and_then(|port| port.checked_add(count));
    last.context("the ports do not fit below 65536: choose a lower --port-base")?;
    layout.claim()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut seats = Vec::new();
    let addresses = addresses(&members, founding.port_base);
    for member in &members {
        seats.push(seat(
            &layout.member(member.as_str()),
            member,
            (now.as_secs(), founding.key_type),
        )?);
    }
    let genesis = Genesis {
        name: founding.name.clone(),
        time: BlockTime(u64::try_from(now.as_millis())?),
        members: seats,
        rules: Some(founding.rules),
    };
    fs::write(layout.genesis_file(), genesis.encode())?;
    let mut entries = Vec::new();
    for (member, port) in members.iter().zip(founding.port_base..) {
        let base_url = format!("http://127.0.0.1:{port}");
        let of_member = layout.member(member.as_str());
        let clients = clients(&of_member, &base_url)?;
        let mut file = node_file(member, &base_url, port, &addresses, clients);
        let others = (founding.port_base..).zip(&members).map(|(port, _)| port);
        file.peers = others
            .filter(|other| *other != port)
            .map(|other| format!("http://127.0.0.1:{other}"))
            .collect();
        fs::write(of_member.config(), toml::to_string_pretty(&file)?)?;
        entries.push(MemberEntry {
            member: member.as_str().to_owned(),
            base_url,
            folder: PathBuf::from(member.as_str()),
        });
    }
    let network = NetworkFile {
        name: founding.name.clone(),
        network: genesis.network().0.to_string(),
        genesis: PathBuf::from("genesis.cbor"),
        members: entries,
    };
    let text = serde_json::to_string_pretty(&network)?;
    fs::write(layout.network_file(), text)?;
    Ok(network)
}

/// Keys and certificates of a new member; those of its authority and of its node are of kind `key_type`.
pub(super) fn seat(
    layout: &MemberLayout,
    member: &MemberName,
    (now, key_type): (u64, KeyType),
) -> anyhow::Result<Member> {
    layout.make()?;
    let passphrase = hex::encode(rand::random::<[u8; 32]>());
    write_secret(&layout.passphrase(), passphrase.as_bytes())?;
    let store = FileKeyStore::create(&layout.keys(), passphrase.as_bytes(), KdfCost::default())?;
    let secret = Secret::generate;
    store.insert_all(vec![
        (SecretName::member_ca(), secret(key_type.secret())),
        (SecretName::node(), secret(key_type.secret())),
        (SecretName::validator(), secret(SecretKind::Signing)),
        (SecretName::cosigner(), secret(SecretKind::Cosigning)),
        (SecretName::token(), secret(SecretKind::Signing)),
        (SecretName::exchange(), secret(SecretKind::Agreement)),
        (SecretName::wrapping(1), secret(SecretKind::Symmetric)),
    ])?;
    let store: Arc<dyn KeyStore> = Arc::new(store);
    let signer = Signer::new(Arc::clone(&store), SecretName::member_ca())?;
    let authority = MemberCa::new(member.as_str(), signer);
    let root = authority.certify_itself(now)?;
    let node_key = store.signing_public_key(&SecretName::node())?;
    let node = authority.certify_node(&node_key, member.as_str(), now)?;
    fs::write(layout.certificate("authority"), root.pem())?;
    fs::write(layout.certificate("node"), node.pem())?;
    Ok(Member {
        name: member.clone(),
        authority: root.der().to_vec(),
        node: node.der().to_vec(),
        validator: Some(PublicKey(store.public_key(&SecretName::validator())?)),
        cosigner: Some(MlDsa44Key::from_bytes(
            store.ml_dsa_44_public_key(&SecretName::cosigner())?,
        )),
    })
}

fn addresses(members: &[MemberName], base: u16) -> BTreeMap<String, AddressEntry> {
    let ports = members.iter().zip(base..);
    ports
        .map(|(member, port)| (member.as_str().to_owned(), entry(port)))
        .collect()
}

/// The addresses of the member whose gateway has this port.
pub(super) fn entry(port: u16) -> AddressEntry {
    AddressEntry {
        exchange: local(port.saturating_add(100)),
        consensus: local(port.saturating_add(200)),
    }
}

pub(super) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(super) fn clients(layout: &MemberLayout, base_url: &str) -> anyhow::Result<Vec<ClientConfig>> {
    CLIENTS
        .iter()
        .map(|kind| {
            let secret = Secret::new(SecretKind::Signing, rand::random());
            let key = private_jwk(kind.name, &secret)?;
            let credential = Credential {
                client_id: kind.name.to_owned(),
                token_url: format!("{base_url}/oauth2/token"),
                key: key.clone(),
            };
            let text = serde_json::to_string_pretty(&credential)?;
            write_secret(&layout.credential(kind.name), text.as_bytes())?;
            Ok(ClientConfig {
                client_id: kind.name.to_owned(),
                keys: vec![serde_json::from_value(public_part(key))?],
                roles: kind.roles.iter().map(ToString::to_string).collect(),
                purposes: kind.purposes.iter().map(ToString::to_string).collect(),
                scopes: kind.scopes.to_owned(),
                ..ClientConfig::default()
            })
        })
        .collect()
}

/// An Ed25519 key as a JWK (RFC 8037).
fn private_jwk(name: &str, secret: &Secret) -> anyhow::Result<Value> {
    let (seed, public) = secret.ed25519().context("the key is no Ed25519 key")?;
    Ok(json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "kid": name,
        "x": URL_SAFE_NO_PAD.encode(public),
        "d": URL_SAFE_NO_PAD.encode(*seed),
    }))
}

fn public_part(mut key: Value) -> Value {
    if let Some(members) = key.as_object_mut() {
        members.remove("d");
    }
    key
}

pub(super) fn node_file(
    member: &MemberName,
    base_url: &str,
    port: u16,
    addresses: &BTreeMap<String, AddressEntry>,
    clients: Vec<ClientConfig>,
) -> NodeFile {
    NodeFile {
        member: member.as_str().to_owned(),
        base_url: base_url.to_owned(),
        listen: local(port),
        genesis: PathBuf::from("../genesis.cbor"),
        keys: KeysEntry::File(PathBuf::from("keys.bin")),
        passphrase_file: Some(PathBuf::from("passphrase")),
        data: PathBuf::from("data"),
        addresses: addresses.clone(),
        clients,
        peers: Vec::new(),
        keep: "all".to_owned(),
        accounts: None,
        identity_provider: None,
        origins: Vec::new(),
        profiles: Vec::new(),
        witnesses: Vec::new(),
        payloads: PayloadsEntry::default(),
        search: SearchEntry::default(),
        release: ReleaseEntry::default(),
        labels: LabelsEntry::default(),
        consent: ConsentEntry::default(),
        validation: ValidationEntry::default(),
        terminology: TerminologyEntry::default(),
        limits: LimitsEntry::default(),
        retention: RetentionSchedule::default(),
        emergency: EmergencyEntry::default(),
        care_services: CareServicesEntry::default(),
        dicom_web: DicomWebEntry::default(),
        linkage: LinkageEntry::default(),
        audit: AuditEntry::default(),
        records: RecordsEntry::default(),
        rest_hooks: Vec::new(),
        import: ImportEntry::default(),
        mllp: Vec::new(),
        v2_send: Vec::new(),
    }
}
