//! Where bundles come from: files, lines of files, resources of one patient in many lines, documents, or nowhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::Value;

use super::document::{Document, documents};
use super::ndjson::{Line, Patient};
use super::reject::Reject;
use crate::network::read_json;

/// Where a bundle comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A file.
    File(PathBuf),
    /// The synthetic patient of a seed and an index.
    Synthetic(u64, u64),
    /// A bundle in a line of a file.
    Line(Line),
    /// A patient whose resources are lines of files.
    Patient(Arc<Patient>),
    /// A C-CDA document.
    Document(Document),
}

impl Source {
    /// What the wallet is called for which this bundle is imported.
    pub(crate) fn wallet(&self) -> String {
        match self {
            Self::Synthetic(seed, index) => format!("synthetic-{seed}-{index}"),
            Self::File(path) => name(&stem(path)),
            Self::Line(line) => name(&format!("{}-{}", stem(&line.file), line.number)),
            Self::Patient(patient) => name(&patient.id),
            Self::Document(document) => document.wallet.clone(),
        }
    }

    pub(crate) fn bundle(&self) -> anyhow::Result<Value> {
        match self {
            Self::Synthetic(seed, index) => Ok(interop::synth::patient_bundle(*seed, *index)),
            Self::File(path) => read_json(path),
            Self::Line(line) => line.read(),
            Self::Patient(patient) => patient.bundle(),
            Self::Document(document) => document.bundle(),
        }
    }

    /// What cannot be read of it, by file and path.
    pub(super) fn left_out(&self) -> Vec<String> {
        let Self::Document(document) = self else {
            return Vec::new();
        };
        let file = document.path.display();
        let faults = document.left_out.iter();
        faults.map(|fault| format!("{file}: {fault}")).collect()
    }

    /// The file that a reject names, and the line if the whole bundle is one.
    pub(super) fn place(&self) -> (String, Option<usize>) {
        match self {
            Self::Synthetic(..) => (self.wallet(), None),
            Self::File(path) => (path.display().to_string(), None),
            Self::Line(line) => (line.file.display().to_string(), Some(line.number)),
            Self::Patient(patient) => (patient.file(), None),
            Self::Document(document) => (document.path.display().to_string(), None),
        }
    }

    /// The bundles below a folder, in the order of their names, or those in the one file.
    pub(crate) fn files(path: &Path) -> anyhow::Result<Vec<Self>> {
        let (sources, rejects) = Self::below(&[path.to_owned()])?;
        if let Some(reject) = rejects.first() {
            anyhow::bail!("{reject}");
        }
        Ok(sources)
    }

    /// The same for many, with what is no bundle and no resource.
    pub(super) fn below(paths: &[PathBuf]) -> anyhow::Result<(Vec<Self>, Vec<Reject>)> {
        let mut files = Vec::new();
        for path in paths {
            let before = files.len();
            walk(path, &mut files)?;
            anyhow::ensure!(
                files.len() > before,
                "{} has no .json, .ndjson or .xml files: name another folder",
                path.display()
            );
        }
        let (documents_in, files): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| is_document(file));
        let (lines, bundles): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| is_lines(file));
        let mut sources: Vec<Self> = bundles.into_iter().map(Self::File).collect();
        sources.sort_by_key(Self::wallet);
        let (from_lines, mut rejects) = super::ndjson::read(&lines)?;
        sources.extend(from_lines);
        let (from_documents, unfit) = documents(&documents_in)?;
        sources.extend(from_documents);
        rejects.extend(unfit);
        Ok((sources, rejects))
    }
}

fn walk(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    let listed =
        fs::read_dir(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut inner: Vec<PathBuf> = listed
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<_>>()?;
    inner.sort();
    for path in inner {
        let is_bundle = path.extension().is_some_and(|one| one == "json");
        if path.is_dir() {
            walk(&path, files)?;
        } else if is_bundle || is_lines(&path) || is_document(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_lines(path: &Path) -> bool {
    let extension = path.extension().and_then(|one| one.to_str());
    extension.is_some_and(|one| one == "ndjson" || one == "jsonl")
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|one| one == "xml")
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.rsplit('_').next().unwrap_or_default().to_owned()
}

fn name(text: &str) -> String {
    let text = text.to_lowercase();
    let plain = text.chars();
    plain
        .filter(|one| one.is_ascii_alphanumeric() || *one == '-')
        .collect()
}
