//! Forged ledgers: a network whose every key is at hand, with valid blocks and certificates, made without consensus.
//!
//! Keys derive from the members' order, so that the same calls give the same bytes.

use contracts::{anchor, machine};
use ed25519_zebra::{SigningKey, VerificationKey};
use ledger::block::{Block, Header, body_of};
use ledger::checkpoint::{Checkpoint, CheckpointError, CosignerKeys, KeyError, SignedCheckpoint};
use ledger::dump;
use ledger::finality::{FinalityCertificate, Vote};
use ledger::genesis::{Genesis, Member, MlDsa44Key, PublicKey, Rules, Signatory};
use ledger::ids::{BlockTime, Digest, Epoch, Height, MemberName, NotAMemberName, Tag};
use ledger::item::Item;
use ledger::log::{self, Empty, LogAppend, LogError};
use ledger::node_key::{Algorithm, SigningNode};
use ledger::receipt::{Absence, Receipt};
use ledger::scitt::RootSignature;
use ledger::state::{MemoryState, StateError, StateKey};
use ledger::statement::{Body, Payload, StatementId, SubmittedStatement};
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::EncodePrivateKey as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

/// 2026-06-01T00:00:00Z, the time of block 0.
const FOUNDED: BlockTime = BlockTime(1_780_272_000_000);
const BLOCK_INTERVAL_MS: u64 = 1_000;
/// When checkpoints are cosigned, seconds since 1970.
const SIGNED_AT: u64 = FOUNDED.0 / 1_000;

/// An Ed25519 private key's PKCS #8 framing (RFC 8410 §7); the seed follows.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A ledger under construction.
#[derive(Debug)]
pub struct Forge {
    genesis: Genesis,
    seats: Vec<Seat>,
    blocks: Vec<Forged>,
    statements: u64,
    log: LogAppend,
    state: MemoryState,
}

/// A block that every validator has signed.
#[derive(Debug, Clone)]
pub struct Forged {
    /// The block.
    pub block: Block,
    /// That it is final.
    pub finality: FinalityCertificate,
}

/// Why something cannot be forged.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// The text is not a member's name.
    #[error(transparent)]
    Name(#[from] NotAMemberName),
    /// A certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] rcgen::Error),
    /// The log does not hold what is asked for.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The state cannot be changed or proven.
    #[error(transparent)]
    State(#[from] StateError),
    /// A checkpoint cannot be signed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A validator's key cannot sign checkpoints.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no such member, block, statement or item.
    #[error("there is no such member, block, statement or item")]
    NoSuch,
}

#[derive(Debug)]
struct Seat {
    name: MemberName,
    certificate: Digest,
    node: NodeSigner,
    validator: SigningKey,
}

#[derive(Debug)]
enum NodeSigner {
    Ed25519(SigningKey),
    P256(p256::ecdsa::SigningKey),
}

impl Seat {
    fn signer(&self) -> SigningNode<'_> {
        SigningNode {
            member: &self.name,
            certificate: self.certificate,
            algorithm: match self.node {
                NodeSigner::Ed25519(_) => Algorithm::EdDsa,
                NodeSigner::P256(_) => Algorithm::Es256,
            },
        }
    }

    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        match &self.node {
            NodeSigner::Ed25519(key) => key.sign(bytes).to_bytes(),
            NodeSigner::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(bytes);
                signature.to_bytes().into()
            }
        }
    }
}

impl Forge {
    /// Founds a network of the members named, in the order of their names, each of which validates.
    pub fn found(names: &[&str]) -> Result<Self, ForgeError> {
        Self::found_with(names, None, |_| None)
    }

    /// The same, of members whose nodes have P-256 keys.
    pub fn found_es256(names: &[&str]) -> Result<Self, ForgeError> {
        Self::found_of(names, None, |_| None, Algorithm::Es256)
    }

    /// The same, governed by `rules`, of validators that cosign checkpoints with the key that `cosigner` makes of their
    /// seed, too.
    pub fn found_with(
        names: &[&str],
        rules: Option<Rules>,
        cosigner: impl Fn(&[u8; 32]) -> Option<MlDsa44Key>,
    ) -> Result<Self, ForgeError> {
        Self::found_of(names, rules, cosigner, Algorithm::EdDsa)
    }

    fn found_of(
        names: &[&str],
        rules: Option<Rules>,
        cosigner: impl Fn(&[u8; 32]) -> Option<MlDsa44Key>,
        algorithm: Algorithm,
    ) -> Result<Self, ForgeError> {
        let mut names = names.to_vec();
        names.sort_unstable();
        let mut members = Vec::new();
        let mut seats = Vec::new();
        for (name, at) in names.iter().zip(0_u8..) {
            let (mut member, seat) = seat(name, at, algorithm)?;
            member.cosigner = cosigner(&seat.validator.into());
            members.push(member);
            seats.push(seat);
        }
        let genesis = Genesis {
            name: "forged".to_owned(),
            time: FOUNDED,
            members,
            rules,
        };
        Ok(Self {
            genesis,
            seats,
            blocks: Vec::new(),
            statements: 0,
            log: LogAppend::after(0),
            state: MemoryState::default(),
        })
    }

    /// What the network started from.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The blocks after block 0.
    pub fn blocks(&self) -> &[Forged] {
        &self.blocks
    }

    /// The seed of the key with which `member` validates.
    pub fn validator_seed(&self, member: &str) -> Option<[u8; 32]> {
        let seat = self.seats.iter().find(|seat| seat.name.as_str() == member);
        seat.map(|seat| seat.validator.into())
    }

    /// The seed of the Ed25519 key of `member`'s node, and the SHA-256 of the certificate of that key.
    pub fn node_seed(&self, member: &str) -> Option<([u8; 32], Digest)> {
        let seat = self.seats.iter().find(|seat| seat.name.as_str() == member);
        let Some(NodeSigner::Ed25519(node)) = seat.map(|seat| &seat.node) else {
            return None;
        };
        Some(((*node).into(), seat?.certificate))
    }

    /// A statement of `member` with `items`.
    pub fn statement(
        &mut self,
        member: &str,
        items: Vec<Item>,
    ) -> Result<SubmittedStatement, ForgeError> {
        self.statement_until(member, items, Height(9_000))
    }

    /// A statement of `member` with `items` that may be final up to `expires_at`.
    pub fn statement_until(
        &mut self,
        member: &str,
        items: Vec<Item>,
        expires_at: Height,
    ) -> Result<SubmittedStatement, ForgeError> {
        let network = self.genesis.network();
        let (id, seat) = self.next(member)?;
        let frame = (network, id, expires_at);
        let sign = |bytes: &[u8]| Ok(seat.sign(bytes));
        SubmittedStatement::sign_items(seat.signer(), frame, items, sign)
    }

    /// A command of `member` to `contract`.
    pub fn command(
        &mut self,
        member: &str,
        contract: u16,
        command: Vec<u8>,
    ) -> Result<SubmittedStatement, ForgeError> {
        let network = self.genesis.network();
        let (id, seat) = self.next(member)?;
        let payload = Payload {
            network,
            id,
            expires_at: Height(9_000),
            body: Body::Command { contract, command },
        };
        let sign = |bytes: &[u8]| Ok(seat.sign(bytes));
        SubmittedStatement::sign(seat.signer(), payload, Vec::new(), sign)
    }

    fn next(&mut self, member: &str) -> Result<(StatementId, &Seat), ForgeError> {
        let mut seats = self.seats.iter();
        let seat = seats.find(|seat| seat.name.as_str() == member);
        let mut id = [0; 16];
        id[8..].copy_from_slice(&self.statements.to_be_bytes());
        self.statements += 1;
        Ok((StatementId(id), seat.ok_or(ForgeError::NoSuch)?))
    }

    /// Appends a block with `statements`, taking them as they are, rules broken or not.
    pub fn append(&mut self, statements: &[SubmittedStatement]) -> Result<&Forged, ForgeError> {
        let mut entries = Vec::new();
        for statement in statements {
            let leaf = log::leaf_hash(statement.envelope());
            let index = self.log.push(leaf, &Empty)?;
            entries.extend(anchor::entries(&machine::plan(statement), index));
        }
        let parent = match self.blocks.last() {
            Some(forged) => forged.block.header.clone(),
            None => Block::genesis(&self.genesis).header,
        };
        let state_root = if entries.is_empty() {
            parent.state_root
        } else {
            self.state.insert(entries)?
        };
        let validators = self.genesis.validators();
        let statements: Vec<_> = statements.iter().map(SubmittedStatement::encode).collect();
        let header = Header {
            network: self.genesis.network(),
            epoch: Epoch(0),
            height: parent.height.next(),
            time: BlockTime(parent.time.0 + BLOCK_INTERVAL_MS),
            parent: parent.digest(),
            validators: validators.digest(&validators),
            body: Digest::of(&body_of(&statements)),
            log_root: self.log.root(&Empty)?,
            log_size: self.log.size(),
            state_root,
        };
        let finality = self.certify(&header);
        let block = Block { header, statements };
        self.blocks.push(Forged { block, finality });
        self.blocks.last().ok_or(ForgeError::NoSuch)
    }

    /// A certificate of `header` by all validators, whatever the header says.
    pub fn certify(&self, header: &Header) -> FinalityCertificate {
        let mut certificate = FinalityCertificate {
            epoch: 0,
            view: header.height.0,
            parent_view: header.height.0.saturating_sub(1),
            block: header.digest(),
            votes: Vec::new(),
        };
        let message = certificate.signed_bytes(self.genesis.network());
        let mut keys: Vec<&SigningKey> = self.seats.iter().map(|seat| &seat.validator).collect();
        keys.sort_by_key(|key| public(key));
        let votes = (0_u16..).zip(keys).map(|(validator, key)| Vote {
            validator,
            signature: key.sign(&message).to_bytes().into(),
        });
        certificate.votes = votes.collect();
        certificate
    }

    /// The ledger's dump; only the blocks for which `has_certificate` holds carry theirs.
    pub fn dump(&self, has_certificate: impl Fn(Height) -> bool) -> Vec<u8> {
        let entry = |Forged { block, finality }: &Forged| {
            dump::entry(
                block,
                has_certificate(block.header.height).then_some(finality),
            )
        };
        let blocks = self.blocks.iter().flat_map(entry);
        dump::start(self.genesis.network())
            .into_iter()
            .chain(blocks)
            .collect()
    }

    /// A checkpoint of the newest log, signed by the first `signers` members, and their signatures for receipts.
    ///
    /// With `root`, of another log than the real one.
    pub fn checkpoint(
        &self,
        signers: usize,
        root: Option<Digest>,
    ) -> Result<(SignedCheckpoint, Vec<RootSignature>), ForgeError> {
        let network = self.genesis.network();
        let root = root.map_or_else(|| self.log.root(&Empty), Ok)?;
        let mut note = SignedCheckpoint::unsigned(Checkpoint::of(network, self.log.size(), root));
        let mut signatures = Vec::new();
        for seat in self.seats.iter().take(signers) {
            let signatory = Signatory {
                member: seat.name.clone(),
                vote: public(&seat.validator),
                cosigner: None,
            };
            let keys = CosignerKeys::of(network, &signatory)?;
            for (key, seconds) in [(&keys.log, 0), (&keys.ed25519, SIGNED_AT)] {
                let message = key.message(&note.checkpoint, seconds)?;
                note.add(key, seconds, &seat.validator.sign(&message).to_bytes());
            }
            let sign = |bytes: &[u8]| Ok::<_, ForgeError>(seat.sign(bytes));
            let root = (self.log.size(), root);
            signatures.push(RootSignature::sign(seat.signer(), root, sign)?);
        }
        Ok((note, signatures))
    }

    /// The log, for proofs about it.
    pub fn log(&self) -> &LogAppend {
        &self.log
    }

    /// The receipt of an item under the newest header, with proofs that the tags `absent` are not used.
    pub fn receipt(&self, item: &Item, absent: &[Tag]) -> Result<Receipt, ForgeError> {
        let newest = self.blocks.last().ok_or(ForgeError::NoSuch)?;
        let mut index = 0;
        for bytes in self
            .blocks
            .iter()
            .flat_map(|forged| &forged.block.statements)
        {
            let statement = SubmittedStatement::decode(bytes).map_err(|_| ForgeError::NoSuch)?;
            let Some(at) = statement.items().iter().position(|one| one == item) else {
                index += 1;
                continue;
            };
            let prove = |tag: &Tag| {
                let key = StateKey::of_tag(statement.member(), *tag);
                let proof = self.state.prove_absent(key)?;
                Ok::<_, StateError>(Absence { tag: *tag, proof })
            };
            return Ok(Receipt {
                item: item.to_bytes(),
                item_path: statement.item_path(u16::try_from(at).unwrap_or(u16::MAX))?,
                statement: statement.envelope().to_vec(),
                log_path: log::prove_inclusion(index, self.log.size(), &self.log)?,
                header: newest.block.header.clone(),
                finality: newest.finality.clone(),
                absent: absent.iter().map(prove).collect::<Result<_, _>>()?,
                succession: None,
                cosigned: None,
            });
        }
        Err(ForgeError::NoSuch)
    }
}

fn seat(name: &str, at: u8, algorithm: Algorithm) -> Result<(Member, Seat), ForgeError> {
    let key = |purpose: u8| {
        let seed = Digest::of(&[at, purpose]).0;
        let der = [PKCS8.as_slice(), &seed].concat();
        KeyPair::try_from(der).map(|pair| (SigningKey::from_bytes(&seed), pair))
    };
    let (_, authority) = key(0)?;
    let (node, node_pair) = match algorithm {
        Algorithm::EdDsa => key(1).map(|(node, pair)| (NodeSigner::Ed25519(node), pair))?,
        Algorithm::Es256 => p256_key(&Digest::of(&[at, 1]).0)?,
    };
    let (validator, _) = key(2)?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_certificate = params.self_signed(&authority)?.der().to_vec();
    let issuer = Issuer::new(params, authority);
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2036, 1, 1);
    let certificate = params.signed_by(&node_pair, &issuer)?.der().to_vec();
    let name: MemberName = name.parse()?;
    let seat = Seat {
        name: name.clone(),
        certificate: Digest::of(&certificate),
        node,
        validator,
    };
    let member = Member {
        name,
        authority: authority_certificate,
        node: certificate,
        validator: Some(public(&validator)),
        cosigner: None,
    };
    Ok((member, seat))
}

fn p256_key(private: &[u8; 32]) -> Result<(NodeSigner, KeyPair), ForgeError> {
    let key = p256::ecdsa::SigningKey::from_slice(private).map_err(|_| ForgeError::NoSuch)?;
    let der = key.to_pkcs8_der().map_err(|_| ForgeError::NoSuch)?;
    let pair = KeyPair::try_from(der.as_bytes())?;
    Ok((NodeSigner::P256(key), pair))
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey(VerificationKey::from(key).into())
}
