//! `careledger synth`: synthetic patients as bundles.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use interop::synth::patient_bundle;

use crate::progress;

/// Writes synthetic patients as FHIR R4 transaction bundles; the same seed gives the same patients.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  careledger synth --patients 20 --seed 7 --out bundles")]
pub(crate) struct SynthArgs {
    #[arg(long, default_value_t = 20)]
    patients: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder to write to; it is made if it is not there.
    #[arg(long)]
    out: PathBuf,
}

pub(crate) fn run(args: &SynthArgs) -> anyhow::Result<()> {
    fs::create_dir_all(&args.out)?;
    let bar = progress::bar(usize::try_from(args.patients)?, "patients");
    for index in 0..args.patients {
        let path = args.out.join(format!("patient_{}-{index}.json", args.seed));
        fs::write(path, patient_bundle(args.seed, index).to_string())?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let (count, out) = (args.patients, args.out.display());
    writeln!(std::io::stdout(), "{count} bundles in {out}")?;
    Ok(())
}
