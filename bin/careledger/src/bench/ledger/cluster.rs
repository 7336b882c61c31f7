//! The four validators, a process each.

use std::fs;
use std::process::Stdio;

use anyhow::Context as _;
use ledger::genesis::Rules;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::task::Task;
use crate::demo::free_ports;
use crate::network::{self, Founding, KeyType, Layout};
use crate::node::How;

pub(super) const MEMBERS: [&str; 4] = ["clinic", "hospital", "laboratory", "payer"];

const PORT_BASE: u16 = 9_101;

/// In which Linux counts processor time.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) struct Validator {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// Founds the validators' network.
pub(super) fn found(layout: &Layout, rules: Rules) -> anyhow::Result<()> {
    let count = u16::try_from(MEMBERS.len())?;
    let members = MEMBERS.iter().map(|name| name.parse());
    let founding = Founding {
        key_type: KeyType::default(),
        name: "bench".to_owned(),
        members: members.collect::<Result<_, _>>()?,
        port_base: free_ports(PORT_BASE, count)?,
        rules,
    };
    network::found(layout, &founding).map(drop)
}

/// Starts all validators, and waits until they are up.
pub(super) async fn start(layout: &Layout) -> anyhow::Result<Vec<Validator>> {
    let started = MEMBERS.map(|member| Validator::start(layout, member, How::Replay));
    let mut validators = started.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    for validator in &mut validators {
        validator.ready().await?;
    }
    Ok(validators)
}

impl Validator {
    pub(super) fn start(layout: &Layout, member: &str, join: How) -> anyhow::Result<Self> {
        let of_member = layout.member(member);
        let log = fs::File::create(of_member.log())?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "validator", "--config"])
            .arg(of_member.config())
            .args(["--join", join.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().context("the validator has no input")?;
        let output = child.stdout.take().context("the validator has no output")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    pub(super) async fn ready(&mut self) -> anyhow::Result<()> {
        self.line().await.map(drop)
    }

    pub(super) async fn tell(&mut self, task: Task) -> anyhow::Result<()> {
        let line = format!("{}\n", serde_json::to_string(&task)?);
        Ok(self.input.write_all(line.as_bytes()).await?)
    }

    pub(super) async fn answer<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        Ok(serde_json::from_str(&self.line().await?)?)
    }

    pub(super) async fn ask<T: DeserializeOwned>(&mut self, task: Task) -> anyhow::Result<T> {
        self.tell(task).await?;
        self.answer().await
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let line = self.output.next_line().await?;
        line.context("a validator ended: see its node.log in the folder named with --dir")
    }

    /// Resident memory, from the kernel; `None` where there is no `/proc`.
    pub(super) fn memory_bytes(&self) -> Option<u64> {
        self.status_bytes("VmRSS:")
    }

    /// The most resident memory so far.
    pub(super) fn memory_bytes_max(&self) -> Option<u64> {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1_024)
    }

    /// Seconds of processor time so far, from the kernel; `None` where there is no `/proc`.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()?)).ok()?;
        // The second field, a name in parentheses, may hold spaces; what it took is the 14th and 15th.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok();
        Some(f64::from(ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.input);
        self.child.wait().await?;
        Ok(())
    }
}
