//! Importing: each patient's bundle is spread over the members as care was given, and every member's part goes through
//! that member's own FHIR API.

mod command;
mod document;
mod ndjson;
mod prepare;
mod reject;
mod source;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use interop::fhir::spread::spread;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;

use self::reject::{Given, Reject, names_in};
use self::state::{Part, State};
use crate::client::{Answer, Client, Request, User};
use crate::network::{Layout, read_json};
use crate::wallet::{View, Wallet, WalletFolder, clerk};

pub(crate) use command::{ImportArgs, run};
pub(crate) use source::Source;

/// Patients under way at once.
const AT_ONCE: usize = 4;
/// In the wallets' folder: what was acknowledged.
const STATE: &str = "import-state.ndjson";
/// How long a busy member is waited for, at first and at last.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// What was imported.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) patients: usize,
    /// Resources that each member accepted.
    pub(crate) resources: BTreeMap<String, usize>,
    /// Members' parts of bundles that were acknowledged before.
    pub(crate) already: usize,
    /// Values of documents that cannot be read, by file and path: what was imported is without them.
    pub(crate) left_out: Vec<String>,
    /// What was not accepted, and why.
    pub(crate) rejected: Vec<String>,
    /// The same, entry by entry.
    #[serde(skip)]
    pub(crate) rejects: Vec<Reject>,
    /// Bundles that were not sent, or not whole, because the import had to stop.
    pub(crate) untried: usize,
    /// Why it had to stop.
    pub(crate) halted: Option<String>,
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
    state: State,
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
            state: State::open(&folder.path().join(STATE))?,
        })
    }

    /// Imports all; `progress` is called after each patient.
    pub(crate) async fn import(
        &self,
        sources: &[Source],
        progress: impl Fn(),
    ) -> anyhow::Result<Summary> {
        let start = Instant::now();
        let mut patients: BTreeMap<String, Vec<&Source>> = BTreeMap::new();
        for source in sources {
            patients.entry(source.wallet()).or_default().push(source);
        }
        let fresh: Vec<String> = patients
            .keys()
            .filter(|name| !self.folder.contains(name))
            .cloned()
            .collect();
        self.folder.create(&fresh)?;
        let summary = Arc::new(Mutex::new(Summary::default()));
        // Bundles of one patient come one after another: the first enrols, the others find that done.
        let work = stream::iter(patients.into_values()).for_each_concurrent(AT_ONCE, |of_one| {
            let (summary, progress) = (Arc::clone(&summary), &progress);
            async move {
                for source in of_one {
                    self.one(source, &summary).await;
                    progress();
                }
            }
        });
        work.await;
        let mut summary = summary.lock().await.clone();
        summary.seconds = start.elapsed().as_secs_f64();
        Ok(summary)
    }

    /// Imports one bundle, unless the import had to stop.
    async fn one(&self, source: &Source, summary: &Mutex<Summary>) {
        if summary.lock().await.halted.is_some() {
            summary.lock().await.untried += 1;
            return;
        }
        let outcome = self.patient(source, summary).await;
        let mut summary = summary.lock().await;
        match outcome {
            Ok(rejects) if rejects.is_empty() => {
                summary.patients += 1;
                summary.left_out.extend(source.left_out());
            }
            Ok(rejects) => {
                let said = rejects.iter().map(ToString::to_string);
                summary.rejected.extend(said);
                summary.rejects.extend(rejects);
            }
            Err(error) => {
                summary.untried += 1;
                summary.halted.get_or_insert(format!("{error:#}"));
            }
        }
    }

    /// Imports one bundle; what is refused is answered, and what keeps everything from going on is the error.
    async fn patient(
        &self,
        source: &Source,
        summary: &Mutex<Summary>,
    ) -> anyhow::Result<Vec<Reject>> {
        let place = source.place();
        let unread = |why: String| vec![Reject::unread(place.clone(), None, &why)];
        let bundle = match source.bundle() {
            Ok(bundle) => bundle,
            Err(error) => return Ok(unread(format!("{error:#}"))),
        };
        let given = Given::of(source, &bundle);
        let parts = match source {
            Source::Document(_) => document::whole(bundle),
            _ => match spread(bundle) {
                Ok(parts) => parts,
                Err(error) => return Ok(unread(error.to_string())),
            },
        };
        let mut wallet = self.folder.wallet(&source.wallet())?;
        let mut rejects = Vec::new();
        for (role, part) in parts {
            let member = role.name();
            let Some(desk) = self.desks.get(member) else {
                rejects.extend(unread(format!("the network has no member `{member}`")));
                continue;
            };
            let mark = match source {
                Source::Document(one) => Part::of(&wallet.name, member, &one.digest),
                _ => Part::of(&wallet.name, member, &part.to_string()),
            };
            if self.state.has(&mark) {
                summary.lock().await.already += 1;
                continue;
            }
            if wallet.state.patients.contains_key(member) {
                // An import may have been cut off after the member took the part and before that was noted.
                if !self.state.has_any(&mark) && self.is_there(&wallet, member, desk).await? {
                    self.state.acknowledge(mark, 0)?;
                    summary.lock().await.already += 1;
                    continue;
                }
            } else {
                match wallet.enroll(self.view, member, &desk.clerk).await {
                    Ok(()) => {}
                    Err(error) if is_away(&error) => {
                        let who = format!("{member} does not answer: is the node running?");
                        return Err(error.context(who));
                    }
                    Err(error) => {
                        let why = format!("{member} does not enrol the patient: {error:#}");
                        rejects.extend(unread(why));
                        continue;
                    }
                }
                self.folder.save(&wallet)?;
            }
            match self.part(&wallet, member, desk, (part, &given)).await? {
                Ok(records) => {
                    self.state.acknowledge(mark, records.len())?;
                    let mut summary = summary.lock().await;
                    *summary.resources.entry(member.to_owned()).or_default() += records.len();
                    summary.records.extend(records);
                }
                Err(_) if is_kept(source, desk).await? => {
                    self.state.acknowledge(mark, 0)?;
                    summary.lock().await.already += 1;
                }
                Err(refused) => rejects.extend(refused),
            }
        }
        Ok(rejects)
    }

    /// Whether the member has a record of the patient: a part is written whole or not at all.
    async fn is_there(&self, wallet: &Wallet, member: &str, desk: &Desk) -> anyhow::Result<bool> {
        let path = format!("Patient/{}", wallet.patient_at(member)?);
        let answer = desk.ehr.get(&path).await?;
        Ok(match answer.status() {
            404 => false,
            // Whoever is refused or told that it is deleted learns that it is there.
            200 | 403 | 410 => true,
            _ => {
                answer.ok()?;
                true
            }
        })
    }

    async fn part(
        &self,
        wallet: &Wallet,
        member: &str,
        desk: &Desk,
        (part, given): (Value, &Given),
    ) -> anyhow::Result<Result<Vec<Record>, Vec<Reject>>> {
        let transaction = prepare::transaction(part, wallet.patient_at(member)?);
        let answer = send(desk, &transaction).await?;
        if !(200..300).contains(&answer.status()) {
            let sent = names_in(&transaction);
            return Ok(Err(Reject::refused(given, member, &answer, &sent)));
        }
        let answer = answer.json()?;
        let sent = transaction.get("entry").and_then(Value::as_array);
        let answered = answer.get("entry").and_then(Value::as_array);
        let pairs = sent
            .into_iter()
            .flatten()
            .zip(answered.into_iter().flatten());
        let records = pairs.map(|(sent, answered)| {
            let location = answered
                .pointer("/response/location")
                .and_then(Value::as_str);
            Ok(Record {
                wallet: wallet.name.clone(),
                member: member.to_owned(),
                reference: prepare::reference(location.unwrap_or_default())?,
                traits: prepare::traits(sent, answered)?,
            })
        });
        let records: anyhow::Result<Vec<_>> = records.collect();
        records.map(Ok)
    }
}

/// Whether the member has a document: it is written whole, with what it became, or not at all.
async fn is_kept(source: &Source, desk: &Desk) -> anyhow::Result<bool> {
    let Source::Document(document) = source else {
        return Ok(false);
    };
    let path = format!("DocumentReference/{}", document.id());
    Ok(desk.ehr.get(&path).await?.status() == 200)
}

/// Whether a member could not be reached: then nothing goes on.
fn is_away(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<reqwest::Error>())
        .any(|error| error.is_connect() || error.is_timeout() || error.is_request())
}

/// Sends; what a busy member refused before it did anything is sent again.
async fn send(desk: &Desk, transaction: &Value) -> anyhow::Result<Answer> {
    let request = Request::json(transaction);
    let mut pause = PAUSE_FIRST;
    loop {
        let answer = desk.ehr.post("", &request).await?;
        if !matches!(answer.status(), 429 | 503) || pause > PAUSE_MAX {
            return Ok(answer);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
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
