//! FHIR resources as vocabularies: a file, a folder, or a package (<https://hl7.org/fhir/packages.html>), packed or not.

use std::fs;
use std::path::Path;

use interop::terminology::{
    About, Catalogue, ConceptMap, TerminologyProblem, ValueSet, code_system,
};
use serde_json::Value;

use super::load::list;
use super::{Installed, Kind, LoadError, install, install_resource};
use crate::package::{is_packed, read_packed};

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
    let mut found = Found::default();
    if is_packed(path) {
        let mut taken = 0;
        read_packed(path, |name, text| {
            progress(taken, taken);
            taken += 1;
            let name = Path::new(name);
            found.take((name, false), read(name, text)?, folder)
        })?;
        return found.unless_empty();
    }
    let mut files = Vec::new();
    let is_single = path.is_file();
    match is_single {
        true => files.push(path.to_owned()),
        false => list(path, 0, &mut files)?,
    }
    files.retain(|file| file.extension().is_some_and(|it| it == "json"));
    files.sort();
    for (at, file) in files.iter().enumerate() {
        progress(at, files.len());
        let text = fs::read(file).map_err(LoadError::unreadable(file))?;
        found.take((file, is_single), read(file, &text)?, folder)?;
    }
    found.unless_empty()
}

impl Found {
    fn take(
        &mut self,
        (file, is_single): (&Path, bool),
        read: Option<Result<Read, TerminologyProblem>>,
        folder: &Path,
    ) -> Result<(), LoadError> {
        match read {
            None => {}
            Some(Ok(Read::System(catalogue))) if catalogue.concepts().is_empty() => {}
            Some(Ok(Read::System(catalogue))) => {
                self.installed.push(install(folder, &catalogue)?);
            }
            Some(Ok(Read::Other(kind, about, value))) => {
                let installed = install_resource(folder, kind, (&about, &value))?;
                self.installed.push(installed);
            }
            Some(Err(problem)) if is_single => {
                let path = file.to_owned();
                return Err(LoadError::Resource { path, problem });
            }
            Some(Err(problem)) => {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                self.passed_over.push((name.into_owned(), problem));
            }
        }
        Ok(())
    }

    fn unless_empty(self) -> Result<Self, LoadError> {
        match self.installed.is_empty() && self.passed_over.is_empty() {
            true => Err(LoadError::Empty),
            false => Ok(self),
        }
    }
}

/// `None` if it is another resource.
fn read(file: &Path, text: &[u8]) -> Result<Option<Result<Read, TerminologyProblem>>, LoadError> {
    let value: Value = serde_json::from_slice(text).map_err(|error| LoadError::NotJson {
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
