//! `careledger audit gaps`.

use ::node::custody::audit::gaps::{Gap, GapReport, gaps};
use clap::Args;

use super::found::Found;
use super::{Auditor, Whose, held};
use crate::progress;

/// Proves that a member's audit log is complete against the ledger, or names what is missing.
///
/// Each position of each access stream has an item on the ledger, an entry here and an event in the log; the log is
/// numbered and chained, and its head is on the ledger. Ends with 1 if something is missing.
#[derive(Debug, Args)]
pub(super) struct GapsArgs {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    auditor: Auditor,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: GapsArgs) -> anyhow::Result<()> {
    let found = match (args.whose.config, args.whose.credential) {
        (Some(config), _) => {
            let gone_over = move || -> anyhow::Result<GapReport> {
                let (_stopped, held) = held(&config)?;
                let bar = progress::spinner("entries");
                let report = gaps(&held, |done| bar.set_position(done));
                bar.finish_and_clear();
                Ok(report?)
            };
            of(&tokio::task::spawn_blocking(gone_over).await??)
        }
        (_, Some(credential)) => {
            let answer = args.auditor.ask(&credential, "AuditEvent/$gaps").await?;
            Found::of(&answer)
        }
        _ => anyhow::bail!("name a configuration or a credential"),
    };
    found.print(args.json)?;
    anyhow::ensure!(
        found.lists.is_empty(),
        "the audit log has {} gaps",
        found.lists.len()
    );
    Ok(())
}

fn of(report: &GapReport) -> Found {
    let counts = [
        ("anchored", report.anchored),
        ("waiting", report.waiting),
        ("beforeLog", report.before_log),
        ("events", report.events),
        ("covered", report.covered),
    ];
    Found {
        counts: counts
            .map(|(name, count)| (name.to_owned(), count))
            .to_vec(),
        lists: report
            .gaps
            .iter()
            .map(|gap| ("gap".to_owned(), particulars(gap)))
            .collect(),
    }
}

fn particulars(gap: &Gap) -> Vec<(String, String)> {
    let mut all = vec![("kind".to_owned(), gap.kind.name().to_owned())];
    let more = [
        (
            "patient",
            gap.patient.as_ref().map(|id| format!("Patient/{id}")),
        ),
        ("position", gap.position.map(|one| one.to_string())),
        ("number", gap.number.map(|one| one.to_string())),
        ("version", gap.version.clone()),
    ];
    let more = more
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    all.extend(more);
    all
}
