//! `careledger synth`: synthetic patients as bundles.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use interop::synth::{labelled_patients, patient_bundle};

use crate::progress;

/// Writes synthetic patients as FHIR R4 transaction bundles; the same seed gives the same patients.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger synth --patients 20 --seed 7 --out bundles\n  \
    careledger synth --people 1000 --duplicates 50 --seed 7 --out people"
)]
pub(crate) struct SynthArgs {
    #[arg(long, default_value_t = 20)]
    patients: u64,
    /// Patients alone, of so many people, to try matching with: `patients.ndjson`, and whose each is in `persons.csv`.
    #[arg(long, conflicts_with = "patients")]
    people: Option<u64>,
    /// How many of a hundred people have a second record, with the faults of the field.
    #[arg(long, default_value_t = 20, requires = "people")]
    duplicates: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder to write to; it is made if it is not there.
    #[arg(long)]
    out: PathBuf,
}

pub(crate) fn run(args: &SynthArgs) -> anyhow::Result<()> {
    fs::create_dir_all(&args.out)?;
    if let Some(people) = args.people {
        return labelled(args, people);
    }
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

fn labelled(args: &SynthArgs, people: u64) -> anyhow::Result<()> {
    let (mut patients, mut persons) = (String::new(), "patient,person\n".to_owned());
    let mut count = 0_usize;
    for one in labelled_patients(args.seed, people, args.duplicates) {
        let id = one.resource["id"].as_str().unwrap_or_default();
        persons.push_str(&format!("{id},{}\n", one.person));
        patients.push_str(&format!("{}\n", one.resource));
        count += 1;
    }
    fs::write(args.out.join("patients.ndjson"), patients)?;
    fs::write(args.out.join("persons.csv"), persons)?;
    let out = args.out.display();
    writeln!(
        std::io::stdout(),
        "{count} records of {people} people in {out}"
    )?;
    Ok(())
}
