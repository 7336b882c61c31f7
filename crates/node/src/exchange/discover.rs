//! Discovery: asking the other members who of their patients one of ours is, and answering one that asks.
//!
//! Nothing leaves before the question is on record. Every reply has one length and comes after one time at least, so that
//! neither whoever sees the line nor the one that asks tells who is unknown from who is hidden or waits for a person.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use interop::fhir::{Issue, IssueType};
use interop::identity::{Encoding, Traits};
use ledger::codec;
use ledger::ids::{Digest, Height, MemberName};
use ledger::stream::{Branch, BranchKey, GrantedBranch};
use minicbor::Encode;
use vault::wrap::{HpkeKeyPair, HpkePublicKey, wrap_for};
use zeroize::Zeroizing;

use super::client::CallError;
use super::collect::indexes;
use super::message::{Handed, HandedKey, Question, Reply, Request};
use super::open::{AskError, LIFETIME, admitted, recorded, requester};
use super::serve::Refusal;
use super::{Exchange, Parts};
use crate::custody::{CustodyError, Inquiry, InquiryRefusal, Requester};

const INTERACTION: &str = "discover";
/// What goes on record and to the other member: no id, so that it is the same for whoever is asked for.
const TARGET: &str = "Patient/$discover";
/// A question is answered after that, however soon it is decided.
const ANSWERED_AFTER: Duration = Duration::from_secs(1);
/// Bytes of what is wrapped: the number of bytes that count, these, and zeros.
const PADDED: usize = 2_048;
/// Keys that are handed over at most, the newest: a branch has as many as it was rotated.
const KEYS_MAX: usize = 32;

/// What became of asking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// What each member that was asked said.
    pub members: Vec<(MemberName, Discovered)>,
}

/// What became of asking one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discovered {
    /// Its records of the patient belong to the record here from now on.
    Linked,
    /// It has nothing to say: nobody is like that, or may not be told of, or a person has to look first.
    Nothing,
    /// What it handed over does not go with what is here: another patient of its was linked before.
    Contradicts,
    /// It does not answer questions of this member.
    NotAnswered,
    /// It has another secret.
    OtherSecret,
    /// This member has asked it too often.
    TooOften,
    /// It did not answer.
    Unreachable,
}

impl Discovered {
    /// The word for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Linked => "linked",
            Self::Nothing => "nothing",
            Self::Contradicts => "contradicts",
            Self::NotAnswered => "not-answered",
            Self::OtherSecret => "other-secret",
            Self::TooOften => "too-often",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Exchange {
    /// Asks other members who of their patients the patient (local id) is: all whose index is not read here or goes on under a
    /// key that is not, or those that are named.
    pub async fn discover(
        &self,
        by: &Requester,
        patient_id: &str,
        members: Option<&[MemberName]>,
    ) -> Result<Discovery, CustodyError> {
        let parts = &self.0.parts;
        let traits = parts.custody.traits_to_ask(by, patient_id).await?;
        let asked = asked(parts, patient_id, members)?;
        let answers = asked
            .iter()
            .map(|member| ask_one(parts, by, (patient_id, &traits), member));
        let mut discovery = Discovery::default();
        for (member, answer) in asked.iter().zip(join_all(answers).await) {
            let discovered = match answer {
                Ok(keys) if keys.is_empty() => Discovered::Nothing,
                Ok(keys) => joined(parts, by, (patient_id, member), keys).await?,
                Err(AskError::There(error)) => failed(member, &error),
                Err(AskError::Here(error)) => return Err(error),
            };
            discovery.members.push((member.clone(), discovered));
        }
        Ok(discovery)
    }
}

impl Exchange {
    /// The bytes of a question to one member, on record and not sent.
    #[doc(hidden)]
    pub async fn question(
        &self,
        by: &Requester,
        patient_id: &str,
        custodian: &MemberName,
    ) -> Result<Vec<u8>, CustodyError> {
        let parts = &self.0.parts;
        let traits = parts.custody.traits_to_ask(by, patient_id).await?;
        let asked = recorded_question(parts, by, (patient_id, &traits), custodian).await?;
        Ok(codec::encode(&asked.question))
    }

    /// Sends a member what may be no question at all: the status and the body of its answer, if there is one.
    #[doc(hidden)]
    pub async fn send_question(
        &self,
        custodian: &MemberName,
        bytes: Vec<u8>,
    ) -> Option<(u16, Vec<u8>)> {
        let client = &self.0.parts.client;
        let answer = client.post(custodian, INTERACTION, bytes).await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.bytes().await.ok()?.to_vec()))
    }
}

/// Whom to ask.
fn asked(
    parts: &Parts,
    patient_id: &str,
    members: Option<&[MemberName]>,
) -> Result<Vec<MemberName>, CustodyError> {
    let others = parts.client.members();
    let Some(members) = members else {
        let read = indexes(parts, patient_id)?;
        let mut unknown = Vec::new();
        for one in others {
            if !goes_on(parts, &one, read.get(&one).into_iter().flatten())? {
                unknown.push(one);
            }
        }
        return Ok(unknown);
    };
    if members.iter().all(|one| others.contains(one)) {
        let once: BTreeSet<&MemberName> = members.iter().collect();
        return Ok(once.into_iter().cloned().collect());
    }
    let issue = Issue::error(IssueType::NotFound, "there is no other member of that name");
    Err(CustodyError::Invalid(
        issue.at("Parameters.parameter.where(name='member')"),
    ))
}

/// Whether a branch of a member is not closed under one of the keys that are here.
fn goes_on<'a>(
    parts: &Parts,
    member: &MemberName,
    keys: impl Iterator<Item = &'a BranchKey>,
) -> Result<bool, CustodyError> {
    for key in keys {
        let closing = key.entries().closing();
        if parts.chain.locate(member, closing)?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn joined(
    parts: &Parts,
    by: &Requester,
    place: (&str, &MemberName),
    keys: Vec<GrantedBranch>,
) -> Result<Discovered, CustodyError> {
    match parts.custody.join_elsewhere(by, place, keys).await {
        Ok(()) => Ok(Discovered::Linked),
        Err(CustodyError::Invalid(_)) => Ok(Discovered::Contradicts),
        Err(error) => Err(error),
    }
}

fn failed(member: &MemberName, error: &CallError) -> Discovered {
    match error {
        CallError::Refused(412) => {
            tracing::error!(
                target: "security", %member,
                "the other member's linkage secret is another than this member's: nobody can be found until both have the same"
            );
            Discovered::OtherSecret
        }
        CallError::Refused(429) => Discovered::TooOften,
        CallError::Refused(403 | 404 | 501) => Discovered::NotAnswered,
        error => {
            tracing::warn!(%member, %error, "a member did not say whether it knows a patient");
            Discovered::Unreachable
        }
    }
}

/// A question on record, and what its reply is opened with.
struct Asked {
    question: Question,
    request: Digest,
    keys: HpkeKeyPair,
}

/// Puts the question on record, and waits until it is final.
async fn recorded_question(
    parts: &Parts,
    by: &Requester,
    (patient_id, traits): (&str, &Traits),
    custodian: &MemberName,
) -> Result<Asked, CustodyError> {
    let keys = HpkeKeyPair::generate();
    let recipient = keys.public_key().0;
    let encoding = parts.custody.encoded(traits, &recipient)?;
    let request = Request {
        network: parts.chain.network(),
        from: parts.member.clone(),
        to: custodian.clone(),
        practitioner: by.practitioner.clone(),
        client: by.client.clone(),
        role: by.role.clone(),
        purpose: by.purpose.clone(),
        interaction: INTERACTION.to_owned(),
        target: TARGET.to_owned(),
        documents: Vec::new(),
        recipient,
        expires_at: Height(parts.chain.tip().height.0.saturating_add(LIFETIME)),
        emergency: None,
        encoding: Some(Digest::of(&encoding)),
    };
    let (ask, digest) = recorded(parts, by, patient_id, request).await?;
    Ok(Asked {
        question: Question {
            ask,
            encoding,
            proof: parts.custody.linkage_proof(digest)?,
        },
        request: digest,
        keys,
    })
}

/// Asks one member, and opens its reply.
async fn ask_one(
    parts: &Parts,
    by: &Requester,
    (patient_id, traits): (&str, &Traits),
    custodian: &MemberName,
) -> Result<Vec<GrantedBranch>, AskError> {
    let asked = recorded_question(parts, by, (patient_id, traits), custodian).await?;
    let reply: Result<Reply, CallError> = parts
        .client
        .call(custodian, INTERACTION, &asked.question)
        .await;
    let (keys, digest) = (asked.keys, asked.request);
    let handed = reply.and_then(|reply| opened(&keys, digest, custodian, &reply));
    let noted = match &handed {
        Ok(handed) if handed.is_empty() => Ok(Vec::new()),
        Ok(_) => Ok(vec![format!(
            "{custodian}: {}",
            Branch::Index(custodian.clone()).name()
        )]),
        Err(error) => Err(error.to_string()),
    };
    let place = (patient_id, custodian);
    parts.custody.note_answer(by, place, digest, noted).await?;
    Ok(handed?)
}

fn opened(
    keys: &HpkeKeyPair,
    request: Digest,
    custodian: &MemberName,
    reply: &Reply,
) -> Result<Vec<GrantedBranch>, CallError> {
    let padded = keys.unwrap(&info(request), &request.0, &reply.sealed);
    let padded = padded.map_err(|_| CallError::Malformed)?;
    let handed = unpadded(&padded).ok_or(CallError::Malformed)?;
    let handed: Handed = codec::decode("handed", handed).map_err(|_| CallError::Malformed)?;
    let granted = handed.keys.into_iter().map(|one| GrantedBranch {
        branch: Branch::Index(custodian.clone()),
        epoch: one.epoch,
        key: BranchKey::from_bytes(one.key),
    });
    Ok(granted.collect())
}

/// Checks the question and its access entry, lets custody look and decide, and wraps what it hands over.
pub(super) async fn answer(
    parts: &Parts,
    from: &MemberName,
    question: Question,
) -> Result<Reply, Refusal> {
    let encoding = Encoding::from_bytes(&question.encoding).ok_or(Refusal::Malformed)?;
    let (request, access, digest) = admitted(parts, from, &question.ask).await?;
    let is_named = request.encoding == Some(Digest::of(&question.encoding));
    if !is_named || request.interaction != INTERACTION || !request.documents.is_empty() {
        return Err(Refusal::NotRecorded);
    }
    let custody = &parts.custody;
    custody
        .admit_inquiry(from, digest, &question.proof)
        .map_err(|refusal| match refusal {
            InquiryRefusal::NotAnswered => Refusal::NoLinkage,
            InquiryRefusal::OtherSecret => Refusal::OtherSecret,
            InquiryRefusal::TooOften => Refusal::TooOften,
        })?;
    let not_before = tokio::time::Instant::now() + ANSWERED_AFTER;
    let inquiry = Inquiry {
        requester: requester(from, &access, &request),
        target: request.target,
        request: digest,
        recipient: request.recipient.to_vec(),
        encoding,
    };
    let granted = custody.answer_inquiry(&inquiry).await?;
    let newest = granted.iter().rev().take(KEYS_MAX).rev();
    let handed = Handed {
        keys: newest
            .map(|one| HandedKey {
                epoch: one.epoch,
                key: *one.key.expose(),
            })
            .collect(),
    };
    let padded = padded(&handed).ok_or(Refusal::Failed)?;
    let recipient = HpkePublicKey(request.recipient);
    let sealed = wrap_for(&recipient, &info(digest), &digest.0, &padded);
    tokio::time::sleep_until(not_before).await;
    Ok(Reply {
        sealed: sealed.map_err(|_| Refusal::Malformed)?,
    })
}

fn info(request: Digest) -> Vec<u8> {
    [b"careledger/exchange-discover/v1".as_slice(), &request.0].concat()
}

fn padded<T: Encode<()>>(message: &T) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = Zeroizing::new(codec::encode(message));
    let length = u16::try_from(bytes.len()).ok()?;
    let mut padded = Zeroizing::new(Vec::with_capacity(PADDED));
    padded.extend(length.to_be_bytes());
    padded.extend_from_slice(&bytes);
    if padded.len() > PADDED {
        return None;
    }
    padded.resize(PADDED, 0);
    Some(padded)
}

fn unpadded(padded: &[u8]) -> Option<&[u8]> {
    let (length, rest) = padded.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed(keys: usize) -> Handed {
        let one = |number: usize| HandedKey {
            epoch: u32::MAX - u32::try_from(number).unwrap(),
            key: [0xff; 32],
        };
        Handed {
            keys: (0..keys).map(one).collect(),
        }
    }

    #[test]
    fn l2_a_reply_has_one_length_whatever_is_handed_over() {
        let lengths = [0, 1, KEYS_MAX].map(|keys| {
            let padded = padded(&handed(keys)).unwrap();
            let read: Handed = codec::decode("handed", unpadded(&padded).unwrap()).unwrap();
            assert_eq!(read.keys.len(), keys);
            padded.len()
        });
        assert_eq!(lengths, [PADDED; 3]);
        assert!(padded(&handed(100)).is_none());
        assert_eq!(unpadded(&[0xff; 8]), None);
    }
}
