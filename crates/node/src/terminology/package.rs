//! FHIR resources as vocabularies: a file, or a folder such as an unpacked package (<https://hl7.org/fhir/packages.html>).

use std::fs;
use std::path::Path;

use interop::terminology::{
    About, Catalogue, ConceptMap, TerminologyProblem, ValueSet, code_system,
};
use serde_json::Value;

use super::load::list;
use super::{Installed, Kind, LoadError, install, install_resource};

/// What was found in a file or a package.
#[derive(Debug, Default)]
pub struct Found {
    /// What was put into the folder.
    pub installed: Vec<Installed>,
    /// Files that were passed over, with the reason.
    pub passed_over: Vec<(String, TerminologyProblem)>,
}

enum Read {
    System(Catalogue),
    Other(Kind, About, Value),
}

/// Puts the code systems, value sets and concept maps of a file or a package into the folder. What is no vocabulary is
/// left alone; in a package, one that cannot be used (such as a code system without its concepts) is passed over.
///
/// # Errors
///
/// If a file cannot be read, or a single file cannot be used.
pub fn resources_in(
    path: &Path,
    folder: &Path,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Found, LoadError> {
    let mut files = Vec::new();
    let is_single = path.is_file();
    match is_single {
        true => files.push(path.to_owned()),
        false => list(path, 0, &mut files)?,
    }
    files.retain(|file| file.extension().is_some_and(|it| it == "json"));
    files.sort();
    let mut found = Found::default();
    for (at, file) in files.iter().enumerate() {
        progress(at, files.len());
        match read(file)? {
            None => {}
            Some(Ok(Read::System(catalogue))) if catalogue.concepts().is_empty() => {}
            Some(Ok(Read::System(catalogue))) => {
                found.installed.push(install(folder, &catalogue)?);
            }
            Some(Ok(Read::Other(kind, about, value))) => {
                let installed = install_resource(folder, kind, (&about, &value))?;
                found.installed.push(installed);
            }
            Some(Err(problem)) if is_single => {
                let path = file.clone();
                return Err(LoadError::Resource { path, problem });
            }
            Some(Err(problem)) => {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                found.passed_over.push((name.into_owned(), problem));
            }
        }
    }
    match found.installed.is_empty() && found.passed_over.is_empty() {
        true => Err(LoadError::Empty),
        false => Ok(found),
    }
}

/// `None` if it is another resource.
fn read(file: &Path) -> Result<Option<Result<Read, TerminologyProblem>>, LoadError> {
    let text = fs::read(file).map_err(LoadError::unreadable(file))?;
    let value: Value = serde_json::from_slice(&text).map_err(|error| LoadError::NotJson {
        path: file.to_owned(),
        line: error.line(),
    })?;
    let kind = value.get("resourceType").and_then(Value::as_str);
    let Some(kind) = kind.and_then(Kind::of_type) else {
        return Ok(None);
    };
    Ok(Some(match kind {
        Kind::CodeSystem => {
            code_system(&value).map(|(about, draft)| Read::System(draft.finish(about)))
        }
        Kind::ValueSet => ValueSet::of(&value).map(|set| Read::Other(kind, set.about, value)),
        Kind::ConceptMap => ConceptMap::of(&value).map(|map| Read::Other(kind, map.about, value)),
    }))
}
