//! Messages of HL7 v2 over MLLP: received, and filed as what they say.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use interop::hl7v2::{Message, Overrides, map};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::MEMBER;
use crate::bench::figures::{float, mebibytes};
use crate::bench::limits::rate;
use crate::bench::net::Net;
use crate::bench::timed::{Load, Run, Timed};
use crate::client::Client;
use crate::demo::interfaces;
use crate::mllp::{Connection, code};

/// Results of one patient.
const EACH: usize = 10;
/// Messages while many connections are held.
const BESIDE: usize = 200;
const FILED: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(20);
const BARE_ANSWER: &[u8] = b"\x0bMSH|^~\\&|A|B|C|D|20260601||ACK|1|P|2.5.1\rMSA|AA|1\r\x1c\r";

#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// A result parsed and mapped to FHIR, one core.
    map_per_s: f64,
    /// Beside a listener that does nothing but answer.
    runs: Vec<Run>,
    /// Until all that was acknowledged on receipt was filed.
    filed_after_receipt_per_s: f64,
    held: Held,
}

/// What connections cost that are held and silent.
#[derive(Debug, Serialize)]
struct Held {
    connections: usize,
    mib: Option<f64>,
    run: Run,
}

/// How a message wants to be acknowledged.
#[derive(Debug, Clone, Copy)]
enum Wish {
    /// Once it is filed.
    Filed,
    /// Once it is durable.
    Received,
}

pub(super) async fn measure(net: &Net, load: Load, held: usize) -> anyhow::Result<Report> {
    let client = net.clinician(MEMBER)?;
    let address = interfaces::address(&net.layout, MEMBER)?;
    let bare = bare(load).await?;
    let bare_per_s = bare.rate();
    let run = |name, timed| Timed::run(name, timed, bare_per_s);
    let patients = load.requests.div_ceil(EACH);
    let registrations = Load {
        requests: patients,
        ..load
    };
    let mut runs = vec![run("v2 answered by a bare listener", Ok(bare))];
    let sent = send_all(registrations, address, "AA", registration).await;
    runs.push(run("v2 registration filed", sent));
    let filed = send_all(load, address, "AA", |at| {
        result(at, patients, "f", Wish::Filed)
    });
    runs.push(run("v2 result filed", filed.await));
    let start = Instant::now();
    let received = send_all(load, address, "CA", |at| {
        result(at, patients, "r", Wish::Received)
    });
    runs.push(run("v2 result durable", received.await));
    until_filed(&client, load.requests * 2).await?;
    let filed_after = start.elapsed();
    let before = net.resident(MEMBER);
    let mut open = Vec::with_capacity(held);
    for _ in 0..held {
        open.push(Connection::to(address).await?);
    }
    let beside = Load {
        requests: BESIDE,
        at_once: 1,
    };
    let sent = send_all(beside, address, "AA", |at| {
        result(at, patients, "h", Wish::Filed)
    });
    let held_run = run("v2 result filed meanwhile", sent.await);
    let more = net.resident(MEMBER).zip(before);
    Ok(Report {
        map_per_s: mapped(),
        runs,
        filed_after_receipt_per_s: float(u64::try_from(load.requests)?) / filed_after.as_secs_f64(),
        held: Held {
            connections: open.len(),
            mib: more.map(|(after, before)| mebibytes(after.saturating_sub(before))),
            run: held_run,
        },
    })
}

impl Report {
    pub(super) fn print(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        writeln!(
            out,
            "a result parsed and mapped {:.0}/s on a core",
            self.map_per_s
        )?;
        for run in &self.runs {
            writeln!(out, "{run}")?;
        }
        writeln!(
            out,
            "what was durable was filed at {:.0}/s, counted from the first",
            self.filed_after_receipt_per_s
        )?;
        let Held {
            connections,
            mib,
            run,
        } = &self.held;
        let mib = mib.unwrap_or_default();
        writeln!(
            out,
            "{connections} connections held: {mib:.0} MiB more\n{run}"
        )
    }
}

fn mapped() -> f64 {
    let (message, overrides) = (result(0, 1, "m", Wish::Filed), Overrides::default());
    rate(|| {
        let message = Message::parse(message.as_bytes());
        message.is_ok_and(|message| map(&message, &overrides).is_ok())
    })
}

/// A listener that reads a frame and answers, over and over.
async fn bare(load: Load) -> anyhow::Result<Timed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = vec![0; 1 << 16];
                while let Ok(count) = stream.read(&mut read).await
                    && count > 0
                {
                    let ends = read
                        .get(..count)
                        .is_some_and(|got| got.ends_with(b"\x1c\r"));
                    if ends && stream.write_all(BARE_ANSWER).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    let timed = send_all(load, address, "AA", |at| result(at, 1, "b", Wish::Filed)).await;
    server.abort();
    timed
}

/// Sends messages over as many connections as may be under way at once.
async fn send_all(
    load: Load,
    address: SocketAddr,
    wanted: &str,
    message: impl Fn(usize) -> String,
) -> anyhow::Result<Timed> {
    let idle: Mutex<Vec<Connection>> = Mutex::default();
    let (idle, message) = (&idle, &message);
    let sent = load.measure(|at| async move {
        let taken = idle.lock().map_or(None, |mut idle| idle.pop());
        let mut connection = match taken {
            Some(connection) => connection,
            None => Connection::to(address).await?,
        };
        let answer = connection.ask(&message(at)).await?;
        anyhow::ensure!(
            code(&answer) == wanted,
            "a message was answered: {answer:?}"
        );
        if let Ok(mut idle) = idle.lock() {
            idle.push(connection);
        }
        Ok(())
    });
    sent.await
}

/// Waits until there are so many results.
async fn until_filed(client: &Client, count: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + FILED;
    loop {
        let path = "Observation?code=http://loinc.org%7C718-7&_summary=count";
        let counted = client.get(path).await?.ok()?.json()?;
        if counted["total"].as_u64() >= u64::try_from(count).ok() {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "of {count} results {} are filed",
            counted["total"]
        );
        tokio::time::sleep(POLL).await;
    }
}

fn registration(patient: usize) -> String {
    let header = header("ADT^A04^ADT_A01", &format!("G{patient}"), Wish::Filed);
    format!(
        "{header}EVN|A04|20260601101500+0000\r{}",
        identification(patient)
    )
}

fn result(at: usize, patients: usize, run: &str, wish: Wish) -> String {
    let header = header("ORU^R01^ORU_R01", &format!("{run}{at}"), wish);
    let patient = identification(at % patients);
    let value = 90 + at % 90;
    format!(
        "{header}{patient}ORC|RE||{run}{at}^LAB\r\
         OBR|1||{run}{at}^LAB|718-7^Hemoglobin^LN|||20260601100000+0000|||||||||||||||20260601101000+0000||LAB|F\r\
         OBX|1|NM|718-7^Hemoglobin^LN||{value}|g/L^^UCUM|120-160||||F|||20260601100000+0000\r"
    )
}

fn header(kind: &str, control_id: &str, wish: Wish) -> String {
    let wishes = match wish {
        Wish::Filed => "",
        Wish::Received => "AL|NE",
    };
    format!(
        "MSH|^~\\&|BENCH|LAB|CARE|CLINIC|20260601101500+0000||{kind}|{control_id}|P|2.5.1|||{wishes}\r"
    )
}

/// A name and a birth date that few others have.
fn identification(patient: usize) -> String {
    let name = super::letters(patient);
    let (year, month, day) = (1930 + patient % 89, 1 + patient % 12, 1 + patient % 28);
    format!("PID|1||v2-{patient}^^^BENCH^MR||{name}^Ada||{year}{month:02}{day:02}|F\r")
}
