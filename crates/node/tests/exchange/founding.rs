//! A network of whole nodes in one process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contracts::governance::{self, Command};
use interop::fhir::care_services::Interfaces;
use ledger::genesis::{Genesis, Member, PublicKey};
use ledger::ids::{BlockTime, Digest, Height, MemberName};
use ledger::node_key::SigningNode;
use ledger::state::StateKey;
use ledger::statement::{Body, Payload, StatementId, SubmittedStatement};
use node::chain::{Keep, PublicLog as _};
use node::custody::{LinkageOptions, Requester};
use node::exchange::ServicesConfig;
use node::identity::algorithm_of;
use node::outbox::OutboxConfig;
use node::{Node, NodeConfig, PeerAddress};
use tempfile::TempDir;
use vault::certificate::MemberCa;
use vault::keystore::{FileKeyStore, KdfCost, KeyStore, SecretKind, SecretName, Signer};

use crate::patience::PATIENCE;
use crate::ports::free_address;

const CHEAP: KdfCost = KdfCost {
    memory_kib: 8,
    iterations: 1,
    lanes: 1,
};

pub(crate) struct Founding {
    genesis: Genesis,
    keys: BTreeMap<MemberName, Arc<dyn KeyStore>>,
    addresses: BTreeMap<MemberName, PeerAddress>,
    folder: TempDir,
    keep: Keep,
    copies_at: Vec<MemberName>,
    linkage: BTreeMap<MemberName, LinkageOptions>,
}

impl Founding {
    pub(crate) fn of(names: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut keys = BTreeMap::new();
        let mut members = Vec::new();
        let mut addresses = BTreeMap::new();
        for (at, name) in names.iter().enumerate() {
            // Members with keys of both kinds talk to each other.
            let of_certificates = if at % 2 == 1 {
                SecretKind::SigningP256
            } else {
                SecretKind::Signing
            };
            let member: MemberName = name.parse().unwrap();
            let store = FileKeyStore::create(&folder.path().join(name), b"words", CHEAP).unwrap();
            let signing = [
                (SecretName::member_ca(), of_certificates),
                (SecretName::node(), of_certificates),
                (SecretName::validator(), SecretKind::Signing),
            ];
            for (secret, kind) in signing {
                store.generate(secret, kind).unwrap();
            }
            store.generate_wrapping_key(1).unwrap();
            let store: Arc<dyn KeyStore> = Arc::new(store);
            members.push(seat(&member, &store));
            keys.insert(member.clone(), store);
            addresses.insert(
                member,
                PeerAddress {
                    consensus: free_address(),
                    exchange: free_address(),
                },
            );
        }
        let genesis = Genesis {
            name: "test".to_owned(),
            time: BlockTime(now()),
            members,
            rules: None,
        };
        Self {
            genesis,
            keys,
            addresses,
            folder,
            keep: Keep::All,
            copies_at: Vec::new(),
            linkage: BTreeMap::new(),
        }
    }

    /// The same with nodes that place copies for release with `holder`.
    pub(crate) fn copying_to(mut self, holder: &str) -> Self {
        self.copies_at = vec![holder.parse().unwrap()];
        self
    }

    /// The same with a node that takes part in linkage.
    pub(crate) fn linking(mut self, member: &str, options: LinkageOptions) -> Self {
        self.linkage.insert(member.parse().unwrap(), options);
        self
    }

    /// The same with nodes that keep of the others what `keep` says.
    pub(crate) fn keeping(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    pub(crate) async fn start_all(&self) -> Vec<Node> {
        let mut nodes = Vec::new();
        for member in &self.genesis.members {
            nodes.push(self.start(&member.name).await);
        }
        nodes
    }

    /// Signs a command with the node's own key, and waits until `node` has applied it.
    pub(crate) async fn says(&self, node: &Node, member: &str, command: &Command) {
        let member: MemberName = member.parse().unwrap();
        let of_genesis = self.genesis.members.iter().find(|one| one.name == member);
        let keys = &self.keys[&member];
        let signer = SigningNode {
            member: &member,
            certificate: Digest::of(&of_genesis.unwrap().node),
            algorithm: algorithm_of(&keys.signing_public_key(&SecretName::node()).unwrap()),
        };
        let payload = Payload {
            network: self.genesis.network(),
            id: StatementId(rand::random()),
            expires_at: Height(node.chain.tip().height.0 + 1_000),
            body: Body::Command {
                contract: governance::CONTRACT,
                command: command.encode(),
            },
        };
        let place = StateKey::of_command(&member, payload.id);
        let sign = |bytes: &[u8]| keys.sign(&SecretName::node(), bytes);
        let statement = SubmittedStatement::sign(signer, payload, Vec::new(), sign).unwrap();
        node.chain.submit(statement).unwrap();
        let mut tips = node.chain.subscribe();
        while node.chain.find(place).unwrap().is_none() {
            tips.changed().await.unwrap();
        }
    }

    /// The member's signature of bytes, and the certificate that it names.
    pub(crate) fn signs(&self, member: &str, bytes: &[u8]) -> (Digest, [u8; 64]) {
        let member: MemberName = member.parse().unwrap();
        let of_genesis = self.genesis.members.iter().find(|one| one.name == member);
        let keys = &self.keys[&member];
        let key = keys.signing_public_key(&SecretName::node()).unwrap();
        let signature = keys.sign(&SecretName::node(), bytes).unwrap();
        let certificate = Digest::of(&of_genesis.unwrap().node);
        (certificate, algorithm_of(&key).in_one_form(signature))
    }

    async fn start(&self, member: &MemberName) -> Node {
        let config = NodeConfig {
            full_text: false,
            label_rules: Vec::new(),
            review_ms: 72 * 3_600_000,
            implicit: contracts::access::Implicit::default(),
            linkage: self.linkage.get(member).cloned(),
            member: member.clone(),
            directory: self.folder.path().join(format!("{member}-data")),
            records: self
                .folder
                .path()
                .join(format!("{member}-data/records"))
                .into(),
            blobs: self.folder.path().join(format!("{member}-blobs")).into(),
            upstream: None,
            genesis: self.genesis.clone(),
            addresses: self.addresses.clone(),
            certificate: None,
            keys: Arc::clone(&self.keys[member]),
            keep: self.keep,
            outbox: OutboxConfig {
                cadence: Duration::from_millis(20),
                gather: Duration::from_millis(20),
                ..OutboxConfig::default()
            },
            block_interval: Duration::from_millis(300),
            exchange_timeout: PATIENCE,
            copies_at: {
                let holders = self.copies_at.iter().filter(|holder| *holder != member);
                holders.cloned().collect()
            },
            services: ServicesConfig {
                interfaces: Interfaces {
                    fhir: Some(format!("https://{member}.example/fhir")),
                    ..Interfaces::default()
                },
                ..ServicesConfig::default()
            },
            clock: Arc::new(now),
        };
        Node::start(config).await.unwrap()
    }
}

fn seat(member: &MemberName, keys: &Arc<dyn KeyStore>) -> Member {
    let signer = Signer::new(Arc::clone(keys), SecretName::member_ca()).unwrap();
    let authority = MemberCa::new(member.as_str(), signer);
    let since = now() / 1_000 - 60;
    let node = keys.signing_public_key(&SecretName::node()).unwrap();
    let node = authority
        .certify_node(&node, member.as_str(), since)
        .unwrap();
    let validator = keys.public_key(&SecretName::validator()).unwrap();
    Member {
        name: member.clone(),
        authority: authority.certify_itself(since).unwrap().der().to_vec(),
        node: node.der().to_vec(),
        validator: Some(PublicKey(validator)),
        cosigner: None,
    }
}

pub(crate) fn clinician(member: &str) -> Requester {
    Requester {
        member: member.parse().unwrap(),
        client: "ehr".to_owned(),
        practitioner: Some("Practitioner/p1".to_owned()),
        role: Some("physician".to_owned()),
        patient: None,
        related: None,
        emergency: None,
        purpose: "TREAT".to_owned(),
        request_id: None,
        reach: node::custody::Reach::default(),
        trail: node::custody::Trail::default(),
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
