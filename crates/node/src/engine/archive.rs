//! Final blocks and certificates on disk, and the actor that keeps them in order.

use super::{
    block::{Block, BlockRules},
    schemes::Schemes,
    wiring::Runtime,
};
use commonware_consensus::{
    marshal::{self, core::Mailbox, standard::Standard},
    simplex::{scheme::ed25519::Scheme, types::Finalization},
    types::{FixedEpocher, ViewDelta},
};
use commonware_cryptography::{
    Digested, certificate::Verifier as _, sha256::Digest as Sha256Digest,
};
use commonware_parallel::Sequential;
use commonware_runtime::buffer::paged::CacheRef;
use commonware_storage::{
    archive::{Error, prunable},
    translator::EightCap,
};
use commonware_utils::{NZU64, NZUsize};
use std::{
    num::{NonZeroU64, NonZeroUsize},
    sync::Arc,
};

const MAILBOX: NonZeroUsize = NZUsize!(1024);
pub(super) const REPLAY_BUFFER: NonZeroUsize = NZUsize!(1024 * 1024);
pub(super) const WRITE_BUFFER: NonZeroUsize = NZUsize!(256 * 1024);

/// Archived blocks per file.
const ARCHIVE_SECTION: NonZeroU64 = NZU64!(4096);
/// Views per file of the cache of blocks not yet final, which is emptied file by file.
const CACHE_SECTION: NonZeroU64 = NZU64!(32);
/// Views for which that cache is kept behind the last final one.
const RETENTION: ViewDelta = ViewDelta::new(64);
/// Blocks handed to the application before it must have applied the first.
const UNAPPLIED: NonZeroUsize = NZUsize!(16);
/// Missing heights asked for at once.
const REPAIRS: NonZeroUsize = NZUsize!(16);

pub(super) type Certificates<E> =
    prunable::Archive<EightCap, E, Sha256Digest, Finalization<Scheme, Sha256Digest>>;
pub(super) type Blocks<E> = prunable::Archive<EightCap, E, Sha256Digest, Arc<Block>>;

pub(super) type Marshal<E> = marshal::core::Actor<
    E,
    Standard<Block>,
    Schemes,
    Certificates<E>,
    Blocks<E>,
    FixedEpocher,
    Sequential,
>;

pub(super) async fn open<E: Runtime>(
    context: &E,
    partition: &str,
    rules: BlockRules,
    start: marshal::Start<Scheme, Sha256Digest, Digested<Block>>,
    (schemes, epocher): (Schemes, FixedEpocher),
    cache: &CacheRef,
) -> Result<(Marshal<E>, Mailbox<Scheme, Standard<Block>>), Error> {
    let certificates = certificates(context, partition, cache).await?;
    let blocks = blocks(context, partition, rules, cache).await?;
    let (actor, mailbox, _) = Marshal::init(
        context.child("marshal"),
        certificates,
        blocks,
        marshal::Config {
            provider: schemes,
            epocher,
            start,
            partition_prefix: format!("{partition}-marshal"),
            mailbox_size: MAILBOX,
            view_retention: RETENTION,
            prunable_items_per_section: CACHE_SECTION,
            page_cache: cache.clone(),
            replay_buffer: REPLAY_BUFFER,
            key_write_buffer: WRITE_BUFFER,
            value_write_buffer: WRITE_BUFFER,
            block_codec_config: rules,
            max_repair: REPAIRS,
            max_pending_acks: UNAPPLIED,
            strategy: Sequential,
        },
    )
    .await;
    Ok((actor, mailbox))
}

/// Opens the archive of certificates.
pub(super) async fn certificates<E: Runtime>(
    context: &E,
    partition: &str,
    cache: &CacheRef,
) -> Result<Certificates<E>, Error> {
    let settings = settings(
        format!("{partition}-certificates"),
        Scheme::certificate_codec_config_unbounded(),
        cache,
    );
    Certificates::init(context.child("certificates"), settings).await
}

/// Opens the archive of final blocks.
pub(super) async fn blocks<E: Runtime>(
    context: &E,
    partition: &str,
    rules: BlockRules,
    cache: &CacheRef,
) -> Result<Blocks<E>, Error> {
    let settings = settings(format!("{partition}-blocks"), rules, cache);
    Blocks::init(context.child("archive"), settings).await
}

fn settings<C>(name: String, codec_config: C, cache: &CacheRef) -> prunable::Config<EightCap, C> {
    prunable::Config {
        translator: EightCap,
        metadata_partition: format!("{name}-metadata"),
        key_partition: format!("{name}-keys"),
        key_page_cache: cache.clone(),
        value_partition: name + "-values",
        compression: None,
        codec_config,
        items_per_section: ARCHIVE_SECTION,
        key_write_buffer: WRITE_BUFFER,
        value_write_buffer: WRITE_BUFFER,
        replay_buffer: REPLAY_BUFFER,
    }
}
