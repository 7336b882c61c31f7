//! C-CDA documents. One goes whole to one member: the hospital if it was made in a stay there, else the clinic.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Context as _;
use interop::ccda::{Fault, Limits, Mapped, Original, map, read};
use interop::fhir::spread::Role;
use ledger::ids::Digest;
use serde_json::Value;

use super::ndjson::urn;
use super::reject::Reject;
use super::source::Source;

/// Classes of encounters of those who stay.
const STAYS: [&str; 4] = ["IMP", "ACUTE", "NONAC", "EMER"];

/// A document that can be mapped.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(super) path: PathBuf,
    /// The wallet's name: documents of one patient have one.
    pub(super) wallet: String,
    /// Of its bytes, in hexadecimal digits: what the document is known by, whenever its file was touched.
    pub(super) digest: String,
    /// Values that cannot be read.
    pub(super) left_out: Vec<Fault>,
}

/// The documents in files, and what is none.
pub(super) fn documents(files: &[PathBuf]) -> anyhow::Result<(Vec<Source>, Vec<Reject>)> {
    let (mut sources, mut rejects) = (Vec::new(), Vec::new());
    for path in files {
        let bytes = bytes(path)?;
        match mapped(&bytes) {
            Ok(mapped) => sources.push(Source::Document(Document {
                path: path.clone(),
                wallet: wallet(&mapped),
                digest: digest(&bytes).to_string(),
                left_out: mapped.misread,
            })),
            Err(faults) => {
                let outcome = Fault::outcome(&faults).to_value();
                rejects.push(Reject::unfit(path.display().to_string(), outcome));
            }
        }
    }
    Ok((sources, rejects))
}

impl Document {
    /// The id of its DocumentReference.
    pub(super) fn id(&self) -> String {
        format!("ccda-{}", self.digest.get(..32).unwrap_or(&self.digest))
    }

    /// The same transaction each time, as long as the file is the same.
    pub(super) fn bundle(&self) -> anyhow::Result<Value> {
        let bytes = bytes(&self.path)?;
        let mapped = mapped(&bytes)
            .map_err(|_| anyhow::anyhow!("{} has changed meanwhile", self.path.display()))?;
        let digest = digest(&bytes);
        let names =
            ["document", "binary", "provenance"].map(|part| urn(&format!("{digest}/{part}")));
        let [document, binary, provenance] = &names;
        let modified = fs::metadata(&self.path)?.modified()?;
        let modified = modified.duration_since(UNIX_EPOCH)?.as_millis();
        Ok(mapped.with_original(&Original {
            bytes: &bytes,
            id: &self.id(),
            urls: [document, binary, provenance],
            received_ms: i64::try_from(modified)?,
        }))
    }
}

/// The bundle for the one member.
pub(super) fn whole(bundle: Value) -> BTreeMap<Role, Value> {
    let entries = bundle["entry"].as_array();
    let resources = || {
        let entries = entries.into_iter().flatten();
        entries.map(|entry| (&entry["fullUrl"], &entry["resource"]))
    };
    let visit = resources().find_map(|(_, one)| {
        let is_composition = one["resourceType"] == "Composition";
        is_composition.then(|| &one["encounter"]["reference"])
    });
    let class = resources().find_map(|(url, one)| {
        let class = one.pointer("/class/code")?.as_str()?;
        (Some(url) == visit).then_some(class)
    });
    let role = match class {
        Some(class) if STAYS.contains(&class) => Role::Hospital,
        _ => Role::Clinic,
    };
    BTreeMap::from([(role, bundle)])
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::with_domain("careledger/ccda-file/v1", &[bytes])
}

fn mapped(bytes: &[u8]) -> Result<Mapped, Vec<Fault>> {
    let document = read(bytes, &Limits::default()).map_err(|fault| vec![fault])?;
    let digest = digest(bytes);
    let mut number = 0_u64;
    let mapped = map(&document, &mut || {
        number += 1;
        urn(&format!("{digest}/{number}"))
    })?;
    // A wallet is somebody's.
    match mapped.unclaimed {
        Some(fault) => Err(vec![fault]),
        None => Ok(mapped),
    }
}

/// A name that tells nothing of the patient.
fn wallet(mapped: &Mapped) -> String {
    let entries = mapped.bundle["entry"].as_array().into_iter().flatten();
    let mut patients = entries.filter(|entry| entry["fullUrl"] == mapped.patient);
    let identifier = patients
        .next()
        .map(|entry| entry["resource"]["identifier"][0].to_string());
    let identifier = identifier.unwrap_or_default();
    let digest = Digest::with_domain("careledger/ccda-patient/v1", &[identifier.as_bytes()]);
    let name = digest.to_string();
    format!("ccda-{}", name.get(..16).unwrap_or(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CCD: &str = include_str!("../../../../crates/interop/tests/fixtures/ccda/ccd.xml");

    #[test]
    fn documents_of_one_patient_have_one_wallet_and_what_is_none_is_rejected_by_path() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let files = [
            write("a.xml", CCD.to_owned()),
            write("b.xml", CCD.replace("CCD-2026-001", "CCD-2026-002")),
            write("c.xml", CCD.replace("MRN-5512", "MRN-5513")),
            write(
                "d.xml",
                CCD.replace("<recordTarget>", "<recordTarget planted=\"&planted;\">"),
            ),
            write(
                "e.xml",
                CCD.replace("MRN-5512\"/>", "\" nullFlavor=\"UNK\"/>")
                    .replace("root=\"2.16.840.1.113883.4.1\"", "root=\"planted\""),
            ),
            write("f.xml", CCD.replace("value=\"13.20\"", "value=\"planted\"")),
        ];
        let (sources, rejects) = documents(&files).unwrap();
        let [first, second, third, Source::Document(fourth)] = &sources[..] else {
            panic!("four documents");
        };
        assert_eq!(fourth.left_out.len(), 1);
        assert!(fourth.left_out[0].path.ends_with("observation.value"));
        assert_eq!(first.wallet(), second.wallet());
        assert_ne!(first.wallet(), third.wallet());
        assert!(!first.wallet().contains("5512"));
        let bundle = first.bundle().unwrap();
        assert_eq!(bundle, first.bundle().unwrap());
        let parts = whole(bundle);
        assert_eq!(parts.keys().collect::<Vec<_>>(), [&Role::Clinic]);
        let reject = serde_json::to_value(&rejects).unwrap();
        let paths = [0, 1].map(|at| &reject[at]["outcome"]["issue"][0]["expression"][0]);
        let target = "ClinicalDocument.recordTarget[0]";
        assert_eq!(paths, [target, &format!("{target}.patientRole")]);
        assert!(!reject.to_string().contains("planted"));
    }

    #[test]
    fn a_document_of_a_stay_is_the_hospitals() {
        let text = CCD.replace("code=\"99213\"", "code=\"99221\"");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stay.xml");
        fs::write(&path, text).unwrap();
        let (sources, _) = documents(&[path]).unwrap();
        let parts = whole(sources[0].bundle().unwrap());
        assert_eq!(parts.keys().collect::<Vec<_>>(), [&Role::Hospital]);
    }
}
