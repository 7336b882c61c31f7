//! Importing: each patient's bundle is spread over the members as care was given, and every member's part goes through
//! that member's own FHIR API.

mod command;
mod prepare;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _};
use interop::fhir::spread::spread;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::client::{Client, Request, User};
use crate::network::{Layout, read_json};
use crate::wallet::{View, Wallet, WalletFolder, clerk};

pub(crate) use command::{ImportArgs, run};

/// Patients under way at once.
const AT_ONCE: usize = 4;

/// Where a bundle comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A file.
    File(PathBuf),
    /// The synthetic patient of a seed and an index.
    Synthetic(u64, u64),
}

/// What was imported.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) patients: usize,
    /// Resources that each member accepted.
    pub(crate) resources: BTreeMap<String, usize>,
    /// What was not accepted, and why.
    pub(crate) rejected: Vec<String>,
    pub(crate) seconds: f64,
    /// The records, as they are known now.
    #[serde(skip)]
    pub(crate) records: Vec<Record>,
}

/// A record that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The patient's wallet.
    pub(crate) wallet: String,
    pub(crate) member: String,
    /// FHIR type and id at the member.
    pub(crate) reference: String,
    pub(crate) traits: Traits,
}

/// What decisions on a record depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traits {
    pub(crate) is_restricted: bool,
    pub(crate) is_laboratory: bool,
    /// Whether it was there before.
    pub(crate) is_found: bool,
}

impl Record {
    pub(crate) fn kind(&self) -> &str {
        self.reference.split('/').next().unwrap_or_default()
    }
}

impl Summary {
    pub(crate) fn total(&self) -> usize {
        self.resources.values().sum()
    }
}

/// A member's systems, through which patients and records arrive.
struct Desk {
    clerk: Client,
    ehr: Client,
}

/// Imports bundles into a network.
pub(crate) struct Importer<'a> {
    view: &'a View,
    folder: &'a WalletFolder,
    desks: BTreeMap<String, Desk>,
}

impl Source {
    /// What the wallet is called for which this bundle is imported.
    pub(crate) fn wallet(&self) -> String {
        match self {
            Self::Synthetic(seed, index) => format!("synthetic-{seed}-{index}"),
            Self::File(path) => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let id = stem.rsplit('_').next().unwrap_or_default().to_lowercase();
                id.chars()
                    .filter(|one| one.is_ascii_alphanumeric() || *one == '-')
                    .collect()
            }
        }
    }

    pub(crate) fn bundle(&self) -> anyhow::Result<Value> {
        match self {
            Self::Synthetic(seed, index) => Ok(interop::synth::patient_bundle(*seed, *index)),
            Self::File(path) => read_json(path),
        }
    }

    /// The bundles of a folder, in the order of their names, or the one file.
    pub(crate) fn files(path: &Path) -> anyhow::Result<Vec<Self>> {
        if path.is_file() {
            return Ok(vec![Self::File(path.to_owned())]);
        }
        let listed = std::fs::read_dir(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let mut files = Vec::new();
        for entry in listed {
            let file = entry?.path();
            if file
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                files.push(Self::File(file));
            }
        }
        files.sort_by_key(Self::wallet);
        anyhow::ensure!(!files.is_empty(), "{} has no .json files", path.display());
        Ok(files)
    }
}

impl<'a> Importer<'a> {
    pub(crate) fn new(
        view: &'a View,
        layout: &Layout,
        folder: &'a WalletFolder,
    ) -> anyhow::Result<Self> {
        let mut desks = BTreeMap::new();
        for entry in &view.network.members {
            let of_member = layout.member(&entry.member);
            let user = User {
                purpose: "TREAT".to_owned(),
                practitioner: None,
                role: None,
            };
            let desk = Desk {
                clerk: clerk(view, &of_member.credential("clerk"))?,
                ehr: Client::of_system(
                    &view.http,
                    &read_json(&of_member.credential("ehr"))?,
                    user,
                    "system/*.cruds",
                )?,
            };
            desks.insert(entry.member.clone(), desk);
        }
        Ok(Self {
            view,
            folder,
            desks,
        })
    }

    /// Imports all; `progress` is called after each patient.
    pub(crate) async fn import(
        &self,
        sources: &[Source],
        progress: impl Fn(),
    ) -> anyhow::Result<Summary> {
        let start = Instant::now();
        let names: Vec<String> = sources.iter().map(Source::wallet).collect();
        let fresh: Vec<String> = names
            .into_iter()
            .filter(|name| !self.folder.contains(name))
            .collect();
        self.folder.create(&fresh)?;
        let summary = Arc::new(Mutex::new(Summary::default()));
        let work = stream::iter(sources).for_each_concurrent(AT_ONCE, |source| {
            let (summary, progress) = (Arc::clone(&summary), &progress);
            async move {
                let outcome = self.patient(source, &summary).await;
                let mut summary = summary.lock().await;
                match outcome {
                    Ok(()) => summary.patients += 1,
                    Err(error) => summary
                        .rejected
                        .push(format!("{}: {error:#}", source.wallet())),
                }
                progress();
            }
        });
        work.await;
        let mut summary = summary.lock().await.clone();
        summary.seconds = start.elapsed().as_secs_f64();
        Ok(summary)
    }

    async fn patient(&self, source: &Source, summary: &Mutex<Summary>) -> anyhow::Result<()> {
        let mut wallet = self.folder.wallet(&source.wallet())?;
        let parts = spread(source.bundle()?)?;
        for (role, part) in parts {
            let member = role.name();
            if wallet.state.patients.contains_key(member) {
                continue;
            }
            let desk = self.desks.get(member);
            let desk = desk.with_context(|| format!("the network has no member `{member}`"))?;
            wallet.enroll(self.view, member, &desk.clerk).await?;
            let records = self.part(&wallet, member, desk, part).await?;
            self.folder.save(&wallet)?;
            let mut summary = summary.lock().await;
            *summary.resources.entry(member.to_owned()).or_default() += records.len();
            summary.records.extend(records);
        }
        Ok(())
    }

    async fn part(
        &self,
        wallet: &Wallet,
        member: &str,
        desk: &Desk,
        part: Value,
    ) -> anyhow::Result<Vec<Record>> {
        let transaction = prepare::transaction(part, wallet.patient_at(member)?);
        let answer = desk.ehr.post("", &Request::json(&transaction)).await?;
        let answer = answer
            .ok()
            .with_context(|| format!("{member} refused the bundle"))?
            .json()?;
        let sent = transaction.get("entry").and_then(Value::as_array);
        let answered = answer.get("entry").and_then(Value::as_array);
        let pairs = sent
            .into_iter()
            .flatten()
            .zip(answered.into_iter().flatten());
        pairs
            .map(|(sent, answered)| {
                let location = answered
                    .pointer("/response/location")
                    .and_then(Value::as_str);
                Ok(Record {
                    wallet: wallet.name.clone(),
                    member: member.to_owned(),
                    reference: prepare::reference(location.unwrap_or_default())?,
                    traits: prepare::traits(sent, answered)?,
                })
            })
            .collect()
    }
}

/// How long an import took, in words.
pub(crate) fn pace(summary: &Summary) -> String {
    let took = Duration::from_secs_f64(summary.seconds);
    let rate = f64::from(u32::try_from(summary.total()).unwrap_or(u32::MAX)) / summary.seconds;
    format!(
        "{} resources of {} patients in {took:.1?} ({rate:.0}/s)",
        summary.total(),
        summary.patients
    )
}
