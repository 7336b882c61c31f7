//! The example that runs through `docs/formats`: one clinic, one patient, one observation, one block.

use std::collections::BTreeMap;
use std::convert::Infallible;

use contracts::descriptor::{AccessDescriptor, Decided, Descriptor, RecordDescriptor};
use contracts::export::Export;
use contracts::{anchor, machine};
use ed25519_zebra::{SigningKey, VerificationKey};
use ledger::block::{Block, Header};
use ledger::checkpoint::{Checkpoint, CosignerKeys, SignedCheckpoint};
use ledger::codec;
use ledger::dump;
use ledger::finality::{FinalityCertificate, Vote};
use ledger::genesis::{Genesis, PublicKey, Signatory, ValidatorSet};
use ledger::ids::{BlockTime, Digest, Epoch, Height, MemberName, NetworkId, Tag};
use ledger::item::{Item, Opening};
use ledger::log::{self, Empty, LogAppend};
use ledger::node_key::{Algorithm, SigningNode};
use ledger::receipt::{Absence, Cosigned, Receipt};
use ledger::scitt::{self, Proof, RootSignature};
use ledger::state::{MemoryState, StateKey, StateRoot};
use ledger::statement::{StatementId, SubmittedStatement};
use ledger::stream::{Branch, BranchKey, RootKey, StreamKey};
use p256::ecdsa::signature::Signer as _;

/// When the example's checkpoint was cosigned, seconds since 1970.
const SIGNED_AT: u64 = 1_780_272_001;

pub(crate) const CONTENT: &[u8] = br#"{"resourceType":"Observation","id":"17"}"#;

pub(crate) struct Example {
    pub(crate) genesis: Genesis,
    pub(crate) network: NetworkId,
    pub(crate) validators: ValidatorSet,
    pub(crate) member: MemberName,
    pub(crate) certificate: Digest,
    pub(crate) node: SigningKey,
    validator: SigningKey,
    branch: BranchKey,
    entries: StreamKey,
    document: StreamKey,
}

impl Example {
    pub(crate) fn new() -> Self {
        let genesis = Genesis {
            name: "example".to_owned(),
            time: BlockTime(1_780_272_000_000),
            members: vec![],
            rules: None,
        };
        let network = genesis.network();
        let member: MemberName = "clinic".parse().unwrap();
        let validator = SigningKey::from_bytes(&[2; 32]);
        let validators = ValidatorSet {
            keys: vec![PublicKey(VerificationKey::from(&validator).into())],
        };
        let branch =
            RootKey::from_bytes([7; 32]).branch(network, &Branch::Index(member.clone()), 0);
        Self {
            genesis,
            network,
            validators,
            member,
            certificate: Digest([5; 32]),
            node: SigningKey::from_bytes(&[1; 32]),
            validator,
            entries: branch.entries(),
            document: branch.document("Observation", "17"),
            branch,
        }
    }

    fn record(&self) -> RecordDescriptor {
        RecordDescriptor {
            resource_type: "Observation".to_owned(),
            id: "17".to_owned(),
            version: 1,
            deleted: false,
            content: Digest::of(CONTENT),
            media_type: "application/fhir+json".to_owned(),
            author: "Practitioner/7".to_owned(),
            recorded_at: 1_780_272_000_500,
            labels: vec![],
            supersedes: None,
            next: self.document.tag(2),
        }
    }

    fn access(&self) -> AccessDescriptor {
        AccessDescriptor {
            requester: self.member.clone(),
            principal: "Practitioner/7".to_owned(),
            role: None,
            purpose: "TREAT".to_owned(),
            interaction: "read".to_owned(),
            target: "Observation/17".to_owned(),
            at: 1_780_272_000_700,
            custodian: self.member.clone(),
            request: None,
            recipient: None,
            expires_at: None,
            decision: Some(Decided {
                permitted: vec!["Observation/17".to_owned()],
                withheld: 0,
                reason: None,
                record: None,
                documents: None,
            }),
            next: Tag([9; 16]),
            further: None,
            audit: None,
            emergency: None,
            on_behalf_of: None,
        }
    }

    fn item(&self) -> Item {
        let tags = [self.document.tag(1), self.entries.tag(1)];
        let descriptor = Descriptor::Record(self.record()).digest();
        Item::commit(
            self.network,
            &self.member,
            tags,
            &Opening([6; 32]),
            descriptor,
        )
    }

    fn statement(&self) -> SubmittedStatement {
        let padding = Item {
            tags: [Tag([8; 16]), Tag([9; 16])],
            commitment: Digest([10; 32]),
        };
        let frame = (self.network, StatementId([4; 16]), Height(100));
        let sign = |bytes: &[u8]| Ok::<_, Infallible>(self.node.sign(bytes).to_bytes());
        let signer = (&self.member, self.certificate);
        SubmittedStatement::sign_items(signer, frame, vec![padding, self.item()], sign).unwrap()
    }

    fn log(&self) -> LogAppend {
        log_of(&self.statement())
    }

    /// The statement and its receipt as a node signs them whose key is P-256, with the private key 32 × `01`.
    fn es256_transparent_statement(&self) -> Vec<u8> {
        let node = p256::ecdsa::SigningKey::from_slice(&[1; 32]).unwrap();
        let sign = |bytes: &[u8]| {
            let signature: p256::ecdsa::Signature = node.sign(bytes);
            Ok::<_, Infallible>(signature.to_bytes().into())
        };
        let signer = SigningNode {
            member: &self.member,
            certificate: self.certificate,
            algorithm: Algorithm::Es256,
        };
        let (payload, items) = (self.statement().payload().clone(), self.statement());
        let statement = SubmittedStatement::sign(signer, payload, items.items().to_vec(), sign);
        let statement = statement.unwrap();
        let log = log_of(&statement);
        let root = (1, log.root(&Empty).unwrap());
        let signature = RootSignature::sign(signer, root, sign).unwrap();
        let proof = Proof::Inclusion(log::prove_inclusion(0, 1, &log).unwrap());
        scitt::transparent(statement.envelope(), &[signature.receipt(&proof)]).unwrap()
    }

    fn state(&self) -> (MemoryState, StateRoot) {
        let mut state = MemoryState::default();
        let keys = machine::plan(&self.statement());
        let root = state.insert(anchor::entries(&keys, 0)).unwrap();
        (state, root)
    }

    fn block(&self) -> Block {
        let statements = vec![self.statement().encode()];
        let header = Header {
            network: self.network,
            epoch: Epoch(0),
            height: Height(1),
            time: BlockTime(1_780_272_001_000),
            parent: Block::genesis(&self.genesis).header.digest(),
            validators: self.validators.digest(&self.validators),
            body: Digest::of(&ledger::block::body_of(&statements)),
            log_root: self.log().root(&Empty).unwrap(),
            log_size: 1,
            state_root: self.state().1,
        };
        Block { header, statements }
    }

    fn finality(&self) -> FinalityCertificate {
        let mut certificate = FinalityCertificate {
            epoch: 0,
            view: 3,
            parent_view: 2,
            block: self.block().header.digest(),
            votes: vec![],
        };
        let signature = self
            .validator
            .sign(&certificate.signed_bytes(self.network))
            .to_bytes();
        certificate.votes.push(Vote {
            validator: 0,
            signature: signature.into(),
        });
        certificate
    }

    fn receipt(&self) -> Receipt {
        let next = self.document.tag(2);
        let proof = self
            .state()
            .0
            .prove_absent(StateKey::of_tag(&self.member, next))
            .unwrap();
        Receipt {
            item: self.item().to_bytes(),
            item_path: self.statement().item_path(1).unwrap(),
            statement: self.statement().envelope().to_vec(),
            log_path: log::prove_inclusion(0, 1, &self.log()).unwrap(),
            header: self.block().header,
            finality: self.finality(),
            absent: vec![Absence { tag: next, proof }],
            cosigned: Some(self.cosigned()),
            succession: None,
        }
    }

    fn cosigned(&self) -> Cosigned {
        let sign = |bytes: &[u8]| Ok::<_, Infallible>(self.node.sign(bytes).to_bytes());
        let root = self.log().root(&Empty).unwrap();
        let signer = (&self.member, self.certificate);
        Cosigned {
            path: log::prove_inclusion(0, 1, &self.log()).unwrap(),
            root,
            signatures: vec![RootSignature::sign(signer, (1, root), sign).unwrap()],
        }
    }

    /// The log's checkpoint, signed by the validator as the log and as a cosigner.
    fn checkpoint(&self) -> (SignedCheckpoint, CosignerKeys) {
        let signatory = Signatory {
            member: self.member.clone(),
            vote: PublicKey(VerificationKey::from(&self.validator).into()),
            cosigner: None,
        };
        let keys = CosignerKeys::of(self.network, &signatory).unwrap();
        let checkpoint = Checkpoint::of(self.network, 1, self.log().root(&Empty).unwrap());
        let mut note = SignedCheckpoint::unsigned(checkpoint);
        for (key, seconds) in [(&keys.log, 0), (&keys.ed25519, SIGNED_AT)] {
            let message = key.message(&note.checkpoint, seconds).unwrap();
            note.add(key, seconds, &self.validator.sign(&message).to_bytes());
        }
        (note, keys)
    }

    pub(crate) fn export(&self) -> Export {
        Export {
            descriptor: Descriptor::Record(self.record()).encode(),
            opening: Opening([6; 32]),
            content: CONTENT.to_vec(),
            receipt: self.receipt(),
            moves: None,
        }
    }

    /// Bytes of everything that the documents show, by the name that they give it.
    pub(crate) fn bytes(&self) -> BTreeMap<&'static str, Vec<u8>> {
        let [document, entry] = self.item().tags;
        let statement = self.statement();
        let block = self.block();
        let key = StateKey::of_tag(&self.member, document);
        let receipt = self.receipt();
        let (checkpoint, keys) = self.checkpoint();
        BTreeMap::from([
            ("genesis", self.genesis.encode()),
            ("network", self.network.0.0.to_vec()),
            ("branch-key", self.branch.expose().to_vec()),
            ("entries-key", self.entries.expose().to_vec()),
            ("document-key", self.document.expose().to_vec()),
            ("document-tag-1", document.0.to_vec()),
            ("document-tag-2", self.document.tag(2).0.to_vec()),
            ("entries-tag-1", entry.0.to_vec()),
            ("content-digest", Digest::of(CONTENT).0.to_vec()),
            (
                "record-descriptor",
                Descriptor::Record(self.record()).encode(),
            ),
            (
                "record-descriptor-digest",
                Descriptor::Record(self.record()).digest().0.to_vec(),
            ),
            (
                "access-descriptor",
                Descriptor::Access(self.access()).encode(),
            ),
            ("void-descriptor", Descriptor::Void.encode()),
            ("item", self.item().to_bytes().to_vec()),
            ("payload", codec::encode(statement.payload())),
            ("envelope", statement.envelope().to_vec()),
            ("statement", statement.encode()),
            ("leaf", log::leaf_hash(statement.envelope()).0.to_vec()),
            ("header", block.header.encode()),
            ("block-digest", block.header.digest().0.to_vec()),
            ("validators-digest", block.header.validators.0.to_vec()),
            ("vote-message", self.finality().signed_bytes(self.network)),
            ("finality-certificate", codec::encode(&self.finality())),
            ("item-path", codec::encode(&receipt.item_path)),
            ("log-path", codec::encode(&receipt.log_path)),
            ("state-key", key.0.to_vec()),
            (
                "state-value",
                anchor::entries(&[key, key], 0).next().unwrap().1,
            ),
            ("state-root", block.header.state_root.0.0.to_vec()),
            ("absence", codec::encode(&receipt.absent[0])),
            ("receipt", receipt.encode()),
            ("export", self.export().encode()),
            ("cose-receipt", self.cosigned().receipts().remove(0)),
            (
                "transparent-statement",
                receipt.transparent_statement().unwrap(),
            ),
            (
                "es256-transparent-statement",
                self.es256_transparent_statement(),
            ),
            ("checkpoint", checkpoint.encode().unwrap()),
            (
                "cosignature-message",
                keys.ed25519
                    .message(&checkpoint.checkpoint, SIGNED_AT)
                    .unwrap(),
            ),
            ("cosigner-key", keys.ed25519.to_string().into_bytes()),
            ("dump-start", dump::start(self.network)),
            ("dump-block", dump::entry(&block, Some(&self.finality()))),
        ])
    }
}

fn log_of(statement: &SubmittedStatement) -> LogAppend {
    let mut log = LogAppend::after(0);
    log.push(log::leaf_hash(statement.envelope()), &Empty)
        .unwrap();
    log
}
