//! The vocabularies of a node: what `interop::terminology` asks, in files of the node's folder.
//!
//! Each version of a code system is one file that is written once, beside it, and renamed when it is whole; so are value
//! sets and concept maps. A running node sees what comes and goes at its next look into the folder, and questions that
//! are being answered go on with what they began with. Nothing here is patient data, and nothing is sealed.

mod file;
mod install;
mod load;
mod package;
#[cfg(test)]
mod tests;
mod unmapped;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use interop::fhir::Resource;
use interop::terminology::{
    About, Canonical, Coded, ConceptMap, Concepts, Library, Ucum, ValueSet, by_version, mapped,
};
use serde_json::Value;

pub use self::file::{Release, write_release};
pub use self::install::{Installed, Kind, install, install_resource, remove};
pub use self::load::{LoadError, Progress, read_tables};
pub use self::package::{Found, resources_in};
use self::unmapped::Unmapped;
pub use self::unmapped::{UnmappedCode, unmapped_in};

/// The name of the folder, in a node's.
pub const FOLDER: &str = "terminology";

/// The vocabularies of a node; clones share them.
#[derive(Clone)]
pub struct Vocabularies(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    /// URLs of the concept maps by which codes are mapped on the way in.
    map_on_write: Vec<String>,
    shelf: RwLock<Arc<Shelf>>,
    seen: Mutex<Files>,
    unmapped: Mutex<Unmapped>,
}

/// What was in a file when it was opened.
#[derive(Clone)]
enum Item {
    System(Arc<Release>),
    ValueSet(Arc<ValueSet>),
    Map(Arc<ConceptMap>),
}

/// Files by name, with what tells that they changed.
type Files = BTreeMap<String, (Option<SystemTime>, u64)>;

/// The vocabularies at one moment.
#[derive(Default)]
pub struct Shelf {
    items: BTreeMap<String, Item>,
    ucum: Arc<Ucum>,
}

impl Vocabularies {
    /// The vocabularies in a folder, which need not be there yet. What is mapped on the way in is by the maps with these
    /// URLs, in the version that comes last.
    pub fn open(folder: &Path, map_on_write: &[String]) -> Self {
        let vocabularies = Self(Arc::new(Inner {
            folder: folder.to_owned(),
            map_on_write: map_on_write.to_vec(),
            shelf: RwLock::default(),
            seen: Mutex::default(),
            unmapped: Mutex::new(Unmapped::read(folder)),
        }));
        vocabularies.refresh();
        vocabularies
    }

    /// What there is now.
    pub fn shelf(&self) -> Arc<Shelf> {
        let shelf = self.0.shelf.read();
        Arc::clone(&shelf.unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks into the folder, and writes down what was not mapped since the last time. Files that cannot be read are
    /// passed over and said in the log.
    pub fn refresh(&self) {
        let now = files(&self.0.folder);
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen != now {
            let before = self.shelf();
            let mut items = BTreeMap::new();
            for (name, state) in &now {
                let kept = before
                    .items
                    .get(name)
                    .filter(|_| seen.get(name) == Some(state));
                let item = kept.cloned().or_else(|| open(&self.0.folder, name));
                items.extend(item.map(|item| (name.clone(), item)));
            }
            let shelf = Shelf {
                items,
                ucum: Arc::clone(&before.ucum),
            };
            *self.0.shelf.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shelf);
            *seen = now;
        }
        drop(seen);
        self.unmapped(|unmapped| unmapped.keep(&self.0.folder));
    }

    /// Adds what the codes of a resource are mapped to, and notes those that maps are for and have nothing for.
    pub(crate) fn map(&self, resource: &mut Resource) {
        if self.0.map_on_write.is_empty() {
            return;
        }
        let missing = mapped(resource, &self.maps_on_write());
        if !missing.is_empty() {
            self.unmapped(|unmapped| unmapped.note(missing));
        }
    }

    /// Notes codes that came in by another form and that nobody has given a meaning. Those of a system that a map is for were
    /// noted, or mapped, when they were written.
    pub(crate) fn note(&self, mut codes: Vec<Coded>) {
        let maps = self.maps_on_write();
        codes.retain(|coded| !maps.iter().any(|map| map.maps(&coded.system)));
        self.unmapped(|unmapped| unmapped.note(codes));
    }

    fn maps_on_write(&self) -> Vec<Arc<ConceptMap>> {
        let shelf = self.shelf();
        let urls = self.0.map_on_write.iter();
        urls.filter_map(|url| shelf.map(&Canonical::parse(url)))
            .collect()
    }

    fn unmapped(&self, work: impl FnOnce(&mut Unmapped)) {
        work(
            &mut self
                .0
                .unmapped
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

impl Shelf {
    /// The code systems that are loaded, each version by itself.
    pub fn systems(&self) -> impl Iterator<Item = &Arc<Release>> {
        self.items.values().filter_map(|item| match item {
            Item::System(release) => Some(release),
            Item::ValueSet(_) | Item::Map(_) => None,
        })
    }

    /// The concept maps that are loaded.
    pub fn maps(&self) -> impl Iterator<Item = &Arc<ConceptMap>> {
        self.items.values().filter_map(|item| match item {
            Item::Map(map) => Some(map),
            Item::ValueSet(_) | Item::System(_) => None,
        })
    }

    /// A concept map; without a version, the one whose version comes last.
    pub fn map(&self, wanted: &Canonical) -> Option<Arc<ConceptMap>> {
        newest(self.maps(), |map| &map.about, wanted)
    }

    /// What everything here says of itself.
    pub fn about(&self) -> impl Iterator<Item = (Kind, &About, usize)> {
        self.items.values().map(|item| match item {
            Item::System(release) => (Kind::CodeSystem, release.about(), release.hierarchy().len()),
            Item::ValueSet(set) => (Kind::ValueSet, &set.about, 0),
            Item::Map(map) => (Kind::ConceptMap, &map.about, map.len()),
        })
    }
}

impl Library for Shelf {
    fn code_system(&self, wanted: &Canonical) -> Option<Arc<dyn Concepts>> {
        if wanted.url == Ucum::URL {
            return Some(Arc::clone(&self.ucum) as Arc<dyn Concepts>);
        }
        let found = newest(self.systems(), |release| release.about(), wanted);
        found.map(|release| release as Arc<dyn Concepts>)
    }

    fn value_set(&self, wanted: &Canonical) -> Option<Arc<ValueSet>> {
        let sets = self.items.values().filter_map(|item| match item {
            Item::ValueSet(set) => Some(set),
            Item::System(_) | Item::Map(_) => None,
        });
        newest(sets, |set| &set.about, wanted)
    }
}

fn newest<'a, T: 'a>(
    all: impl Iterator<Item = &'a Arc<T>>,
    about: impl Fn(&T) -> &About,
    wanted: &Canonical,
) -> Option<Arc<T>> {
    let meant = all.filter(|one| wanted.means(about(one)));
    meant
        .max_by(|one, other| by_version(&about(one).version, &about(other).version))
        .cloned()
}

fn files(folder: &Path) -> Files {
    // A folder that is not there has no files.
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let known = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let metadata = entry
            .metadata()
            .ok()
            .filter(|_| Kind::of(&name).is_some())?;
        Some((name, (metadata.modified().ok(), metadata.len())))
    });
    known.collect()
}

fn open(folder: &Path, name: &str) -> Option<Item> {
    let path = folder.join(name);
    let resource = || {
        let text = fs::read(&path).map_err(|error| error.to_string())?;
        serde_json::from_slice::<Value>(&text).map_err(|error| error.to_string())
    };
    let opened = match Kind::of(name)? {
        Kind::CodeSystem => Release::open(&path)
            .map(|release| Item::System(Arc::new(release)))
            .map_err(|error| error.to_string()),
        Kind::ValueSet => resource().and_then(|resource| {
            let set = ValueSet::of(&resource).map_err(|problem| problem.to_string())?;
            Ok(Item::ValueSet(Arc::new(set)))
        }),
        Kind::ConceptMap => resource().and_then(|resource| {
            let map = ConceptMap::of(&resource).map_err(|problem| problem.to_string())?;
            Ok(Item::Map(Arc::new(map)))
        }),
    };
    opened
        .inspect_err(|error| {
            tracing::warn!(%error, file = %path.display(), "a vocabulary cannot be opened");
        })
        .ok()
}

impl std::fmt::Debug for Vocabularies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vocabularies")
            .field("folder", &self.0.folder)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shelf({} vocabularies)", self.items.len())
    }
}
