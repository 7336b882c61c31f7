//! Members that publish their blocks.

use std::cell::Cell;
use std::time::Duration;

use anyhow::Context as _;
use ledger::dump::{Dump, DumpedBlock, start};
use ledger::ids::{Height, NetworkId};
use reqwest::StatusCode;

/// Largest block that is read from a member.
const BLOCK_BYTES_MAX: usize = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Peers {
    network: NetworkId,
    urls: Vec<String>,
    http: reqwest::Client,
    have_answered: Cell<bool>,
    have_pruned: Cell<bool>,
}

impl Peers {
    pub(super) fn new(network: NetworkId, urls: &[String]) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT);
        Ok(Self {
            network,
            urls: urls.to_vec(),
            http: http.build()?,
            have_answered: Cell::new(false),
            have_pruned: Cell::new(false),
        })
    }

    /// Whether one of them said anything, if it was asked.
    pub(super) fn have_answered(&self) -> bool {
        self.have_answered.get()
    }

    /// Whether one of them said that it does not keep a block any more.
    pub(super) fn have_pruned(&self) -> bool {
        self.have_pruned.get()
    }

    /// What each of them says is the block at `height`.
    pub(super) async fn blocks(&self, height: Height) -> Vec<DumpedBlock> {
        let mut blocks = Vec::new();
        for url in &self.urls {
            match self.block(url, height).await {
                Ok(block) => blocks.push(block),
                Err(error) => tracing::warn!(%url, height = height.0, %error, "no block"),
            }
        }
        blocks
    }

    async fn block(&self, url: &str, height: Height) -> anyhow::Result<DumpedBlock> {
        let url = format!("{}/log/blocks/{}", url.trim_end_matches('/'), height.0);
        let answer = self.http.get(&url).send().await?;
        self.have_answered.set(true);
        if answer.status() == StatusCode::GONE {
            self.have_pruned.set(true);
        }
        let mut answer = answer.error_for_status()?;
        let mut bytes = start(self.network);
        while let Some(chunk) = answer.chunk().await? {
            bytes.extend(chunk);
            anyhow::ensure!(bytes.len() <= BLOCK_BYTES_MAX, "the answer is too long");
        }
        let first = Dump::read(&bytes)?.next();
        Ok(first.context("the answer is empty")??)
    }
}
