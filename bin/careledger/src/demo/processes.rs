//! The members' nodes as processes of their own.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::process::{Child, Command};

use crate::network::{Layout, NetworkFile};

const READY: Duration = Duration::from_secs(60);
const STOPPED: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(50);

/// The processes of a network whose members all run on this machine.
#[derive(Debug)]
pub(crate) struct Processes {
    layout: Layout,
    network: NetworkFile,
    running: BTreeMap<String, Child>,
    client: reqwest::Client,
}

impl Processes {
    /// Starts every member's node and waits until all of them are ready.
    pub(crate) async fn start(layout: &Layout, network: &NetworkFile) -> anyhow::Result<Self> {
        let mut processes = Self {
            layout: layout.clone(),
            network: network.clone(),
            running: BTreeMap::new(),
            client: reqwest::Client::builder().no_proxy().build()?,
        };
        for member in processes.members() {
            processes.launch(&member)?;
        }
        for member in processes.members() {
            processes.until_ready(&member).await?;
        }
        Ok(processes)
    }

    pub(crate) fn members(&self) -> Vec<String> {
        let members = self.network.members.iter();
        members.map(|member| member.member.clone()).collect()
    }

    /// Starts a member's node that is not running, and waits until it is ready.
    pub(crate) async fn restart(&mut self, member: &str) -> anyhow::Result<()> {
        self.launch(member)?;
        self.until_ready(member).await
    }

    pub(crate) fn is_running(&self, member: &str) -> bool {
        self.running.contains_key(member)
    }

    /// The process of a member's node.
    pub(crate) fn process_id(&self, member: &str) -> Option<u32> {
        self.running.get(member).and_then(Child::id)
    }

    /// How a member's node ended, if it has ended on its own.
    pub(crate) fn has_ended(&mut self, member: &str) -> anyhow::Result<Option<ExitStatus>> {
        let child = self.running.get_mut(member);
        let ended = child.context("the node was not started")?.try_wait()?;
        if ended.is_some() {
            self.running.remove(member);
        }
        Ok(ended)
    }

    /// Kills a member's node with SIGKILL.
    pub(crate) async fn kill(&mut self, member: &str) -> anyhow::Result<()> {
        let mut child = self
            .running
            .remove(member)
            .context("the node is not running")?;
        child.kill().await?;
        Ok(())
    }

    /// Asks all nodes to stop, and kills those that do not.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        for child in self.running.values_mut() {
            drop(child.stdin.take());
        }
        let deadline = Instant::now() + STOPPED;
        for (member, child) in &mut self.running {
            let left = deadline.saturating_duration_since(Instant::now());
            if tokio::time::timeout(left, child.wait()).await.is_err() {
                tracing::warn!(%member, "the node did not stop in time and is killed");
                child.kill().await?;
            }
        }
        Ok(())
    }

    /// Starts a member's node, and does not wait.
    pub(crate) fn launch(&mut self, member: &str) -> anyhow::Result<()> {
        let of_member = self.layout.member(member);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(of_member.log())?;
        let child = Command::new(std::env::current_exe()?)
            .arg("node")
            .arg("--until-stdin-ends")
            .arg("--config")
            .arg(of_member.config())
            .env(
                "RUST_LOG",
                std::env::var("RUST_LOG")
                    .unwrap_or_else(|_| "info,lsm_tree=warn,fjall=warn".to_owned()),
            )
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("the node of {member} cannot be started"))?;
        self.running.insert(member.to_owned(), child);
        Ok(())
    }

    /// Waits until a member's node is ready.
    pub(crate) async fn until_ready(&mut self, member: &str) -> anyhow::Result<()> {
        let entry = self
            .network
            .members
            .iter()
            .find(|entry| entry.member == member);
        let url = format!("{}/ready", entry.context("no such member")?.base_url);
        let log = self.layout.member(member).log();
        let deadline = Instant::now() + READY;
        loop {
            if let Some(child) = self.running.get_mut(member)
                && let Some(status) = child.try_wait()?
            {
                anyhow::bail!(
                    "the node of {member} ended with {status}: see {}",
                    log.display()
                );
            }
            let answer = self.client.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the node of {member} is not ready after a minute: see {}",
                log.display()
            );
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A base from which the ports of `members` nodes are free, `first` if it is one.
pub(crate) fn free_ports(first: u16, members: u16) -> anyhow::Result<u16> {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let all_free = |base: &u16| {
        let ports = (0..members).flat_map(|at| [0, 100, 200, 300].map(|group| base + group + at));
        ports.into_iter().all(is_free)
    };
    let mut bases = (0..40)
        .map(|at| first.saturating_add(at * 1_000))
        .filter(|base| *base < 60_000);
    bases.find(all_free).context("no free ports were found")
}
