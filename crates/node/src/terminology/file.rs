//! One version of a code system in one file: a database of others' (redb), opened for reading alone.
//!
//! The hierarchy is in memory, 8 bytes a link; all else is read when it is asked for, through a cache of bounded size.

use std::fs::File;
use std::path::Path;

use fixedbitset::FixedBitSet;
use interop::terminology::{
    About, Catalogue, Concept, Concepts, Hierarchy, Unavailable, property_key,
};
use redb::{
    Builder, Database, ReadOnlyDatabase, ReadOnlyTable, ReadableDatabase as _, TableDefinition,
};
use serde::{Deserialize, Serialize};

const HEAD: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("head");
const CONCEPTS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("concepts");
const NUMBERS: TableDefinition<'_, &str, u32> = TableDefinition::new("numbers");
const WORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("words");
const PROPERTIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("properties");

const ABOUT: &str = "about";
const HIERARCHY: &str = "hierarchy";
/// What is kept in memory of each file.
const CACHE_BYTES: usize = 16 << 20;

/// The first row.
#[derive(Serialize, Deserialize)]
struct Head {
    about: About,
    concepts: usize,
}

/// One version of a code system, in its file.
pub struct Release {
    about: About,
    hierarchy: Hierarchy,
    concepts: ReadOnlyTable<u32, &'static [u8]>,
    numbers: ReadOnlyTable<&'static str, u32>,
    words: ReadOnlyTable<&'static str, &'static [u8]>,
    properties: ReadOnlyTable<&'static str, &'static [u8]>,
    /// What the tables are of.
    _database: ReadOnlyDatabase,
}

/// Writes a code system to a new file; it is on the disk when this returns.
///
/// # Errors
///
/// If the disk is full, or cannot be written.
pub fn write_release(catalogue: &Catalogue, path: &Path) -> Result<(), redb::Error> {
    // What an earlier attempt left.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let database = Database::create(path)?;
    let transaction = database.begin_write()?;
    {
        let mut concepts = transaction.open_table(CONCEPTS)?;
        let mut numbers = transaction.open_table(NUMBERS)?;
        for (number, concept) in (0..).zip(catalogue.concepts()) {
            // A vector takes whatever is written.
            let row = minicbor::to_vec(concept).map_err(|_| damaged())?;
            concepts.insert(number, row.as_slice())?;
            numbers.insert(concept.code.as_str(), number)?;
        }
        for (definition, rows) in [
            (WORDS, catalogue.words()),
            (PROPERTIES, catalogue.properties()),
        ] {
            let mut table = transaction.open_table(definition)?;
            for (key, numbers) in rows {
                table.insert(key.as_str(), packed(numbers).as_slice())?;
            }
        }
        let head = Head {
            about: catalogue.about().clone(),
            concepts: catalogue.concepts().len(),
        };
        let head = serde_json::to_vec(&head).map_err(|_| damaged())?;
        let mut table = transaction.open_table(HEAD)?;
        table.insert(ABOUT, head.as_slice())?;
        table.insert(HIERARCHY, catalogue.hierarchy().to_bytes().as_slice())?;
    }
    transaction.commit()?;
    drop(database);
    Ok(File::open(path)?.sync_all()?)
}

impl Release {
    /// Opens a file that [`write_release`] wrote.
    ///
    /// # Errors
    ///
    /// If it is not whole.
    pub fn open(path: &Path) -> Result<Self, redb::Error> {
        let database = Builder::new()
            .set_cache_size(CACHE_BYTES)
            .open_read_only(path)?;
        let reading = database.begin_read()?;
        let head = reading.open_table(HEAD)?;
        let row = |name: &str| head.get(name)?.ok_or_else(damaged);
        let Head { about, concepts } =
            serde_json::from_slice(row(ABOUT)?.value()).map_err(|_| damaged())?;
        let hierarchy = Hierarchy::from_bytes(concepts, row(HIERARCHY)?.value());
        Ok(Self {
            about,
            hierarchy: hierarchy.ok_or_else(damaged)?,
            concepts: reading.open_table(CONCEPTS)?,
            numbers: reading.open_table(NUMBERS)?,
            words: reading.open_table(WORDS)?,
            properties: reading.open_table(PROPERTIES)?,
            _database: database,
        })
    }

    /// The rows whose keys begin so.
    fn beginning(
        table: &ReadOnlyTable<&'static str, &'static [u8]>,
        prefix: &str,
        visit: &mut dyn FnMut(&str, &[u32]),
    ) -> Result<(), redb::Error> {
        for row in table.range(prefix..)? {
            let (key, numbers) = row?;
            let Some(rest) = key.value().strip_prefix(prefix) else {
                break;
            };
            visit(rest, &unpacked(numbers.value()));
        }
        Ok(())
    }
}

impl Concepts for Release {
    fn about(&self) -> &About {
        &self.about
    }

    fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    fn number(&self, code: &str) -> Result<Option<u32>, Unavailable> {
        let row = self.numbers.get(code).map_err(unavailable)?;
        Ok(row.map(|row| row.value()))
    }

    fn concept(&self, number: u32) -> Result<Option<Concept>, Unavailable> {
        let row = self.concepts.get(number).map_err(unavailable)?;
        let concept = row.map(|row| minicbor::decode(row.value()));
        concept.transpose().map_err(unavailable)
    }

    fn with_prefix(&self, prefix: &str) -> Result<FixedBitSet, Unavailable> {
        let mut found = FixedBitSet::with_capacity(self.hierarchy.len());
        Self::beginning(&self.words, prefix, &mut |_, numbers| {
            found.extend(numbers.iter().filter_map(|it| usize::try_from(*it).ok()));
        })
        .map_err(unavailable)?;
        Ok(found)
    }

    fn with_property(&self, name: &str, value: &str) -> Result<Vec<u32>, Unavailable> {
        let key = property_key(name, value);
        let row = self.properties.get(key.as_str()).map_err(unavailable)?;
        Ok(row.map(|row| unpacked(row.value())).unwrap_or_default())
    }

    fn each_value(
        &self,
        name: &str,
        visit: &mut dyn FnMut(&str, &[u32]),
    ) -> Result<(), Unavailable> {
        Self::beginning(&self.properties, &property_key(name, ""), visit).map_err(unavailable)
    }
}

fn packed(numbers: &[u32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn unpacked(bytes: &[u8]) -> Vec<u32> {
    let (chunks, _) = bytes.as_chunks::<4>();
    chunks
        .iter()
        .map(|chunk| u32::from_le_bytes(*chunk))
        .collect()
}

fn unavailable(error: impl std::fmt::Display) -> Unavailable {
    tracing::error!(%error, "a vocabulary cannot be read");
    Unavailable
}

fn damaged() -> redb::Error {
    redb::Error::Corrupted("the file is not a code system's".to_owned())
}

impl std::fmt::Debug for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Release({}|{})", self.about.url, self.about.version)
    }
}
