//! `careledger audit replay`.

use std::time::Instant;

use ::node::custody::audit::disclosed::moment;
use ::node::custody::audit::replay::{Finding, ReplayRange, ReplayReport, replay_range};
use anyhow::Context as _;
use clap::Args;
use interop::fhir::TimeSpan;
use ledger::ids::Height;

use super::found::Found;
use super::{Auditor, Whose, held};
use crate::progress;

/// Decides again what was decided here in a range, from the member's own data.
///
/// Names each decision that comes out differently, each whose inputs are not all here, and each request to another
/// member that had no answer by its deadline. Ends with 1 if a decision comes out differently.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    auditor: Auditor,
    /// The first height, or the first date or instant.
    #[arg(long)]
    from: Option<String>,
    /// The last height, or the last date or instant.
    #[arg(long)]
    to: Option<String>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ReplayArgs) -> anyhow::Result<()> {
    let found = match (&args.whose.config, &args.whose.credential) {
        (Some(config), _) => {
            let range = range(args.from.as_deref(), args.to.as_deref())?;
            let (_stopped, held) = held(config)?;
            let bar = progress::spinner("decisions");
            let begun = Instant::now();
            let report = replay_range(&held, range, |done| bar.set_position(done)).await;
            bar.finish_and_clear();
            of(&report?, begun)
        }
        (_, Some(credential)) => {
            let mut path = "AuditEvent/$replay?".to_owned();
            for (name, value) in [("from", &args.from), ("to", &args.to)] {
                if let Some(value) = value {
                    path.push_str(&format!("{name}={}&", value.replace('+', "%2B")));
                }
            }
            let answer = args
                .auditor
                .ask(credential, path.trim_end_matches(['?', '&']));
            Found::of(&answer.await?)
        }
        _ => anyhow::bail!("name a configuration or a credential"),
    };
    found.print(args.json)?;
    let diverged = found.lists.iter().filter(|(name, _)| name == "diverged");
    let count = diverged.count();
    anyhow::ensure!(count == 0, "{count} decisions come out differently");
    Ok(())
}

fn range(from: Option<&str>, to: Option<&str>) -> anyhow::Result<ReplayRange> {
    // A year is a date.
    let height = |text: &str| text.parse().ok().filter(|_| text.len() != 4).map(Height);
    if from.is_none_or(|text| height(text).is_some())
        && to.is_none_or(|text| height(text).is_some())
        && (from.is_some() || to.is_some())
    {
        let (from, to) = (from.and_then(height), to.and_then(height));
        return Ok(ReplayRange::Heights(
            from.unwrap_or(Height(0)),
            to.unwrap_or(Height(u64::MAX)),
        ));
    }
    if from.is_none() && to.is_none() {
        return Ok(ReplayRange::Times(0, u64::MAX));
    }
    let span = TimeSpan::between(from, to);
    let span = span.context("--from and --to are heights, or dates in their order")?;
    let at = |ms: i64| u64::try_from(ms).unwrap_or(0);
    let until = to.map_or(u64::MAX, |_| at(span.end_ms));
    Ok(ReplayRange::Times(at(span.start_ms), until))
}

fn of(report: &ReplayReport, begun: Instant) -> Found {
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let counts = [
        ("decisions", report.decisions),
        ("same", report.same),
        ("erased", report.erased),
        ("milliseconds", milliseconds),
    ];
    let lists = [
        ("diverged", &report.diverged),
        ("inputsMissing", &report.inputs_missing),
        ("unanswered", &report.unanswered),
    ];
    let lists = lists.into_iter().flat_map(|(name, list)| {
        list.iter()
            .map(move |one| (name.to_owned(), particulars(one)))
    });
    Found {
        counts: counts
            .map(|(name, count)| (name.to_owned(), count))
            .to_vec(),
        lists: lists.collect(),
    }
}

fn particulars(found: &Finding) -> Vec<(String, String)> {
    let named = |name: &str, value: String| (name.to_owned(), value);
    let mut all: Vec<(String, String)> = found
        .patient
        .iter()
        .map(|id| named("patient", format!("Patient/{id}")))
        .collect();
    all.extend([
        named("position", found.position.to_string()),
        named("at", moment(found.at)),
        named("principal", found.principal.clone()),
        named("purpose", found.purpose.clone()),
        named("interaction", found.interaction.clone()),
        named("target", found.target.clone()),
        named("what", found.what.clone()),
    ]);
    all
}
