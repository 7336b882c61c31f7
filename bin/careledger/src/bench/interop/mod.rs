//! `bench interop`: what other systems send and ask, each figure beside a limit that is measured in the same run: a listener
//! or handler that only answers, a core that only maps, a file that is only read.

mod binary;
mod documents;
mod messages;
mod people;
mod vocabularies;

use std::io::Write as _;
use std::path::Path;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::fhir::bare;
use super::limits::Limits;
use super::net::{FOUR, Net, unbounded};
use super::timed::Load;
use crate::demo::interfaces;

const MEMBER: &str = "clinic";
const PORT_BASE: u16 = 13_801;
/// About as long as a short resource.
const BARE_BYTES: usize = 600;

/// How much is measured.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  careledger bench interop --only messages --json\n  \
    careledger bench interop --only people --patients 1000000\n  \
    careledger bench interop --only vocabularies --concepts 350000"
)]
pub(crate) struct InteropArgs {
    /// Measures these alone.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Messages, C-CDA documents (a twentieth of it) and queries (a tenth) of each kind.
    #[arg(long, default_value_t = 10_000)]
    requests: usize,
    /// Connections, and requests under way at once.
    #[arg(long, default_value_t = 16)]
    at_once: usize,
    /// Connections of HL7 v2 that are held and silent.
    #[arg(long, default_value_t = 900)]
    held: usize,
    /// Patients among whom `$match` looks.
    #[arg(long, default_value_t = 20_000)]
    patients: usize,
    /// The size of a Binary.
    #[arg(long, default_value_t = 2_048)]
    mib: u64,
    /// Concepts of the code system; each has four names besides.
    #[arg(long, default_value_t = 350_000)]
    concepts: u64,
    #[arg(long)]
    json: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// HL7 v2 over MLLP.
    Messages,
    /// C-CDA.
    Documents,
    /// `Patient/$match`.
    People,
    /// A large Binary.
    Binary,
    /// `$lookup`, `$subsumes`, `$expand`, `$translate`.
    Vocabularies,
}

#[derive(Debug, Serialize)]
struct Report {
    at_once: usize,
    limits: Limits,
    bare_handler_per_s: f64,
    messages: Option<messages::Report>,
    documents: Option<documents::Report>,
    people: Option<people::Report>,
    binary: Option<binary::Report>,
    vocabularies: Option<vocabularies::Report>,
}

pub(super) async fn run(args: InteropArgs) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("careledger-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure(&args, &folder).await;
    std::fs::remove_dir_all(&folder)?;
    let report = measured?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        report.print(&mut out)?;
    }
    Ok(())
}

async fn measure(args: &InteropArgs, folder: &Path) -> anyhow::Result<Report> {
    let wants = |part| args.only.is_empty() || args.only.contains(&part);
    let load = |requests: usize| Load {
        requests: requests.max(1),
        at_once: args.at_once,
    };
    let bare = bare(load(args.requests), vec![b' '; BARE_BYTES])
        .await?
        .rate();
    let mut report = Report {
        at_once: args.at_once,
        limits: Limits::measure(folder)?,
        bare_handler_per_s: bare,
        messages: None,
        documents: None,
        people: None,
        binary: None,
        vocabularies: None,
    };
    if wants(Part::Vocabularies) {
        let questions = u64::try_from(args.requests)?;
        report.vocabularies = Some(vocabularies::measure(args.concepts, questions, folder)?);
    }
    if args.only == [Part::Vocabularies] {
        return Ok(report);
    }
    let folder = folder.join("net");
    let net = Net::start(&folder, &FOUR, PORT_BASE, |layout| {
        interfaces::configure(layout)?;
        unbounded(layout, MEMBER)
    });
    let net = net.await?;
    if wants(Part::Messages) {
        report.messages = Some(messages::measure(&net, load(args.requests), args.held).await?);
    }
    if wants(Part::Documents) {
        let documents = documents::measure(&net, load(args.requests / 20), bare);
        report.documents = Some(documents.await?);
    }
    if wants(Part::Binary) {
        report.binary = Some(binary::measure(&net, args.mib, &report.limits).await?);
    }
    if wants(Part::People) {
        let people = people::measure(&net, args.patients, load(args.requests / 10), bare);
        report.people = Some(people.await?);
    }
    net.processes.stop().await?;
    Ok(report)
}

impl Report {
    fn print(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        writeln!(
            out,
            "{} at once, one client process, four nodes on this machine of {} cores\n\
             bare handler {:.0}/s; fdatasync {:.2} ms; loopback {:.0} MB/s",
            self.at_once,
            self.limits.cores,
            self.bare_handler_per_s,
            self.limits.fdatasync_ms,
            self.limits.loopback_mb_per_s
        )?;
        if let Some(messages) = &self.messages {
            messages.print(out)?;
        }
        if let Some(documents) = &self.documents {
            documents.print(out)?;
        }
        if let Some(binary) = &self.binary {
            binary.print(out)?;
        }
        if let Some(people) = &self.people {
            people.print(out)?;
        }
        match &self.vocabularies {
            Some(vocabularies) => vocabularies.print(out),
            None => Ok(()),
        }
    }
}

/// Six letters that few other numbers have: whoever is named like many is compared with many.
fn letters(number: usize) -> String {
    let mut rest = (number + 1).wrapping_mul(104_729);
    let letter = |_| {
        let at = u8::try_from(rest % 26).unwrap_or_default();
        rest /= 26;
        char::from(b'a' + at)
    };
    (0..6).map(letter).collect()
}
