//! Messages of HL7 v2 at a node that is killed at random moments (`gateway::mllp`, M1 to M3).

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use rand::Rng as _;
use tokio::task::JoinSet;

use super::kill::wait;
use super::network::Net;
use crate::client::Client;
use crate::demo::interfaces;
use crate::mllp::{Connection, code};
use crate::progress::Meter;

const MEMBER: &str = "laboratory";
const SENDERS: usize = 16;
/// Messages of one patient, about.
const EACH: usize = 25;
/// After a message that was not acknowledged, before it is sent again.
const AGAIN: Duration = Duration::from_millis(50);
const CHECKS_AT_ONCE: usize = 8;
/// Versions of a page of a history at most.
const PAGE: usize = 1_000;
/// So many messages are acknowledged between two kills at most.
const APART_MAX: usize = 2_500;
/// Milliseconds after that many messages, and before the node is started again.
const LATER: Range<u64> = 0..40;
const DOWN: Range<u64> = 0..300;
const POLL: Duration = Duration::from_millis(5);
/// How long what was acknowledged on receipt may wait to be filed.
const FILED: Duration = Duration::from_secs(120);

/// What a sender sends: message `number` of its patients, who take turns.
#[derive(Debug, Clone, Copy)]
struct Share {
    sender: usize,
    patients: usize,
    messages: usize,
}

pub(super) async fn run(net: &mut Net, count: usize) -> anyhow::Result<String> {
    let address = interfaces::address(&net.layout, MEMBER)?;
    let shares = shares(count);
    let start = Instant::now();
    let mut senders = JoinSet::new();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    for share in shares.clone() {
        senders.spawn(share.send_all(address, Arc::clone(&acknowledged)));
    }
    let (mut kills, mut again) = (0, 0);
    let mut next = apart(net, count);
    let mut meter = Meter::new();
    while !senders.is_empty() {
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            Some(sent) = senders.join_next() => again += sent??,
        }
        let done = acknowledged.load(Ordering::Relaxed);
        meter.show_of("acknowledged", done, count);
        if done >= next {
            wait(net, LATER).await;
            net.processes.kill(MEMBER).await?;
            kills += 1;
            wait(net, DOWN).await;
            net.processes.restart(MEMBER).await?;
            next = acknowledged.load(Ordering::Relaxed) + apart(net, count);
        }
    }
    let took = start.elapsed();
    let client = net.client(MEMBER)?;
    let patients = shares
        .iter()
        .flat_map(|share| (0..share.patients).map(|patient| share.expected(patient)));
    let client = &client;
    let checks = patients.map(|(identifier, messages)| async move {
        check(client, identifier, messages).await?;
        anyhow::Ok(messages)
    });
    let mut checks = stream::iter(checks).buffer_unordered(CHECKS_AT_ONCE);
    let mut checked = 0;
    while let Some(messages) = checks.try_next().await? {
        checked += messages;
        meter.show_of("on record", checked, count);
    }
    meter.clear();
    anyhow::ensure!(kills > 0, "all was sent before the node was killed once");
    Ok(format!(
        "{count} messages of HL7 v2 acknowledged in {:.1} s by a node that was killed {kills} times, {again} of them sent \
         again: each is on record once, those of a patient in order",
        took.as_secs_f64()
    ))
}

/// How many messages go before the node is killed.
fn apart(net: &mut Net, count: usize) -> usize {
    let most = (count / 4).clamp(2, APART_MAX);
    net.random.random_range(most / 4..most)
}

/// The messages of all senders together are `count`.
fn shares(count: usize) -> Vec<Share> {
    let one = |sender: usize| {
        let messages = count / SENDERS + usize::from(sender < count % SENDERS);
        Share {
            sender,
            patients: messages.div_ceil(EACH),
            messages,
        }
    };
    (0..SENDERS).map(one).collect()
}

impl Share {
    fn identifier(self, patient: usize) -> String {
        format!("{}-{patient}", self.sender)
    }

    /// A patient's identifier, and how many messages are about them.
    fn expected(self, patient: usize) -> (String, usize) {
        let whole = self.messages / self.patients;
        let messages = whole + usize::from(patient < self.messages % self.patients);
        (self.identifier(patient), messages)
    }

    /// A family name and a birth date that few others have: whoever is like many is compared with many.
    fn person(self, patient: usize) -> (String, String) {
        let letters = |mut rest: usize| -> String {
            let letter = |_| {
                let at = u8::try_from(rest % 26).unwrap_or_default();
                rest /= 26;
                char::from(b'a' + at)
            };
            (0..6).map(letter).collect()
        };
        let number = (self.sender * 7_919 + patient + 1).wrapping_mul(104_729);
        let day = format!(
            "{}{:02}{:02}",
            1_930 + number % 89,
            1 + number % 12,
            1 + number % 28
        );
        (letters(number), day)
    }

    /// A registration that says the how-manieth of its patient it is. Every other sender is content with an acknowledgement
    /// of receipt, and sends the next message at once.
    fn message(self, number: usize) -> String {
        let (patient, turn) = (number % self.patients, number / self.patients + 1);
        let wishes = if self.sender.is_multiple_of(2) {
            ""
        } else {
            "AL|NE"
        };
        let (family, born) = self.person(patient);
        format!(
            "MSH|^~\\&|ADT{}|FAULTS|CARE|FAULTS|20260601101500+0000||ADT^A08^ADT_A01|M{number}|P|2.5.1|||{wishes}\r\
             EVN|A08|20260601101500+0000\r\
             PID|1||{}^^^FAULTS^MR||{family}^{turn}||{born}|F\r",
            self.sender,
            self.identifier(patient)
        )
    }

    /// Sends each message until it is acknowledged; answers how many were sent more than once.
    async fn send_all(self, address: SocketAddr, all: Arc<AtomicUsize>) -> anyhow::Result<usize> {
        let (mut connection, mut again) = (None, 0);
        for number in 0..self.messages {
            let message = self.message(number);
            let mut attempts = 0;
            while !acknowledged(&mut connection, address, &message).await? {
                attempts += 1;
                tokio::time::sleep(AGAIN).await;
            }
            again += usize::from(attempts > 0);
            all.fetch_add(1, Ordering::Relaxed);
        }
        Ok(again)
    }
}

/// Sends a message over the connection that is there, or a new one; whether the node has it.
async fn acknowledged(
    connection: &mut Option<Connection>,
    address: SocketAddr,
    message: &str,
) -> anyhow::Result<bool> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => match Connection::to(address).await {
            Ok(open) => open,
            Err(_) => return Ok(false),
        },
    };
    let Ok(answer) = open.ask(message).await else {
        return Ok(false);
    };
    *connection = Some(open);
    match code(&answer) {
        "AA" | "CA" => Ok(true),
        // To be sent again.
        "AR" | "CR" => Ok(false),
        other => anyhow::bail!("a message was answered with {other:?}: {answer:?}"),
    }
}

/// Each message of a patient is a version of the Patient, in order, and an original beside it.
async fn check(client: &Client, identifier: String, messages: usize) -> anyhow::Result<()> {
    let system = "urn:careledger:v2:authority:FAULTS";
    let deadline = Instant::now() + FILED;
    let id = loop {
        let path = format!("Patient?identifier={system}%7C{identifier}");
        let found = client.get(&path).await?.ok()?.json()?;
        let entries = found["entry"].as_array().map_or(0, Vec::len);
        anyhow::ensure!(entries < 2, "there are two patients {identifier}");
        let resource = &found["entry"][0]["resource"];
        let turn = resource["name"][0]["given"][0].as_str().unwrap_or_default();
        if turn == messages.to_string() {
            break resource["id"].as_str().context("no id")?.to_owned();
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "patient {identifier} stands at message {turn:?} of {messages}"
        );
        tokio::time::sleep(AGAIN).await;
    };
    let path = format!("Patient/{id}/_history?_count={PAGE}");
    let history = client.get(&path).await?.ok()?.json()?;
    let entries = history["entry"].as_array().into_iter().flatten();
    let turns: Vec<&str> = entries
        .filter_map(|entry| entry["resource"]["name"][0]["given"][0].as_str())
        .collect();
    let wanted: Vec<String> = (1..=messages).rev().map(|turn| turn.to_string()).collect();
    anyhow::ensure!(
        turns == wanted,
        "patient {identifier} has the messages {turns:?}"
    );
    let path = format!("DocumentReference?subject=Patient/{id}&_summary=count");
    let counted = client.get(&path).await?.ok()?.json()?;
    anyhow::ensure!(
        counted["total"] == messages,
        "patient {identifier} has {} originals of {messages} messages",
        counted["total"]
    );
    Ok(())
}
