//! A ledger in memory: the real rules, log, state and receipts, with one validator and no consensus.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use contracts::governance::{self, Command};
use contracts::machine::{self, Context, Draft, Signature};
use contracts::membership::Registry;
use ed25519_zebra::{SigningKey, VerificationKey};
use ledger::block::{Block, Header, body_of};
use ledger::finality::{FinalityCertificate, Vote};
use ledger::genesis::{Genesis, Member, PublicKey};
use ledger::ids::{BlockTime, Digest, MemberName, NetworkId, Tag};
use ledger::item::Item;
use ledger::log::{Empty, LogAppend, leaf_hash, prove_inclusion};
use ledger::receipt::{Absence, Receipt, Trust};
use ledger::state::{MemoryState, StateKey, StateRoot};
use ledger::statement::{Body, Payload, SubmittedStatement};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ED25519, date_time_ymd,
};
use tokio::sync::watch;

use crate::chain::{Position, StoreError, SubmitError, Tip};
use crate::custody::Anchor;
use crate::outbox::{Signer, Speaker};

/// 2026-06-01, within the certificates' validity.
pub(super) const JUNE: u64 = 1_780_272_000_000;

#[derive(Clone)]
pub(crate) struct Ledger(Arc<Shared>);

struct Shared {
    genesis: Genesis,
    validator: SigningKey,
    signers: BTreeMap<MemberName, (Digest, SigningKey)>,
    state: Mutex<State>,
    tips: watch::Sender<Tip>,
}

struct State {
    header: Header,
    used: BTreeSet<StateKey>,
    tree: MemoryState,
    log: LogAppend,
    changes: u64,
    statements: Vec<SubmittedStatement>,
    positions: BTreeMap<StateKey, Position>,
    pool: Vec<SubmittedStatement>,
    /// Everything that was ever handed to the ledger.
    submitted: Vec<Vec<u8>>,
    is_reachable: bool,
    is_live: bool,
    time: u64,
    registry: Arc<Registry>,
}

impl Ledger {
    pub(crate) fn of(names: &[&str]) -> Self {
        let validator = SigningKey::from_bytes(&[7; 32]);
        let key = PublicKey(VerificationKey::from(&validator).into());
        let mut members = Vec::new();
        let mut signers = BTreeMap::new();
        for (at, name) in names.iter().enumerate() {
            let (member, signing) = member(name, (at == 0).then_some(key));
            signers.insert(member.name.clone(), (Digest::of(&member.node), signing));
            members.push(member);
        }
        let genesis = Genesis {
            name: "test".to_owned(),
            time: BlockTime(JUNE),
            members,
            rules: None,
        };
        let header = Block::genesis(&genesis).header;
        let tip = tip_of(&header, 0);
        Self(Arc::new(Shared {
            genesis: genesis.clone(),
            validator,
            signers,
            state: Mutex::new(State {
                header,
                used: BTreeSet::new(),
                tree: MemoryState::default(),
                log: LogAppend::after(0),
                changes: 0,
                statements: Vec::new(),
                positions: BTreeMap::new(),
                pool: Vec::new(),
                submitted: Vec::new(),
                is_reachable: true,
                is_live: true,
                time: JUNE,
                registry: Arc::new(Registry::from_genesis(&genesis).unwrap()),
            }),
            tips: watch::Sender::new(tip),
        }))
    }

    pub(crate) fn signer(&self, member: &str) -> Signer {
        let (certificate, key) = self.0.signers[&member.parse::<MemberName>().unwrap()];
        Signer::from(Speaker {
            certificate,
            algorithm: ledger::node_key::Algorithm::EdDsa,
            sign: Arc::new(move |bytes| Ok(key.sign(bytes).to_bytes())),
        })
    }

    pub(crate) fn trust(
        &self,
    ) -> Trust<impl Fn(&MemberName, Digest) -> Option<ledger::node_key::NodeKey> + use<>> {
        contracts::trust::trust(&self.0.genesis, None).unwrap()
    }

    /// Whether statements are taken at all.
    pub(super) fn reach(&self, is_reachable: bool) {
        self.state().is_reachable = is_reachable;
    }

    /// Whether what was taken becomes final at once.
    pub(super) fn live(&self, is_live: bool) {
        let mut state = self.state();
        state.is_live = is_live;
        if is_live {
            self.settle(&mut state);
        }
    }

    /// Forgets what was taken and is not final, as a restarted node does.
    pub(super) fn forget_pool(&self) {
        self.state().pool.clear();
    }

    /// Finalises empty blocks, so that time and height go on.
    pub(super) fn pass(&self, heights: u64, milliseconds: u64) {
        let mut state = self.state();
        for _ in 0..heights {
            self.finalise(&mut state, Vec::new(), 1);
        }
        self.finalise(&mut state, Vec::new(), milliseconds);
    }

    pub(super) fn submitted(&self) -> Vec<Vec<u8>> {
        self.state().submitted.clone()
    }

    pub(super) fn statements(&self) -> Vec<SubmittedStatement> {
        self.state().statements.clone()
    }

    /// Puts items on the ledger that did not come from an outbox.
    pub(super) fn record(&self, member: &str, items: Vec<Item>) {
        let (certificate, key) = self.0.signers[&member.parse::<MemberName>().unwrap()];
        let frame = (
            self.0.genesis.network(),
            ledger::statement::StatementId(crate::custody::keys::random()),
            ledger::ids::Height(self.tip().height.0 + 10),
        );
        let sign = |bytes: &[u8]| Ok::<_, ()>(key.sign(bytes).to_bytes());
        let name = member.parse().unwrap();
        let statement = SubmittedStatement::sign_items((&name, certificate), frame, items, sign);
        self.submit(statement.unwrap()).unwrap();
    }

    /// Every member says the same, one block each.
    pub(super) fn all_say(&self, commands: impl Fn(&MemberName) -> Command) {
        for (member, (certificate, key)) in &self.0.signers {
            let payload = Payload {
                network: self.0.genesis.network(),
                id: ledger::statement::StatementId(crate::custody::keys::random()),
                expires_at: ledger::ids::Height(self.tip().height.0 + 10),
                body: Body::Command {
                    contract: governance::CONTRACT,
                    command: commands(member).encode(),
                },
            };
            let sign = |bytes: &[u8]| Ok::<_, ()>(key.sign(bytes).to_bytes());
            let signer = (member, *certificate);
            let statement = SubmittedStatement::sign(signer, payload, Vec::new(), sign);
            self.submit(statement.unwrap()).unwrap();
        }
    }

    /// What was taken becomes final.
    fn settle(&self, state: &mut State) {
        for statement in std::mem::take(&mut state.pool) {
            if let Ok(registry) = self.judge(state, &statement) {
                if let Some(registry) = registry {
                    state.registry = Arc::new(registry);
                }
                self.finalise(state, vec![statement], 1);
            }
        }
    }

    /// What the statement makes of the registry, if it changes it.
    fn judge(
        &self,
        state: &State,
        statement: &SubmittedStatement,
    ) -> Result<Option<Registry>, SubmitError> {
        let context = Context {
            network: self.0.genesis.network(),
            height: state.header.height.next(),
            time: BlockTime(state.time + 1),
            registry: &state.registry,
        };
        let keys = machine::plan(statement);
        let mut draft = Draft {
            used: state.used.clone(),
            registry: None,
        };
        let decision =
            machine::decide(&context, statement, Signature::Unchecked, &keys, &mut draft);
        if decision.is_err() && state.statements.contains(statement) {
            return Ok(None);
        }
        decision?;
        Ok(draft.finish(&state.registry))
    }

    fn finalise(&self, state: &mut State, statements: Vec<SubmittedStatement>, milliseconds: u64) {
        let bytes: Vec<_> = statements.iter().map(SubmittedStatement::encode).collect();
        for statement in statements {
            let leaf = leaf_hash(statement.envelope());
            let index = state.log.push(leaf, &Empty).unwrap();
            let keys = machine::plan(&statement);
            for (at, pair) in (0..).zip(keys.chunks(2)) {
                for key in pair {
                    let position = Position {
                        statement: index,
                        item: at,
                    };
                    state.positions.insert(*key, position);
                    state.used.insert(*key);
                }
            }
            let entries: Vec<_> = keys.iter().map(|key| (*key, vec![1])).collect();
            let root = state.tree.insert(entries).unwrap();
            state.changes += 1;
            state.header.state_root = root;
            state.statements.push(statement);
        }
        state.time += milliseconds;
        let parent = state.header.digest();
        state.header = Header {
            height: state.header.height.next(),
            time: BlockTime(state.time),
            parent,
            body: Digest::of(&body_of(&bytes)),
            log_root: state.log.root(&Empty).unwrap(),
            log_size: state.log.size(),
            ..state.header.clone()
        };
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
        let state = self.state();
        (self.tip(), Arc::clone(&state.registry))
    }

    fn subscribe(&self) -> watch::Receiver<Tip> {
        self.0.tips.subscribe()
    }

    fn submit(&self, statement: SubmittedStatement) -> Result<(), SubmitError> {
        let mut state = self.state();
        if !state.is_reachable {
            return Err(SubmitError::Full);
        }
        state.submitted.push(statement.encode());
        if state.pool.contains(&statement) {
            return Ok(());
        }
        self.judge(&state, &statement)?;
        if state.statements.contains(&statement) {
            return Ok(());
        }
        state.pool.push(statement);
        if state.is_live {
            self.settle(&mut state);
        }
        Ok(())
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
            cosigned: None,
            succession: None,
        }))
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

fn member(name: &str, validator: Option<PublicKey>) -> (Member, SigningKey) {
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
        validator,
        cosigner: None,
    };
    (member, SigningKey::from_bytes(&seed))
}
