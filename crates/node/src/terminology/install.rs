//! Putting vocabularies into a node's folder, and taking them out.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use interop::terminology::{About, Catalogue, Concepts as _};
use ledger::ids::Digest;
use serde_json::Value;

use super::{LoadError, write_release};

/// What a file of the folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of R4")]
pub enum Kind {
    CodeSystem,
    ValueSet,
    ConceptMap,
}

/// What was put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// What it is.
    pub kind: Kind,
    /// Which it is.
    pub about: About,
    /// How many concepts it has, if it is a code system.
    pub concepts: usize,
}

impl Kind {
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::CodeSystem, "CodeSystem", ".codes"),
        (Self::ValueSet, "ValueSet", ".valueset.json"),
        (Self::ConceptMap, "ConceptMap", ".conceptmap.json"),
    ];

    /// What a file with this name holds.
    pub(super) fn of(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        let found = all.find(|(_, _, ending)| name.ends_with(ending));
        found.map(|(kind, ..)| *kind)
    }

    /// The type of resource; `None` for other types.
    pub fn of_type(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(_, own, _)| *own == name).map(|(kind, ..)| *kind)
    }

    /// The type of resource.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    fn row(self) -> &'static (Self, &'static str, &'static str) {
        let [systems, sets, maps] = &Self::ALL;
        match self {
            Self::CodeSystem => systems,
            Self::ValueSet => sets,
            Self::ConceptMap => maps,
        }
    }

    /// Where something is: one file for each version.
    fn place(self, folder: &Path, about: &About) -> PathBuf {
        let digest = Digest::of(format!("{}|{}", about.url, about.version).as_bytes());
        let name: String = digest
            .0
            .iter()
            .take(12)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        folder.join(format!("{name}{}", self.row().2))
    }
}

/// Puts a code system into the folder, in place of the same version.
///
/// # Errors
///
/// If it has no concepts, or the folder cannot be written.
pub fn install(folder: &Path, catalogue: &Catalogue) -> Result<Installed, LoadError> {
    let about = catalogue.about().clone();
    if catalogue.concepts().is_empty() {
        return Err(LoadError::Empty);
    }
    fs::create_dir_all(folder).map_err(LoadError::folder)?;
    let place = Kind::CodeSystem.place(folder, &about);
    let fresh = place.with_extension("new");
    write_release(catalogue, &fresh).map_err(|error| LoadError::Store(error.to_string()))?;
    put(&fresh, &place).map_err(LoadError::folder)?;
    Ok(Installed {
        kind: Kind::CodeSystem,
        about,
        concepts: catalogue.concepts().len(),
    })
}

/// Puts a `ValueSet` or a `ConceptMap` into the folder, in place of the same version. It was read before.
///
/// # Errors
///
/// If the folder cannot be written.
pub fn install_resource(
    folder: &Path,
    kind: Kind,
    (about, resource): (&About, &Value),
) -> Result<Installed, LoadError> {
    let write = || {
        fs::create_dir_all(folder)?;
        let place = kind.place(folder, about);
        let fresh = place.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(resource.to_string().as_bytes())?;
        file.sync_all()?;
        put(&fresh, &place)
    };
    write().map_err(LoadError::folder)?;
    Ok(Installed {
        kind,
        about: about.clone(),
        concepts: 0,
    })
}

/// Takes a version of something out of the folder; whether it was there.
///
/// # Errors
///
/// If the folder cannot be written.
pub fn remove(folder: &Path, about: &About) -> io::Result<bool> {
    let mut was_there = false;
    for (kind, ..) in Kind::ALL {
        match fs::remove_file(kind.place(folder, about)) {
            Ok(()) => was_there = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(was_there)
}

fn put(fresh: &Path, place: &Path) -> io::Result<()> {
    fs::rename(fresh, place)?;
    match place.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
