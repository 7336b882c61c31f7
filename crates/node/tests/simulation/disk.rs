//! A disk in memory that loses, tears and refuses what a real one may.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use node::chain::{Batch, Keyspace, Range, Row, Rows, RowsError};

/// A row's place.
type Place = (Keyspace, Vec<u8>);
/// What a change puts there; nothing if it removes.
type Content = Option<Arc<[u8]>>;

/// How a broken store breaks the rules of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Says of every tag that it is unused.
    ForgetsTags,
    /// Says that what it holds in memory is durable.
    AcknowledgesEarly,
    /// After a crash, the second half of the write that was under way is there: the tip without what lies behind it.
    TearsBatches,
    /// Writes some log hashes wrongly.
    SpoilsHashes,
    /// Writes checkpoints that nobody has signed yet with another root.
    SpoilsCheckpoints,
}

/// What stays when the power goes, and who may write to it.
#[derive(Clone, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    rows: BTreeMap<Place, Arc<[u8]>>,
    /// How to undo what is not durable, a list for each batch.
    undo: Vec<Vec<(Place, Content)>>,
    backup: Option<BTreeMap<Place, Arc<[u8]>>>,
    session: u64,
    trap: Option<Trap>,
    full: bool,
    hidden: bool,
    /// Whether the power went in the middle of a write, and nobody has started since.
    is_dark: bool,
    refused: u64,
    flaw: Option<Flaw>,
}

/// A loss of power in the middle of a write.
#[derive(Clone, Copy)]
struct Trap {
    writes_left: u64,
    lands: bool,
}

/// The rows between one start and the next crash.
struct Session {
    disk: MemoryDisk,
    number: u64,
}

struct MemoryBatch<'a> {
    session: &'a Session,
    changes: Vec<(Place, Content)>,
}

impl MemoryDisk {
    pub(crate) fn with(flaw: Option<Flaw>) -> Self {
        let disk = Self::default();
        disk.state().flaw = flaw;
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The rows for a validator that starts; whoever had them before has lost them.
    pub(crate) fn open(&self) -> Arc<dyn Rows> {
        let mut state = self.state();
        state.session += 1;
        state.is_dark = false;
        let number = state.session;
        drop(state);
        Arc::new(Session {
            disk: self.clone(),
            number,
        })
    }

    /// Loses power: all but the first `kept` batches that are not durable are gone.
    pub(crate) fn crash(&self, kept: usize) {
        self.state().crash(kept);
    }

    /// Loses power in the middle of the `write`-th write from now.
    pub(crate) fn trap(&self, write: u64, lands: bool) {
        self.state().trap = Some(Trap {
            writes_left: write,
            lands,
        });
    }

    pub(crate) fn disarm(&self) {
        self.state().trap = None;
    }

    pub(crate) fn fill(&self, full: bool) {
        self.state().full = full;
    }

    pub(crate) fn back_up(&self) {
        let mut state = self.state();
        state.backup = Some(state.rows.clone());
    }

    /// Puts the last backup back, if there is one; only while no validator runs on it.
    pub(crate) fn restore(&self) {
        let mut state = self.state();
        state.crash(0);
        if let Some(rows) = state.backup.take() {
            state.rows = rows;
        }
    }

    pub(crate) fn hide(&self, hidden: bool) {
        self.state().hidden = hidden;
    }

    pub(crate) fn is_dark(&self) -> bool {
        self.state().is_dark
    }

    /// Whether it refuses nothing.
    pub(crate) fn is_sound(&self) -> bool {
        let state = self.state();
        !state.full && !state.hidden && !state.is_dark
    }

    /// Reads and writes that were refused so far.
    pub(crate) fn refused(&self) -> u64 {
        self.state().refused
    }

    /// Changes a bit of the row at `number` of the order of keys; says whether there is one.
    pub(crate) fn damage(&self, number: usize) -> bool {
        let mut state = self.state();
        let Some(at) = number.checked_rem(state.rows.len()) else {
            return false;
        };
        let Some(row) = state.rows.values_mut().nth(at) else {
            return false;
        };
        let mut bytes = row.to_vec();
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 1 << (number % 8);
        }
        *row = bytes.into();
        true
    }
}

impl State {
    fn crash(&mut self, kept: usize) {
        self.session += 1;
        self.trap = None;
        while self.undo.len() > kept {
            let batch = self.undo.pop().unwrap_or_default();
            for (place, before) in batch.into_iter().rev() {
                self.put(place, before);
            }
        }
        self.undo.clear();
    }

    fn put(&mut self, place: Place, content: Content) -> Content {
        match content {
            Some(row) => self.rows.insert(place, row),
            None => self.rows.remove(&place),
        }
    }

    fn write(&mut self, changes: Vec<(Place, Content)>, durable: bool) {
        let mut undo = Vec::new();
        for (place, content) in changes {
            let before = self.put(place.clone(), content);
            undo.push((place, before));
        }
        self.undo.push(undo);
        if durable && self.flaw != Some(Flaw::AcknowledgesEarly) {
            self.undo.clear();
        }
    }

    fn commit(
        &mut self,
        mut changes: Vec<(Place, Content)>,
        durable: bool,
    ) -> Result<(), RowsError> {
        if self.full {
            self.refused += 1;
            return Err(RowsError::new("no space left on device"));
        }
        let Some(trap) = &mut self.trap else {
            self.write(changes, durable);
            return Ok(());
        };
        trap.writes_left -= 1;
        if trap.writes_left > 0 {
            self.write(changes, durable);
            return Ok(());
        }
        let lands = trap.lands;
        if self.flaw == Some(Flaw::TearsBatches) {
            let second_half = changes.split_off(changes.len() / 2);
            self.write(second_half, true);
        } else if lands {
            self.write(changes, durable);
        }
        self.crash(0);
        self.is_dark = true;
        Err(RowsError::new("the power is gone"))
    }
}

impl Session {
    fn state(&self) -> Result<MutexGuard<'_, State>, RowsError> {
        let mut state = self.disk.state();
        if state.session != self.number {
            return Err(RowsError::new("the power is gone"));
        }
        if state.hidden {
            state.refused += 1;
            return Err(RowsError::new("input/output error"));
        }
        Ok(state)
    }
}

impl Rows for Session {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Row>, RowsError> {
        let state = self.state()?;
        Ok(state
            .rows
            .get(&(keyspace, key.to_vec()))
            .map(|row| Row::from(Arc::clone(row))))
    }

    fn contains(&self, keyspace: Keyspace, key: &[u8]) -> Result<bool, RowsError> {
        let state = self.state()?;
        if keyspace == Keyspace::Tags && state.flaw == Some(Flaw::ForgetsTags) {
            return Ok(false);
        }
        Ok(state.rows.contains_key(&(keyspace, key.to_vec())))
    }

    fn range(&self, keyspace: Keyspace, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Range<'_> {
        let state = match self.state() {
            Ok(state) => state,
            Err(error) => return Box::new(std::iter::once(Err(error))),
        };
        let place = |key: &[u8]| (keyspace, key.to_vec());
        let inside = |key: &[u8]| match to {
            Bound::Included(to) => key <= to,
            Bound::Excluded(to) => key < to,
            Bound::Unbounded => true,
        };
        let from = match from {
            Bound::Unbounded => Bound::Included(place(&[])),
            from => from.map(place),
        };
        let rows: Vec<_> = state
            .rows
            .range((from, Bound::Unbounded))
            .take_while(|((space, key), _)| *space == keyspace && inside(key))
            .map(|((_, key), row)| {
                let key = Arc::<[u8]>::from(key.as_slice());
                Ok((Row::from(key), Row::from(Arc::clone(row))))
            })
            .collect();
        Box::new(rows.into_iter())
    }

    fn batch(&self) -> Box<dyn Batch + '_> {
        Box::new(MemoryBatch {
            session: self,
            changes: Vec::new(),
        })
    }

    fn disk_bytes(&self) -> Result<u64, RowsError> {
        let state = self.state()?;
        let bytes = state
            .rows
            .iter()
            .map(|((_, key), row)| key.len() + row.len());
        Ok(bytes.sum::<usize>() as u64)
    }
}

impl Batch for MemoryBatch<'_> {
    fn insert(&mut self, keyspace: Keyspace, key: &[u8], row: &[u8]) {
        let mut row = row.to_vec();
        let flaw = self.session.disk.state().flaw;
        if keyspace == Keyspace::Hashes && flaw == Some(Flaw::SpoilsHashes) && key[7] % 4 == 3 {
            row[0] ^= 1;
        }
        if keyspace == Keyspace::Checkpoints && flaw == Some(Flaw::SpoilsCheckpoints) {
            spoil_root(&mut row);
        }
        self.changes
            .push(((keyspace, key.to_vec()), Some(row.into())));
    }

    fn remove_once(&mut self, keyspace: Keyspace, key: &[u8]) {
        self.changes.push(((keyspace, key.to_vec()), None));
    }

    fn commit(self: Box<Self>, durable: bool) -> Result<(), RowsError> {
        self.session.state()?.commit(self.changes, durable)
    }
}

/// Changes the root of a checkpoint's row that ends with it and an empty list of signatures.
fn spoil_root(row: &mut [u8]) {
    const EMPTY: u8 = 0x80;
    if let [.., last_of_root, EMPTY] = row {
        *last_of_root ^= 1;
    }
}

fn write(disk: &dyn Rows, key: u8, durable: bool) -> Result<(), RowsError> {
    let mut batch = disk.batch();
    batch.insert(Keyspace::Tags, &[key], &[key]);
    batch.insert(Keyspace::Blocks, &[key], &[key]);
    batch.commit(durable)
}

/// What is there of the batches with keys 0 to 3.
fn left(disk: &MemoryDisk) -> Vec<u8> {
    let rows = disk.open();
    let whole = |key: &u8| {
        let found = [Keyspace::Tags, Keyspace::Blocks];
        let found = found.map(|keyspace| rows.contains(keyspace, &[*key]).unwrap());
        assert_eq!(found[0], found[1], "half of a batch is visible");
        found[0]
    };
    (0..4).filter(whole).collect()
}

#[test]
fn a_crash_loses_what_is_not_durable_and_nothing_else() {
    let disk = MemoryDisk::default();
    let rows = disk.open();
    write(&*rows, 0, false).unwrap();
    write(&*rows, 1, true).unwrap();
    write(&*rows, 2, false).unwrap();
    write(&*rows, 3, false).unwrap();
    disk.crash(1);
    assert!(write(&*rows, 3, true).is_err(), "written after the crash");
    assert!(rows.get(Keyspace::Tags, &[0]).is_err());
    assert_eq!(left(&disk), [0, 1, 2]);
    disk.crash(0);
    assert_eq!(left(&disk), [0, 1, 2]);
}

#[test]
fn a_loss_of_power_leaves_the_whole_write_or_nothing_of_it() {
    for (lands, expected) in [(false, vec![0]), (true, vec![0, 1])] {
        let disk = MemoryDisk::default();
        let rows = disk.open();
        disk.trap(2, lands);
        write(&*rows, 0, true).unwrap();
        assert!(write(&*rows, 1, true).is_err());
        assert!(disk.is_dark());
        assert_eq!(left(&disk), expected);
        assert!(!disk.is_dark(), "it was started again");
    }
}

#[test]
fn a_full_disk_refuses_and_keeps_what_it_has() {
    let disk = MemoryDisk::default();
    let rows = disk.open();
    write(&*rows, 0, true).unwrap();
    disk.fill(true);
    assert!(write(&*rows, 1, true).is_err());
    disk.fill(false);
    write(&*rows, 2, true).unwrap();
    assert_eq!(left(&disk), [0, 2]);
}

#[test]
fn ranges_are_ordered_and_bounded() {
    let disk = MemoryDisk::default();
    let rows = disk.open();
    for key in [3, 1, 0, 2] {
        write(&*rows, key, true).unwrap();
    }
    let keys = |from, to| {
        let found = rows.range(Keyspace::Tags, from, to);
        found.map(|row| row.unwrap().0[0]).collect::<Vec<_>>()
    };
    assert_eq!(keys(Bound::Unbounded, Bound::Excluded(&[2])), [0, 1]);
    assert_eq!(
        keys(Bound::Included(&[1]), Bound::Included(&[3])),
        [1, 2, 3]
    );
    let mut all = rows.range(Keyspace::Blocks, Bound::Unbounded, Bound::Unbounded);
    assert_eq!(all.next_back().unwrap().unwrap().0[0], 3);
}
