//! Packed FHIR packages (<https://hl7.org/fhir/packages.html>): a tar archive in gzip, as registries give them away.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::Archive;
use thiserror::Error;

/// Files in a package at most; HL7's terminology has about 5,000.
const FILES_MAX: usize = 50_000;
/// Bytes of one file at most.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a package at most, unpacked.
const PACKAGE_BYTES_MAX: u64 = 512 << 20;

/// Why a package is not read.
#[derive(Debug, Error)]
pub enum PackageError {
    /// The file is not there, or is no archive, or is cut off.
    #[error("{} is not readable as a packed FHIR package (.tgz): {error}", .path.display())]
    Unreadable {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        error: io::Error,
    },
    /// It unpacks to more than any package has.
    #[error("{} has more than {FILES_MAX} files, {} MiB in a file or {} MiB in all", .0.display(), FILE_BYTES_MAX >> 20, PACKAGE_BYTES_MAX >> 20)]
    TooLarge(PathBuf),
    /// There is no resource in it.
    #[error("{} has no resources in a folder `package`", .0.display())]
    Empty(PathBuf),
}

/// Whether the name of a file is one of packed packages.
pub fn is_packed(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    path.is_file() && name.is_some_and(|name| name.ends_with(".tgz") || name.ends_with(".tar.gz"))
}

/// Gives each JSON file that stands in the folder `package` of a packed package to `each`, by name and content, in the order of the
/// archive. Nothing is written anywhere.
pub fn read_packed<E: From<PackageError>>(
    path: &Path,
    mut each: impl FnMut(&str, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let unreadable = |error: io::Error| PackageError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let too_large = || PackageError::TooLarge(path.to_owned());
    let file = File::open(path).map_err(unreadable)?;
    let unpacked = MultiGzDecoder::new(io::BufReader::new(file));
    // One byte more than there may be: who gets to it has too much.
    let mut archive = Archive::new(unpacked.take(PACKAGE_BYTES_MAX.saturating_add(1)));
    let (mut files, mut bytes, mut is_empty) = (0_usize, 0_u64, true);
    for entry in archive.entries().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        files = files.saturating_add(1);
        bytes = bytes.saturating_add(entry.size());
        if files > FILES_MAX || entry.size() > FILE_BYTES_MAX || bytes > PACKAGE_BYTES_MAX {
            return Err(too_large().into());
        }
        let name = resource_name(&entry.path().map_err(unreadable)?);
        let (Some(name), true) = (name, entry.header().entry_type().is_file()) else {
            continue;
        };
        let mut content = Vec::new();
        let mut bounded = entry.take(FILE_BYTES_MAX);
        bounded.read_to_end(&mut content).map_err(unreadable)?;
        each(&name, &content)?;
        is_empty = false;
    }
    if is_empty {
        return Err(PackageError::Empty(path.to_owned()).into());
    }
    Ok(())
}

/// The name of a file directly in `package` that may be a resource.
fn resource_name(path: &Path) -> Option<String> {
    let mut parts = path.components().filter(|part| *part != Component::CurDir);
    let is_in_package = parts.next()?.as_os_str() == "package";
    let name = parts.next()?.as_os_str().to_str()?;
    let is_last = parts.next().is_none();
    let is_about_it = name == "package.json" || name.starts_with('.');
    (is_in_package && is_last && !is_about_it && name.ends_with(".json")).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, EntryType, Header};
    use tempfile::TempDir;

    use super::*;

    /// A package of these files.
    fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, content) in files {
            let mut header = Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_entry_type(EntryType::Regular);
            archive.append_data(&mut header, name, *content).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<(String, usize)>, PackageError> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("p.tgz");
        fs::write(&path, bytes).unwrap();
        assert!(is_packed(&path));
        let mut found = Vec::new();
        read_packed(&path, |name, content| {
            found.push((name.to_owned(), content.len()));
            Ok::<_, PackageError>(())
        })?;
        Ok(found)
    }

    #[test]
    fn a_packed_package_has_its_resources() {
        let bytes = packed(&[
            ("package/package.json", b"{}"),
            ("package/.index.json", b"{}"),
            ("package/ValueSet-a.json", b"{\"a\":1}"),
            ("package/example/Patient-a.json", b"{}"),
            ("other/ValueSet-b.json", b"{}"),
            ("package/readme.md", b"x"),
        ]);
        assert_eq!(read(&bytes).unwrap(), [("ValueSet-a.json".to_owned(), 7)]);
    }

    #[test]
    fn broken_packages_are_errors_that_name_the_file() {
        let content = vec![b'x'; 100_000];
        let whole = packed(&[("package/ValueSet-a.json", content.as_slice())]);
        for (wrong, word) in [
            (b"PK\x03\x04 not this one".to_vec(), "not readable"),
            (whole[..whole.len() / 2].to_vec(), "not readable"),
            (Vec::new(), ""),
            (packed(&[("x.json", b"{}")]), "no resources"),
        ] {
            let said = read(&wrong).unwrap_err().to_string();
            assert!(said.contains("p.tgz") && said.contains(word), "{said}");
        }
        let mut garbled = whole;
        let middle = garbled.len() / 2;
        garbled[middle] ^= 0xff;
        assert!(read(&garbled).is_err());
    }

    #[test]
    fn a_package_that_unpacks_without_end_is_refused() {
        // A file that says it has two gigabytes of nothing, which is two megabytes in gzip.
        let mut header = Header::new_gnu();
        header.set_path("package/ValueSet-a.json").unwrap();
        header.set_size(2 << 30);
        header.set_entry_type(EntryType::Regular);
        header.set_cksum();
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        bomb.write_all(header.as_bytes()).unwrap();
        let said = read(&bomb.finish().unwrap()).unwrap_err();
        assert!(matches!(said, PackageError::TooLarge(_)), "{said}");
        let many: Vec<u8> = {
            let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
            for _ in 0..=FILES_MAX {
                let mut header = Header::new_gnu();
                header.set_size(0);
                header.set_entry_type(EntryType::Regular);
                let name = "package/ValueSet-a.json";
                archive.append_data(&mut header, name, io::empty()).unwrap();
            }
            archive.into_inner().unwrap().finish().unwrap()
        };
        let said = read(&many).unwrap_err();
        assert!(matches!(said, PackageError::TooLarge(_)), "{said}");
    }
}
