//! From messages that are kept to records: mapped, and written as one transaction (M2, M3).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use interop::fhir::ResourceType;
use interop::fhir::timespan::format_instant;
use interop::hl7v2::{Code, ErrorCode, Fault, Mapped, Original, Place, map};
use interop::terminology::Coded;
use node::custody::{CustodyError, Trail};
use serde_json::{Value, json};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::Desk;
use super::answer::{answer, refusal};
use super::patients::Unmet;
use super::row::{MessageRow, State};
use crate::fhir::Caller;
use crate::problem::Problem;

/// Messages that are filed beside each other; their writes share an fsync.
const AT_ONCE: usize = 16;
/// The first pause after something that may pass; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// Attempts for a failure of which it is not known whether it passes.
const ATTEMPTS_MAX: u32 = 12;
/// References that are noted of what a message became.
const FILED_MAX: usize = 200;
/// The media type of messages in ER7.
const ER7: &str = "x-application/hl7-v2+er7";

/// What came of an attempt.
enum Outcome {
    Filed(Vec<String>),
    /// It cannot be filed as it is: what its sender is told, and in words what an operator is.
    Dead(Vec<Fault>, Vec<String>),
    /// It may be filed later; whether that is certain once something works again.
    Later(String, bool),
}

/// Files what is due, for as long as the node runs.
pub(super) async fn run(desk: Arc<Desk>) {
    let mut under_way: JoinSet<()> = JoinSet::new();
    let mut numbers: HashMap<Id, u64> = HashMap::new();
    loop {
        let now = Instant::now();
        let free = AT_ONCE.saturating_sub(under_way.len());
        let taken = desk.line().take(now, free);
        for (number, is_unsure) in taken {
            let desk = Arc::clone(&desk);
            let task = under_way.spawn(async move { desk.attempt(number, is_unsure).await });
            numbers.insert(task.id(), number);
        }
        let next = desk.line().next_due(now);
        let is_full = under_way.len() == AT_ONCE;
        let next = next.filter(|_| !is_full);
        let pause = tokio::time::sleep_until(next.unwrap_or_else(|| Instant::now() + PAUSE_MAX));
        tokio::select! {
            () = desk.due.notified() => {}
            () = pause => {}
            Some(ended) = under_way.join_next_with_id() => match ended {
                Ok((id, ())) => { numbers.remove(&id); }
                Err(error) => {
                    tracing::error!(%error, "filing a message failed");
                    if let Some(number) = numbers.remove(&error.id()) {
                        desk.line().later(number, Instant::now() + PAUSE_MAX);
                    }
                }
            },
        }
    }
}

impl Desk {
    /// Tries to file a message, and puts down what came of it.
    async fn attempt(&self, number: u64, is_unsure: bool) {
        match self.settle(number, is_unsure).await {
            Ok(Settled::Done(said)) => self.line().done(number, &said),
            Ok(Settled::Later(pause)) => self.line().later(number, Instant::now() + pause),
            Err(error) => {
                tracing::warn!(%error, number, "what became of a message could not be put down");
                self.line().later(number, Instant::now() + PAUSE_MAX);
            }
        }
    }

    async fn settle(&self, number: u64, is_unsure: bool) -> Result<Settled, CustodyError> {
        let Some(mut row) = self.load(number)? else {
            return Ok(Settled::Done(Vec::new()));
        };
        let (original, edited) = self.bytes(number)?;
        let original = original.unwrap_or_default();
        let outcome = self
            .file(&row, is_unsure, (original.as_slice(), edited.as_deref()))
            .await?;
        row.attempts += 1;
        let (code, faults) = match outcome {
            Outcome::Later(reason, is_certain) if is_certain || row.attempts < ATTEMPTS_MAX => {
                row.reasons = vec![reason];
                self.save(row.moved(number, Some(State::Waiting))).await?;
                self.metrics.count_message(&row.listener, "put-off");
                return Ok(Settled::Later(pause(row.attempts)));
            }
            Outcome::Filed(filed) => {
                row.state = State::Filed;
                row.reasons.clear();
                row.filed = filed;
                (Code::AA, Vec::new())
            }
            Outcome::Dead(faults, reasons) => {
                row.state = State::Dead;
                row.reasons = reasons;
                (refusal(&faults), faults)
            }
            Outcome::Later(reason, _) => {
                row.state = State::Dead;
                row.reasons = vec![reason];
                (Code::AE, vec![content(ErrorCode::Internal)])
            }
        };
        let now = self.custody.now();
        row.since = now;
        row.answer = match self.parse(&row.listener, &original) {
            Ok(message) => answer(Original::Read(&message), code, &faults, now),
            Err(_) => answer(Original::Broken(&original), code, &faults, now),
        };
        self.save(row.moved(number, Some(State::Waiting))).await?;
        self.metrics.count_message(&row.listener, row.state.name());
        Ok(Settled::Done(row.answer))
    }

    async fn file(
        &self,
        row: &MessageRow,
        is_unsure: bool,
        (original, edited): (&[u8], Option<&[u8]>),
    ) -> Result<Outcome, CustodyError> {
        let document = ResourceType::parse("DocumentReference");
        let document = document.map(|kind| self.custody.last_version(kind, &row.document));
        if is_unsure && document.transpose()?.flatten().is_some() {
            return Ok(Outcome::Filed(vec![format!(
                "DocumentReference/{}",
                row.document
            )]));
        }
        let Some(listener) = self.listeners.get(&row.listener) else {
            let reason = "the listener is not in node.toml any more".to_owned();
            return Ok(Outcome::Later(reason, true));
        };
        let message = match self.parse(&row.listener, edited.unwrap_or(original)) {
            Ok(message) => message,
            Err(fault) => return Ok(dead(vec![fault])),
        };
        let mut mapped = match map(&message, &listener.overrides) {
            Ok(mapped) => mapped,
            Err(faults) => return Ok(dead(faults)),
        };
        let token = match self.server.standing(&listener.system).await {
            Ok(Some(token)) => Arc::new(token),
            Ok(None) => {
                let reason = "the system that the listener names is no client here".to_owned();
                return Ok(Outcome::Later(reason, true));
            }
            Err(error) => return Ok(Outcome::Later(error.to_string(), true)),
        };
        let trail = Trail {
            token: None,
            address: Some(row.address.clone()),
            query: Some(format!("MLLP {} {}", row.listener, row.kind)),
        };
        let request_id = Some(format!("v2-{}", row.document));
        let caller = Caller::of(self.server.member(), token, request_id, trail);
        let texts = [Some(original), edited];
        if let Err(unmet) = self.meet(&caller, &mut mapped).await {
            return Ok(unmet.into());
        }
        let bundle = bundle(row, &mapped, &texts);
        let filed = self.bundles.file(&caller, bundle).await;
        Ok(match filed {
            Ok(answer) => {
                self.custody.note_unmapped(unmapped(&mapped));
                Outcome::Filed(references(&answer))
            }
            Err(problem) => refused(problem),
        })
    }
}

impl From<Unmet> for Outcome {
    fn from(unmet: Unmet) -> Self {
        match unmet {
            Unmet::Faults(faults) => dead(faults),
            Unmet::Problem(problem) => refused(problem),
        }
    }
}

/// Whether a message is done, or when it is tried again.
enum Settled {
    /// With its application acknowledgement.
    Done(Vec<u8>),
    Later(Duration),
}

fn pause(attempts: u32) -> Duration {
    let doubled = PAUSE.saturating_mul(1_u32.checked_shl(attempts.min(16)).unwrap_or(u32::MAX));
    doubled.min(PAUSE_MAX)
}

fn dead(faults: Vec<Fault>) -> Outcome {
    let reasons = faults.iter().map(ToString::to_string).collect();
    Outcome::Dead(faults, reasons)
}

fn content(code: ErrorCode) -> Fault {
    Fault::error(
        Place::segment("MSH", 1),
        code,
        "content that can be filed; the receiver's operator is told why not",
    )
}

/// What a transaction that was refused is for its message. Diagnostics repeat nothing of the content.
fn refused(problem: Problem) -> Outcome {
    let status = problem.status().as_u16();
    let outcome = problem.into_outcome();
    let reasons: Vec<String> = outcome
        .issues()
        .iter()
        .map(|issue| match issue.expression.first() {
            Some(at) => format!("{at}: {}", issue.diagnostics),
            None => issue.diagnostics.clone(),
        })
        .collect();
    match status {
        // A store that is away, a full disk: it passes.
        429 | 503 | 507 => Outcome::Later(reasons.join("; "), true),
        // Somebody else was faster, or nobody knows.
        409 | 412 | 500 | 502 => Outcome::Later(reasons.join("; "), false),
        _ => Outcome::Dead(vec![content(ErrorCode::DataType)], reasons),
    }
}

/// The transaction: what the message became, and the original, whose name is claimed.
fn bundle(row: &MessageRow, mapped: &Mapped, texts: &[Option<&[u8]>]) -> Value {
    let received = i64::try_from(row.received_at).unwrap_or(i64::MAX);
    let url = format!("urn:uuid:{}", row.document);
    let mut bundle = mapped.with_provenance(&url, received);
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let patient = entries
        .iter()
        .find(|entry| entry["resource"]["resourceType"] == "Patient")
        .map(|entry| entry["fullUrl"].clone());
    let attachments: Vec<Value> = texts
        .iter()
        .flatten()
        .map(|text| json!({ "attachment": { "contentType": ER7, "data": STANDARD.encode(text) } }))
        .collect();
    let mut document = json!({
        "resourceType": "DocumentReference",
        "id": row.document,
        // What labels would be given for is not told from bytes: all of it is kept as what is sensitive.
        "meta": { "security": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R" }] },
        "status": "current",
        "type": { "text": format!("HL7 v2 message {}", row.kind) },
        "date": format_instant(received),
        "content": attachments,
    });
    if let Some(patient) = patient {
        document["subject"] = json!({ "reference": patient });
    }
    let claim = json!({
        "fullUrl": url,
        "resource": document,
        "request": {
            "method": "PUT",
            "url": format!("DocumentReference/{}", row.document),
            "ifNoneMatch": "*",
        },
    });
    if let Some(entries) = bundle["entry"].as_array_mut() {
        entries.push(claim);
    }
    bundle
}

/// Codes for the list of those that a person gives a meaning. What names no coding system may be any text, and is not on it.
fn unmapped(mapped: &Mapped) -> Vec<Coded> {
    let named = mapped.unmapped.iter().filter_map(|one| {
        Some(Coded {
            system: one.uri.clone()?,
            code: one.code.clone(),
        })
    });
    named.collect()
}

/// What was written, as `Type/id`.
fn references(answer: &Value) -> Vec<String> {
    let entries = answer["entry"].as_array().into_iter().flatten();
    entries
        .filter_map(|entry| entry["response"]["location"].as_str())
        .map(|location| {
            let parts: Vec<&str> = location.split('/').take(2).collect();
            parts.join("/")
        })
        .take(FILED_MAX)
        .collect()
}
