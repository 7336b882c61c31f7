//! The access history, put together from all members with the patient's keys, each entry checked.

use std::collections::BTreeSet;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::access::DecisionRecord;
use contracts::descriptor::{AccessDescriptor, Descriptor};
use ledger::ids::{Digest, MemberName};
use ledger::item::Opening;
use ledger::receipt::Receipt;
use ledger::stream::{Branch, StreamKey};
use serde_json::Value;

use super::{View, Wallet};

/// All accesses, the newest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) attempts: Vec<Attempt>,
    /// Entries that are recorded and not final yet.
    pub(crate) pending: usize,
}

/// One access: asked, granted or denied.
pub(crate) struct Attempt {
    /// The member that says so.
    pub(crate) recorded_by: String,
    pub(crate) position: u64,
    pub(crate) access: AccessDescriptor,
    /// Whether the receipt verifies; `None` before finality.
    pub(crate) receipt: Option<()>,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attempt({}, {})", self.recorded_by, self.position)
    }
}

impl Attempt {
    /// Documents that were opened and that were withheld; `None` where the member only asked.
    pub(crate) fn outcome(&self) -> Option<(usize, u32)> {
        let decision = self.access.decision.as_ref()?;
        Some((decision.permitted.len(), decision.withheld))
    }

    /// Why documents were withheld, with the code of the exception in front.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.access.decision.as_ref()?.reason.as_deref()
    }

    /// The policies and consents that determined the decision, each once.
    pub(crate) fn rules(&self) -> BTreeSet<String> {
        let decided = self.access.decision.as_ref();
        let record = decided.and_then(|decided| decided.record.as_deref());
        let record = record.and_then(|bytes| DecisionRecord::decode(bytes).ok());
        let rulings = record.into_iter().flat_map(|record| record.rulings);
        rulings.flat_map(|ruling| ruling.determining).collect()
    }

    /// Who acted in the patient's place: each link of the chain, whoever acted last.
    pub(crate) fn delegates(&self) -> Vec<&str> {
        let links = self.access.on_behalf_of.iter().flat_map(|one| &one.links);
        links.map(|link| link.delegate.as_str()).collect()
    }
}

impl Wallet {
    /// Asks every member where the patient is enrolled. An entry that is missing, or that does not verify, is an error.
    pub(crate) async fn history(&self, view: &View) -> anyhow::Result<History> {
        let mut history = History::default();
        for (member, id) in &self.state.patients {
            let client = self.client(view, member)?;
            let answer = client
                .get(&format!("Patient/{id}/$access-history"))
                .await?
                .ok()?;
            let name: MemberName = member.parse()?;
            let entries = self
                .branch(view.network_id(), &Branch::Access(name))
                .entries();
            let body = answer.json()?;
            let parameters = body.get("parameter").and_then(Value::as_array);
            for (entry, position) in parameters.into_iter().flatten().zip(1..) {
                let attempts = checked(view, member, &entries, position, entry)
                    .with_context(|| format!("entry {position} of {member} does not verify"))?;
                let is_final = attempts.iter().all(|attempt| attempt.receipt.is_some());
                history.pending += usize::from(!is_final);
                history.attempts.extend(attempts);
            }
        }
        history
            .attempts
            .sort_by_key(|attempt| std::cmp::Reverse(attempt.access.at));
        Ok(history)
    }
}

/// The accesses of an entry, which must stand at its position in the member's stream and be what the ledger holds there.
fn checked(
    view: &View,
    member: &str,
    entries: &StreamKey,
    position: u64,
    entry: &Value,
) -> anyhow::Result<Vec<Attempt>> {
    let tag = entries.tag(position);
    let descriptor = part(entry, "descriptor").context("no descriptor")?;
    let opening = part(entry, "opening").and_then(|bytes| bytes.try_into().ok());
    let opening = Opening(opening.context("no opening")?);
    let Descriptor::Access(access) = Descriptor::decode(&descriptor)? else {
        anyhow::bail!("not an access");
    };
    let receipt = match part(entry, "receipt") {
        None => None,
        Some(bytes) => {
            let receipt = Receipt::decode(&bytes)?;
            let recorded = receipt.verify(&view.trust(receipt.succession.as_ref())?)?;
            let digest = Digest::of(&descriptor);
            anyhow::ensure!(
                recorded.member.as_str() == member
                    && recorded.item.tags.contains(&tag)
                    && recorded.item.opens_to(
                        view.network_id(),
                        &recorded.member,
                        &opening,
                        digest
                    ),
                "the receipt is of another entry"
            );
            Some(())
        }
    };
    let attempt = |access| Attempt {
        recorded_by: member.to_owned(),
        position,
        access,
        receipt,
    };
    Ok(access.each().into_iter().map(attempt).collect())
}

fn part(entry: &Value, name: &str) -> Option<Vec<u8>> {
    let parts = entry.get("part")?.as_array()?;
    let named = |part: &&Value| part.get("name").and_then(Value::as_str) == Some(name);
    let value = parts
        .iter()
        .find(named)?
        .get("valueBase64Binary")?
        .as_str()?;
    STANDARD.decode(value).ok()
}
