//! Writes the corpus anew: `cargo run -p fuzz --example corpus`. Inputs whose names begin with `found-` stay, as does the
//! committee, unless `committee` is given.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if std::env::args()
        .nth(1)
        .is_some_and(|word| word == "committee")
    {
        return fs::write(
            root.join("seeds/committee.cbor"),
            fuzz::release::deal_anew(),
        );
    }
    let corpus = root.join("corpus");
    for (target, seeds) in fuzz::seeds::all() {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        for (number, bytes) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("{number:02}")), bytes)?;
        }
    }
    Ok(())
}
