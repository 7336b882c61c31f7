//! Erasures: every holder is told until it has signed, and this member signs what others erase.

use std::sync::Arc;
use std::time::Duration;

use contracts::erasure::{CertificateError, SignedAcknowledgement};
use ledger::ids::{Digest, MemberName};

use super::client::CallError;
use super::message::EraseNotice;
use super::open::is_final_here;
use super::serve::Refusal;
use super::shown;
use super::{Parts, release};
use crate::custody::{CustodyError, DueErasure, ErasureNotice, erasure_in};

/// Between looks for holders that have not acknowledged.
const AGAIN: Duration = Duration::from_secs(1);

/// Why a holder has not acknowledged.
#[derive(Debug, thiserror::Error)]
enum NotAcknowledged {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Answer(#[from] CertificateError),
    #[error("the answer is about something else")]
    OfAnother,
}

/// Tells holders of erasures of this member, until each has acknowledged.
pub(super) async fn follow(parts: Arc<Parts>) {
    loop {
        match parts.custody.due_erasures().await {
            Ok(due) => {
                for one in due {
                    tell(&parts, one).await;
                }
                if let Err(error) = parts.custody.count_erasures() {
                    tracing::error!(%error, "erasures cannot be counted");
                }
            }
            Err(error) => tracing::error!(%error, "erasures cannot be looked up"),
        }
        parts.custody.erasure_begun(AGAIN).await;
    }
}

async fn tell(parts: &Parts, due: DueErasure) {
    let said = ask(parts, &due).await;
    if let Err(problem) = &said {
        let holder = &due.holder;
        tracing::warn!(%holder, %problem, "a holder has not acknowledged an erasure");
    }
    let said = said.map_err(|problem| problem.to_string());
    if let Err(error) = parts.custody.holder_said(&due, said).await {
        tracing::error!(%error, "what a holder says of an erasure cannot be kept");
    }
}

async fn ask(parts: &Parts, due: &DueErasure) -> Result<SignedAcknowledgement, NotAcknowledged> {
    let notice = EraseNotice {
        tag: due.notice.tag,
        descriptor: due.notice.descriptor.clone(),
        opening: due.notice.opening.clone(),
    };
    let signed: SignedAcknowledgement = parts.client.call(&due.holder, "erase", &notice).await?;
    let said = signed.verify(|member, certificate| parts.key_of(member, certificate))?;
    let descriptor = erasure_in(&notice.descriptor).map_err(|_| NotAcknowledged::OfAnother)?;
    let network = parts.chain.network();
    let place = descriptor.place(network, &parts.member, &notice.descriptor);
    let is_of = said.holder == due.holder && said.erasure == notice.tag && place.is_of(&said);
    is_of.then_some(signed).ok_or(NotAcknowledged::OfAnother)
}

/// Checks that the erasure is on the ledger and of whoever says so, destroys what is held here, and signs.
pub(super) async fn answer(
    parts: &Parts,
    from: &MemberName,
    notice: EraseNotice,
) -> Result<SignedAcknowledgement, Refusal> {
    let descriptor = erasure_in(&notice.descriptor).map_err(|_| Refusal::Malformed)?;
    if !descriptor.holders.contains(&parts.member) {
        return Err(Refusal::NotForThisMember);
    }
    if !is_final_here(parts, from, notice.tag).await? {
        return Err(Refusal::NotRecorded);
    }
    let brought = shown::bring(parts, from, notice.tag).await;
    brought.map_err(|_| Refusal::NotRecorded)?;
    let failed = |error: crate::chain::StoreError| Refusal::from(CustodyError::from(error));
    let position = parts.chain.locate(from, notice.tag).map_err(failed)?;
    let (_, item) = {
        let position = position.ok_or(Refusal::NotRecorded)?;
        parts.chain.item(position).map_err(failed)?
    };
    let digest = Digest::of(&notice.descriptor);
    if !item.opens_to(parts.chain.network(), from, &notice.opening, digest) {
        return Err(Refusal::NotRecorded);
    }
    let notice = ErasureNotice {
        tag: notice.tag,
        descriptor: notice.descriptor,
        opening: notice.opening,
    };
    let copies = release::copies::let_go(parts, from, &descriptor.index_tags()).await?;
    let said = parts
        .custody
        .acknowledge(from, &notice, &descriptor, copies);
    Ok(parts.custody.signed(&said)?)
}
