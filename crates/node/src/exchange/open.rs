//! Opening: asking another member for versions, and answering one that asks.

use std::time::Duration;

use contracts::descriptor::{AccessDescriptor, Descriptor};
use ledger::codec;
use ledger::ids::{Digest, Height, MemberName, Tag};
use vault::secret::DataKey;
use vault::wrap::{HpkeKeyPair, HpkePublicKey, wrap_for};

use super::client::CallError;
use super::message::{
    Answer, Ask, GrantedEntry, Request, SignedRequest, TAGS_MAX, WithheldEntry, key_info,
};
use super::serve::Refusal;
use super::shown::{self, NotShown};
use super::{Parts, unavailable};
use crate::custody::{AccessAsk, CustodyError, Granted, Reach, RemoteRequest, Requester, Trail};

/// How long a consent that was filed elsewhere may take to arrive.
const CONSENTS: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(10);
/// Heights after which a request is no longer answered.
pub(super) const LIFETIME: u64 = 600;
/// The furthest ahead that a request may expire: it is remembered so long.
pub(super) const LIFETIME_MAX: u64 = 1_200;

/// What is asked of another member.
pub(super) struct Wish<'a> {
    pub(super) patient_id: &'a str,
    pub(super) custodian: &'a MemberName,
    pub(super) interaction: &'a str,
    pub(super) target: String,
    pub(super) documents: Vec<Tag>,
}

/// What another member granted, with the data keys unwrapped, and what it withheld.
pub(super) struct Obtained {
    pub(super) granted: Vec<Granted>,
    pub(super) withheld: Vec<(Tag, String)>,
}

/// Why nothing was obtained.
pub(super) enum AskError {
    /// It failed here.
    Here(CustodyError),
    /// The other member did not answer.
    There(CallError),
}

impl From<CustodyError> for AskError {
    fn from(error: CustodyError) -> Self {
        Self::Here(error)
    }
}

impl From<NotShown> for AskError {
    fn from(error: NotShown) -> Self {
        match error {
            NotShown::Call(error) => Self::There(error),
            NotShown::Other(_) => Self::There(CallError::Malformed),
            NotShown::Store(error) => Self::Here(error),
        }
    }
}

impl From<CallError> for AskError {
    fn from(error: CallError) -> Self {
        Self::There(error)
    }
}

/// Puts the request on record, waits until it is final, sends it, and checks what comes back.
pub(super) async fn ask(
    parts: &Parts,
    by: &Requester,
    wish: Wish<'_>,
) -> Result<Obtained, AskError> {
    let keys = HpkeKeyPair::generate();
    let custodian = wish.custodian.clone();
    let emergency = match by.emergency {
        Some(id) => parts.custody.emergency(id)?,
        None => None,
    };
    let request = Request {
        network: parts.chain.network(),
        from: parts.member.clone(),
        to: custodian.clone(),
        practitioner: by.practitioner.clone(),
        client: by.client.clone(),
        role: by.role.clone(),
        purpose: by.purpose.clone(),
        interaction: wish.interaction.to_owned(),
        target: wish.target,
        documents: wish.documents,
        recipient: keys.public_key().0,
        expires_at: Height(parts.chain.tip().height.0.saturating_add(LIFETIME)),
        emergency,
        encoding: None,
    };
    let (message, digest) = recorded(parts, by, wish.patient_id, request).await?;
    let answer: Result<Answer, CallError> = parts.client.call(&custodian, "open", &message).await;
    let answer = match answer {
        Ok(answer) => obtained(parts, &custodian, &keys, digest, answer).await,
        Err(error) => Err(AskError::from(error)),
    };
    let noted = match &answer {
        Ok(obtained) => Ok(named(&custodian, obtained)),
        Err(AskError::Here(error)) => Err(error.to_string()),
        Err(AskError::There(error)) => Err(error.to_string()),
    };
    let place = (wish.patient_id, &custodian);
    parts.custody.note_answer(by, place, digest, noted).await?;
    answer
}

/// Signs a request, puts it on record, and waits until that is final; the ask and what names the request.
pub(super) async fn recorded(
    parts: &Parts,
    by: &Requester,
    patient_id: &str,
    request: Request,
) -> Result<(Ask, Digest), CustodyError> {
    let signed = sign(parts, &request)?;
    let digest = signed.digest();
    let access = AccessAsk {
        patient_id: patient_id.to_owned(),
        custodian: request.to,
        interaction: request.interaction,
        target: request.target,
        request: digest,
        recipient: request.recipient.to_vec(),
        expires_at: request.expires_at,
    };
    let asked = parts.custody.ask(by, access).await?;
    if !is_final(parts, &parts.member, asked.tag, parts.timeout).await? {
        return Err(unavailable("finality on the ledger"));
    }
    let ask = Ask {
        signed,
        tag: asked.tag,
        descriptor: asked.descriptor,
        opening: asked.opening,
    };
    Ok((ask, digest))
}

/// What was obtained, as the audit log names it.
fn named(custodian: &MemberName, obtained: &Obtained) -> Vec<String> {
    let granted = obtained.granted.iter();
    let descriptors = granted.filter_map(|one| Descriptor::decode(&one.descriptor).ok());
    let names = descriptors.filter_map(|descriptor| match descriptor {
        Descriptor::Record(one) => Some(format!("{custodian}: {}/{}", one.resource_type, one.id)),
        _ => None,
    });
    names.collect()
}

/// The request of an ask that is in order: signed, recorded, in time, and not answered before.
pub(super) async fn admitted(
    parts: &Parts,
    from: &MemberName,
    ask: &Ask,
) -> Result<(Request, AccessDescriptor, Digest), Refusal> {
    let digest = ask.signed.digest();
    let request = verified(parts, from, &ask.signed)?;
    if request.to != parts.member {
        return Err(Refusal::NotForThisMember);
    }
    let Ok(Descriptor::Access(access)) = Descriptor::decode(&ask.descriptor) else {
        return Err(Refusal::Malformed);
    };
    if !request.is_named_by(&access, digest) {
        return Err(Refusal::NotRecorded);
    }
    check_recorded(parts, from, ask).await?;
    let now = parts.chain.tip().height;
    if now > request.expires_at || request.expires_at.0 > now.0.saturating_add(LIFETIME_MAX) {
        return Err(Refusal::Expired);
    }
    if !parts.answered.first(digest, request.expires_at, now) {
        return Err(Refusal::AnsweredBefore);
    }
    Ok((request, access, digest))
}

/// Checks the request and its access entry, lets custody decide, and wraps the keys of what is granted.
pub(super) async fn answer(parts: &Parts, from: &MemberName, ask: &Ask) -> Result<Answer, Refusal> {
    let (request, access, digest) = admitted(parts, from, ask).await?;
    await_consents(parts, &request.documents).await?;
    let remote = RemoteRequest {
        requester: requester(from, &access, &request),
        interaction: request.interaction,
        target: request.target,
        documents: request.documents,
        request: digest,
        recipient: request.recipient.to_vec(),
        emergency: request.emergency,
    };
    let answer = parts.custody.answer(&remote).await?;
    let recipient = HpkePublicKey(request.recipient);
    let granted = answer.granted.into_iter();
    let granted = granted.map(|one| wrapped(&recipient, digest, one));
    let withheld = answer.withheld.into_iter().map(|one| WithheldEntry {
        tag: one.tag,
        reason: one.reason,
    });
    Ok(Answer {
        granted: granted.collect::<Result<_, _>>()?,
        withheld: withheld.collect(),
        height: answer.height,
    })
}

/// Whether the ledger holds the entry of `member` with `tag`, within `patience`.
pub(super) async fn is_final(
    parts: &Parts,
    member: &MemberName,
    tag: Tag,
    patience: Duration,
) -> Result<bool, CustodyError> {
    let mut tips = parts.chain.subscribe();
    let found = async {
        loop {
            if parts.chain.locate(member, tag)?.is_some() {
                return Ok(true);
            }
            if tips.changed().await.is_err() {
                return Ok(false);
            }
        }
    };
    tokio::time::timeout(patience, found)
        .await
        .unwrap_or(Ok(false))
}

/// Whether the ledger holds here what `member` saw final there. Half of the time is for that in which the other member
/// waits for an answer, so that a node that is behind says so.
pub(super) async fn is_final_here(
    parts: &Parts,
    member: &MemberName,
    tag: Tag,
) -> Result<bool, CustodyError> {
    is_final(parts, member, tag, parts.timeout / 2).await
}

pub(super) async fn check_recorded(
    parts: &Parts,
    from: &MemberName,
    ask: &Ask,
) -> Result<(), Refusal> {
    if !is_final_here(parts, from, ask.tag).await? {
        return Err(Refusal::NotRecorded);
    }
    let failed = |error: crate::chain::StoreError| Refusal::from(CustodyError::from(error));
    let position = parts.chain.locate(from, ask.tag).map_err(failed)?;
    let position = position.ok_or(Refusal::NotRecorded)?;
    let (_, item) = parts.chain.item(position).map_err(failed)?;
    let digest = Digest::of(&ask.descriptor);
    if item.opens_to(parts.chain.network(), from, &ask.opening, digest) {
        Ok(())
    } else {
        Err(Refusal::NotRecorded)
    }
}

/// A consent that the ledger has may be on its way here; the decision denies if it does not come.
async fn await_consents(parts: &Parts, documents: &[Tag]) -> Result<(), Refusal> {
    let deadline = tokio::time::Instant::now() + CONSENTS;
    while !parts.custody.knows_consents(documents)? {
        if tokio::time::Instant::now() >= deadline {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

pub(super) fn sign(parts: &Parts, request: &Request) -> Result<SignedRequest, CustodyError> {
    let request = codec::encode(request);
    let speaker = parts.signer.speaker();
    let signature = (speaker.sign)(&SignedRequest::input(&request));
    let signature = signature.map_err(|_| unavailable("the key store"))?;
    let signature = speaker.algorithm.in_one_form(signature);
    Ok(SignedRequest {
        certificate: speaker.certificate,
        request,
        signature,
    })
}

/// The request, if `from` has signed it; whom it is for the caller checks.
pub(super) fn verified(
    parts: &Parts,
    from: &MemberName,
    signed: &SignedRequest,
) -> Result<Request, Refusal> {
    let request: Request =
        codec::decode("request", &signed.request).map_err(|_| Refusal::Malformed)?;
    if request.documents.len() > TAGS_MAX {
        return Err(Refusal::Malformed);
    }
    if request.network != parts.chain.network() {
        return Err(Refusal::NotForThisMember);
    }
    let key = parts
        .key_of(from, signed.certificate)
        .filter(|_| request.from == *from);
    let key = key.ok_or(Refusal::NotSigned)?;
    key.verify(&SignedRequest::input(&signed.request), &signed.signature)
        .map_err(|_| Refusal::NotSigned)?;
    Ok(request)
}

/// The other member vouches for its users; that a user is the patient it cannot show.
pub(super) fn requester(
    from: &MemberName,
    access: &AccessDescriptor,
    request: &Request,
) -> Requester {
    Requester {
        member: from.clone(),
        client: access.principal.clone(),
        practitioner: request.practitioner.clone(),
        role: request.role.clone(),
        patient: None,
        related: None,
        emergency: request.emergency.as_ref().map(|declared| declared.id),
        purpose: request.purpose.clone(),
        request_id: None,
        reach: Reach::default(),
        trail: Trail::default(),
    }
}

fn wrapped(
    recipient: &HpkePublicKey,
    request: Digest,
    one: Granted,
) -> Result<GrantedEntry, Refusal> {
    let info = key_info(request, one.tag);
    let key = wrap_for(recipient, &info, &request.0, one.key.expose());
    Ok(GrantedEntry {
        tag: one.tag,
        sealed: one.sealed,
        key: key.map_err(|_| Refusal::Malformed)?,
        descriptor: one.descriptor,
        opening: one.opening,
        receipt: one.receipt,
        scope: one.scope.as_deref().map(str::to_owned),
    })
}

async fn obtained(
    parts: &Parts,
    custodian: &MemberName,
    keys: &HpkeKeyPair,
    request: Digest,
    answer: Answer,
) -> Result<Obtained, AskError> {
    let mut granted = Vec::with_capacity(answer.granted.len());
    for one in answer.granted {
        shown::bring(parts, custodian, one.tag).await?;
        if !is_recorded(parts, custodian, &one)? {
            return Err(CallError::Malformed.into());
        }
        let key = keys.unwrap(&key_info(request, one.tag), &request.0, &one.key);
        let key = key.map_err(|_| CallError::Malformed)?;
        let key = <[u8; 32]>::try_from(&*key).map_err(|_| CallError::Malformed)?;
        granted.push(Granted {
            tag: one.tag,
            sealed: one.sealed,
            key: DataKey::from_bytes(key),
            descriptor: one.descriptor,
            opening: one.opening,
            receipt: one.receipt,
            scope: one.scope.map(Into::into),
        });
    }
    let withheld = answer.withheld.into_iter();
    Ok(Obtained {
        granted,
        withheld: withheld.map(|one| (one.tag, one.reason)).collect(),
    })
}

/// Whether the descriptor is the one that the custodian recorded under this tag.
fn is_recorded(
    parts: &Parts,
    custodian: &MemberName,
    one: &GrantedEntry,
) -> Result<bool, CustodyError> {
    let Some(position) = parts.chain.locate(custodian, one.tag)? else {
        return Ok(false);
    };
    let (_, item) = parts.chain.item(position)?;
    let digest = Digest::of(&one.descriptor);
    Ok(item.opens_to(parts.chain.network(), custodian, &one.opening, digest))
}
