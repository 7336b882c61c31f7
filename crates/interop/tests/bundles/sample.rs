//! The sample data beside the repository.

use std::path::{Path, PathBuf};

/// The Bundles of `../shared/data/synthea-r4`, or of the folder in `CARELEDGER_DATA`; none when
/// the folder is absent.
#[expect(
    clippy::disallowed_methods,
    reason = "only this test reads the environment"
)]
pub(crate) fn bundles() -> Vec<(String, Vec<u8>)> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var("CARELEDGER_DATA").map_or_else(
        |_| crate_folder.join("../../../shared/data/synthea-r4"),
        PathBuf::from,
    );
    let Ok(files) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|it| it == "json"));
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect()
}
