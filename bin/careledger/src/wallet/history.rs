//! The access history, put together from all members with the patient's keys, each entry checked.

use std::collections::BTreeSet;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::access::DecisionRecord;
use contracts::descriptor::{AccessDescriptor, Descriptor};
use contracts::rotation::{MovedDescriptor, Successor};
use ledger::ids::{Digest, MemberName, Tag};
use ledger::item::Opening;
use ledger::receipt::Receipt;
use ledger::stream::{Branch, GrantedBranch, StreamKey};
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
            let keys = self.keys(view.network_id(), &Branch::Access(name));
            let body = answer.json()?;
            let parameters = body.get("parameter").and_then(Value::as_array);
            let mut walk = Walk::new(view, member, &keys);
            for (entry, number) in parameters.into_iter().flatten().zip(1..) {
                let checked = walk.entry(number, entry);
                let attempts = checked
                    .with_context(|| format!("entry {number} of {member} does not verify"))?;
                let is_final = attempts.iter().all(|attempt| attempt.receipt.is_some());
                history.pending += usize::from(!is_final);
                history.attempts.extend(attempts);
            }
            walk.end()?;
        }
        history
            .attempts
            .sort_by_key(|attempt| std::cmp::Reverse(attempt.access.at));
        Ok(history)
    }
}

/// A member's entries, one after the other, over all keys of the branch.
struct Walk<'a> {
    view: &'a View,
    member: &'a str,
    /// The key of the next entry, and later ones.
    keys: std::slice::Iter<'a, GrantedBranch>,
    under: Option<StreamKey>,
    position: u64,
}

impl<'a> Walk<'a> {
    fn new(view: &'a View, member: &'a str, keys: &'a [GrantedBranch]) -> Self {
        let mut keys = keys.iter();
        Self {
            view,
            member,
            under: keys.next().map(|one| one.key.entries()),
            keys,
            position: 1,
        }
    }

    /// The accesses of an entry, which must stand where the one before it leads, and be what the ledger holds there.
    fn entry(&mut self, number: u64, entry: &Value) -> anyhow::Result<Vec<Attempt>> {
        let under = self.under.clone().context("the wallet has no key for it")?;
        let descriptor = part(entry, "descriptor").context("no descriptor")?;
        let opening = part(entry, "opening").and_then(|bytes| bytes.try_into().ok());
        let opening = Opening(opening.context("no opening")?);
        let described = Descriptor::decode(&descriptor)?;
        let mut tags = vec![under.tag(self.position)];
        if matches!(described, Descriptor::Moved(_)) {
            tags.push(under.closing());
        }
        let receipt = match part(entry, "receipt") {
            None => None,
            Some(bytes) => {
                let receipt = Receipt::decode(&bytes)?;
                let place = (opening, Digest::of(&descriptor));
                self.recorded(&receipt, &tags, place)?;
                Some(())
            }
        };
        let attempt = |access| Attempt {
            recorded_by: self.member.to_owned(),
            position: number,
            access,
            receipt,
        };
        match described {
            Descriptor::Access(access) => {
                self.position += 1;
                Ok(access.each().into_iter().map(attempt).collect())
            }
            Descriptor::Moved(moved) => {
                self.follow(&moved)?;
                Ok(Vec::new())
            }
            _ => anyhow::bail!("not an access"),
        }
    }

    fn recorded(
        &self,
        receipt: &Receipt,
        tags: &[Tag],
        (opening, digest): (Opening, Digest),
    ) -> anyhow::Result<()> {
        let recorded = receipt.verify(&self.view.trust(receipt.succession.as_ref())?)?;
        let network = self.view.network_id();
        let is_of_member = recorded.member.as_str() == self.member;
        let has_tags = tags.iter().all(|tag| recorded.item.tags.contains(tag));
        let opens = recorded
            .item
            .opens_to(network, &recorded.member, &opening, digest);
        anyhow::ensure!(
            is_of_member && has_tags && opens,
            "the receipt is of another entry"
        );
        Ok(())
    }

    /// Goes on under the next key, if the stream was closed in its favour.
    fn follow(&mut self, moved: &MovedDescriptor) -> anyhow::Result<()> {
        let next = self.keys.next().context("the wallet has no later key")?;
        let entries = next.key.entries();
        anyhow::ensure!(
            moved.epoch == next.epoch && moved.leads_to(&Successor::of(&entries, 1)),
            "the stream goes on under another key than the wallet's"
        );
        (self.under, self.position) = (Some(entries), 1);
        Ok(())
    }

    /// Whether every key of the wallet was come to.
    fn end(mut self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.keys.next().is_none(),
            "{} leaves out entries since the keys were rotated",
            self.member
        );
        Ok(())
    }
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
