//! `careledger policies`: what access policies would do, proven before members vote on them.

mod analysis;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use analysis::{Analysis, Finding};

/// Analyses the access policies that members vote on.
#[derive(Debug, Args)]
#[command(
    after_help = "The analysis needs the solver cvc5 (apt-get install cvc5, or CVC5=/path/to/cvc5).\n\nExamples:\n  \
    careledger policies analyse new.cedar\n  careledger policies analyse new.cedar --against current.cedar --forbid-widening\n  \
    careledger governance propose … set-policies new.cedar"
)]
pub(crate) struct PoliciesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Proves that no policy can fail, that each has an effect, and what changes against the policies before.
    Analyse(AnalyseArgs),
}

#[derive(Debug, Args)]
struct AnalyseArgs {
    /// The policies, in Cedar.
    file: PathBuf,
    /// The policies before them; none if it is left out.
    #[arg(long)]
    against: Option<PathBuf>,
    /// Fails where something is permitted that was not.
    #[arg(long)]
    forbid_widening: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: PoliciesArgs) -> anyhow::Result<()> {
    let Command::Analyse(args) = args.command;
    let text = read(&args.file)?;
    let before = args.against.as_ref().map(read).transpose()?;
    let analysis = Analysis::of(&text, before.as_deref().unwrap_or_default()).await?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&analysis)?)?;
    } else {
        print(&mut out, &analysis)?;
    }
    anyhow::ensure!(
        analysis.policies.iter().all(|one| one.fails_for.is_none()),
        "a policy can fail to evaluate, and then everything is denied: mend it"
    );
    let widens = analysis.changes.iter().any(|one| one.widens.is_some());
    anyhow::ensure!(
        !(args.forbid_widening && widens),
        "the change permits what was denied"
    );
    Ok(())
}

fn read(path: &PathBuf) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn print(out: &mut impl std::io::Write, analysis: &Analysis) -> anyhow::Result<()> {
    for Finding {
        id,
        fails_for,
        never_matches,
        changes_nothing,
    } in &analysis.policies
    {
        let said = match (fails_for, never_matches, changes_nothing) {
            (Some(_), ..) => "can fail to evaluate",
            (None, true, _) => "never matches",
            (None, false, true) => "is shadowed: without it every answer is the same",
            (None, false, false) => "never fails, and has an effect",
        };
        writeln!(out, "{id}: {said}")?;
        if let Some(example) = fails_for {
            writeln!(out, "{}", indented(example))?;
        }
    }
    for change in &analysis.changes {
        let where_ = change.assuming;
        for (what, example) in [
            ("permits what was denied", &change.widens),
            ("denies what was permitted", &change.narrows),
        ] {
            match example {
                Some(example) => {
                    writeln!(
                        out,
                        "{where_}, it {what}, for example:\n{}",
                        indented(example)
                    )?;
                }
                None => writeln!(out, "{where_}, it nowhere {what}")?,
            }
        }
    }
    Ok(())
}

fn indented(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| format!("    {line}\n"));
    lines.collect::<String>().trim_end().to_owned()
}
