//! Says what was found.

use std::io::Write as _;

use ::node::custody::inspect::RecordsReport;
use serde_json::{Value, json};

use super::Verdict;
use super::check::{Found, NoChain, Records};

/// Orphans that are named in sentences; JSON has all.
const NAMED_MAX: usize = 20;

/// One sentence for each damage, and what to do; then what was gone over.
pub(super) fn print(found: &Found, is_last: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for (place, sentence) in sentences(found) {
        writeln!(out, "DAMAGED  {place}: {sentence}")?;
    }
    if let Records::Unchecked(why) = &found.records {
        writeln!(out, "UNCHECKED  records: {why}")?;
    }
    if !is_last {
        return Ok(());
    }
    if let Ok(chain) = &found.chain {
        writeln!(
            out,
            "chain    {} blocks, {} statements, {} tags, {} certificates, {} checkpoints",
            chain.height, chain.statements, chain.tags, chain.certificates, chain.checkpoints
        )?;
    }
    let engine = &found.engine;
    writeln!(
        out,
        "engine   {} archived blocks, {} files of votes",
        engine.blocks, engine.votes
    )?;
    if let Records::Checked(records) = &found.records {
        writeln!(out, "records  {}", summary(records))?;
        for orphan in records.orphans.iter().take(NAMED_MAX) {
            writeln!(out, "orphan   {orphan}")?;
        }
    }
    for line in advice(found) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

pub(super) fn print_steps(steps: &[String]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for step in steps {
        writeln!(out, "repair   {step}")?;
    }
    Ok(())
}

pub(super) fn print_json(member: &str, found: &Found, steps: &[String]) -> anyhow::Result<()> {
    let verdict = match found.verdict() {
        Verdict::Sound => "sound",
        Verdict::Damaged => "damaged",
        Verdict::Unchecked => "unchecked",
    };
    let document = json!({
        "member": member,
        "verdict": verdict,
        "damages": damages(found),
        "repaired": steps,
        "chain": found.chain.as_ref().ok().map(|chain| json!({
            "blocks": chain.height,
            "statements": chain.statements,
            "tags": chain.tags,
            "certificates": chain.certificates,
            "checkpoints": chain.checkpoints,
        })),
        "engine": { "blocks": found.engine.blocks, "votes": found.engine.votes },
        "records": match &found.records {
            Records::Checked(records) => json!({
                "patients": records.subjects,
                "documents": records.documents,
                "versions": records.versions,
                "accesses": records.accesses,
                "waiting": records.waiting,
                "blobs": records.blobs,
                "orphanedBlobs": records.orphans.len(),
                "orphans": records.orphans.iter().map(ToString::to_string).collect::<Vec<_>>(),
            }),
            Records::Broken(_) | Records::Unchecked(_) => Value::Null,
        },
    });
    let text = serde_json::to_string_pretty(&document)?;
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

/// Where each damage is, and what it is.
fn sentences(found: &Found) -> Vec<(&'static str, String)> {
    let mut sentences = Vec::new();
    match &found.chain {
        Ok(chain) => sentences.extend(chain.damages.iter().map(|one| ("chain", one.to_string()))),
        Err(NoChain::Broken(why)) => {
            sentences.push(("chain", format!("{why}: nothing of it can be read")));
        }
        Err(NoChain::Unfinished(why)) => sentences.push(("chain", why.clone())),
    }
    let engine = found.engine.damages.iter();
    sentences.extend(engine.map(|one| ("engine", one.to_string())));
    match &found.records {
        Records::Checked(records) => {
            sentences.extend(
                records
                    .damages
                    .iter()
                    .map(|one| ("records", one.to_string())),
            );
        }
        Records::Broken(why) => {
            sentences.push(("records", format!("{why}: nothing of them can be read")));
        }
        Records::Unchecked(_) => {}
    }
    sentences
}

fn damages(found: &Found) -> Vec<Value> {
    let mut damages = Vec::new();
    match &found.chain {
        Ok(chain) => damages.extend(chain.damages.iter().map(|one| {
            json!({
                "place": "chain", "part": one.part.name(), "fault": one.fault.name(),
                "first": one.first, "last": one.last, "count": one.count, "text": one.to_string(),
            })
        })),
        Err(NoChain::Broken(why)) => damages.push(json!({
            "place": "chain", "part": "database", "fault": "unreadable", "text": why,
        })),
        Err(NoChain::Unfinished(why)) => damages.push(json!({
            "place": "chain", "part": "snapshot", "fault": "missing", "text": why,
        })),
    }
    damages.extend(found.engine.damages.iter().map(|one| {
        json!({ "place": "engine", "part": one.name(), "fault": "differs", "text": one.to_string() })
    }));
    match &found.records {
        Records::Checked(records) => damages.extend(records.damages.iter().map(|one| {
            json!({
                "place": "records", "part": one.part.name(), "fault": one.fault.name(),
                "count": one.count, "text": one.to_string(),
            })
        })),
        Records::Broken(why) => damages.push(json!({
            "place": "records", "part": "database", "fault": "unreadable", "text": why,
        })),
        Records::Unchecked(_) => {}
    }
    damages
}

fn summary(records: &RecordsReport) -> String {
    let mut text = format!(
        "{} patients, {} documents, {} versions, {} accesses, {} large payloads, {} items on their way",
        records.subjects,
        records.documents,
        records.versions,
        records.accesses,
        records.blobs,
        records.waiting
    );
    if !records.orphans.is_empty() {
        text.push_str(&format!(
            "; {} payloads of writes that were cut off, which harm nobody and which the node sweeps",
            records.orphans.len()
        ));
    }
    text
}

/// What to do next.
fn advice(found: &Found) -> Vec<&'static str> {
    let mut advice = Vec::new();
    if found.verdict() == Verdict::Sound {
        advice.push("Everything is sound.");
    }
    let is_unfinished = matches!(found.chain, Err(NoChain::Unfinished(_)));
    if (!is_unfinished && found.is_chain_damaged()) || !found.engine.damages.is_empty() {
        advice.push(
            "Chain and engine: run `careledger verify --self --repair --from URL-OF-ANOTHER-MEMBER`. What nobody answers \
             comes through consensus when the node starts.",
        );
    }
    let is_records = match &found.records {
        Records::Checked(records) => !records.damages.is_empty(),
        Records::Broken(_) => true,
        Records::Unchecked(_) => false,
    };
    if is_records {
        advice.push(
            "Records are here alone: large payloads come back with `--repair --from-backup FOLDER`; for the rest move the \
             data away, and put the newest backup back with `careledger restore`.",
        );
    }
    advice
}
