//! Files with a resource or a bundle in each line. They are read twice, line by line: once to learn whose each resource
//! is, and again patient by patient, so that no more than one patient is in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use interop::fhir::Resource;
use interop::fhir::compartment::{Belonging, PatientReference, belonging};
use ledger::ids::Digest;
use serde_json::{Value, json};

use super::reject::Reject;
use super::source::Source;

/// A line of a file.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(super) file: Arc<Path>,
    /// From 1 on.
    pub(super) number: usize,
    start: u64,
    bytes: u64,
}

/// A patient and the lines of the patient's resources.
#[derive(Clone)]
pub(crate) struct Patient {
    pub(super) id: String,
    lines: Vec<Line>,
    shared: Arc<BTreeMap<String, Line>>,
}

/// What the first reading finds.
#[derive(Default)]
struct Found {
    bundles: Vec<Line>,
    patients: BTreeMap<String, Vec<Line>>,
    /// Practitioners, organisations and places by reference.
    shared: BTreeMap<String, Line>,
    rejects: Vec<Reject>,
}

impl std::fmt::Debug for Patient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Patient({} lines)", self.lines.len())
    }
}

/// The bundles and the patients of files, and what is neither.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<(Vec<Source>, Vec<Reject>)> {
    let mut found = Found::default();
    for file in files {
        found.scan(file)?;
    }
    let shared = Arc::new(found.shared);
    let bundles = found.bundles.into_iter().map(Source::Line);
    let patients = found.patients.into_iter().map(|(id, lines)| {
        Source::Patient(Arc::new(Patient {
            id,
            lines,
            shared: Arc::clone(&shared),
        }))
    });
    Ok((bundles.chain(patients).collect(), found.rejects))
}

impl Found {
    fn scan(&mut self, path: &Path) -> anyhow::Result<()> {
        let cannot = || format!("{} cannot be read", path.display());
        let file: Arc<Path> = path.into();
        let mut reader = BufReader::new(File::open(path).with_context(cannot)?);
        let (mut start, mut text) = (0, Vec::new());
        for number in 1.. {
            text.clear();
            let read = reader.read_until(b'\n', &mut text).with_context(cannot)?;
            if read == 0 {
                break;
            }
            let bytes = u64::try_from(read)?;
            let line = Line {
                file: Arc::clone(&file),
                number,
                start,
                bytes,
            };
            start += bytes;
            if text.iter().any(|byte| !byte.is_ascii_whitespace())
                && let Err(why) = self.take(&line, &text)
            {
                let place = (path.display().to_string(), Some(number));
                self.rejects.push(Reject::unread(place, None, &why));
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &Line, text: &[u8]) -> Result<(), String> {
        let value: Value =
            serde_json::from_slice(text).map_err(|_| "the line is no JSON".to_owned())?;
        if value.get("resourceType").and_then(Value::as_str) == Some("Bundle") {
            self.bundles.push(line.clone());
            return Ok(());
        }
        let resource = Resource::from_value(value).map_err(|error| error.to_string())?;
        let id = resource.id().ok_or("the resource has no id")?;
        let patient = match belonging(&resource) {
            Belonging::Patient(PatientReference::Id(id)) => id,
            Belonging::Shared => {
                let reference = format!("{}/{id}", resource.resource_type());
                self.shared.insert(reference, line.clone());
                return Ok(());
            }
            _ => return Err("the resource names no patient as Patient/id".to_owned()),
        };
        self.patients.entry(patient).or_default().push(line.clone());
        Ok(())
    }
}

impl Line {
    pub(super) fn read(&self) -> anyhow::Result<Value> {
        let place = || format!("line {} of {}", self.number, self.file.display());
        let mut file = File::open(&self.file).with_context(place)?;
        file.seek(SeekFrom::Start(self.start)).with_context(place)?;
        let mut text = Vec::new();
        file.take(self.bytes)
            .read_to_end(&mut text)
            .with_context(place)?;
        serde_json::from_slice(&text).with_context(place)
    }
}

impl Patient {
    /// The files of the lines.
    pub(super) fn file(&self) -> String {
        let files: BTreeSet<_> = self.lines.iter().map(|line| &line.file).collect();
        let files = files.into_iter().map(|file| file.display().to_string());
        files.collect::<Vec<_>>().join(", ")
    }

    /// The patient's resources, and what they refer to of what patients share, as a transaction.
    pub(super) fn bundle(&self) -> anyhow::Result<Value> {
        let mut resources = BTreeMap::new();
        let mut order = Vec::new();
        for line in &self.lines {
            let resource = line.read()?;
            let own = own_reference(&resource);
            if resources.insert(own.clone(), resource).is_none() {
                order.push(own);
            }
        }
        let mut at = 0;
        while let Some(own) = order.get(at) {
            let mut named = BTreeSet::new();
            if let Some(resource) = resources.get_mut(own) {
                references(resource, &mut |reference| {
                    named.insert(reference.clone());
                });
            }
            for reference in named {
                if let Some(line) = self.shared.get(&reference)
                    && !resources.contains_key(&reference)
                {
                    resources.insert(reference.clone(), line.read()?);
                    order.push(reference);
                }
            }
            at += 1;
        }
        let known: BTreeSet<String> = order.iter().cloned().collect();
        let entries = order.iter().filter_map(|own| {
            let mut resource = resources.remove(own)?;
            references(&mut resource, &mut |reference| {
                if known.contains(reference) {
                    *reference = urn(reference);
                }
            });
            let kind = own.split('/').next().unwrap_or_default();
            Some(json!({
                "fullUrl": urn(own),
                "resource": resource,
                "request": { "method": "POST", "url": kind },
            }))
        });
        let entries: Vec<Value> = entries.collect();
        Ok(json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries }))
    }
}

fn own_reference(resource: &Value) -> String {
    let text = |name| {
        resource
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!("{}/{}", text("resourceType"), text("id"))
}

/// Calls for each literal reference in a resource.
fn references(value: &mut Value, call: &mut impl FnMut(&mut String)) {
    match value {
        Value::Object(elements) => {
            for (name, element) in elements {
                match element {
                    Value::String(reference) if name == "reference" => call(reference),
                    other => references(other, call),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| references(item, call)),
        _ => {}
    }
}

/// A name inside a transaction that is the same each time.
pub(super) fn urn(reference: &str) -> String {
    let digest = Digest::with_domain("careledger/import/v1", &[reference.as_bytes()]);
    let [bytes @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = digest.0;
    let uuid = uuid::Builder::from_random_bytes(bytes).into_uuid();
    format!("urn:uuid:{uuid}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_many_files_become_one_bundle_for_each_patient() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let files = [
            file(
                "Patient.ndjson",
                "{\"resourceType\":\"Patient\",\"id\":\"a\"}\n\n{\"resourceType\":\"Patient\",\"id\":\"b\"}\n",
            ),
            file(
                "Observation.ndjson",
                "{\"resourceType\":\"Observation\",\"id\":\"1\",\"status\":\"final\",\"code\":{\"text\":\"x\"},\
                 \"subject\":{\"reference\":\"Patient/a\"},\"performer\":[{\"reference\":\"Practitioner/7\"}]}\nplanted\n",
            ),
            file(
                "Practitioner.ndjson",
                "{\"resourceType\":\"Practitioner\",\"id\":\"7\"}\n{\"resourceType\":\"Practitioner\",\"id\":\"8\"}",
            ),
        ];
        let (sources, rejects) = read(&files).unwrap();
        let wallets: Vec<_> = sources.iter().map(Source::wallet).collect();
        assert_eq!(wallets, ["a", "b"]);
        let bundle = sources[0].bundle().unwrap();
        let entries = bundle["entry"].as_array().unwrap();
        let kinds: Vec<_> = entries.iter().map(|one| &one["request"]["url"]).collect();
        assert_eq!(kinds, ["Patient", "Observation", "Practitioner"]);
        let of = |at: usize| entries[at]["fullUrl"].clone();
        assert_eq!(entries[1]["resource"]["subject"]["reference"], of(0));
        assert_eq!(entries[1]["resource"]["performer"][0]["reference"], of(2));
        assert_eq!(
            sources[0].bundle().unwrap(),
            bundle,
            "it is the same each time"
        );
        assert_eq!(rejects.len(), 1);
        assert_eq!(rejects[0].entry, Some(2));
        assert!(!serde_json::to_string(&rejects).unwrap().contains("planted"));
    }
}
