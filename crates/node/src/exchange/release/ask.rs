//! Asking for a release: the version from whoever keeps a copy, its key from k members of the committee.

use std::collections::BTreeMap;

use contracts::release::Committee as Standing;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use interop::fhir::ResourceType;
use ledger::codec;
use ledger::ids::{Digest, Height, MemberName, Tag};
use ledger::item::Opening;
use ledger::stream::BranchKey;
use vault::release::{Committee, PartialRelease};
use vault::secret::DataKey;
use vault::wrap::HpkeKeyPair;

use super::copies::{committee_with, kept};
use super::give::{INTERACTION, shares};
use super::message::{
    Copies, CopiesOf, ReleaseFault, ShareAsk, Shares, WrongShare, share_info, signed_share,
};
use super::state;
use crate::custody::{
    AccessAsk, CustodyError, Granted, Opened, ReleaseTerms, Requester, SealedCopy, open_descriptor,
};
use crate::exchange::collect::{entries_of, indexes, listed_entry, opened};
use crate::exchange::message::{Ask, Request, TAGS_MAX};
use crate::exchange::open::{LIFETIME, Obtained, is_final, sign};
use crate::exchange::{Exchange, Parts, unavailable};

/// A copy of the version that is asked for, and what it takes to check it.
struct Found {
    /// Who keeps it.
    holder: MemberName,
    /// Without its payload.
    copy: SealedCopy,
    terms: ReleaseTerms,
    descriptor: Vec<u8>,
    opening: Opening,
    version: u64,
}

/// A request that is on record, and the key pair that serves it.
struct Recorded {
    ask: ShareAsk,
    digest: Digest,
    keys: HpkeKeyPair,
}

impl Exchange {
    /// One document of a member that does not answer, as it is now, from a copy and with the committee's shares.
    pub async fn release(
        &self,
        by: &Requester,
        patient_id: &str,
        home: &MemberName,
        (resource_type, id): (ResourceType, &str),
    ) -> Result<Opened, CustodyError> {
        let parts = &self.0.parts;
        let branches = indexes(parts, patient_id)?;
        let branches = branches.get(home).ok_or(CustodyError::NotFound)?;
        let target = format!("{resource_type}/{id}");
        let mut newest: Option<Found> = None;
        for branch in branches {
            let found = find(parts, home, branch).await?.into_iter();
            for found in found.filter(|one| one.terms.target == target) {
                let is_newer = |newest: &Found| newest.version < found.version;
                if newest.as_ref().is_none_or(is_newer) {
                    newest = Some(found);
                }
            }
        }
        let found = newest.ok_or(CustodyError::NotFound)?;
        let target = found.terms.target.clone();
        let mut released = release_all(parts, by, (patient_id, home, &target), vec![found]).await?;
        match (released.granted.pop(), released.withheld.pop()) {
            (Some(granted), _) => opened(home, &granted),
            (None, Some((_, reason))) => Err(CustodyError::Denied {
                reason,
                determining: Vec::new(),
            }),
            (None, None) => Err(unavailable("enough members of the committee")),
        }
    }

    /// The current version of each document of a member that does not answer, as far as there are copies and the committee
    /// releases them; one request on record for those that are sealed to one committee.
    pub(in crate::exchange) async fn released(
        &self,
        by: &Requester,
        (patient_id, home, target): (&str, &MemberName, &str),
        branches: &[BranchKey],
    ) -> Result<Obtained, CustodyError> {
        let parts = &self.0.parts;
        let mut newest: BTreeMap<String, Found> = BTreeMap::new();
        for branch in branches {
            for found in find(parts, home, branch).await? {
                let known = newest.get(&found.terms.target).map(|known| known.version);
                if known.is_none_or(|known| known < found.version) {
                    newest.insert(found.terms.target.clone(), found);
                }
            }
        }
        let mut by_key: BTreeMap<u64, Vec<Found>> = BTreeMap::new();
        for found in newest.into_values() {
            // The committee gives nothing of what has a later version, or goes on under another key.
            if parts.chain.locate(home, found.terms.next)?.is_none() {
                by_key.entry(found.terms.key).or_default().push(found);
            }
        }
        let mut all = Obtained {
            granted: Vec::new(),
            withheld: Vec::new(),
        };
        for mut found in by_key.into_values() {
            while !found.is_empty() {
                let rest = found.split_off(found.len().min(TAGS_MAX));
                let wish = (patient_id, home, target);
                match release_all(parts, by, wish, std::mem::replace(&mut found, rest)).await {
                    Ok(part) => {
                        all.granted.extend(part.granted);
                        all.withheld.extend(part.withheld);
                    }
                    Err(error) => tracing::warn!(%home, %error, "a committee releases nothing"),
                }
            }
        }
        Ok(all)
    }

    /// Wrong shares that members have signed, which this node has met.
    pub fn release_faults(&self) -> Result<Vec<ReleaseFault>, CustodyError> {
        let rows = state::rows(&self.0.parts, b"e")?.into_iter();
        rows.map(|(_, row)| codec::decode("fault", &row).map_err(state::damaged))
            .collect()
    }

    /// Whether a fault convicts its giver, as this node's ledger has the committee and the certificates.
    pub fn convicts(&self, fault: &ReleaseFault) -> Result<Option<WrongShare>, CustodyError> {
        let parts = &self.0.parts;
        let (tip, registry) = parts.chain.governed();
        let committee = committee_with(parts, fault.key)?;
        Ok(committee.and_then(|committee| fault.convicts(&registry, &committee, tip.time)))
    }
}

/// Asks the committee to which all of this is sealed, by one request on record. What too few members answer for is in
/// neither list.
async fn release_all(
    parts: &Parts,
    by: &Requester,
    (patient_id, home, target): (&str, &MemberName, &str),
    found: Vec<Found>,
) -> Result<Obtained, CustodyError> {
    let registry = parts.chain.registry();
    let key = found.first().map(|one| one.terms.key);
    let standing = key.and_then(|key| registry.committees().with_key(key));
    let standing =
        standing.ok_or_else(|| unavailable("the committee that the key is sealed to"))?;
    let mut payloads = Vec::with_capacity(found.len());
    for one in &found {
        payloads.push(payload_of(parts, home, one).await?);
    }
    let recorded = record(parts, by, (patient_id, home, target), &found).await?;
    let mut gathered = gather(parts, standing, &recorded).await?;
    let committee = state::committee(standing)?;
    let mut all = Obtained {
        granted: Vec::new(),
        withheld: Vec::new(),
    };
    for (found, payload) in found.into_iter().zip(payloads) {
        let tag = found.copy.tag;
        let gathered = gathered.remove(&tag).unwrap_or_default();
        if !gathered.is_enough(standing) {
            let reason = gathered
                .reason
                .filter(|_| gathered.withheld > spare(standing));
            all.withheld.extend(reason.map(|reason| (tag, reason)));
            continue;
        }
        let identity = found.terms.identity();
        let key = committee.open(&identity, &found.copy.key, &gathered.partials);
        let key = key.map_err(|error| {
            tracing::error!(%error, "k checked shares do not open a key");
            unavailable("the key that the custodian has sealed")
        })?;
        all.granted.push(Granted {
            tag,
            sealed: payload,
            key: DataKey::from_bytes(*key),
            descriptor: found.descriptor,
            opening: found.opening,
            receipt: None,
            scope: gathered.scope.map(Into::into),
        });
    }
    Ok(all)
}

/// The copies that other members keep, checked against the ledger.
async fn find(
    parts: &Parts,
    home: &MemberName,
    branch: &BranchKey,
) -> Result<Vec<Found>, CustodyError> {
    let tags = entries_of(parts, home, branch)?;
    let mut holders = parts.client.members();
    holders.push(parts.member.clone());
    let mut found = BTreeMap::new();
    for holder in holders.into_iter().filter(|holder| holder != home) {
        for tags in tags.chunks(TAGS_MAX) {
            for copy in ask_copies(parts, &holder, home, (tags, false)).await {
                found.entry(copy.tag).or_insert((holder.clone(), copy));
            }
        }
    }
    let versions = found
        .into_values()
        .filter_map(|(holder, copy)| read(parts, home, branch, (holder, copy)));
    Ok(versions.collect())
}

async fn ask_copies(
    parts: &Parts,
    holder: &MemberName,
    home: &MemberName,
    (tags, whole): (&[Tag], bool),
) -> Vec<SealedCopy> {
    let message = CopiesOf {
        home: home.clone(),
        tags: tags.to_vec(),
        whole,
    };
    let copies = if *holder == parts.member {
        kept(parts, &message).ok()
    } else {
        let call = parts.client.call(holder, "release/copies", &message).await;
        if let Err(error) = &call {
            tracing::warn!(%holder, %error, "a member's copies cannot be asked for");
        }
        call.ok()
    };
    let Copies { copies } = copies.unwrap_or(Copies { copies: Vec::new() });
    let asked = copies.into_iter().filter(|copy| tags.contains(&copy.tag));
    asked.collect()
}

/// The sealed payload of what was found.
async fn payload_of(
    parts: &Parts,
    home: &MemberName,
    found: &Found,
) -> Result<Vec<u8>, CustodyError> {
    let tags = [found.copy.tag];
    let copies = ask_copies(parts, &found.holder, home, (&tags, true)).await;
    let copy = copies.into_iter().next();
    let copy = copy.ok_or_else(|| unavailable("the member that keeps the copy"))?;
    Ok(copy.payload)
}

/// A copy as it must be, or nothing: its descriptor is on the ledger and its terms are of that version.
fn read(
    parts: &Parts,
    home: &MemberName,
    branch: &BranchKey,
    (holder, copy): (MemberName, SealedCopy),
) -> Option<Found> {
    let network = parts.chain.network();
    let sealed = copy.sealed_descriptor();
    let listed = listed_entry(parts, home, branch, &sealed).ok().flatten()?;
    let open = open_descriptor(network, home, branch, &sealed).ok()?;
    let terms = copy.terms(network, home, branch).ok()?;
    let is_of_version = terms.tag == copy.tag
        && terms.home == *home
        && terms.next == listed.record.next
        && terms.target == format!("{}/{}", listed.record.resource_type, listed.record.id);
    is_of_version.then(|| Found {
        holder,
        version: listed.record.version,
        descriptor: open.descriptor,
        opening: open.opening,
        terms,
        copy,
    })
}

/// Puts the request on record, and waits until it is final.
async fn record(
    parts: &Parts,
    by: &Requester,
    (patient_id, home, target): (&str, &MemberName, &str),
    found: &[Found],
) -> Result<Recorded, CustodyError> {
    let keys = HpkeKeyPair::generate();
    let emergency = match by.emergency {
        Some(id) => parts.custody.emergency(id)?,
        None => None,
    };
    let request = Request {
        network: parts.chain.network(),
        from: parts.member.clone(),
        to: home.clone(),
        practitioner: by.practitioner.clone(),
        client: by.client.clone(),
        role: by.role.clone(),
        purpose: by.purpose.clone(),
        interaction: INTERACTION.to_owned(),
        target: target.to_owned(),
        documents: found.iter().map(|one| one.terms.tag).collect(),
        recipient: keys.public_key().0,
        expires_at: Height(parts.chain.tip().height.0.saturating_add(LIFETIME)),
        emergency,
        encoding: None,
    };
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
    let terms = found.iter().map(|one| one.terms.clone()).collect();
    Ok(Recorded {
        ask: ShareAsk { ask, terms },
        digest,
        keys,
    })
}

/// What was gathered of one version.
#[derive(Default)]
struct Gathered {
    partials: BTreeMap<[u8; 32], PartialRelease>,
    /// What the consents cover, as the first member says whose share is right.
    scope: Option<String>,
    /// How many members give nothing, and why the first does not.
    withheld: usize,
    reason: Option<String>,
}

impl Gathered {
    fn is_enough(&self, standing: &Standing) -> bool {
        u32::try_from(self.partials.len()) == Ok(standing.k)
    }

    /// Whether more answers change nothing. Who is silent might have given: only if enough of them refuse is it denied.
    fn is_settled(&self, standing: &Standing) -> bool {
        self.is_enough(standing) || self.withheld > spare(standing)
    }
}

/// How many members of a committee may refuse without stopping a release.
fn spare(standing: &Standing) -> usize {
    let k = usize::try_from(standing.k).unwrap_or(usize::MAX);
    standing.members.len().saturating_sub(k)
}

/// The first k right shares of each version.
async fn gather(
    parts: &Parts,
    standing: &Standing,
    recorded: &Recorded,
) -> Result<BTreeMap<Tag, Gathered>, CustodyError> {
    let committee = state::committee(standing)?;
    let mut answers: FuturesUnordered<_> = standing
        .members
        .iter()
        .map(|giver| async move { (giver, ask_share(parts, &giver.member, recorded).await) })
        .collect();
    let terms = recorded.ask.terms.iter();
    let mut gathered: BTreeMap<Tag, Gathered> =
        terms.map(|one| (one.tag, Gathered::default())).collect();
    while let Some((giver, answer)) = answers.next().await {
        let Some(answer) = answer else {
            continue;
        };
        for withheld in answer.withheld {
            if let Some(one) = gathered.get_mut(&withheld.tag) {
                one.withheld = one.withheld.saturating_add(1);
                one.reason.get_or_insert(withheld.reason);
            }
        }
        for given in answer.given {
            let Some(one) = gathered.get_mut(&given.tag) else {
                continue;
            };
            if one.is_enough(standing) {
                continue;
            }
            let named = (&giver.member, giver.key);
            let share = checked(parts, (standing.key, &committee), named, recorded, &given);
            if let Some(share) = share.await? {
                one.partials.insert(giver.key.0, share);
                one.scope = one.scope.take().or(given.scope);
            }
        }
        if gathered.values().all(|one| one.is_settled(standing)) {
            break;
        }
    }
    Ok(gathered)
}

async fn ask_share(parts: &Parts, giver: &MemberName, recorded: &Recorded) -> Option<Shares> {
    if *giver == parts.member {
        return shares(parts, giver, &recorded.ask).await.ok();
    }
    let call = parts.client.call(giver, "release/share", &recorded.ask);
    match call.await {
        Ok(shares) => Some(shares),
        Err(error) => {
            tracing::warn!(%giver, %error, "a member of the committee gives no share");
            None
        }
    }
}

/// The share, if it is right. A wrong one that its giver has signed is kept as evidence.
async fn checked(
    parts: &Parts,
    (key, committee): (u64, &Committee),
    (giver, giver_key): (&MemberName, Digest),
    recorded: &Recorded,
    given: &super::message::GivenShare,
) -> Result<Option<PartialRelease>, CustodyError> {
    let mut terms = recorded.ask.terms.iter();
    let Some(terms) = terms.find(|one| one.tag == given.tag) else {
        return Ok(None);
    };
    let info = share_info(recorded.digest, given.tag);
    let Ok(share) = recorded
        .keys
        .unwrap(&info, &recorded.digest.0, &given.share)
    else {
        return Ok(None);
    };
    let share = PartialRelease(share.to_vec());
    let identity = terms.identity();
    let signed = signed_share(recorded.digest, Digest(identity), &share);
    let signer = parts.key_of(giver, given.certificate);
    if signer.is_none_or(|key| key.verify(&signed, &given.signature).is_err()) {
        tracing::warn!(%giver, "a share is not signed by its giver");
        return Ok(None);
    }
    if committee.check(&giver_key.0, &identity, &share).is_ok() {
        return Ok(Some(share));
    }
    tracing::error!(target: "security", %giver, "a member of the committee has given a wrong share");
    let fault = ReleaseFault {
        giver: giver.clone(),
        certificate: given.certificate,
        request: recorded.digest,
        key,
        identity: Digest(identity),
        share,
        signature: given.signature,
    };
    let row = codec::encode(&fault);
    let place = [b"e".as_slice(), &Digest::of(&row).0].concat();
    state::put(parts, place, &fault).await?;
    Ok(None)
}
