//! Replaces a file whole: after a crash at any point it holds the old bytes or the new ones.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` beside `path`, syncs them, and renames them into place; durable when it returns.
///
/// What an interrupted call left beside the file is overwritten; callers exclude each other.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let staged = beside(path, ".new");
    let mut file = private_file(&staged)?;
    file.set_len(0)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&staged, path)?;
    sync_folder_of(path)
}

/// Excludes other processes and handles until it is dropped.
pub(super) fn lock(path: &Path) -> io::Result<File> {
    let file = private_file(&beside(path, ".lock"))?;
    file.lock()?;
    Ok(file)
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The rename itself lives in the folder.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}
