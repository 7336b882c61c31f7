//! A ledger in memory: real statements, log, state and receipts, with one validator and no consensus.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use contracts::machine::{self, Context, Draft, Signature};
use contracts::membership::Registry;
use ed25519_zebra::{SigningKey, VerificationKey};
use ledger::block::{Block, Header, body_of};
use ledger::checkpoint::{Checkpoint, CosignerKeys, SignedCheckpoint};
use ledger::finality::{FinalityCertificate, Vote};
use ledger::genesis::{Genesis, Member, PublicKey};
use ledger::ids::{BlockTime, Digest, Height, MemberName, NetworkId, Tag};
use ledger::item::Item;
use ledger::log::tile::{self, Content, Tile};
use ledger::log::{
    ConsistencyPath, Empty, LogAppend, leaf_hash, prove_consistency, prove_inclusion,
};
use ledger::receipt::{Absence, Cosigned, Receipt, Trust};
use ledger::scitt::{Proof, RootSignature};
use ledger::snapshot::{Entry, EntryKey, LeafPage, Offer, StatePage, StatementPage};
use ledger::state::{MemoryState, StateKey, StateRoot};
use ledger::statement::SubmittedStatement;
use ledger::succession::Succession;
use node::chain::{Position, PublicLog, Snapshots, StoreError, SubmitError, Tip};
use node::custody::Anchor;
use node::outbox::{Signer, Speaker};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ED25519, date_time_ymd,
};
use tokio::sync::watch;

use super::JUNE_MS;

#[derive(Clone)]
pub(crate) struct Ledger(Arc<Shared>);

struct Shared {
    genesis: Genesis,
    registry: Registry,
    validator: SigningKey,
    signer: Signer,
    state: Mutex<State>,
    tips: watch::Sender<Tip>,
}

struct State {
    header: Header,
    tree: MemoryState,
    log: LogAppend,
    changes: u64,
    statements: Vec<SubmittedStatement>,
    positions: BTreeMap<StateKey, Position>,
    pool: Vec<SubmittedStatement>,
    is_live: bool,
    witnessed: Option<Vec<u8>>,
}

impl Ledger {
    /// A ledger whose only member is `name`.
    pub(crate) fn of(name: &str) -> Self {
        let validator = SigningKey::from_bytes(&[7; 32]);
        let key = PublicKey(VerificationKey::from(&validator).into());
        let (member, signing) = member(name, key);
        let signer = Signer::from(Speaker {
            certificate: Digest::of(&member.node),
            algorithm: ledger::node_key::Algorithm::EdDsa,
            sign: Arc::new(move |bytes| Ok(signing.sign(bytes).to_bytes())),
        });
        let genesis = Genesis {
            name: "test".to_owned(),
            time: BlockTime(JUNE_MS),
            members: vec![member],
            rules: None,
        };
        let header = Block::genesis(&genesis).header;
        let tips = watch::Sender::new(tip_of(&header, 0));
        Self(Arc::new(Shared {
            registry: Registry::from_genesis(&genesis).unwrap(),
            genesis,
            validator,
            signer,
            state: Mutex::new(State {
                header,
                tree: MemoryState::default(),
                log: LogAppend::after(0),
                changes: 0,
                statements: Vec::new(),
                positions: BTreeMap::new(),
                pool: Vec::new(),
                is_live: true,
                witnessed: None,
            }),
            tips,
        }))
    }

    /// The network's only validator.
    pub(crate) fn validator(&self) -> (MemberName, [u8; 32]) {
        let seat = &self.0.genesis.members[0];
        (seat.name.clone(), seat.validator.unwrap().0)
    }

    pub(crate) fn signer(&self) -> Signer {
        self.0.signer.clone()
    }

    pub(crate) fn trust(
        &self,
    ) -> Trust<impl Fn(&MemberName, Digest) -> Option<ledger::node_key::NodeKey> + use<>> {
        contracts::trust::trust(&self.0.genesis, None).unwrap()
    }

    /// Whether what was taken becomes final at once.
    pub(crate) fn live(&self, is_live: bool) {
        let mut state = self.state();
        state.is_live = is_live;
        for statement in std::mem::take(&mut state.pool) {
            self.take(&mut state, statement).unwrap();
        }
    }

    /// Makes final what keeps the rules, or has it wait.
    fn take(&self, state: &mut State, statement: SubmittedStatement) -> Result<(), SubmitError> {
        if state.statements.contains(&statement) || state.pool.contains(&statement) {
            return Ok(());
        }
        let context = Context {
            network: self.0.genesis.network(),
            height: state.header.height.next(),
            time: BlockTime(state.header.time.0 + 1),
            registry: &self.0.registry,
        };
        let keys = machine::plan(&statement);
        let mut draft = Draft {
            used: state.positions.keys().copied().collect(),
            registry: None,
        };
        machine::decide(
            &context,
            &statement,
            Signature::Unchecked,
            &keys,
            &mut draft,
        )?;
        if state.is_live {
            self.finalise(state, statement);
        } else {
            state.pool.push(statement);
        }
        Ok(())
    }

    fn finalise(&self, state: &mut State, statement: SubmittedStatement) {
        let leaf = leaf_hash(statement.envelope());
        let index = state.log.push(leaf, &Empty).unwrap();
        let keys = machine::plan(&statement);
        for (item, pair) in (0..).zip(keys.chunks(2)) {
            for key in pair {
                let position = Position {
                    statement: index,
                    item,
                };
                state.positions.insert(*key, position);
            }
        }
        let entries: Vec<_> = keys.iter().map(|key| (*key, vec![1])).collect();
        let root = state.tree.insert(entries).unwrap();
        state.changes += 1;
        state.header = Header {
            height: state.header.height.next(),
            time: BlockTime(state.header.time.0 + 1),
            parent: state.header.digest(),
            body: Digest::of(&body_of(&[statement.encode()])),
            log_root: state.log.root(&Empty).unwrap(),
            log_size: state.log.size(),
            state_root: root,
            ..state.header.clone()
        };
        state.statements.push(statement);
        let tip = tip_of(&state.header, state.changes);
        self.0.tips.send_replace(tip);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }
}

impl Anchor for Ledger {
    fn network(&self) -> NetworkId {
        self.0.genesis.network()
    }

    fn tip(&self) -> Tip {
        *self.0.tips.borrow()
    }

    fn governed(&self) -> (Tip, Arc<Registry>) {
        (*self.0.tips.borrow(), Arc::new(self.0.registry.clone()))
    }

    fn subscribe(&self) -> watch::Receiver<Tip> {
        self.0.tips.subscribe()
    }

    fn submit(&self, statement: SubmittedStatement) -> Result<(), SubmitError> {
        self.take(&mut self.state(), statement)
    }

    fn locate(&self, member: &MemberName, tag: Tag) -> Result<Option<Position>, StoreError> {
        let key = StateKey::of_tag(member, tag);
        Ok(self.state().positions.get(&key).copied())
    }

    fn item(&self, position: Position) -> Result<(MemberName, Item), StoreError> {
        let state = self.state();
        let statement = &state.statements[usize::try_from(position.statement).unwrap()];
        let item = statement.items()[usize::from(position.item)];
        Ok((statement.member().clone(), item))
    }

    fn receipt(&self, position: Position, absent: &[Tag]) -> Result<Option<Receipt>, StoreError> {
        let cosigned = self.cosigned(position.statement)?;
        let state = self.state();
        let statement = &state.statements[usize::try_from(position.statement).unwrap()];
        let item = statement.items()[usize::from(position.item)];
        let absence = |tag: &Tag| {
            let key = StateKey::of_tag(statement.member(), *tag);
            let proof = state.tree.prove_absent(key).ok()?;
            Some(Absence { tag: *tag, proof })
        };
        let mut finality = FinalityCertificate {
            epoch: 0,
            view: state.header.height.0,
            parent_view: state.header.height.0 - 1,
            block: state.header.digest(),
            votes: Vec::new(),
        };
        let message = finality.signed_bytes(self.0.genesis.network());
        finality.votes.push(Vote {
            validator: 0,
            signature: self.0.validator.sign(&message).to_bytes().into(),
        });
        let log_path = prove_inclusion(position.statement, state.log.size(), &state.log);
        Ok(Some(Receipt {
            item: item.to_bytes(),
            item_path: statement.item_path(position.item).unwrap(),
            statement: statement.envelope().to_vec(),
            log_path: log_path.unwrap(),
            header: state.header.clone(),
            finality,
            absent: absent.iter().filter_map(absence).collect(),
            cosigned,
            succession: None,
        }))
    }
}

impl PublicLog for Ledger {
    fn checkpoint(&self) -> Option<Vec<u8>> {
        let network = self.0.genesis.network();
        let keys = CosignerKeys::of(network, &self.0.genesis.signatories()[0]).unwrap();
        let checkpoint = {
            let state = self.state();
            let root = state.log.root(&Empty).unwrap();
            Checkpoint::of(network, state.log.size(), root)
        };
        let message = keys.log.message(&checkpoint, 0).unwrap();
        let mut note = SignedCheckpoint::unsigned(checkpoint);
        note.add(&keys.log, 0, &self.0.validator.sign(&message).to_bytes());
        note.encode().ok()
    }

    fn tile(&self, tile: &Tile) -> Result<Option<Vec<u8>>, StoreError> {
        let state = self.state();
        if tile.content != Content::Entries {
            return Ok(tile.hashes(state.log.size(), &state.log).unwrap());
        }
        let (start, end) = tile.leaves().unwrap();
        let range = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
        let entries = state.statements.get(range).map(|statements| {
            let entries = statements.iter().map(|one| one.envelope().to_vec());
            tile::bundle(&entries.collect::<Vec<_>>()).unwrap()
        });
        Ok(entries)
    }

    fn find(&self, key: StateKey) -> Result<Option<u64>, StoreError> {
        let position = self.state().positions.get(&key).copied();
        Ok(position.map(|position| position.statement))
    }

    fn is_waiting(&self, key: StateKey) -> bool {
        let waits = |one: &SubmittedStatement| machine::plan(one).contains(&key);
        self.state().pool.iter().any(waits)
    }

    fn entry(&self, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let state = self.state();
        let statement = state.statements.get(usize::try_from(index).unwrap());
        Ok(statement.map(|statement| statement.envelope().to_vec()))
    }

    fn block(&self, height: Height) -> Result<Option<Vec<u8>>, StoreError> {
        match height.0 {
            1 => Err(StoreError::BlockNotKept(height)),
            2 => Err(StoreError::Damaged("block")),
            3 => Ok(Some(b"the third block".to_vec())),
            _ => Ok(None),
        }
    }

    fn cosigned(&self, index: u64) -> Result<Option<Cosigned>, StoreError> {
        let state = self.state();
        let root = state.log.root(&Empty).unwrap();
        Ok(Some(Cosigned {
            path: prove_inclusion(index, state.log.size(), &state.log).unwrap(),
            root,
            signatures: vec![self.root_signature((state.log.size(), root))],
        }))
    }

    fn consistency(&self, size: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let state = self.state();
        let Ok(path) = prove_consistency(size, state.log.size(), &state.log) else {
            return Ok(Vec::new());
        };
        let signature = self.root_signature((state.log.size(), state.log.root(&Empty).unwrap()));
        Ok(vec![signature.receipt(&Proof::Consistency(path))])
    }

    fn consistency_path(&self, older: u64, newer: u64) -> Result<ConsistencyPath, StoreError> {
        Ok(prove_consistency(older, newer, &self.state().log).unwrap())
    }

    fn witnessed(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state().witnessed.clone())
    }

    fn keep_witnessed(&self, note: &[u8]) -> Result<(), StoreError> {
        self.state().witnessed = Some(note.to_vec());
        Ok(())
    }

    fn registry(&self) -> Arc<Registry> {
        Arc::new(self.0.registry.clone())
    }

    fn succession(&self) -> Result<Option<Succession>, StoreError> {
        Ok(None)
    }
}

/// A node that keeps no bodies before its second statement, and offers one page of leaf hashes.
impl Snapshots for Ledger {
    fn offer(&self) -> Result<Option<Offer>, StoreError> {
        Ok(None)
    }

    fn leaves(&self, height: Height, _: u64) -> Result<Option<LeafPage>, StoreError> {
        let leaves = vec![Digest([7; 32])];
        Ok((height == Height(1)).then_some(LeafPage { leaves }))
    }

    fn state(&self, height: Height, from: EntryKey) -> Result<Option<StatePage>, StoreError> {
        let entry = Entry {
            key: from,
            value: vec![1; 10],
        };
        Ok((height == Height(1)).then_some(StatePage {
            entries: vec![entry],
            next: None,
        }))
    }

    fn statements(
        &self,
        _: Height,
        _: &MemberName,
        from: u64,
    ) -> Result<Option<StatementPage>, StoreError> {
        Ok(Some(StatementPage {
            blocks: Vec::new(),
            statements: Vec::new(),
            next: Some(from + 1),
        }))
    }

    fn submitted(&self, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if index == 0 {
            return Err(StoreError::NotKept(index));
        }
        Ok(None)
    }
}

impl Ledger {
    fn root_signature(&self, root: (u64, Digest)) -> RootSignature {
        let signer = &self.0.signer;
        let member = &self.0.genesis.members[0].name;
        let speaker = signer.speaker();
        RootSignature::sign(speaker.of(member), root, &*speaker.sign).unwrap()
    }
}

fn tip_of(header: &Header, changes: u64) -> Tip {
    Tip {
        height: header.height,
        time: header.time,
        digest: header.digest(),
        log_size: header.log_size,
        changes,
        state_root: if changes == 0 {
            StateRoot::EMPTY
        } else {
            header.state_root
        },
    }
}

fn member(name: &str, validator: PublicKey) -> (Member, SigningKey) {
    let authority_key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap().der().to_vec();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    let node = params.signed_by(&key, &issuer).unwrap().der().to_vec();
    // The seed follows the 16 bytes of PKCS #8 framing (RFC 8410 §7).
    let seed: [u8; 32] = key.serialize_der()[16..48].try_into().unwrap();
    let member = Member {
        name: name.parse().unwrap(),
        authority,
        node,
        validator: Some(validator),
        cosigner: None,
    };
    (member, SigningKey::from_bytes(&seed))
}
