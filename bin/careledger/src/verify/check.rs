//! Looks at each part of what a node keeps.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::node::chain::{self, Chain, ChainReport, OpenError};
use ::node::custody::CustodyError;
use ::node::custody::inspect::{self as records, RecordsReport};
use ::node::engine::{self, EngineConfig, EngineReport};
use ::node::record_keys;
use anyhow::Context as _;
use futures::FutureExt as _;
use ledger::ids::MemberName;

use super::{Subject, Verdict};
use crate::node::open_keys;
use crate::progress;

/// What was found of each part: an error says why it could not be looked at.
pub(crate) struct Found {
    pub(crate) chain: Result<ChainReport, NoChain>,
    pub(crate) engine: EngineReport,
    pub(crate) records: Records,
}

/// Why a chain could not be looked at.
pub(crate) enum NoChain {
    /// Its database does not open.
    Broken(String),
    /// A snapshot was not taken over completely: there is nothing to mend.
    Unfinished(String),
}

/// What was found of the records and blobs.
pub(crate) enum Records {
    Checked(RecordsReport),
    /// Their database does not open.
    Broken(String),
    /// They were not looked at.
    Unchecked(String),
}

impl Found {
    pub(crate) fn verdict(&self) -> Verdict {
        let records = match &self.records {
            Records::Checked(report) if report.damages.is_empty() => Verdict::Sound,
            Records::Checked(_) | Records::Broken(_) => Verdict::Damaged,
            Records::Unchecked(_) => Verdict::Unchecked,
        };
        if self.is_chain_damaged() || !self.engine.damages.is_empty() {
            return Verdict::Damaged;
        }
        records
    }

    pub(crate) fn is_chain_damaged(&self) -> bool {
        match &self.chain {
            Ok(report) => !report.damages.is_empty(),
            Err(_) => true,
        }
    }
}

pub(super) async fn everything(subject: &Subject) -> Found {
    let chain = chain(subject);
    let engine = engine(subject, &chain);
    let records = records(subject)
        .await
        .unwrap_or_else(|error| Records::Unchecked(format!("{error:#}")));
    Found {
        chain,
        engine,
        records,
    }
}

fn chain(subject: &Subject) -> Result<ChainReport, NoChain> {
    let bar = progress::bar(0, "blocks");
    let inspecting = AssertUnwindSafe(|| {
        chain::inspect(&subject.genesis, &subject.part("chain"), |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        })
    });
    // The database's library panics on some damages.
    let inspected = catch_unwind(inspecting);
    bar.finish_and_clear();
    match inspected {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(error @ OpenError::JoiningUnfinished)) => {
            Err(NoChain::Unfinished(error.to_string()))
        }
        Ok(Err(error)) => Err(NoChain::Broken(chain_of(&error))),
        Err(_) => Err(NoChain::Broken(
            "its database's library gave up on it".to_owned(),
        )),
    }
}

fn engine(subject: &Subject, chain: &Result<ChainReport, NoChain>) -> EngineReport {
    let limits = EngineConfig::new(
        [0; 32],
        subject.file.listen,
        subject.part("engine"),
        Vec::new(),
    );
    let digests = chain
        .as_ref()
        .map_or(Vec::new(), |report| report.digests.clone());
    engine::inspect(&subject.part("engine"), limits.max_block_bytes, digests)
}

async fn records(subject: &Subject) -> anyhow::Result<Records> {
    let keys = open_keys(&subject.file, &subject.folder)?;
    let member: MemberName = subject.file.member.parse()?;
    let (root, wrapping) = record_keys(&*keys)?;
    let chain = Chain::open(
        subject.genesis.clone(),
        &subject.part("chain"),
        Arc::new(|| 0),
    );
    let chain = chain.context("the records are compared with the chain once that is mended")?;
    let bar = progress::spinner("records");
    let place = crate::node::records(&subject.file, &subject.folder)?;
    let blobs = crate::node::blobs(&subject.file, &subject.folder)?;
    let inspecting = records::inspect(
        &place,
        &blobs,
        (&member, &root, &*wrapping),
        Arc::new(chain),
        |done| bar.set_position(done),
    );
    let inspected = AssertUnwindSafe(inspecting).catch_unwind().await;
    bar.finish_and_clear();
    Ok(match inspected {
        Ok(Ok(report)) => Records::Checked(report),
        Ok(Err(error @ CustodyError::Unavailable { .. })) => Records::Unchecked(error.to_string()),
        // What a server refuses says nothing about the rows.
        Ok(Err(error)) if !subject.file.records.is_directory() => {
            Records::Unchecked(error.to_string())
        }
        Ok(Err(error)) => Records::Broken(error.to_string()),
        Err(_) => Records::Broken("its database's library gave up on it".to_owned()),
    })
}

/// An error and what caused it.
fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) {
            return text;
        }
        format!("{text}: {cause}")
    })
}
