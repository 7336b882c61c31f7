//! A network of members in one process, with real certificates, engines and directories.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{KeyPair as _, ML_DSA_44_SIGNING, PqdsaKeyPair};
use contracts::governance::{self, Command};
use ed25519_zebra::{SigningKey, VerificationKey};
use ledger::checkpoint::CosignerSigner;
use ledger::checkpoint::policy::Policy;
use ledger::genesis::{Genesis, Member, MlDsa44Key, PublicKey, Rules};
use ledger::ids::{BlockTime, Digest, Height, MemberName, NetworkId, Tag};
use ledger::item::Item;
use ledger::receipt::Trust;
use ledger::statement::{Body, Payload, StatementId, SubmittedStatement};
use node::chain::{CannotCosign, Chain, Cosigner, Position};
use node::engine::{Engine, EngineConfig, EngineHandle};
use node::outbox::Speaker;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ED25519, date_time_ymd,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::patience::PATIENCE;
use crate::ports::free_address;

/// A year in which nobody runs these tests.
const FAR: i32 = 3_000;

/// A member's keys and address.
pub(crate) struct Seat {
    pub(crate) name: MemberName,
    pub(crate) certificate: Digest,
    key: SigningKey,
    validator: [u8; 32],
    address: SocketAddr,
    authority: Arc<Issuer<'static, KeyPair>>,
}

/// The founding of a network.
pub(crate) struct Founding {
    pub(crate) genesis: Genesis,
    pub(crate) seats: Vec<Seat>,
    directory: TempDir,
}

/// A running member.
pub(crate) struct Running {
    pub(crate) chain: Chain,
    engine: EngineHandle,
    tasks: [JoinHandle<()>; 2],
}

/// Keys made of a seat's seeds.
struct SeatKeys {
    validator: SigningKey,
    ml_dsa_44: PqdsaKeyPair,
}

impl CosignerSigner for SeatKeys {
    type Error = CannotCosign;

    fn sign_ed25519(&self, bytes: &[u8]) -> Result<[u8; 64], CannotCosign> {
        Ok(self.validator.sign(bytes).to_bytes())
    }

    fn sign_ml_dsa_44(&self, bytes: &[u8]) -> Result<Vec<u8>, CannotCosign> {
        let mut signature = vec![0; 2_420];
        self.ml_dsa_44.sign(bytes, &mut signature).unwrap();
        Ok(signature)
    }
}

impl Seat {
    fn ml_dsa_44(&self) -> PqdsaKeyPair {
        PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, &self.validator).unwrap()
    }

    fn cosigner(&self) -> Cosigner {
        let key = self.key;
        let node = Speaker {
            certificate: self.certificate,
            algorithm: ledger::node_key::Algorithm::EdDsa,
            sign: Arc::new(move |bytes| Ok(key.sign(bytes).to_bytes())),
        };
        Cosigner {
            member: self.name.clone(),
            node: node.into(),
            validator: Arc::new(SeatKeys {
                validator: SigningKey::from_bytes(&self.validator),
                ml_dsa_44: self.ml_dsa_44(),
            }),
        }
    }
}

impl Seat {
    /// The same member with a fresh certificate and its key.
    pub(crate) fn renewed(&self) -> (Vec<u8>, Self) {
        let (certificate, key) = certify(&self.authority, self.name.as_str(), FAR);
        let seat = Self {
            name: self.name.clone(),
            certificate: Digest::of(&certificate),
            key,
            validator: self.validator,
            address: self.address,
            authority: Arc::clone(&self.authority),
        };
        (certificate, seat)
    }

    /// A command to the contract of governance.
    pub(crate) fn command(&self, network: NetworkId, command: &Command) -> SubmittedStatement {
        let payload = Payload {
            network,
            id: StatementId(rand::random()),
            expires_at: Height(9_000),
            body: Body::Command {
                contract: governance::CONTRACT,
                command: command.encode(),
            },
        };
        let sign = |bytes: &[u8]| Ok::<_, ()>(self.key.sign(bytes).to_bytes());
        SubmittedStatement::sign((&self.name, self.certificate), payload, vec![], sign).unwrap()
    }
}

impl Founding {
    pub(crate) fn of(names: &[&str]) -> Self {
        Self::until(names, FAR)
    }

    /// A network that is governed by `rules`.
    pub(crate) fn by(names: &[&str], rules: Rules) -> Self {
        let mut founding = Self::of(names);
        founding.genesis.rules = Some(rules);
        founding
    }

    /// A network whose certificates expire at the beginning of a year.
    pub(crate) fn until(names: &[&str], year: i32) -> Self {
        let (members, seats) = names
            .iter()
            .zip(1..)
            .map(|(name, at)| seat(name, at, year))
            .unzip();
        let genesis = Genesis {
            name: "test".to_owned(),
            time: BlockTime(1_000),
            members,
            rules: None,
        };
        Self {
            genesis,
            seats,
            directory: TempDir::new().unwrap(),
        }
    }

    /// The same with epochs of so many blocks.
    pub(crate) fn with_epochs_of(mut self, blocks: u64) -> Self {
        self.genesis.rules = Some(Rules {
            epoch_blocks: blocks,
            ..Rules::default()
        });
        self
    }

    /// Where a member's node keeps everything.
    pub(crate) fn folder(&self, at: usize) -> PathBuf {
        self.directory.path().join(self.seats[at].name.as_str())
    }

    pub(crate) fn start(&self, at: usize) -> Running {
        self.start_in(at, &self.folder(at))
    }

    /// The chain of a member without its engine.
    pub(crate) fn open(&self, at: usize) -> Chain {
        self.open_in(&self.directory.path().join(self.seats[at].name.as_str()))
    }

    fn open_in(&self, directory: &Path) -> Chain {
        let clock = || {
            u64::try_from(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap()
                    .as_millis(),
            )
        };
        let clock = Arc::new(move || clock().unwrap());
        Chain::open(self.genesis.clone(), &directory.join("chain"), clock).unwrap()
    }

    fn start_in(&self, at: usize, directory: &Path) -> Running {
        let chain = self.open_in(directory);
        let addresses = self.seats.iter();
        let addresses = addresses
            .map(|seat| (seat.name.clone(), seat.address))
            .collect();
        let seat = &self.seats[at];
        let mut config = EngineConfig::new(
            seat.validator,
            seat.address,
            directory.join("engine"),
            self.genesis.network().0.0.to_vec(),
        );
        config.epoch_blocks = self.genesis.rules().epoch_blocks;
        config.block_interval = Duration::from_millis(300);
        let engine = Engine::start(config, chain.application(addresses)).unwrap();
        let (gossiping, gossip) = (chain.clone(), engine.gossip());
        let gossip = tokio::spawn(async move { gossiping.gossip(gossip).await });
        let (cosigning, signatures) = (chain.clone(), engine.gossip());
        let cosigner = seat.cosigner();
        let cosigning = tokio::spawn(async move { cosigning.cosign(cosigner, signatures).await });
        Running {
            chain,
            engine,
            tasks: [gossip, cosigning],
        }
    }

    /// A statement of `at` with an item for each pair of tags.
    pub(crate) fn statement(&self, at: usize, id: u8, tags: &[[u8; 2]]) -> SubmittedStatement {
        let seat = &self.seats[at];
        let item = |pair: &[u8; 2]| Item {
            tags: pair.map(|byte| Tag([byte; 16])),
            commitment: Digest::of(pair),
        };
        let frame = (self.genesis.network(), StatementId([id; 16]), Height(9_000));
        SubmittedStatement::sign_items(
            (&seat.name, seat.certificate),
            frame,
            tags.iter().map(item).collect(),
            |bytes| Ok::<_, ()>(seat.key.sign(bytes).to_bytes()),
        )
        .unwrap()
    }

    /// A statement of `at` with `count` items that no other number has.
    pub(crate) fn numbered(&self, at: usize, number: u64, count: u64) -> SubmittedStatement {
        let seat = &self.seats[at];
        let tag = |which: u8, item: u64| {
            let named = [&[which][..], &number.to_be_bytes(), &item.to_be_bytes()].concat();
            Tag(Digest::of(&named).0[..16].try_into().unwrap())
        };
        let item = |item| Item {
            tags: [tag(0, item), tag(1, item)],
            commitment: Digest([7; 32]),
        };
        let id = Digest::of(&number.to_be_bytes()).0[..16]
            .try_into()
            .unwrap();
        SubmittedStatement::sign_items(
            (&seat.name, seat.certificate),
            (self.genesis.network(), StatementId(id), Height(9_000)),
            (0..count).map(item).collect(),
            |bytes| Ok::<_, ()>(seat.key.sign(bytes).to_bytes()),
        )
        .unwrap()
    }

    /// A quorum of the members' validators.
    pub(crate) fn policy(&self) -> Policy {
        Policy::of_validators(self.genesis.network(), &self.genesis.signatories()).unwrap()
    }

    /// What an outsider needs to check receipts.
    pub(crate) fn trust(
        &self,
    ) -> Trust<impl Fn(&MemberName, Digest) -> Option<ledger::node_key::NodeKey> + use<>> {
        contracts::trust::trust(&self.genesis, None).unwrap()
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.engine.stop().await.unwrap();
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            // It may have ended with the engine.
            let _ended = task.await;
        }
    }

    /// Ends the node as a crash would: nothing is written down that was not.
    pub(crate) async fn kill(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.engine.stop().await.unwrap();
    }

    /// Waits until the registry has that many revisions here.
    pub(crate) async fn revised(&self, revision: u64) {
        let mut tips = self.chain.subscribe();
        let revised = async {
            while self.chain.registry().revision() < revision {
                tips.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, revised)
            .await
            .expect("final in time");
    }

    /// Waits until `member` has used `tag` in a final block here.
    pub(crate) async fn located(&self, member: &MemberName, tag: Tag) -> Position {
        let mut tips = self.chain.subscribe();
        let located = async {
            loop {
                if let Some(position) = self.chain.locate(member, tag).unwrap() {
                    return position;
                }
                tips.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, located)
            .await
            .expect("final in time")
    }
}

fn seat(name: &str, at: u8, year: i32) -> (Member, Seat) {
    let authority_key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut authority_params = CertificateParams::new(Vec::new()).unwrap();
    authority_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = authority_params
        .self_signed(&authority_key)
        .unwrap()
        .der()
        .to_vec();
    let issuer = Issuer::new(authority_params, authority_key);
    let (node, key) = certify(&issuer, name, year);
    let seat = Seat {
        name: name.parse().unwrap(),
        certificate: Digest::of(&node),
        key,
        validator: [at; 32],
        address: free_address(),
        authority: Arc::new(issuer),
    };
    let ml_dsa_44 = seat.ml_dsa_44().public_key().as_ref().to_vec();
    (
        Member {
            name: name.parse().unwrap(),
            authority,
            node,
            validator: Some(public(&seat.validator)),
            cosigner: Some(MlDsa44Key::from_bytes(ml_dsa_44)),
        },
        seat,
    )
}

/// A certificate of a fresh key that expires at the beginning of a year, and the key.
fn certify(issuer: &Issuer<'static, KeyPair>, name: &str, year: i32) -> (Vec<u8>, SigningKey) {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 1, 1);
    let certificate = params.signed_by(&key, issuer).unwrap().der().to_vec();
    // The seed follows the 16 bytes of PKCS #8 framing (RFC 8410 §7).
    let seed: [u8; 32] = key.serialize_der()[16..48].try_into().unwrap();
    (certificate, SigningKey::from_bytes(&seed))
}

pub(crate) fn public(seed: &[u8; 32]) -> PublicKey {
    PublicKey(VerificationKey::from(&SigningKey::from_bytes(seed)).into())
}
