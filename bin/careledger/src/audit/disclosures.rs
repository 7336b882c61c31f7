//! `careledger audit disclosures`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Auditor;

/// The accounting of a patient's disclosures.
///
/// All reports are made of the same items of the ledger; they differ in what counts.
#[derive(Debug, Args)]
pub(super) struct DisclosuresArgs {
    /// The credential file of an auditor's system.
    #[arg(long)]
    credential: PathBuf,
    #[command(flatten)]
    auditor: Auditor,
    /// The patient's id at the member.
    #[arg(long)]
    patient: String,
    #[command(flatten)]
    report: Report,
}

/// Which report, and how it is written.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The rule that the report follows.
    #[arg(long, value_enum, default_value_t = Rule::Hipaa)]
    regime: Rule,
    /// When the patient asked for it: the report says until when it is owed.
    #[arg(long, value_name = "DATE")]
    requested: Option<String>,
    /// The form of the report.
    #[arg(long, value_enum, default_value_t = Form::Csv)]
    format: Form,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rule {
    /// 45 CFR 164.528
    Hipaa,
    /// 42 CFR 2.24
    #[value(name = "part2-2.24")]
    Intermediary,
    /// 42 CFR 2.25
    #[value(name = "part2-2.25")]
    Consented,
    /// GDPR Art. 15
    #[value(name = "gdpr-15")]
    Gdpr15,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// A Bundle with a List and the events
    #[value(alias = "json")]
    Fhir,
    /// A table
    Csv,
    /// A page to read and to print
    Html,
}

impl Report {
    /// Where a member has it of the patient with this id.
    pub(crate) fn path(&self, patient: &str) -> String {
        let regime = match self.regime {
            Rule::Hipaa => "hipaa",
            Rule::Intermediary => "part2-2.24",
            Rule::Consented => "part2-2.25",
            Rule::Gdpr15 => "gdpr-15",
        };
        let format = match self.format {
            Form::Fhir => "json",
            Form::Csv => "csv",
            Form::Html => "html",
        };
        let path = format!("Patient/{patient}/$disclosures?regime={regime}&_format={format}");
        match &self.requested {
            Some(requested) => format!("{path}&requested={requested}"),
            None => path,
        }
    }
}

pub(super) async fn run(args: DisclosuresArgs) -> anyhow::Result<()> {
    let client = args.auditor.client(&args.credential)?;
    let answer = client.get(&args.report.path(&args.patient)).await?.ok()?;
    std::io::stdout().write_all(answer.bytes())?;
    Ok(())
}
