//! Decides again what was decided here, from the member's own data: each recorded decision of a range comes out the
//! same, or is named. A decision that left out a consent which was in force is named too.

mod inputs;

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::access::{DecisionRecord, HeadRef, Replay, replay};
use contracts::descriptor::{AccessDescriptor, Decided};
use ledger::ids::Height;

use self::inputs::{Filed, filed};
use super::held::Held;
use crate::custody::CustodyError;
use crate::custody::rows::{DocumentKey, RowKind, SubjectId};
use crate::custody::subject::Subject;

/// How much later than a consent a decision has to be for the consent to be missed in it.
const SLACK_MS: u64 = 2_000;

/// Which decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayRange {
    /// Decided between these times, milliseconds since 1970, the second excluded.
    Times(u64, u64),
    /// Decided on the ledger between these heights, both included.
    Heights(Height, Height),
}

/// What replaying a range shows.
#[derive(Debug, Clone, Default)]
pub struct ReplayReport {
    /// Decisions that were made again, each about the documents of one request.
    pub decisions: u64,
    /// The same, by the same policies.
    pub same: u64,
    /// The same wherever it can still be told: some of what they were about is erased.
    pub erased: u64,
    /// Decisions that come out differently.
    pub diverged: Vec<Finding>,
    /// Decisions whose inputs are not all here.
    pub inputs_missing: Vec<Finding>,
    /// Requests to other members that had no answer when they expired.
    pub unanswered: Vec<Finding>,
}

/// A decision or a request, and what is wrong with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Finding {
    /// The patient's local id.
    pub patient: Option<String>,
    /// The position in the patient's access stream.
    pub position: u64,
    /// Who asked.
    pub principal: String,
    /// Purpose of use.
    pub purpose: String,
    /// The interaction.
    pub interaction: String,
    /// What was asked for.
    pub target: String,
    /// When, milliseconds since 1970.
    pub at: u64,
    /// What is wrong, in words: for a decision what is on record, and what it should have been.
    pub what: String,
}

impl std::fmt::Debug for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Finding(position {})", self.position)
    }
}

struct Replaying<'a> {
    held: &'a Held,
    filed: BTreeMap<SubjectId, Vec<Filed>>,
    report: ReplayReport,
}

/// An outcome that is not the same.
enum Differs {
    Diverged(String),
    Missing(String),
}

/// Replays a range; `progress` is told how many decisions are done.
pub async fn replay_range(
    held: &Held,
    range: ReplayRange,
    mut progress: impl FnMut(u64),
) -> Result<ReplayReport, CustodyError> {
    let mut replaying = Replaying {
        held,
        filed: filed(held)?,
        report: ReplayReport::default(),
    };
    let answered = super::reading::answered(held)?;
    let tip = held.anchor.tip().height;
    for subject in held.owners()?.into_values() {
        for entry in held.entries(&subject.id)? {
            let Some(stored) = entry.stored else { continue };
            for access in stored.access.each() {
                if let Some(expires) = access.expires_at
                    && range.takes_time(access.at)
                    && expires < tip
                    && access.custodian != held.member
                    && !access.request.is_some_and(|one| answered.contains(&one))
                {
                    let what = format!("{} gave no answer by its deadline", access.custodian);
                    let found = finding(&subject, entry.position, &access, what);
                    replaying.report.unanswered.push(found);
                }
                let decided = access.decision.as_ref();
                let record = decided.and_then(|decided| decided.record.as_deref());
                let record = record.and_then(|bytes| DecisionRecord::decode(bytes).ok());
                if let (Some(decided), Some(record)) = (decided, record)
                    && range.takes(access.at, record.height)
                {
                    let place = (&subject, entry.position);
                    replaying.one(place, &access, decided, &record).await?;
                    progress(replaying.report.decisions);
                }
            }
        }
    }
    Ok(replaying.report)
}

impl Replaying<'_> {
    async fn one(
        &mut self,
        (subject, position): (&Arc<Subject>, u64),
        access: &AccessDescriptor,
        decided: &Decided,
        record: &DecisionRecord,
    ) -> Result<(), CustodyError> {
        self.report.decisions += 1;
        let outcome = self.decide_again(subject, access, decided, record).await?;
        let (list, what) = match outcome {
            Ok(erased) => {
                let count = if erased {
                    &mut self.report.erased
                } else {
                    &mut self.report.same
                };
                *count += 1;
                return Ok(());
            }
            Err(Differs::Diverged(what)) => (&mut self.report.diverged, what),
            Err(Differs::Missing(what)) => (&mut self.report.inputs_missing, what),
        };
        list.push(finding(subject, position, access, what));
        Ok(())
    }

    /// Whether some of it is erased, or in what it differs.
    async fn decide_again(
        &self,
        subject: &Arc<Subject>,
        access: &AccessDescriptor,
        decided: &Decided,
        record: &DecisionRecord,
    ) -> Result<Result<bool, Differs>, CustodyError> {
        if let Some(left_out) = self.left_out(subject, record) {
            return Ok(Err(Differs::Diverged(left_out)));
        }
        let registry = self.held.anchor.governed().1;
        let voted = record.voted.map(|digest| registry.policies_with(digest));
        let consents = match self.consents(subject, record).await? {
            Ok(consents) => consents,
            Err(missing) => return Ok(Err(Differs::Missing(missing))),
        };
        let Some(documents) = self.documents(subject, access, decided, record)? else {
            let what = "the record does not name the documents that it is about".to_owned();
            return Ok(Err(Differs::Missing(what)));
        };
        if let Some(differs) = opened_beyond(decided, record) {
            return Ok(Err(differs));
        }
        let replayed = replay(record, voted.flatten(), &consents, &documents);
        Ok(match replayed {
            Ok(Replay::Same) => Ok(false),
            Ok(Replay::Erased(_)) => Ok(true),
            Ok(Replay::Diverged(at)) => Err(Differs::Diverged(told(record, &at))),
            Ok(Replay::PoliciesMissing(digest)) => Err(Differs::Missing(format!(
                "the voted policies {digest} are not in the registry"
            ))),
            Ok(_) => Err(Differs::Missing(
                "it was decided by the rules of another release".to_owned(),
            )),
            Err(error) => Err(Differs::Missing(error.to_string())),
        })
    }

    /// A consent that was in force here, and that the decision does not name.
    fn left_out(&self, subject: &Subject, record: &DecisionRecord) -> Option<String> {
        if !record.request.consents_known {
            return None;
        }
        let now = u64::try_from(record.request.now).unwrap_or(0);
        let mut current: BTreeMap<&DocumentKey, &Filed> = BTreeMap::new();
        for filed in self.filed.get(&subject.id).into_iter().flatten() {
            if filed.recorded_at.saturating_add(SLACK_MS) < now {
                current.insert(&filed.document, filed);
            }
        }
        current.retain(|_, filed| filed.kind == RowKind::Written);
        let names = |head: &&HeadRef, filed: &Filed| {
            let id = format!("{}/{}", self.held.member, filed.id);
            head.id == id && head.version >= filed.version
        };
        let missing = current
            .values()
            .find(|filed| !record.heads.iter().any(|head| names(&head, filed)))?;
        Some(format!(
            "Consent/{} version {} was in force and is not among the consents that it rests on",
            missing.id, missing.version
        ))
    }
}

impl ReplayRange {
    fn takes(self, at: u64, height: Height) -> bool {
        match self {
            Self::Times(from, until) => from <= at && at < until,
            Self::Heights(from, to) => from <= height && height <= to,
        }
    }

    /// A request to another member names no height of its own.
    fn takes_time(self, at: u64) -> bool {
        match self {
            Self::Times(from, until) => from <= at && at < until,
            Self::Heights(..) => true,
        }
    }
}

/// More was opened than the record permits.
fn opened_beyond(decided: &Decided, record: &DecisionRecord) -> Option<Differs> {
    let permitted = record.rulings.iter().filter(|one| one.permitted).count();
    let opened: std::collections::BTreeSet<&String> = decided.permitted.iter().collect();
    (opened.len() > permitted).then(|| {
        Differs::Diverged(format!(
            "{} documents were opened, {permitted} are permitted",
            opened.len()
        ))
    })
}

/// What is on record of the outcomes that come out differently, and what they should have been.
fn told(record: &DecisionRecord, at: &[usize]) -> String {
    let told = at.iter().filter_map(|at| {
        let ruling = record.rulings.get(*at)?;
        let (was, rules) = (ruling.permitted, ruling.determining.join(", "));
        let was = if was { "permitted" } else { "denied" };
        Some(format!(
            "document {} is on record as {was} by [{rules}]",
            at + 1
        ))
    });
    let told: Vec<String> = told.collect();
    format!("{}; the recorded inputs decide otherwise", told.join("; "))
}

fn finding(subject: &Subject, position: u64, access: &AccessDescriptor, what: String) -> Finding {
    Finding {
        patient: subject.patient_id.clone(),
        position,
        principal: access.principal.clone(),
        purpose: access.purpose.clone(),
        interaction: access.interaction.clone(),
        target: access.target.clone(),
        at: access.at,
        what,
    }
}
