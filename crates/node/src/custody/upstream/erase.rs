//! Erasing at the existing server: it deletes, and forgets the earlier versions if it can.

use interop::fhir::ResourceType;
use tokio::sync::OwnedMutexGuard;

use super::rows::know;
use super::server::{Outgoing, UpstreamError};
use super::write::deletion_of;
use crate::custody::keys::Keys;
use crate::custody::rows::{DocumentKey, Head, type_of};
use crate::custody::store::Transaction;
use crate::custody::{Custody, CustodyError};

/// A deletion at the existing server that is to be known here.
pub(in crate::custody) struct DeletedThere {
    document: DocumentKey,
    version_id: Option<String>,
    at_ms: u64,
    /// Whether the server has forgotten the earlier versions, too.
    pub(in crate::custody) is_purged: bool,
}

/// Keeps others from a document.
pub(in crate::custody) type Held = Vec<OwnedMutexGuard<()>>;

impl DeletedThere {
    pub(in crate::custody) fn know(
        &self,
        keys: &Keys,
        transaction: &mut Transaction<'_>,
        version: u64,
    ) {
        let place = (self.version_id.as_deref(), self.at_ms);
        know(keys, transaction, &self.document, place, version);
    }
}

impl Custody {
    /// Deletes a document at the existing server; `None` without one. The document is held until its deletion is known.
    pub(in crate::custody) async fn delete_there(
        &self,
        head: &Head,
    ) -> Result<Option<(DeletedThere, Held)>, CustodyError> {
        let Some(upstream) = self.0.payloads.upstream() else {
            return Ok(None);
        };
        let resource_type = type_of(&head.resource_type)?;
        let document = self.0.home.keys.document(&head.resource_type, &head.id);
        let guards = upstream.hold(std::iter::once(document)).await;
        let (version_id, at_ms) = if head.deleted {
            (None, 0)
        } else {
            self.delete_one(upstream, resource_type, head).await?
        };
        let purged = upstream.server.purge(resource_type, &head.id).await;
        let is_purged = matches!(purged, Ok(true));
        if !is_purged {
            tracing::warn!(
                target: "security", %resource_type,
                "an erased document is deleted at the existing server, which keeps its earlier versions: purge them there"
            );
        }
        let deleted = DeletedThere {
            document,
            version_id,
            at_ms,
            is_purged,
        };
        Ok(Some((deleted, guards)))
    }

    async fn delete_one(
        &self,
        upstream: &super::Upstream,
        resource_type: ResourceType,
        head: &Head,
    ) -> Result<(Option<String>, u64), CustodyError> {
        let deletion = [Outgoing {
            resource_type,
            id: head.id.clone(),
            if_match: None,
            content: None,
        }];
        let answer = upstream.server.write(&deletion).await;
        upstream.note(&answer);
        let answer = answer?.pop();
        let stored = answer.ok_or(UpstreamError::Unsound("an answer is missing"))?;
        let place = (resource_type, head.id.as_str());
        Ok(deletion_of(upstream, place, (stored.version_id, stored.at_ms)).await)
    }
}
