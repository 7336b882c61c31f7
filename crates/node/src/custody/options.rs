//! What custody needs from the node.

use ledger::ids::MemberName;
use ledger::stream::RootKey;
use vault::blob::BlobConfig;

use super::RecordsConfig;
use super::upstream::UpstreamOptions;
use crate::chain::Clock;
use crate::outbox::{OutboxConfig, Signer};

/// What custody needs from the node.
#[derive(Clone)]
pub struct CustodyOptions {
    /// Where the record store is.
    pub records: RecordsConfig,
    /// Where large payloads are.
    pub blobs: BlobConfig,
    /// The existing server that holds the contents, where there is one.
    pub upstream: Option<UpstreamOptions>,
    /// This member.
    pub member: MemberName,
    /// The member's own root, from its key store: wraps keys, names rows, and is the root of its directory.
    pub root: RootKey,
    /// What signs statements.
    pub signer: Signer,
    /// How items leave.
    pub outbox: OutboxConfig,
    /// Whether searches find the words of everything (`_content`), not of narratives alone.
    pub full_text: bool,
    /// How many milliseconds after its declaration an emergency has to be reviewed.
    pub review_ms: u64,
    /// What is disclosed of patients who have said nothing.
    pub implicit: contracts::access::Implicit,
    /// Milliseconds since 1970.
    pub clock: Clock,
}

impl std::fmt::Debug for CustodyOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustodyOptions")
            .field("records", &self.records)
            .field("member", &self.member)
            .finish_non_exhaustive()
    }
}
