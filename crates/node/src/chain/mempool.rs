//! The mempool: statements that were admitted and are not final yet.
//!
//! Each member has lanes of its own, and blocks are filled from all lanes alike: who submits more than the network takes
//! waits behind itself, not before others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use contracts::machine;
use ledger::ids::{Digest, MemberName};
use ledger::limits::MEMBERS_MAX;
use ledger::state::StateKey;
use ledger::statement::{Body, StatementError, SubmittedStatement};

/// Bytes of statements that wait here, but for what each lane may hold in any case.
const POOL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one lane.
const LANE_BYTES_MAX: usize = POOL_BYTES_MAX / 4;
/// Bytes that a lane may hold even while others have filled the pool.
const LANE_BYTES_KEPT: usize = POOL_BYTES_MAX / MEMBERS_MAX;

/// A statement, decoded once.
pub(super) struct Pooled {
    pub(super) digest: Digest,
    pub(super) bytes: Vec<u8>,
    pub(super) statement: SubmittedStatement,
    pub(super) keys: Vec<StateKey>,
}

impl Pooled {
    pub(super) fn decode(bytes: Vec<u8>) -> Result<Self, StatementError> {
        Ok(Self::of(SubmittedStatement::decode(&bytes)?, bytes))
    }

    pub(super) fn of(statement: SubmittedStatement, bytes: Vec<u8>) -> Self {
        let keys = machine::plan(&statement);
        Self {
            digest: Digest::of(&bytes),
            bytes,
            statement,
            keys,
        }
    }

    fn lane(&self) -> Lane {
        Lane {
            member: self.statement.member().clone(),
            commands: matches!(self.statement.payload().body, Body::Command { .. }),
        }
    }
}

/// Who waits in line. Commands do not wait behind their member's items: one of them may revoke the key that floods.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Lane {
    member: MemberName,
    commands: bool,
}

/// The statements of a lane by arrival.
#[derive(Default)]
struct Queue {
    statements: BTreeMap<u64, Arc<Pooled>>,
    bytes: usize,
}

/// Statements that have passed their signature check.
#[derive(Default)]
pub(super) struct Mempool {
    lanes: BTreeMap<Lane, Queue>,
    places: BTreeMap<Digest, (Lane, u64)>,
    next: u64,
    bytes: usize,
}

impl Mempool {
    /// Adds a statement; says whether there was room.
    pub(super) fn add(&mut self, statement: Arc<Pooled>) -> bool {
        if self.places.contains_key(&statement.digest) {
            return true;
        }
        let lane = statement.lane();
        let in_lane = self.lanes.get(&lane).map_or(0, |queue| queue.bytes) + statement.bytes.len();
        let is_full = self.bytes + statement.bytes.len() > POOL_BYTES_MAX;
        if in_lane > LANE_BYTES_MAX || is_full && in_lane > LANE_BYTES_KEPT {
            return false;
        }
        self.bytes += statement.bytes.len();
        self.places
            .insert(statement.digest, (lane.clone(), self.next));
        let queue = self.lanes.entry(lane).or_default();
        queue.bytes = in_lane;
        queue.statements.insert(self.next, statement);
        self.next += 1;
        true
    }

    pub(super) fn get(&self, digest: Digest) -> Option<Arc<Pooled>> {
        let (lane, arrival) = self.places.get(&digest)?;
        self.lanes.get(lane)?.statements.get(arrival).cloned()
    }

    pub(super) fn remove<'a>(&mut self, digests: impl IntoIterator<Item = &'a Digest>) {
        for digest in digests {
            let Some((lane, arrival)) = self.places.remove(digest) else {
                continue;
            };
            let Some(queue) = self.lanes.get_mut(&lane) else {
                continue;
            };
            if let Some(statement) = queue.statements.remove(&arrival) {
                queue.bytes -= statement.bytes.len();
                self.bytes -= statement.bytes.len();
            }
            if queue.statements.is_empty() {
                self.lanes.remove(&lane);
            }
        }
    }

    /// The statements whose turn it is, up to about twice `bytes`, so that some may be passed over: next is always that
    /// of the lane with the fewest bytes before it, and among such the one that arrived first.
    pub(super) fn first(&self, bytes: usize, but: &BTreeSet<Digest>) -> Vec<Arc<Pooled>> {
        let mut lanes: Vec<_> = self
            .lanes
            .values()
            .map(|queue| {
                let waiting = queue.statements.iter();
                waiting.filter(|(_, one)| !but.contains(&one.digest))
            })
            .collect();
        // Keys are bytes before it and arrival.
        let mut turns = BTreeMap::new();
        for (lane, waiting) in lanes.iter_mut().enumerate() {
            turns.extend(
                waiting
                    .next()
                    .map(|(arrival, one)| ((0, *arrival), (lane, one))),
            );
        }
        let (mut taken, mut first) = (0, Vec::new());
        while let Some(((before, _), (lane, one))) = turns.pop_first() {
            taken += one.bytes.len();
            if taken > 2 * bytes {
                break;
            }
            first.push(Arc::clone(one));
            let before = before + one.bytes.len();
            let next = lanes.get_mut(lane).and_then(Iterator::next);
            turns.extend(next.map(|(arrival, one)| ((before, *arrival), (lane, one))));
        }
        first
    }

    /// Whether anything waits that is not in `but`.
    pub(super) fn has_more_than(&self, but: &BTreeSet<Digest>) -> bool {
        self.places.keys().any(|digest| !but.contains(digest))
    }

    /// Whether a statement waits that uses `key`.
    pub(super) fn has_key(&self, key: StateKey) -> bool {
        let mut waiting = self
            .lanes
            .values()
            .flat_map(|queue| queue.statements.values());
        waiting.any(|one| one.keys.contains(&key))
    }

    /// Bytes that wait, by member.
    pub(super) fn bytes_by_member(&self) -> BTreeMap<MemberName, usize> {
        let mut bytes = BTreeMap::new();
        for (lane, queue) in &self.lanes {
            *bytes.entry(lane.member.clone()).or_default() += queue.bytes;
        }
        bytes
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use ledger::ids::{Height, NetworkId, Tag};
    use ledger::item::Item;
    use ledger::statement::{Payload, StatementId};

    use super::*;

    fn items(member: &str, number: u32, count: u8) -> Arc<Pooled> {
        let item = |at| Item {
            tags: [Tag([at; 16]); 2],
            commitment: Digest([at; 32]),
        };
        let statement = SubmittedStatement::sign_items(
            (&member.parse().unwrap(), Digest([0; 32])),
            (NetworkId(Digest([0; 32])), id(number), Height(1)),
            (0..count).map(item).collect(),
            |_| Ok::<_, ()>([0; 64]),
        );
        pooled(statement.unwrap())
    }

    fn command(member: &str, number: u32, bytes: usize) -> Arc<Pooled> {
        let payload = Payload {
            network: NetworkId(Digest([0; 32])),
            id: id(number),
            expires_at: Height(1),
            body: Body::Command {
                contract: 1,
                command: vec![0; bytes],
            },
        };
        let signer = (&member.parse().unwrap(), Digest([0; 32]));
        let sign = |_: &[u8]| Ok::<_, ()>([0; 64]);
        pooled(SubmittedStatement::sign(signer, payload, vec![], sign).unwrap())
    }

    fn id(number: u32) -> StatementId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        StatementId(id)
    }

    fn pooled(statement: SubmittedStatement) -> Arc<Pooled> {
        let bytes = statement.encode();
        Arc::new(Pooled::of(statement, bytes))
    }

    /// As many statements of the payer's as the pool takes.
    fn flooded() -> (Mempool, u32) {
        let mut pool = Mempool::default();
        let taken = (0..).take_while(|number| pool.add(items("payer", *number, 255)));
        let taken = u32::try_from(taken.count()).unwrap();
        (pool, taken)
    }

    #[test]
    fn who_floods_waits_behind_itself() {
        let (mut pool, _) = flooded();
        for number in 0..3 {
            assert!(pool.add(items("clinic", number, 16)));
        }
        let first = pool.first(1 << 20, &BTreeSet::new());
        let of_clinic = |one: &&Arc<Pooled>| one.statement.member().as_str() == "clinic";
        assert_eq!(first.iter().take(4).filter(of_clinic).count(), 3);
    }

    #[test]
    fn a_lane_takes_its_part_of_the_pool_and_no_more() {
        let (pool, taken) = flooded();
        assert!(pool.bytes <= LANE_BYTES_MAX && pool.bytes > LANE_BYTES_MAX / 2);
        assert_eq!(pool.len(), taken as usize);
    }

    #[test]
    fn a_full_pool_has_room_for_who_has_nothing_in_it() {
        let mut pool = Mempool::default();
        let mut fill = |member| {
            let before = pool.bytes;
            while pool.add(command(member, u32::try_from(pool.next).unwrap(), 60_000)) {}
            pool.bytes - before
        };
        let filled: usize = ["insurer", "laboratory", "payer", "pharmacy", "registry"]
            .map(&mut fill)
            .iter()
            .sum();
        assert!(filled > POOL_BYTES_MAX);
        let late = fill("clinic");
        assert!((LANE_BYTES_KEPT / 2..=LANE_BYTES_KEPT).contains(&late));
    }

    #[test]
    fn a_flood_of_items_does_not_hold_up_its_members_commands() {
        let (mut pool, _) = flooded();
        let revocation = command("payer", 0, 10);
        assert!(pool.add(Arc::clone(&revocation)));
        let first = pool.first(1 << 20, &BTreeSet::new());
        let at = first.iter().position(|one| one.digest == revocation.digest);
        assert_eq!(at, Some(1));
    }

    #[test]
    fn what_leaves_makes_room() {
        let (mut pool, taken) = flooded();
        let gone: Vec<_> = pool.places.keys().copied().collect();
        pool.remove(&gone);
        assert_eq!((pool.bytes, pool.lanes.len(), pool.len()), (0, 0, 0));
        assert!(pool.add(items("payer", taken, 255)));
    }
}
