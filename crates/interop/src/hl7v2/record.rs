//! A message beside the patients who are on record: whom it means by an identifier, what of a Patient it does not speak of,
//! and merges.
//!
//! # Invariants
//! - **R1** An identifier that a merge handed on is its first patient's; who was merged stands for whom they were merged into.
//! - **R2** A registration replaces what it speaks of. Links between patients, and identifiers that came by a merge, stay.
//! - **R3** A registration of a patient who was merged changes nobody: whoever sends it does not know of the merge.
//! - **R4** A merge marks both Patients as [`links::merge`] does. Said again it changes nothing; a contradiction is refused.
//! - **R5** What is a patient's is found again among that patient's alone: numbers that a sender gave twice join no two
//!   patients' records.
//! - **R6** What was filed before a merge stays its patient's, under their keys and consents, and is corrected there: the
//!   survivor's own comes first, then what one of those has whom they absorbed. What is new is the survivor's.

mod earlier;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

pub use self::earlier::Earlier;
use self::earlier::Filed;
use super::fault::{ErrorCode, Fault, Place};
use super::map::{Mapped, Merge, PatientIdentifier};
use crate::identity::links::{self, LinkProblem};

/// Merges that follow each other at most.
const MERGES_MAX: usize = 64;

/// Patients on record of whom a message speaks.
#[derive(Default)]
pub struct OnRecord {
    /// Who has an identifier, by id.
    by_identifier: BTreeMap<PatientIdentifier, Vec<String>>,
    patients: BTreeMap<String, Known>,
    /// Patients who were absorbed and cannot be read any more.
    gone: BTreeSet<String>,
    /// Entries of the message that are on record under merged patients.
    filed: Vec<Filed>,
}

/// A Patient; none has a version before it was written.
#[derive(Clone)]
struct Known {
    version: Option<u64>,
    patient: Value,
}

impl fmt::Debug for OnRecord {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "OnRecord({} patients)", self.patients.len())
    }
}

impl OnRecord {
    /// Notes a Patient by its id, and the version in which it stands.
    pub fn patient(&mut self, id: &str, version: u64, patient: Value) {
        let known = Known {
            version: Some(version),
            patient,
        };
        self.patients.insert(id.to_owned(), known);
    }

    /// Notes who has an identifier; each of them is to be noted as a Patient, too.
    pub fn identified(&mut self, identifier: PatientIdentifier, ids: Vec<String>) {
        self.by_identifier.insert(identifier, ids);
    }

    /// A Patient that somebody noted was merged into, and that was not noted.
    pub fn missing(&self) -> Option<&str> {
        let mut targets = self
            .patients
            .values()
            .filter_map(|known| links::replaced_by(&known.patient));
        targets.find(|id| !self.patients.contains_key(*id))
    }

    /// A Patient whom somebody noted absorbed, and who was not noted.
    pub fn missing_absorbed(&self) -> Option<&str> {
        let mut absorbed = self
            .patients
            .values()
            .flat_map(|known| links::replaces(&known.patient));
        absorbed.find(|id| !self.patients.contains_key(*id) && !self.gone.contains(*id))
    }

    /// Notes that a Patient who was absorbed is not there any more.
    pub fn gone(&mut self, id: String) {
        self.gone.insert(id);
    }

    /// All who are this patient by merges, without themselves.
    fn absorbed_by(&self, survivor: &str) -> Vec<String> {
        let all = self.patients.keys().filter(|id| *id != survivor);
        let absorbed = all.filter(|id| self.survivor(id) == survivor);
        absorbed.cloned().collect()
    }

    /// Whose identifier it is; `Err` if it is that of several (R1).
    fn holder(&self, identifier: &PatientIdentifier) -> Result<Option<String>, ()> {
        let ids = self.by_identifier.get(identifier);
        let ids: Vec<&String> = ids.into_iter().flatten().collect();
        let owners: Vec<&String> = ids
            .iter()
            .copied()
            .filter(|id| {
                let known = self.patients.get(*id);
                known.is_some_and(|known| !came_by_merge(&known.patient, identifier))
            })
            .collect();
        let owners = if owners.is_empty() { ids } else { owners };
        match owners.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some((*one).clone())),
            _ => Err(()),
        }
    }

    /// What confines a query to the records of whom an identifier names.
    fn whose(&self, identifier: &PatientIdentifier) -> Option<String> {
        Some(match self.holder(identifier).ok()? {
            Some(holder) => format!("&patient={}", self.survivor(&holder)),
            None => format!("&patient.{}", identifier.query()),
        })
    }

    /// Into whom a Patient was merged at last; themselves, if they were not.
    fn survivor(&self, id: &str) -> String {
        let mut at = id.to_owned();
        for _ in 0..MERGES_MAX {
            let known = self.patients.get(&at);
            match known.and_then(|known| links::replaced_by(&known.patient)) {
                Some(next) if self.patients.contains_key(next) => at = next.to_owned(),
                _ => break,
            }
        }
        at
    }
}

/// Types of what several patients' messages name.
const SHARED: [&str; 4] = ["Patient", "Practitioner", "Organization", "Location"];

/// Looks for a resource among some patient's alone (R5).
fn confine(entry: &mut Value, whose: &str) {
    let kind = entry["resource"]["resourceType"].as_str();
    if kind.is_some_and(|kind| SHARED.contains(&kind)) {
        return;
    }
    for condition in ["url", "ifNoneExist"] {
        if let Some(Value::String(query)) = entry["request"].get_mut(condition)
            && query.contains("identifier=")
        {
            query.push_str(whose);
        }
    }
}

fn came_by_merge(patient: &Value, identifier: &PatientIdentifier) -> bool {
    let all = patient["identifier"].as_array().into_iter().flatten();
    let mut same = all.filter(|one| of(one).as_ref() == Some(identifier));
    same.any(links::came_by_merge)
}

fn of(identifier: &Value) -> Option<PatientIdentifier> {
    Some(PatientIdentifier {
        system: identifier["system"].as_str()?.to_owned(),
        value: identifier["value"].as_str()?.to_owned(),
    })
}

impl Mapped {
    /// The identifiers by which it names patients.
    pub fn patients(&self) -> Vec<PatientIdentifier> {
        let entries = self.bundle["entry"].as_array().into_iter().flatten();
        let own = entries.filter_map(identifier);
        let merged = self
            .merges
            .iter()
            .flat_map(|merge| [merge.survivor.first(), merge.absorbed.first()]);
        let mut all: Vec<PatientIdentifier> = own.chain(merged.flatten().cloned()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Writes the Bundle for the patients who are on record, and its merges into it. `fresh` makes ids for patients who are
    /// not.
    ///
    /// # Errors
    ///
    /// An identifier that several patients have, or a merge that contradicts what is on record.
    pub fn meet(
        &mut self,
        mut record: OnRecord,
        fresh: &mut dyn FnMut() -> String,
    ) -> Result<(), Vec<Fault>> {
        let mut entries = match self.bundle["entry"].take() {
            Value::Array(entries) => entries,
            _ => Vec::new(),
        };
        for entry in &mut entries {
            name(entry, &record).map_err(|fault| vec![fault])?;
        }
        for (at, merge) in self.merges.iter().enumerate() {
            let place = Place::segment("MRG", at + 1).field(1);
            carry_out(merge, &mut entries, &mut record, fresh)
                .map_err(|(code, expected)| vec![Fault::error(place, code, expected)])?;
        }
        let own = entries.iter().find(|entry| identifier(entry).is_some());
        let named = own.map(|own| own["fullUrl"].clone());
        let whose = own.and_then(|own| record.whose(&identifier(own)?));
        for (at, entry) in entries.iter_mut().enumerate() {
            if let Some(whose) = &whose
                && !Filed::is_of(&record.filed, at)
            {
                confine(entry, whose);
            }
        }
        Filed::settle(&record.filed, &mut entries, &named.unwrap_or_default());
        self.bundle["entry"] = entries.into();
        Ok(())
    }
}

/// The identifier by which a Patient of the message is found again.
fn identifier(entry: &Value) -> Option<PatientIdentifier> {
    let resource = &entry["resource"];
    let is_patient = resource["resourceType"] == "Patient";
    is_patient.then(|| of(&resource["identifier"][0])).flatten()
}

/// Lets an entry of a Patient name the one on record (R1 to R3).
fn name(entry: &mut Value, record: &OnRecord) -> Result<(), Fault> {
    let Some(identifier) = identifier(entry) else {
        return Ok(());
    };
    let Some(holder) = record.holder(&identifier).map_err(|()| shared("PID", 3))? else {
        return Ok(());
    };
    let survivor = record.survivor(&holder);
    let is_registration = entry["request"]["method"] == "PUT";
    match record.patients.get(&survivor) {
        Some(known) if is_registration && survivor == holder => {
            let mut said = entry["resource"].take();
            keep(&mut said, &known.patient);
            write(entry, &survivor, known.version, said);
        }
        _ => {
            entry["request"] = json!({ "method": "POST", "url": "Patient", "ifNoneExist": format!("_id={survivor}") });
        }
    }
    Ok(())
}

fn shared(segment: &str, field: usize) -> Fault {
    let place = Place::segment(segment, 1).field(field);
    let code = ErrorCode::DuplicateKeyIdentifier;
    Fault::error(place, code, "an identifier that one patient has here")
}

/// What a registration does not speak of.
fn keep(said: &mut Value, known: &Value) {
    if let Some(links) = known.get("link") {
        said["link"] = links.clone();
    }
    let taken = known["identifier"].as_array().into_iter().flatten();
    let taken = taken.filter(|one| links::came_by_merge(one)).cloned();
    if let Some(identifiers) = said["identifier"].as_array_mut() {
        for one in taken {
            identifiers.retain(|own| of(own) != of(&one));
            identifiers.push(one);
        }
    }
}

fn write(entry: &mut Value, id: &str, version: Option<u64>, mut patient: Value) {
    patient["id"] = id.into();
    let mut request = json!({ "method": "PUT", "url": format!("Patient/{id}") });
    match version {
        Some(version) => request["ifMatch"] = format!("W/\"{version}\"").into(),
        None => request["ifNoneMatch"] = "*".into(),
    }
    entry["resource"] = patient;
    entry["request"] = request;
}

type Refused = (ErrorCode, &'static str);

/// Marks two Patients as one (R4).
fn carry_out(
    merge: &Merge,
    entries: &mut Vec<Value>,
    record: &mut OnRecord,
    fresh: &mut dyn FnMut() -> String,
) -> Result<(), Refused> {
    let target = known(&merge.survivor, entries, record, fresh)?;
    let source = known(&merge.absorbed, entries, record, fresh)?;
    let [Some(mut into), Some(mut from)] =
        [&target, &source].map(|id| record.patients.get(id).cloned())
    else {
        return Ok(());
    };
    if links::replaced_by(&from.patient) == Some(target.as_str()) {
        return Ok(());
    }
    links::merge(&mut from.patient, &mut into.patient).map_err(refused)?;
    for (id, changed) in [(target, into), (source, from)] {
        put(entries, &id, &changed);
        record.patients.insert(id, changed);
    }
    Ok(())
}

/// The id of a patient, who is on record from now on.
fn known(
    identifiers: &[PatientIdentifier],
    entries: &[Value],
    record: &mut OnRecord,
    fresh: &mut dyn FnMut() -> String,
) -> Result<String, Refused> {
    let first = identifiers.first().ok_or((
        ErrorCode::RequiredFieldMissing,
        "an identifier of both patients",
    ))?;
    let shared = |()| {
        (
            ErrorCode::DuplicateKeyIdentifier,
            "an identifier that one patient has here",
        )
    };
    if let Some(id) = record.holder(first).map_err(shared)? {
        return Ok(id);
    }
    let id = fresh();
    let said = entries
        .iter()
        .find(|entry| identifier(entry).as_ref() == Some(first));
    let mut patient = match said {
        Some(entry) => entry["resource"].clone(),
        None => {
            let all = identifiers
                .iter()
                .map(|one| json!({ "system": one.system, "value": one.value }));
            json!({ "resourceType": "Patient", "identifier": all.collect::<Vec<_>>() })
        }
    };
    patient["id"] = id.clone().into();
    record.patients.insert(
        id.clone(),
        Known {
            version: None,
            patient,
        },
    );
    record.identified(first.clone(), vec![id.clone()]);
    Ok(id)
}

/// Writes a Patient in the place of the entry that names them, or beside the others.
fn put(entries: &mut Vec<Value>, id: &str, changed: &Known) {
    let own = of(&changed.patient["identifier"][0]);
    let url = format!("Patient/{id}");
    let named = entries.iter_mut().find(|entry| {
        entry["request"]["url"] == url.as_str()
            || entry["request"]["ifNoneExist"] == format!("_id={id}")
            || changed.version.is_none() && identifier(entry) == own
    });
    if let Some(entry) = named {
        return write(entry, id, changed.version, changed.patient.clone());
    }
    let number = entries.len();
    let mut entry =
        json!({ "fullUrl": format!("urn:uuid:00000000-0000-4000-8000-fffffffe{number:04x}") });
    write(&mut entry, id, changed.version, changed.patient.clone());
    entries.push(entry);
}

fn refused(problem: LinkProblem) -> Refused {
    let code = ErrorCode::DuplicateKeyIdentifier;
    match problem {
        LinkProblem::SourceReplaced => (
            code,
            "a patient who was not merged into another one before: unmerge them first",
        ),
        LinkProblem::TargetReplaced => (
            code,
            "a survivor who was not merged into another patient before, also not into this one",
        ),
        LinkProblem::Same => (code, "another patient than that of PID-3"),
        LinkProblem::AlreadyLinked | LinkProblem::NotLinked | LinkProblem::NotMerged => {
            (ErrorCode::Internal, "patients who can be merged")
        }
    }
}
