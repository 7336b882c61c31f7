//! Step 8: nothing of a patient is in what the ledger stores, and who belongs together cannot be told from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use ledger::ids::{MemberName, Tag};
use ledger::item::Item;
use serde_json::Value;
use sim::adversary::{Observed, advantage, observe};
use sim::scan::{Planted, find};

use super::Story;
use crate::dump::dump;
use crate::import::Source;

/// Patients whose values are looked for.
const PATIENTS: usize = 10;
/// Values of one kind of one patient at most.
const VALUES: usize = 400;
const SEED: u64 = 8;

impl Story {
    pub(super) async fn privacy(&mut self) -> anyhow::Result<String> {
        let quiet = self.settle().await?;
        let interleaved = self.interleaved().await?;
        self.settle().await?;
        self.processes.kill("payer").await?;
        let path = self.layout.scratch()?.join("ledger.dump");
        dump(&self.layout.member("payer").config(), &path)?;
        let ledger = fs::read(&path)?;
        let (values, bytes) = self.scan(&ledger)?;

        let owners = self.owners(&ledger)?;
        let owner = |one: &Observed| owner_of(&owners, one);
        let observed = observe(&ledger)?;
        let (bulk, daily): (Vec<_>, Vec<_>) = observed
            .into_iter()
            .partition(|one| one.height.0 <= quiet.height);
        let daily =
            advantage(&daily, owner, SEED).context("there is too little traffic to judge")?;
        anyhow::ensure!(
            daily.is_within_noise(),
            "the adversary tells interleaved patients apart: advantage {:.3}, noise {:.3}",
            daily.advantage,
            daily.noise
        );
        let bulk = advantage(&bulk, owner, SEED);
        let bulk = bulk.map_or("too little to judge".to_owned(), |bulk| {
            format!("{:.3}", bulk.advantage)
        });
        self.processes.restart("payer").await?;
        Ok(format!(
            "{values} values and their hashes are nowhere in the {bytes} bytes that the payer's ledger stores; the \
             adversary's advantage on {interleaved} interleaved records is {:.3} (noise up to {:.3}), on the import, \
             which brought one patient after the other, {bulk}",
            daily.advantage, daily.noise
        ))
    }

    /// Looks through the ledger's files and its dump; returns how many values were looked for, in how many bytes.
    fn scan(&self, ledger: &[u8]) -> anyhow::Result<(usize, usize)> {
        let (mut planted, mut hashed) = (Vec::new(), Vec::new());
        for source in self.sources.iter().take(PATIENTS) {
            let bundle = source.bundle()?;
            planted.extend(values(source, &bundle));
            hashed.extend(resources(source, &bundle));
        }
        let data = self.layout.member("payer").data();
        let mut stores = vec![("dump".to_owned(), ledger.to_vec())];
        for folder in ["chain", "engine"] {
            read_all(&data.join(folder), &mut stores)?;
        }
        let control = self
            .sources
            .first()
            .context("no patients")?
            .bundle()?
            .to_string();
        let control = [("control", control.as_bytes())];
        anyhow::ensure!(
            !find(control, &planted, &hashed)?.is_empty(),
            "the scan does not find what is there"
        );
        let views = stores
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        let findings = find(views, &planted, &hashed)?;
        if let Some(finding) = findings.first() {
            anyhow::bail!(
                "{} values of patients are in the ledger, the first: {finding:?}",
                findings.len()
            );
        }
        let bytes = stores.iter().map(|(_, bytes)| bytes.len()).sum();
        Ok((planted.len() + hashed.len(), bytes))
    }

    /// Which tag belongs to which patient: what only all patients together know.
    fn owners(&self, ledger: &[u8]) -> anyhow::Result<BTreeMap<(MemberName, Tag), String>> {
        let mut used: BTreeSet<(MemberName, Tag)> = BTreeSet::new();
        for one in observe(ledger)? {
            let tags = Item::from_bytes(&one.item).tags;
            used.extend(tags.map(|tag| (one.member.clone(), tag)));
        }
        let mut owners = BTreeMap::new();
        for name in self.wallets.names() {
            for (member, entries) in self.wallet(&name)?.streams(&self.view) {
                let tags = (1..).map(|position| (member.clone(), entries.tag(position)));
                for place in tags.take_while(|place| used.contains(place)) {
                    owners.insert(place, name.clone());
                }
            }
        }
        Ok(owners)
    }
}

fn owner_of(owners: &BTreeMap<(MemberName, Tag), String>, one: &Observed) -> Option<String> {
    let tags = Item::from_bytes(&one.item).tags;
    tags.into_iter()
        .find_map(|tag| owners.get(&(one.member.clone(), tag)).cloned())
}

/// Names, identifiers, codes, dates and references in a bundle.
fn values(source: &Source, bundle: &Value) -> Vec<Planted> {
    let mut texts = BTreeSet::new();
    collect(bundle, &mut texts);
    let name = source.wallet();
    let label = |text: &String| Planted::new(format!("a value of {name}"), text.as_bytes());
    texts.iter().filter_map(label).take(VALUES).collect()
}

/// Whole resources, whose hashes must not be there either.
fn resources(source: &Source, bundle: &Value) -> Vec<Planted> {
    let name = source.wallet();
    let entries = bundle.get("entry").and_then(Value::as_array);
    let resources = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get("resource"));
    let label =
        |resource: &Value| Planted::new(format!("a resource of {name}"), resource.to_string());
    resources.filter_map(label).take(VALUES).collect()
}

fn collect(value: &Value, texts: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    (
                        "family" | "birthDate" | "code" | "value" | "effectiveDateTime" | "fullUrl"
                        | "authoredOn" | "onsetDateTime" | "display",
                        Value::String(text),
                    ) if text.chars().any(|one| one.is_ascii_digit()) || name == "family" => {
                        texts.insert(text.clone());
                    }
                    _ => collect(member, texts),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, texts)),
        _ => {}
    }
}

fn read_all(folder: &Path, stores: &mut Vec<(String, Vec<u8>)>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_all(&path, stores)?;
        } else {
            stores.push((path.display().to_string(), fs::read(&path)?));
        }
    }
    Ok(())
}
