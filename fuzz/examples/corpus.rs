//! Writes the corpus anew: `cargo run -p fuzz --example corpus`. Inputs whose names begin with `found-` stay.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, seeds) in fuzz::seeds::all() {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        for (number, bytes) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("{number:02}")), bytes)?;
        }
    }
    Ok(())
}
