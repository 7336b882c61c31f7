//! Giving shares: a member of the committee decides for itself, records it, and answers the requester alone.

use contracts::descriptor::Descriptor;
use ledger::ids::{Digest, MemberName};
use vault::release::KeyShare;
use vault::wrap::{HpkePublicKey, wrap_for};

use super::message::{GivenShare, ShareAsk, Shares, WithheldShare, share_info, signed_share};
use super::state;
use crate::custody::{CustodyError, ReleaseOutcome, ReleaseTerms, RemoteRequest};
use crate::exchange::Parts;
use crate::exchange::message::{Request, TAGS_MAX};
use crate::exchange::open::{LIFETIME_MAX, check_recorded, requester, verified};
use crate::exchange::serve::Refusal;

/// What a release is called in requests and on record.
pub(super) const INTERACTION: &str = "release";

/// Checks the request and its access entry, decides, records, and gives shares of what is released.
pub(super) async fn shares(
    parts: &Parts,
    from: &MemberName,
    ShareAsk { ask, terms }: &ShareAsk,
) -> Result<Shares, Refusal> {
    let digest = ask.signed.digest();
    let request = verified(parts, from, &ask.signed)?;
    let Ok(Descriptor::Access(access)) = Descriptor::decode(&ask.descriptor) else {
        return Err(Refusal::Malformed);
    };
    if !request.is_named_by(&access, digest) || request.interaction != INTERACTION {
        return Err(Refusal::NotRecorded);
    }
    check_terms(parts, &request, terms)?;
    check_recorded(parts, from, ask).await?;
    let now = parts.chain.tip().height;
    if now > request.expires_at || request.expires_at.0 > now.0.saturating_add(LIFETIME_MAX) {
        return Err(Refusal::Expired);
    }
    if !parts.answered.first(digest, request.expires_at, now) {
        return Err(Refusal::AnsweredBefore);
    }
    let remote = RemoteRequest {
        requester: requester(from, &access, &request),
        interaction: request.interaction.clone(),
        target: request.target.clone(),
        documents: request.documents.clone(),
        request: digest,
        recipient: request.recipient.to_vec(),
        emergency: request.emergency.clone(),
    };
    let rulings = parts.custody.decide_release(&remote, terms).await?;
    let mut shares = Shares {
        given: Vec::new(),
        withheld: Vec::new(),
    };
    for ruling in rulings {
        let one = terms.iter().find(|one| one.tag == ruling.tag);
        match (ruling.outcome, one) {
            (ReleaseOutcome::Released(scope), Some(one)) => {
                let given = give(parts, &request, digest, (one, scope.as_deref()))?;
                shares.given.push(given);
            }
            (ReleaseOutcome::Withheld(reason), _) => shares.withheld.push(WithheldShare {
                tag: ruling.tag,
                reason,
            }),
            (ReleaseOutcome::Released(_), None) => return Err(Refusal::Failed),
        }
    }
    Ok(shares)
}

/// Whether the terms are of the current versions of what is asked for, each once, as this member's ledger has them.
fn check_terms(parts: &Parts, request: &Request, terms: &[ReleaseTerms]) -> Result<(), Refusal> {
    if terms.is_empty() || terms.len() > TAGS_MAX || terms.len() != request.documents.len() {
        return Err(Refusal::Malformed);
    }
    for (one, tag) in terms.iter().zip(&request.documents) {
        let is_asked =
            one.tag == *tag && one.home == request.to && one.network == parts.chain.network();
        if !is_asked {
            return Err(Refusal::Malformed);
        }
        let is_used = |tag| {
            let place = parts.chain.locate(&one.home, tag);
            place
                .map(|place| place.is_some())
                .map_err(CustodyError::from)
        };
        if !is_used(one.tag)? || is_used(one.next)? {
            return Err(Refusal::NotKept);
        }
    }
    Ok(())
}

/// The share leaves only here, after the decision is on record.
fn give(
    parts: &Parts,
    request: &Request,
    digest: Digest,
    (terms, scope): (&ReleaseTerms, Option<&str>),
) -> Result<GivenShare, Refusal> {
    let share = own_share(parts, terms.key)?.ok_or(Refusal::NotKept)?;
    let identity = terms.identity();
    let partial = share.give(&identity);
    let recipient = HpkePublicKey(request.recipient);
    let info = share_info(digest, terms.tag);
    let wrapped = wrap_for(&recipient, &info, &digest.0, &partial.0);
    let speaker = parts.signer.speaker();
    let signed = signed_share(digest, Digest(identity), &partial);
    let signature = (speaker.sign)(&signed).map_err(|_| Refusal::Failed)?;
    Ok(GivenShare {
        tag: terms.tag,
        share: wrapped.map_err(|_| Refusal::Malformed)?,
        certificate: speaker.certificate,
        signature: speaker.algorithm.in_one_form(signature),
        scope: scope.map(str::to_owned),
    })
}

/// This member's share of a key, if it is of the committee that has it now.
fn own_share(parts: &Parts, key: u64) -> Result<Option<KeyShare>, CustodyError> {
    let registry = parts.chain.registry();
    match registry.committees().with_key(key) {
        Some(standing) => state::share(parts, standing.round),
        None => Ok(None),
    }
}
