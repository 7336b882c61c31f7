//! What custody needs from the node.

use std::path::PathBuf;

use interop::fhir::labels::RuleSet;
use ledger::ids::MemberName;
use ledger::stream::RootKey;
use vault::blob::BlobConfig;
use vault::wrap::WrappingKey;

use super::RecordsConfig;
use super::linkage::LinkageOptions;
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
    /// The wrapping keys of epochs after the root's own, from the key store.
    pub wrapping: Vec<WrappingKey>,
    /// What signs statements.
    pub signer: Signer,
    /// How items leave.
    pub outbox: OutboxConfig,
    /// Whether searches find the words of everything (`_content`), not of narratives alone.
    pub full_text: bool,
    /// A file that is there if the records were put back from a backup and nobody has looked since what was erased.
    pub restored: Option<PathBuf>,
    /// The members that keep copies of what is written here, for a committee to release.
    pub copies_at: Vec<MemberName>,
    /// The member's own rules for security labels, which stand beside those of the release and of the network.
    pub label_rules: Vec<RuleSet>,
    /// How many milliseconds after its declaration an emergency has to be reviewed.
    pub review_ms: u64,
    /// What is disclosed of patients who have said nothing.
    pub implicit: contracts::access::Implicit,
    /// How this member takes part in linkage; not at all if `None`.
    pub linkage: Option<LinkageOptions>,
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
