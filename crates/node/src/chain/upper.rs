//! The upper nodes of the state tree, decoded and in memory: every block reads and rewrites them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use ledger::state::storage::{Node, NodeKey, TreeUpdateBatch};

/// Nibbles of the paths of the nodes that are kept: 16⁴ nodes and their ancestors at most, a kilobyte each.
const NIBBLES_MAX: usize = 4;

/// Current upper nodes as far as they were written since the node started; the others are in the database.
#[derive(Default)]
pub(super) struct Upper(RwLock<HashMap<NodeKey, Node>>);

impl Upper {
    pub(super) fn get(&self, key: &NodeKey) -> Option<Node> {
        if !is_upper(key) {
            return None;
        }
        let nodes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        nodes.get(key).cloned()
    }

    /// Follows a change that is in the database.
    pub(super) fn follow(&self, update: &TreeUpdateBatch) {
        let mut nodes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for stale in &update.stale_node_index_batch {
            if is_upper(&stale.node_key) {
                nodes.remove(&stale.node_key);
            }
        }
        let written = update.node_batch.nodes().iter();
        let upper =
            written.filter(|(key, node)| is_upper(key) && matches!(node, Node::Internal(_)));
        nodes.extend(upper.map(|(key, node)| (key.clone(), node.clone())));
    }
}

fn is_upper(key: &NodeKey) -> bool {
    key.nibble_path().num_nibbles() <= NIBBLES_MAX
}
