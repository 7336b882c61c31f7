//! Following consents: what the ledger says was filed through another member is fetched from there at once.

use std::sync::Arc;
use std::time::Duration;

use ledger::ids::{MemberName, Tag};
use tokio::sync::broadcast::error::RecvError;

use super::Parts;
use super::client::CallError;
use super::message::{Sealed, Tags};
use super::shown::{self, NotShown};
use crate::custody::{CustodyError, SealedConsent};

/// Between looks for consents that could not be fetched when they became final.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) async fn follow(parts: Arc<Parts>) {
    let mut entries = parts.chain.entries();
    let mut again = tokio::time::interval(AGAIN);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut behind = true;
    loop {
        tokio::select! {
            received = entries.recv() => match received {
                Ok(items) => {
                    for one in items.iter().filter(|one| one.member != parts.member) {
                        for tag in one.item.tags {
                            behind |= !arrived(&parts, &one.member, tag).await;
                        }
                    }
                }
                Err(RecvError::Lagged(_)) => behind = true,
                Err(RecvError::Closed) => return,
            },
            _ = again.tick(), if behind => behind = !catch_up(&parts).await,
        }
    }
}

/// Fetches the consent with this tag, if it is one that is waited for; says whether none is left.
async fn arrived(parts: &Parts, from: &MemberName, tag: Tag) -> bool {
    match parts.custody.expects(from, tag) {
        Ok(Some(patient_id)) => fetch(parts, &patient_id, from, tag).await,
        Ok(None) => true,
        Err(error) => {
            tracing::error!(%error, "a consent cannot be looked up");
            false
        }
    }
}

/// Fetches all that the ledger has and this member lacks; says whether it has them all now.
async fn catch_up(parts: &Parts) -> bool {
    let overdue = match parts.custody.overdue_consents() {
        Ok(overdue) => overdue,
        Err(error) => {
            tracing::error!(%error, "consents cannot be looked up");
            return false;
        }
    };
    let mut all = true;
    for (patient_id, from, tag) in overdue {
        // Whoever has filed one consent may have filed more.
        all &= fetch(parts, &patient_id, &from, tag).await && is_complete(parts, &patient_id);
    }
    all
}

fn is_complete(parts: &Parts, patient_id: &str) -> bool {
    let missing = parts.custody.missing_consents(patient_id);
    missing.is_ok_and(|missing| missing.is_empty())
}

/// Says whether the consent is here now; why not goes to the log.
async fn fetch(parts: &Parts, patient_id: &str, from: &MemberName, tag: Tag) -> bool {
    let problem = match try_fetch(parts, patient_id, from, tag).await {
        Ok(()) => return true,
        Err(problem) => problem,
    };
    tracing::warn!(%from, %problem, "a consent is not taken; disclosure waits for it");
    false
}

/// Why a consent of another member is not here.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the member has no consent where the ledger says so")]
    NotThere,
    #[error(transparent)]
    NotShown(#[from] NotShown),
    #[error(transparent)]
    Adopt(#[from] CustodyError),
}

async fn try_fetch(
    parts: &Parts,
    patient_id: &str,
    from: &MemberName,
    tag: Tag,
) -> Result<(), FetchError> {
    let tags = Tags { tags: vec![tag] };
    let answer: Sealed = parts.client.call(from, "consents", &tags).await?;
    let entry = answer.entries.into_iter().find(|entry| entry.tag == tag);
    let consent = SealedConsent {
        tag,
        sealed: entry.ok_or(FetchError::NotThere)?.sealed,
    };
    shown::bring(parts, from, tag).await?;
    parts
        .custody
        .adopt_consent(patient_id, from, &consent)
        .await?;
    Ok(())
}
