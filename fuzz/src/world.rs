//! A network with all that it signed: whatever verifies against it has to be something that it did sign.

use std::convert::Infallible;
use std::sync::LazyLock;

use contracts::descriptor::{AccessDescriptor, Descriptor, RecordDescriptor};
use contracts::export::Export;
use contracts::governance::{self, Action, Command};
use contracts::membership::{Endpoints, Registry};
use ed25519_zebra::SigningKey;
use ledger::block::Header;
use ledger::checkpoint::policy::Policy;
use ledger::checkpoint::{Cosignature, CosignerKeys, SignedCheckpoint, VerifierKey};
use ledger::genesis::{Genesis, PublicKey, Signatory, ValidatorSet};
use ledger::ids::{BlockTime, Digest, Epoch, Height, MemberName, Tag};
use ledger::item::{Item, Opening};
use ledger::log::{self, LogAppend};
use ledger::receipt::{Cosigned, Receipt, Trust};
use ledger::scitt::{self, Proof, RootSignature};
use ledger::state::{MemoryState, StateKey, StateRoot};
use ledger::statement::{Body, Payload, StatementId, SubmittedStatement};
use ledger::succession::{ProvenRegistry, Succession, Transition};
use sim::forge::Forge;

/// The members; each validates.
pub const MEMBERS: [&str; 4] = ["clinic", "hospital", "laboratory", "payer"];
/// What the exported version says.
pub const CONTENT: &[u8] = br#"{"resourceType":"Observation","id":"17"}"#;

/// The network.
#[derive(Debug)]
pub struct World {
    /// Its ledger.
    pub forge: Forge,
    /// Every item on it.
    pub items: Vec<Item>,
    /// Every statement on it, in order.
    pub statements: Vec<SubmittedStatement>,
    /// A receipt with everything that a receipt may have, but a succession.
    pub receipt: Receipt,
    /// The statement of the receipt with members' receipts.
    pub transparent: Vec<u8>,
    /// An export of a document's latest version.
    pub export: Export,
    /// A checkpoint after each block, and members' signatures under its root.
    pub stages: Vec<Stage>,
    /// A checkpoint of the newest log.
    pub note: SignedCheckpoint,
    /// Members' signatures under that root.
    pub signatures: Vec<RootSignature>,
    /// A change of validators and the registry, proven.
    pub succession: Succession,
    /// The genesis's registry.
    pub registry: Registry,
}

/// The log as it stood after a block.
#[derive(Debug)]
pub struct Stage {
    /// The checkpoint.
    pub note: SignedCheckpoint,
    /// Members' signatures under its root.
    pub signatures: Vec<RootSignature>,
    /// A statement with these signatures as receipts, for each statement in the log.
    pub transparent: Vec<Vec<u8>>,
}

/// The one network of a process.
pub fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(World::new);
    &WORLD
}

/// The key of a member's node, which signs statements; members are numbered in order.
pub fn node_key(member: u8) -> SigningKey {
    SigningKey::from_bytes(&Digest::of(&[member, 1]).0)
}

/// The key of a member's validator.
pub fn validator_key(member: u8) -> SigningKey {
    SigningKey::from_bytes(&Digest::of(&[member, 2]).0)
}

impl World {
    fn new() -> Self {
        let mut forge = Forge::found(&MEMBERS).unwrap();
        let (export_item, descriptor, opening, next) = exported(forge.genesis());
        let mut statements = Vec::new();
        let mut stages = Vec::new();
        for (block, sizes) in (0_u8..).zip([&[1_u8, 3][..], &[2], &[1], &[5, 1]]) {
            let mut of_block = Vec::new();
            for (at, size) in (0_u8..).zip(sizes) {
                let mut items: Vec<Item> = (0..*size).map(|n| item(&[block, at, n])).collect();
                if (block, at) == (0, 1) {
                    items[0] = export_item;
                }
                let member = MEMBERS[usize::from((block + at) % 4)];
                let member = if (block, at) == (0, 1) {
                    MEMBERS[0]
                } else {
                    member
                };
                of_block.push(forge.statement(member, items).unwrap());
            }
            forge.append(&of_block).unwrap();
            statements.extend(of_block);
            stages.push(stage(&forge, &statements));
        }
        let (note, signatures) = forge.checkpoint(3, None).unwrap();
        let mut receipt = forge.receipt(&export_item, &[next]).unwrap();
        let export = Export {
            descriptor: descriptor.encode(),
            opening,
            content: CONTENT.to_vec(),
            receipt: receipt.clone(),
            moves: None,
        };
        receipt.cosigned = Some(Cosigned {
            path: receipt.log_path.clone(),
            root: note.checkpoint.root,
            signatures: signatures.clone(),
        });
        let transparent = receipt.transparent_statement().unwrap();
        let registry = Registry::from_genesis(forge.genesis()).unwrap();
        Self {
            items: statements
                .iter()
                .flat_map(SubmittedStatement::items)
                .copied()
                .collect(),
            stages,
            succession: succession(&forge, &registry),
            statements,
            receipt,
            transparent,
            export,
            note,
            signatures,
            registry,
            forge,
        }
    }

    /// What the network started from.
    pub fn genesis(&self) -> &Genesis {
        self.forge.genesis()
    }

    /// The log of all statements.
    pub fn log(&self) -> &LogAppend {
        self.forge.log()
    }

    /// The header of the newest block.
    pub fn header(&self) -> &Header {
        &self.forge.blocks().last().unwrap().block.header
    }

    /// What a verifier pins.
    pub fn trust(
        &self,
    ) -> Trust<impl Fn(&MemberName, Digest) -> Option<ledger::node_key::NodeKey>> {
        Trust {
            network: self.genesis().network(),
            validators: self.genesis().validators().into(),
            key_of: |member: &MemberName, certificate| {
                let registered = self.registry.certificate(member, certificate);
                registered.ok().map(|certificate| certificate.key)
            },
        }
    }

    /// What a checkpoint needs.
    pub fn policy(&self) -> Policy {
        let genesis = self.genesis();
        Policy::of_validators(genesis.network(), &genesis.signatories()).unwrap()
    }

    /// The member of the receipt.
    pub fn receipt_member(&self) -> &MemberName {
        &self.genesis().members[0].name
    }

    /// The keys with which members sign as the log.
    pub fn log_keys(&self) -> Vec<VerifierKey> {
        let genesis = self.genesis();
        let keys = |one: &Signatory| CosignerKeys::of(genesis.network(), one).unwrap().log;
        genesis.signatories().iter().map(keys).collect()
    }

    /// What the first member's validator sends the others of the newest checkpoint.
    pub fn cosignature(&self) -> Cosignature {
        let (network, checkpoint) = (self.genesis().network(), &self.note.checkpoint);
        let keys = CosignerKeys::of(network, &self.genesis().signatories()[0]).unwrap();
        let sign = |key: &VerifierKey, seconds| {
            let message = key.message(checkpoint, seconds).unwrap();
            validator_key(0).sign(&message).to_bytes().into()
        };
        let timestamp = self.genesis().time.0 / 1_000;
        Cosignature {
            size: checkpoint.size,
            root: checkpoint.root,
            receipt: self.signatures[0].clone(),
            timestamp,
            log: sign(&keys.log, 0),
            ed25519: sign(&keys.ed25519, timestamp),
            ml_dsa_44: None,
        }
    }

    /// A statement with a command, signed by the first member.
    pub fn command(&self, command: &Command) -> SubmittedStatement {
        let payload = Payload {
            network: self.genesis().network(),
            id: StatementId([9; 16]),
            expires_at: Height(500),
            body: Body::Command {
                contract: governance::CONTRACT,
                command: command.encode(),
            },
        };
        let member = &self.genesis().members[0];
        let signer = (&member.name, Digest::of(&member.node));
        let sign = |bytes: &[u8]| Ok::<_, Infallible>(node_key(0).sign(bytes).to_bytes());
        SubmittedStatement::sign(signer, payload, Vec::new(), sign).unwrap()
    }

    /// A command of each kind.
    pub fn commands(&self) -> Vec<Command> {
        let [first, second, ..] = self.genesis().members.as_slice() else {
            return Vec::new();
        };
        let endpoints = Endpoints {
            consensus: "192.0.2.1:9000".to_owned(),
            exchange: "[2001:db8::1]:9443".to_owned(),
        };
        let admit = Action::Admit {
            member: Box::new(second.clone()),
            endpoints: Some(endpoints.clone()),
        };
        vec![
            Command::Propose(admit),
            Command::Propose(Action::Suspend(second.name.clone())),
            Command::Propose(Action::SetPolicies(
                "permit(principal,action,resource);".to_owned(),
            )),
            Command::Propose(Action::SetRules(self.genesis().rules())),
            Command::Propose(Action::SetFormat(2)),
            Command::Vote {
                proposal: 1,
                approves: true,
            },
            Command::Withdraw(300),
            Command::RegisterCertificate(first.node.clone()),
            Command::RevokeCertificate(Digest::of(&first.node)),
            Command::Announce(endpoints),
        ]
    }

    /// The receipt's statement as it is registered by SCITT's interface.
    pub fn registrations(&self) -> Vec<Vec<u8>> {
        self.statements
            .iter()
            .map(|one| scitt::registration(one).unwrap())
            .collect()
    }
}

fn stage(forge: &Forge, statements: &[SubmittedStatement]) -> Stage {
    let (note, signatures) = forge.checkpoint(3, None).unwrap();
    let log = forge.log();
    let transparent = |(at, statement): (u64, &SubmittedStatement)| {
        let proof = Proof::Inclusion(log::prove_inclusion(at, log.size(), log).unwrap());
        let receipts: Vec<_> = signatures.iter().map(|one| one.receipt(&proof)).collect();
        scitt::transparent(statement.envelope(), &receipts).unwrap()
    };
    let transparent = (0..).zip(statements).map(transparent).collect();
    Stage {
        note,
        signatures,
        transparent,
    }
}

fn item(name: &[u8]) -> Item {
    let digest = Digest::of(name).0;
    let tag = |at: usize| Tag(digest[at..at + 16].try_into().unwrap());
    Item {
        tags: [tag(0), tag(16)],
        commitment: Digest::of(&digest),
    }
}

fn exported(genesis: &Genesis) -> (Item, Descriptor, Opening, Tag) {
    let next = Tag([0x77; 16]);
    let descriptor = Descriptor::Record(RecordDescriptor {
        resource_type: "Observation".to_owned(),
        id: "17".to_owned(),
        version: 1,
        deleted: false,
        content: Digest::of(CONTENT),
        media_type: "application/fhir+json".to_owned(),
        author: "Practitioner/7".to_owned(),
        recorded_at: genesis.time.0,
        labels: vec!["careledger|laboratory".to_owned()],
        supersedes: None,
        next,
    });
    let opening = Opening([0x44; 32]);
    let tags = [Tag([0x11; 16]), Tag([0x22; 16])];
    let member = &genesis.members[0].name;
    let item = Item::commit(
        genesis.network(),
        member,
        tags,
        &opening,
        descriptor.digest(),
    );
    (item, descriptor, opening, next)
}

/// A descriptor of an access.
pub fn access() -> Descriptor {
    Descriptor::Access(AccessDescriptor {
        requester: MEMBERS[1].parse().unwrap(),
        principal: "Practitioner/7".to_owned(),
        role: Some("physician".to_owned()),
        purpose: "TREAT".to_owned(),
        interaction: "everything".to_owned(),
        target: "Patient/1".to_owned(),
        at: 1_780_272_000_000,
        custodian: MEMBERS[0].parse().unwrap(),
        request: Some(Digest([6; 32])),
        recipient: Some(vec![8; 32]),
        expires_at: Some(Height(70)),
        decision: None,
        next: Tag([0x33; 16]),
        further: None,
        audit: None,
        emergency: None,
        on_behalf_of: None,
    })
}

/// The validators of all epochs after the first: without the last member.
pub fn successors(genesis: &Genesis) -> ValidatorSet {
    let mut keys: Vec<PublicKey> = genesis
        .members
        .iter()
        .filter_map(|one| one.validator)
        .collect();
    keys.pop();
    keys.sort_unstable();
    ValidatorSet { keys }
}

fn succession(forge: &Forge, registry: &Registry) -> Succession {
    let genesis = forge.genesis();
    let next = successors(genesis);
    let mut state = MemoryState::default();
    let (key, digest) = registry.entry();
    let state_root: StateRoot = state.insert([(key, digest)]).unwrap();
    let (_, proof) = state.prove(StateKey::of_registry(0)).unwrap();
    let newest = state.prove_absent(StateKey::of_registry(1)).unwrap();
    let header = |height: u64, state_root| Header {
        height: Height(height),
        epoch: Epoch(0),
        time: BlockTime(genesis.time.0 + height * 1_000),
        validators: genesis.validators().digest(&next),
        state_root,
        ..forge.blocks().last().unwrap().block.header.clone()
    };
    let last = header(genesis.rules().epoch_blocks - 1, state_root);
    Succession {
        transitions: vec![Transition {
            finality: forge.certify(&last),
            header: last.clone(),
            next,
        }],
        registry: Some(ProvenRegistry {
            finality: forge.certify(&last),
            header: last,
            revision: 0,
            registry: registry.encode(),
            proof,
            newest,
        }),
    }
}

/// A path to each of the log's leaves, and from each of its sizes.
pub fn log_paths() -> (Vec<log::InclusionPath>, Vec<log::ConsistencyPath>) {
    let log = world().log();
    let size = log.size();
    (
        (0..size)
            .map(|at| log::prove_inclusion(at, size, log).unwrap())
            .collect(),
        (0..=size)
            .map(|older| log::prove_consistency(older, size, log).unwrap())
            .collect(),
    )
}
