//! What the parts of a release take on one core.

use std::collections::BTreeMap;

use anyhow::Context as _;
use ed25519_zebra::{SigningKey, VerificationKey};
use serde::Serialize;
use vault::release::deal;

use crate::bench::limits::rate;

const K: u32 = 3;
const MEMBERS: u8 = 5;
const IDENTITY: &[u8] = b"bench";
const MS: f64 = 1_000.0;

/// Milliseconds of one core.
#[derive(Debug, Serialize)]
pub(super) struct Costs {
    /// Sealing a key to the committee.
    pub(super) seal_ms: f64,
    /// Giving a share.
    pub(super) give_ms: f64,
    /// Checking one.
    pub(super) check_ms: f64,
    /// Opening a key with three, which checks each again.
    pub(super) open_ms: f64,
}

impl Costs {
    pub(super) fn measure() -> anyhow::Result<Self> {
        let keys = (1..=MEMBERS).map(|seed| {
            let key = VerificationKey::from(&SigningKey::from_bytes(&[seed; 32]));
            key.into()
        });
        let keys: Vec<[u8; 32]> = keys.collect();
        let (committee, shares) = deal(K, &keys)?;
        let sealed = committee.seal(IDENTITY, &[7; 32])?;
        let partials: BTreeMap<_, _> = shares
            .iter()
            .take(usize::try_from(K)?)
            .map(|(key, share)| (*key, share.give(IDENTITY)))
            .collect();
        let (giver, share) = shares.iter().next().context("nobody has a share")?;
        let partial = partials.get(giver).context("the first gave none")?;
        committee.open(IDENTITY, &sealed, &partials)?;
        let opens = || committee.open(IDENTITY, &sealed, &partials).is_ok();
        Ok(Self {
            seal_ms: MS / rate(|| committee.seal(IDENTITY, &[7; 32]).is_ok()),
            give_ms: MS / rate(|| !share.give(IDENTITY).0.is_empty()),
            check_ms: MS / rate(|| committee.check(giver, IDENTITY, partial).is_ok()),
            open_ms: MS / rate(opens),
        })
    }
}
