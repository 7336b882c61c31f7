//! `access-history`: who asked about a patient, as one member's answer says, each entry with its receipt.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use contracts::descriptor::{AccessDescriptor, Descriptor};
use contracts::rotation::{MovedDescriptor, Successor};
use interop::fhir::timespan::format_instant;
use ledger::ids::{Digest, MemberName, NetworkId, Tag};
use ledger::item::Opening;
use ledger::receipt::{Receipt, Recorded};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::outcome::Facts;
use crate::recent::{Recent, View};
use crate::trust::Pinned;

struct Entry {
    position: u64,
    descriptor: Vec<u8>,
    opening: Opening,
    receipt: Option<Receipt>,
    /// By which the entry after one that closes the stream is known.
    successor_salt: Option<[u8; 32]>,
}

struct Checked {
    member: MemberName,
    tag: Tag,
    said: Said,
}

/// What an entry says.
enum Said {
    Access(Box<AccessDescriptor>),
    /// The patient's keys were rotated.
    Moved(MovedDescriptor, Option<[u8; 32]>),
}

/// Checks a member's answer to `$access-history`. Entries that are not final yet are counted, and prove nothing.
pub(crate) fn check(
    bytes: &[u8],
    pinned: &Pinned,
    recent: Option<&Recent>,
) -> Result<Facts, Failure> {
    let entries = read(bytes)
        .ok_or_else(|| Failure::new("answer", "the file is not an answer to $access-history"))?;
    let mut checked: Vec<Checked> = Vec::new();
    let mut pending = 0_u64;
    for (expected, entry) in (1_u64..).zip(&entries) {
        let place = format!("entry {}", entry.position);
        if entry.position != expected {
            let message = format!("entry {expected} is missing");
            return Err(Failure::new("entry-missing", message));
        }
        let Some(receipt) = &entry.receipt else {
            pending = pending.saturating_add(1);
            continue;
        };
        if pending > 0 {
            let message = "it is final, but one before it is not";
            return Err(Failure::new("entry-order", message).at(place));
        }
        let trust = pinned.trust(receipt.succession.as_ref());
        let recorded = trust
            .and_then(|trust| Ok(receipt.verify(&trust)?))
            .map_err(|failure| failure.at(&place))?;
        if let Some(recent) = recent {
            let compared = recent.compare(&View::of(receipt));
            compared.map_err(|failure| failure.at(&place))?;
        }
        let one = opened(entry, &recorded, pinned.genesis.network())
            .map_err(|failure| failure.at(&place))?;
        if let Some(before) = checked.last() {
            follows(before, &one).map_err(|failure| failure.at(&place))?;
        }
        checked.push(one);
    }
    let accesses = checked.iter().filter_map(|one| match &one.said {
        Said::Access(access) => Some(AccessDescriptor::clone(access).each()),
        Said::Moved(..) => None,
    });
    let lines: Vec<Value> = accesses
        .flatten()
        .map(|access| json!(line(&access)))
        .collect();
    let is_moved = |one: &&Checked| matches!(one.said, Said::Moved(..));
    let moved = checked.iter().filter(is_moved).count();
    let member = checked.first().map(|one| json!(one.member.as_str()));
    Ok(vec![
        ("member", member.unwrap_or_default()),
        ("entries", json!(checked.len())),
        ("rotations of the key", json!(moved)),
        ("not final yet", json!(pending)),
        ("accesses", Value::Array(lines)),
    ])
}

fn opened(entry: &Entry, recorded: &Recorded, network: NetworkId) -> Result<Checked, Failure> {
    let member = &recorded.member;
    let digest = Digest::of(&entry.descriptor);
    if !recorded
        .item
        .opens_to(network, member, &entry.opening, digest)
    {
        let message = "the recorded item does not commit to this descriptor";
        return Err(Failure::new("descriptor-or-opening", message));
    }
    let descriptor =
        Descriptor::decode(&entry.descriptor).map_err(|error| Failure::new("descriptor", error))?;
    let said = match descriptor {
        Descriptor::Access(access) => Said::Access(Box::new(access)),
        Descriptor::Moved(moved) => Said::Moved(moved, entry.successor_salt),
        _ => {
            let message = "the descriptor is not of an access";
            return Err(Failure::new("descriptor-kind", message));
        }
    };
    let [tag, _] = recorded.item.tags;
    Ok(Checked {
        member: member.clone(),
        tag,
        said,
    })
}

/// Whether an entry is the one that must come after another.
fn follows(before: &Checked, one: &Checked) -> Result<(), Failure> {
    let out_of_order = || Failure::new("entry-order", "it does not follow the one before it");
    if before.member != one.member {
        return Err(out_of_order());
    }
    match &before.said {
        Said::Access(access) if access.next == one.tag => Ok(()),
        Said::Access(_) => Err(out_of_order()),
        Said::Moved(moved, salt) => {
            let step = salt.map(|salt| Successor { salt, tag: one.tag });
            if step.is_some_and(|step| moved.leads_to(&step)) {
                return Ok(());
            }
            let message = "the stream was closed before it, and does not go on with it";
            Err(Failure::new("entry-after-closing", message))
        }
    }
}

fn line(access: &AccessDescriptor) -> String {
    let outcome = match &access.decision {
        None => "asked",
        Some(decided) if decided.withheld == 0 => "permitted",
        Some(decided) if decided.permitted.is_empty() => "denied",
        Some(_) => "permitted in part",
    };
    format!(
        "{} {} at {} for {}: {} {} at {}, {outcome}",
        format_instant(i64::try_from(access.at).unwrap_or(i64::MAX)),
        access.principal,
        access.requester,
        access.purpose,
        access.interaction,
        access.target,
        access.custodian,
    )
}

fn read(bytes: &[u8]) -> Option<Vec<Entry>> {
    let answer: Value = serde_json::from_slice(bytes).ok()?;
    if answer.get("resourceType")?.as_str()? != "Parameters" {
        return None;
    }
    let none = Vec::new();
    let parameters = answer
        .get("parameter")
        .map_or(Some(&none), Value::as_array)?;
    let mut entries: Vec<Entry> = parameters.iter().map(entry).collect::<Option<_>>()?;
    entries.sort_by_key(|entry| entry.position);
    Some(entries)
}

fn entry(parameter: &Value) -> Option<Entry> {
    let parts = parameter.get("part")?.as_array()?;
    let part = |name: &str| {
        let is_named = |part: &&Value| part.get("name").and_then(Value::as_str) == Some(name);
        parts.iter().find(is_named)
    };
    let bytes = |part: &Value| {
        let text = part.get("valueBase64Binary")?.as_str()?;
        BASE64_STANDARD.decode(text).ok()
    };
    let receipt = match part("receipt") {
        Some(receipt) => Some(Receipt::decode(&bytes(receipt)?).ok()?),
        None => None,
    };
    Some(Entry {
        position: part("position")?.get("valueUnsignedInt")?.as_u64()?,
        descriptor: bytes(part("descriptor")?)?,
        opening: Opening(bytes(part("opening")?)?.try_into().ok()?),
        receipt,
        successor_salt: match part("successorSalt") {
            Some(salt) => Some(bytes(salt)?.try_into().ok()?),
            None => None,
        },
    })
}
