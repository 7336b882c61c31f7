//! Tiles: the log as static files, in C2SP `tlog-tiles` form.
//!
//! ```text
//! tile/<level>/<number>[.p/<width>]      up to 256 hashes of 32 bytes
//! tile/entries/<number>[.p/<width>]      up to 256 entries, each after its length (2 bytes, big-endian)
//! ```

use std::str::FromStr;

use tlog_tiles::Tile as TlogTile;

use super::{HashReader, LOG_SIZE_MAX, LogError, Reader};

/// Entries or hashes of a full tile.
pub const TILE_WIDTH: u64 = 256;

const HEIGHT: u8 = 8;
const LEVEL_MAX: u8 = 63;

/// What a tile's path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Hashes of a level, or entries.
    pub content: Content,
    /// The tile's number within its level.
    pub number: u64,
    /// How much of it there is, 1 to 256.
    pub width: u32,
}

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Hashes of this level; level 0 are the leaves.
    Hashes(u8),
    /// Entries.
    Entries,
}

/// A path that names no tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the path names no tile: tile/<level>/<number>[.p/<width>] or tile/entries/<number>[.p/<width>]"
)]
pub struct NotATile;

impl Tile {
    /// The index of the first leaf below the tile, and of the first after it; `None` beyond what a log may hold.
    pub fn leaves(&self) -> Option<(u64, u64)> {
        let shift = match self.content {
            Content::Hashes(level) => u32::from(level).checked_mul(u32::from(HEIGHT))?,
            Content::Entries => 0,
        };
        let below = 1_u64.checked_shl(shift)?;
        let start = self.number.checked_mul(TILE_WIDTH)?;
        let end = start.checked_add(u64::from(self.width))?;
        let span = (start.checked_mul(below)?, end.checked_mul(below)?);
        (span.1 <= LOG_SIZE_MAX).then_some(span)
    }

    /// The hashes of a tile of a log of `size` leaves; `None` if the log has no such tile.
    pub fn hashes(&self, size: u64, reader: &impl HashReader) -> Result<Option<Vec<u8>>, LogError> {
        let (Content::Hashes(level), Some((_, end))) = (self.content, self.leaves()) else {
            return Ok(None);
        };
        if end > size {
            return Ok(None);
        }
        TlogTile::new(HEIGHT, level, self.number, self.width, false)
            .read_data(&Reader(reader))
            .map(Some)
            .map_err(|_| LogError::HashMissing)
    }
}

/// An entry bundle.
pub fn bundle(entries: &[Vec<u8>]) -> Result<Vec<u8>, LogError> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).map_err(|_| LogError::EntryTooLong)?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle.
pub fn entries(mut bundle: &[u8]) -> Result<Vec<&[u8]>, LogError> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, rest) = rest.split_at_checked(length).ok_or(LogError::BundleCut)?;
        entries.push(entry);
        bundle = rest;
    }
    bundle
        .is_empty()
        .then_some(entries)
        .ok_or(LogError::BundleCut)
}

impl FromStr for Tile {
    type Err = NotATile;

    /// Reads a path without the log's prefix, such as `tile/0/x001/067.p/8`.
    fn from_str(path: &str) -> Result<Self, NotATile> {
        let rest = path.strip_prefix("tile/").ok_or(NotATile)?;
        let (level, number) = rest.split_once('/').ok_or(NotATile)?;
        // The library's paths name the height of tiles too, and the kind of level by another word.
        let named = if level == "entries" { "data" } else { level };
        let path = format!("tile/{HEIGHT}/{named}/{number}");
        let tile = if level == "data" || has_no_width(&path) {
            return Err(NotATile);
        } else {
            TlogTile::from_path(&path).map_err(|_| NotATile)?
        };
        let content = if tile.is_data() {
            Content::Entries
        } else {
            Content::Hashes(tile.level())
        };
        Ok(Self {
            content,
            number: tile.level_index(),
            width: tile.width(),
        })
    }
}

impl std::fmt::Display for Tile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (level, is_data) = match self.content {
            Content::Hashes(level) => (level, false),
            Content::Entries => (0, true),
        };
        let path = TlogTile::new(
            HEIGHT,
            level.min(LEVEL_MAX),
            self.number,
            self.width,
            is_data,
        )
        .path();
        let path = path.strip_prefix("tile/8/").unwrap_or_default();
        match path.strip_prefix("data/") {
            Some(number) => write!(f, "tile/entries/{number}"),
            None => write!(f, "tile/{path}"),
        }
    }
}

/// The library panics on levels above 63 and takes a width of 0.
fn has_no_width(path: &str) -> bool {
    let level = path.split('/').nth(2);
    let too_high = level
        .and_then(|level| level.parse::<u8>().ok())
        .is_some_and(|level| level > LEVEL_MAX);
    let width = path.rsplit_once(".p/").map(|(_, width)| width);
    too_high || width.is_some_and(|width| width.parse() == Ok(0_u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;
    use crate::log::{Empty, LogAppend, leaf_hash};
    use proptest::prelude::*;

    fn log_of(size: u64) -> LogAppend {
        let mut log = LogAppend::after(0);
        for n in 0..size {
            log.push(leaf_hash(&n.to_be_bytes()), &Empty).unwrap();
        }
        log
    }

    #[test]
    fn paths_are_those_of_tlog_tiles() {
        for path in [
            "tile/0/000",
            "tile/0/x001/x234/067",
            "tile/1/000.p/17",
            "tile/entries/x001/002.p/3",
        ] {
            assert_eq!(path.parse::<Tile>().unwrap().to_string(), path);
        }
        for wrong in [
            "",
            "tile",
            "tile/0",
            "tile/0/0",
            "tile/64/000",
            "tile/0/000.p/0",
            "tile/0/000.p/00",
            "tile/0/000.p/+0",
            "tile/+64/000",
            "tile/0/000.p/256",
            "tile/00/000",
            "tile/data/000",
            "tile/0/001/x002",
            "tile/0/000/",
            "tile/-1/000",
            "tiles/0/000",
        ] {
            assert_eq!(wrong.parse::<Tile>(), Err(NotATile), "{wrong}");
        }
    }

    #[test]
    fn the_tiles_of_seventy_thousand_leaves_are_those_of_the_specification() {
        let has = |path: &str| {
            let (_, end) = path.parse::<Tile>().unwrap().leaves().unwrap();
            end <= 70_000
        };
        assert!(has("tile/0/272") && has("tile/0/273.p/112") && !has("tile/0/273.p/113"));
        assert!(has("tile/1/000") && has("tile/1/001.p/17") && !has("tile/1/001.p/18"));
        assert!(has("tile/2/000.p/1") && !has("tile/2/000.p/2"));
    }

    #[test]
    fn a_level_is_made_of_the_full_tiles_below() {
        let log = log_of(600);
        let tile = |path: &str| path.parse::<Tile>().unwrap().hashes(600, &log).unwrap();
        let leaves = tile("tile/0/001").unwrap();
        assert_eq!(leaves.len(), 8_192);
        assert_eq!(leaves[..32], leaf_hash(&256_u64.to_be_bytes()).0);
        let above = tile("tile/1/000.p/2").unwrap();
        assert_eq!(above[32..], tlog_tiles::Tile::subtree_hash(&leaves).0);
        assert_eq!(tile("tile/0/002.p/89"), None, "the log ends before");
        assert_eq!(tile("tile/entries/000"), None, "entries are no hashes");
    }

    proptest! {
        #[test]
        fn a_bundle_reads_as_it_was_written(
            written in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = bundle(&written).unwrap();
            prop_assert_eq!(entries(&bytes).unwrap(), written.iter().map(Vec::as_slice).collect::<Vec<_>>());
            if !bytes.is_empty() {
                let cut = entries(&bytes[..cut.index(bytes.len())]);
                prop_assert!(cut.is_err() || cut.unwrap().len() < written.len());
            }
        }

        #[test]
        fn arbitrary_paths_are_refused_without_a_panic(path in "tile/[0-9a-z/.]{0,40}") {
            if let Ok(tile) = path.parse::<Tile>() {
                prop_assert_eq!(tile.to_string(), path);
                let _read = tile.hashes(u64::MAX, &log_of(3)).unwrap_or(Some(Digest([0; 32]).0.to_vec()));
            }
        }
    }
}
