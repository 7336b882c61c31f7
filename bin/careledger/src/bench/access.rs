//! `bench access`: how fast access is decided as consents and patients become more, and decided again from the record,
//! beside Cedar with one policy.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use contracts::access::{
    Bare, DecisionRecord, Document, Evaluator, Replay, Request, replay, replay_prepared,
};
use contracts::consent::Consent;
use contracts::consent::template::{self, DataClass, Grant};
use ledger::ids::Height;
use serde::Serialize;

use super::figures::{float, quantile};
use super::limits::rate;

/// Members that patients grant to.
const GRANTEES: usize = 100;
/// Subjects whose prepared policies a node keeps.
const KEPT: usize = 4_096;
const NOON: i64 = 1_780_315_200_000;

/// How much is measured.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  careledger bench access --json\n  \
    careledger bench access --consents 1,100 --patients 100,10000")]
pub(crate) struct AccessArgs {
    /// How many consents one patient has filed.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 10_000])]
    consents: Vec<usize>,
    /// How many patients there are, with one consent each.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000_000])]
    patients: Vec<usize>,
    /// Decisions of each kind.
    #[arg(long, default_value_t = 100_000)]
    decisions: usize,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    /// Cedar with one policy and empty entities, decisions a second, one core.
    bare_cedar_per_s: f64,
    rows: Vec<Row>,
    /// Decisions decided again from their records, a second, one core; one document each, and a hundred.
    replay_of_one_per_s: f64,
    replay_of_a_hundred_per_s: f64,
}

#[derive(Debug, Serialize)]
struct Row {
    what: String,
    count: usize,
    per_s: f64,
    p50_us: f64,
    p99_us: f64,
    /// Of the rate of bare Cedar.
    ratio: f64,
}

pub(super) fn run(args: &AccessArgs) -> anyhow::Result<()> {
    let engine = Bare::new().context("the policy engine takes no policy")?;
    let bare = rate(|| engine.permits());
    let mut rows = Vec::new();
    for count in &args.consents {
        rows.extend(of_consents(*count, args.decisions, bare)?);
    }
    for count in &args.patients {
        rows.push(of_patients(*count, args.decisions, bare)?);
    }
    let report = Report {
        bare_cedar_per_s: bare,
        rows,
        replay_of_one_per_s: replays(1)?,
        replay_of_a_hundred_per_s: replays(100)?,
    };
    print(&report, args.json)
}

/// One patient's consents: for many members, most of a time that is over.
fn of_consents(count: usize, decisions: usize, bare: f64) -> anyhow::Result<Vec<Row>> {
    let consents: Vec<Consent> = (0..count).map(consent).collect::<Result<_, _>>()?;
    let mut prepared = None;
    let colds = times(10, |_| {
        prepared = Some(Evaluator::new(&consents)?);
        Ok(())
    })?;
    let evaluator = prepared.context("nothing was prepared")?;
    let requests: Vec<Request> = (0..GRANTEES).map(request).collect();
    let document = document();
    let timed = times(decisions, |at| {
        let request = requests.get(at % requests.len()).context("no request")?;
        std::hint::black_box(evaluator.decide(request, &document));
        Ok(())
    })?;
    Ok(vec![
        row("prepare consents of one patient", count, colds, bare),
        row("decide with consents of one patient", count, timed, bare),
    ])
}

/// One request about one patient after the other, as a node answers them that keeps some patients' policies.
fn of_patients(count: usize, decisions: usize, bare: f64) -> anyhow::Result<Row> {
    let mut kept: BTreeMap<usize, Evaluator> = BTreeMap::new();
    let document = document();
    let filed = template::access(&grant(0, "2026-01-01", "2026-12-31"));
    let request = request(0);
    let timed = times(decisions, |at| {
        // A step that meets every patient before one comes again.
        let patient = at.wrapping_mul(7_919) % count;
        if !kept.contains_key(&patient) {
            if kept.len() >= KEPT {
                kept.pop_first();
            }
            let consent = Consent::read("member0/c", 1, &filed)?;
            kept.insert(patient, Evaluator::new(&[consent])?);
        }
        let decided = kept
            .get(&patient)
            .map(|rules| rules.decide(&request, &document));
        ensure!(
            decided.is_some_and(|decision| decision.permitted),
            "the consent permits it"
        );
        Ok(())
    })?;
    Ok(row("decide for one patient of many", count, timed, bare))
}

fn replays(documents: usize) -> anyhow::Result<f64> {
    let consents = [consent(0)?];
    let evaluator = Evaluator::new(&consents)?;
    let request = request(0);
    let all = vec![Some(document()); documents];
    let asked = evaluator.asked(&request);
    let decisions: Vec<_> = all.iter().flatten().map(|one| asked.decide(one)).collect();
    let record = DecisionRecord::of(&evaluator, Height(1), &request, &decisions);
    ensure!(
        replay(&record, None, &consents, &all)? == Replay::Same,
        "it replays"
    );
    let again = rate(|| replay_prepared(&record, &evaluator, &all) == Replay::Same);
    Ok(again * float(u64::try_from(documents)?))
}

fn grant<'a>(number: usize, start: &'a str, end: &'a str) -> Grant<'a> {
    const NAMES: [&str; 4] = ["TREAT", "HPAYMT", "HOPERAT", "TREAT"];
    Grant {
        patient: "Patient/p",
        grantee: "member0",
        data: &[DataClass::Laboratory, DataClass::Conditions],
        purpose: NAMES.get(number % NAMES.len()).copied().unwrap_or("TREAT"),
        start,
        end,
    }
}

fn consent(number: usize) -> anyhow::Result<Consent> {
    let grantee = format!("member{}", number % GRANTEES);
    let year = 2026 - i32::try_from((number / GRANTEES) % 25)?;
    let (start, end) = (format!("{year}-01-01"), format!("{year}-12-31"));
    let filed = template::access(&Grant {
        grantee: &grantee,
        ..grant(number / GRANTEES, &start, &end)
    });
    Ok(Consent::read(&format!("member0/c{number}"), 1, &filed)?)
}

fn request(number: usize) -> Request {
    Request {
        member: format!("member{}", number % GRANTEES),
        practitioner: Some("Practitioner/7".to_owned()),
        purpose: "TREAT".to_owned(),
        now: NOON,
        consents_known: true,
        ..Request::default()
    }
}

fn document() -> Document {
    Document {
        home: "hospital".to_owned(),
        patient: Some("p".to_owned()),
        resource_type: "Condition".to_owned(),
        codes: ["http://snomed.info/sct|38341003".to_owned()].into(),
        period: Some((NOON, NOON)),
        id: Some("Condition/1".to_owned()),
        ..Document::default()
    }
}

/// How long each run takes, in microseconds.
fn times(
    runs: usize,
    mut work: impl FnMut(usize) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f64>> {
    let mut all = Vec::with_capacity(runs);
    for at in 0..runs {
        let start = Instant::now();
        work(at)?;
        all.push(micros(start.elapsed()));
    }
    Ok(all)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn row(what: &str, count: usize, mut times: Vec<f64>, bare: f64) -> Row {
    let total: f64 = times.iter().sum();
    let runs = float(u64::try_from(times.len()).unwrap_or(u64::MAX));
    let per_s = runs / (total / 1e6);
    times.sort_by(f64::total_cmp);
    Row {
        what: what.to_owned(),
        count,
        per_s,
        p50_us: quantile(&times, 50),
        p99_us: quantile(&times, 99),
        ratio: per_s / bare,
    }
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
        return Ok(());
    }
    writeln!(
        out,
        "bare Cedar, one policy: {:.0}/s, one core\n",
        report.bare_cedar_per_s
    )?;
    writeln!(
        out,
        "{:<38}{:>10}{:>12}{:>10}{:>10}{:>8}",
        "", "count", "per s", "p50 µs", "p99 µs", "ratio"
    )?;
    for row in &report.rows {
        let Row {
            what,
            count,
            per_s,
            p50_us,
            p99_us,
            ratio,
        } = row;
        writeln!(
            out,
            "{what:<38}{count:>10}{per_s:>12.0}{p50_us:>10.1}{p99_us:>10.1}{ratio:>8.2}"
        )?;
    }
    writeln!(
        out,
        "\ndecided again from records of one document: {:.0}/s",
        report.replay_of_one_per_s
    )?;
    writeln!(
        out,
        "of a hundred documents: {:.0}/s",
        report.replay_of_a_hundred_per_s
    )?;
    Ok(())
}
