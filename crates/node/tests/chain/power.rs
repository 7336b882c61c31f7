//! The power goes between any two writes while a snapshot is taken over.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use ledger::ids::Height;
use node::chain::{
    Batch, Chain, JoinError, Joining, Keyspace, OpenError, Ports, Range, Row, Rows, RowsError,
    Snapshots as _,
};

use super::*;
use crate::joining::{Local, offered, record};

type Place = (Keyspace, Vec<u8>);
type Content = BTreeMap<Place, Arc<[u8]>>;

/// Rows in memory: what is durable, what is written, and how many writes are left.
#[derive(Default)]
struct Memory(Mutex<(Content, Content, Option<usize>)>);

struct Changes<'a>(&'a Memory, Vec<(Place, Option<Arc<[u8]>>)>);

impl Memory {
    /// The rows after a loss of power, with what was written and not synced or without it.
    fn after_the_crash(&self, keeps_unsynced: bool) -> Arc<Self> {
        let state = self.0.lock().unwrap();
        let left = if keeps_unsynced { &state.1 } else { &state.0 };
        Arc::new(Self(Mutex::new((left.clone(), left.clone(), None))))
    }
}

impl Rows for Memory {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Row>, RowsError> {
        let state = self.0.lock().unwrap();
        Ok(state
            .1
            .get(&(keyspace, key.to_vec()))
            .cloned()
            .map(Row::from))
    }

    fn contains(&self, keyspace: Keyspace, key: &[u8]) -> Result<bool, RowsError> {
        Ok(self.get(keyspace, key)?.is_some())
    }

    fn range(&self, keyspace: Keyspace, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Range<'_> {
        let state = self.0.lock().unwrap();
        let inside = |key: &[u8]| {
            let range = (from.map(<[u8]>::to_vec), to.map(<[u8]>::to_vec));
            std::ops::RangeBounds::contains(&range, &key.to_vec())
        };
        let rows = state.1.iter();
        let rows = rows.filter(|((space, key), _)| *space == keyspace && inside(key));
        let rows = rows.map(|((_, key), row)| {
            let key: Arc<[u8]> = key.as_slice().into();
            Ok((Row::from(key), Row::from(Arc::clone(row))))
        });
        Box::new(rows.collect::<Vec<_>>().into_iter())
    }

    fn batch(&self) -> Box<dyn Batch + '_> {
        Box::new(Changes(self, Vec::new()))
    }

    fn disk_bytes(&self) -> Result<u64, RowsError> {
        Ok(0)
    }
}

impl Batch for Changes<'_> {
    fn insert(&mut self, keyspace: Keyspace, key: &[u8], row: &[u8]) {
        self.1.push(((keyspace, key.to_vec()), Some(row.into())));
    }

    fn remove_once(&mut self, keyspace: Keyspace, key: &[u8]) {
        self.1.push(((keyspace, key.to_vec()), None));
    }

    fn commit(self: Box<Self>, durable: bool) -> Result<(), RowsError> {
        let mut state = self.0.0.lock().unwrap();
        match &mut state.2 {
            Some(0) => return Err(RowsError::new("the power is gone")),
            Some(left) => *left -= 1,
            None => {}
        }
        for (place, content) in self.1 {
            match content {
                Some(row) => state.1.insert(place, row),
                None => state.1.remove(&place),
            };
        }
        if durable {
            state.0 = state.1.clone();
        }
        Ok(())
    }
}

/// Takes a snapshot over, page by page.
fn take(founding: &Founding, peer: &Local, rows: Arc<Memory>) -> Result<Height, JoinError> {
    let chain = &peer.1;
    let offer = chain.offer().unwrap().unwrap();
    let height = offer.block.header.height;
    let mut joining = Joining::begin_on(founding.genesis.clone(), offer, rows)?;
    while joining.leaves().0 < joining.leaves().1 {
        let mut page = chain.leaves(height, joining.leaves().0).unwrap().unwrap();
        page.leaves.truncate(3);
        joining.add_leaves(&page)?;
    }
    while let Some(from) = joining.next_entry() {
        let mut page = chain.state(height, from).unwrap().unwrap();
        if page.entries.len() > 5 {
            page.next = Some(page.entries[5].key);
            page.entries.truncate(5);
        }
        joining.add_entries(&page)?;
    }
    let own = &founding.seats[0].name;
    let page = chain.statements(height, own, 0).unwrap().unwrap();
    joining.add_statements(own, &page)?;
    joining.finish(None).map(|tip| tip.height)
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_part_of_a_snapshot_is_never_taken_for_a_chain() {
    let founding = Founding::of(&["clinic"]);
    let clinic = founding.start(0);
    record(&founding, &clinic, 0, 0..8).await;
    offered(&clinic, 8).await;
    let peer = Local("clinic", clinic.chain.clone());
    clinic.stop().await;
    let mut whole = 0;
    for writes in 0.. {
        let rows = Arc::new(Memory::default());
        rows.0.lock().unwrap().2 = Some(writes);
        let taken = take(&founding, &peer, Arc::clone(&rows));
        for keeps_unsynced in [false, true] {
            let ports = Ports {
                rows: rows.after_the_crash(keeps_unsynced),
                clock: Arc::new(|| 0),
                timer: Arc::new(|time| Box::pin(tokio::time::sleep(time))),
            };
            let opened = Chain::open_on(founding.genesis.clone(), ports);
            match (&taken, opened) {
                (Ok(height), Ok(chain)) => {
                    assert_eq!(chain.tip().height, *height);
                    let tag = founding.numbered(0, 3, 3).items()[1].tags[0];
                    let position = chain.locate(&founding.seats[0].name, tag).unwrap();
                    let receipt = chain.receipt(position.unwrap(), &[Tag([9; 16])]).unwrap();
                    assert!(receipt.unwrap().verify(&founding.trust()).is_ok());
                    whole += 1;
                }
                (Err(JoinError::Store(_)), Err(OpenError::JoiningUnfinished)) => {
                    assert!(writes > 0)
                }
                (Err(JoinError::Store(_)), Ok(chain)) => {
                    assert_eq!((writes, chain.tip().height), (0, Height(0)));
                }
                (taken, opened) => panic!("{writes} writes: {taken:?}, {opened:?}"),
            }
        }
        if whole > 0 {
            assert!(
                writes > 10,
                "there are pages between which the power may go"
            );
            break;
        }
    }
}
