//! `careledger dump`: a stopped node's ledger in one file.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::node::chain::Chain;
use anyhow::Context as _;
use clap::Args;

use crate::network::{NodeFile, read_genesis};

/// Writes every final block of a node that is not running to a file that `careledger-verify log` reads.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  careledger dump --config net/payer/node.toml --out ledger.dump\n  \
    careledger-verify log ledger.dump --genesis net/genesis.cbor"
)]
pub(crate) struct DumpArgs {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    #[arg(long)]
    out: PathBuf,
}

pub(crate) fn run(args: &DumpArgs) -> anyhow::Result<()> {
    let height = dump(&args.config, &args.out)?;
    writeln!(
        std::io::stdout(),
        "blocks 1 to {height} are in {}",
        args.out.display()
    )?;
    Ok(())
}

/// Returns the height of the last block.
pub(crate) fn dump(config: &Path, out: &Path) -> anyhow::Result<u64> {
    let file = NodeFile::read(config)?;
    let folder = config.parent().unwrap_or(Path::new("."));
    let genesis = read_genesis(&folder.join(&file.genesis))?;
    let directory = folder.join(&file.data).join("chain");
    let chain = Chain::open(genesis, &directory, Arc::new(|| 0)).with_context(|| {
        format!(
            "the ledger of {} cannot be opened: is its node running?",
            file.member
        )
    })?;
    let out = File::create(out).with_context(|| format!("{} cannot be written", out.display()))?;
    Ok(chain.dump(BufWriter::new(out))?.0)
}
