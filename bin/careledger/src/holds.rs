//! `careledger holds` and `careledger retention`: what must not be erased yet, and what has to go.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::Request;
use crate::erase::officer;
use crate::network::read_json;
use crate::progress;

/// Places, releases and lists legal holds.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  careledger holds place Patient/12 --authority 'Public Prosecutor 7 Js 1/26' --reason inquiry \\\n    \
    --until 2027-01-01 --credential net/clinic/clients/privacy.json"
)]
pub(crate) struct HoldsArgs {
    #[command(subcommand)]
    action: HoldsAction,
    /// The credential file of the privacy officer's system.
    #[arg(long, global = true, default_value = "clients/privacy.json")]
    credential: PathBuf,
}

#[derive(Debug, Subcommand)]
enum HoldsAction {
    /// Forbids to erase a document, or anything of a patient.
    Place {
        /// As Type/ID.
        record: String,
        /// Who asks for it.
        #[arg(long)]
        authority: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Until the end of this day or instant; without it until it is released.
        #[arg(long)]
        until: Option<String>,
    },
    /// Ends a hold; it stays on record.
    Release {
        /// The hold, as it was named when it was placed.
        hold: String,
    },
    /// All holds that were ever placed.
    List,
}

/// Lists and erases what the retention schedule says is due. Legal holds are respected.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger retention due --credential net/clinic/clients/privacy.json\n  \
    careledger retention run --authority 'records office' --credential net/clinic/clients/privacy.json"
)]
pub(crate) struct RetentionArgs {
    #[command(subcommand)]
    action: RetentionAction,
    /// The credential file of the privacy officer's system.
    #[arg(long, global = true, default_value = "clients/privacy.json")]
    credential: PathBuf,
}

#[derive(Debug, Subcommand)]
enum RetentionAction {
    /// What is due, up to 1,000 documents.
    Due,
    /// Erases all of it.
    Run {
        /// Who has the authority.
        #[arg(long)]
        authority: String,
        /// Lists what would go.
        #[arg(long)]
        dry_run: bool,
    },
    /// Lets go of entries of the audit log that were recorded before a day; six years at least are kept.
    Audit {
        /// The first day that is kept.
        #[arg(long)]
        before: String,
        /// Who has the authority.
        #[arg(long)]
        authority: String,
    },
}

pub(crate) async fn run(args: HoldsArgs) -> anyhow::Result<()> {
    let client = officer(&read_json(&args.credential)?)?;
    let mut out = std::io::stdout();
    match args.action {
        HoldsAction::Place {
            record,
            authority,
            reason,
            until,
        } => {
            let mut parameters = vec![
                json!({ "name": "authority", "valueString": authority }),
                json!({ "name": "reason", "valueString": reason }),
            ];
            parameters
                .extend(until.map(|until| json!({ "name": "until", "valueDateTime": until })));
            let body = json!({ "resourceType": "Parameters", "parameter": parameters });
            let path = format!("{record}/$hold");
            let answer = client
                .post(&path, &Request::json(&body))
                .await?
                .ok()?
                .json()?;
            let hold = answer["parameter"][0]["valueString"].as_str();
            writeln!(out, "hold {} is in force", hold.unwrap_or_default())?;
        }
        HoldsAction::Release { hold } => {
            let parameters = [json!({ "name": "hold", "valueString": hold })];
            let body = json!({ "resourceType": "Parameters", "parameter": parameters });
            client
                .post("$release-hold", &Request::json(&body))
                .await?
                .ok()?;
            writeln!(out, "hold {hold} is released")?;
        }
        HoldsAction::List => {
            let answer = client.get("$holds").await?.ok()?.json()?;
            for hold in answer["parameter"].as_array().into_iter().flatten() {
                writeln!(out, "{}", described(&hold["part"]))?;
            }
        }
    }
    Ok(())
}

pub(crate) async fn retention(args: RetentionArgs) -> anyhow::Result<()> {
    let client = officer(&read_json(&args.credential)?)?;
    let mut out = std::io::stdout();
    if let RetentionAction::Audit { before, authority } = &args.action {
        let parameters = [
            json!({ "name": "before", "valueDateTime": before }),
            json!({ "name": "authority", "valueString": authority }),
        ];
        let body = json!({ "resourceType": "Parameters", "parameter": parameters });
        let answer = client
            .post("$retention-audit", &Request::json(&body))
            .await?;
        let gone = answer.ok()?.json()?;
        let gone = gone["parameter"][0]["valueString"].as_str();
        writeln!(out, "{} entries are gone", gone.unwrap_or_default())?;
        return Ok(());
    }
    let due = client.get("$retention-due").await?.ok()?.json()?;
    let due = due["parameter"].as_array().cloned().unwrap_or_default();
    let authority = match args.action {
        RetentionAction::Run {
            authority,
            dry_run: false,
        } => authority,
        RetentionAction::Due | RetentionAction::Run { .. } | RetentionAction::Audit { .. } => {
            for one in &due {
                let reference = one["valueReference"]["reference"].as_str();
                writeln!(out, "{}", reference.unwrap_or_default())?;
            }
            writeln!(out, "{} documents are due", due.len())?;
            return Ok(());
        }
    };
    let bar = progress::bar(due.len(), "documents");
    let mut erased = 0_usize;
    loop {
        let parameters = [json!({ "name": "authority", "valueString": authority })];
        let body = json!({ "resourceType": "Parameters", "parameter": parameters });
        let answer = client
            .post("$retention-run", &Request::json(&body))
            .await?
            .ok()?;
        let count = answer.json()?["parameter"].as_array().map_or(0, Vec::len);
        if count == 0 {
            break;
        }
        erased += count;
        bar.set_length(u64::try_from(due.len().max(erased))?);
        bar.set_position(u64::try_from(erased)?);
    }
    bar.finish_and_clear();
    writeln!(out, "{erased} documents are erased")?;
    Ok(())
}

fn described(parts: &Value) -> String {
    let parts = parts.as_array().cloned().unwrap_or_default();
    let of = |name: &str| {
        parts
            .iter()
            .find(|one| one["name"] == name)
            .cloned()
            .unwrap_or_default()
    };
    let text = |name: &str, kind: &str| of(name)[kind].as_str().unwrap_or_default().to_owned();
    let until = text("until", "valueInstant");
    let state = match (of("inForce")["valueBoolean"] == true, until.is_empty()) {
        (true, true) => "in force".to_owned(),
        (true, false) => format!("in force until {until}"),
        (false, _) => "over".to_owned(),
    };
    let on = of("on");
    let on = on["valueReference"]["reference"]
        .as_str()
        .unwrap_or_default();
    format!(
        "{}  {on}  {state}  {}: {}",
        text("id", "valueString"),
        text("authority", "valueString"),
        text("reason", "valueString"),
    )
}
