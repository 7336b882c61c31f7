//! The chain, from itself and other members: built anew block by block, or joined anew where blocks are gone everywhere.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ::node::chain::{self, Rebuilt, rebuild};
use ::node::join::{self, Peer, Source, Terms};
use anyhow::Context as _;
use ledger::ids::MemberName;

use super::peers::Peers;
use super::{Subject, set_aside, sync};
use crate::progress;

/// What became of the chain.
pub(super) struct Mended {
    pub(super) said: String,
    /// The engine's archive does not lead to it.
    pub(super) has_joined: bool,
}

pub(super) async fn mend(subject: &Subject, urls: &[String]) -> anyhow::Result<Mended> {
    let (damaged, into) = (subject.part("chain"), subject.part("chain.rebuilt"));
    clear(&into)?;
    let peers = Peers::new(subject.genesis.network(), urls)?;
    let rebuilt = build(subject, (&damaged, &into), &peers).await?;
    let is_short = rebuilt.height < rebuilt.before.max(1);
    let lacks_old = rebuilt.height < rebuilt.removed || (is_short && peers.have_pruned());
    if lacks_old && peers.have_answered() {
        clear(&into)?;
        return join_anew(subject, (&damaged, &into), urls).await;
    }
    if lacks_old || (rebuilt.height == 0 && !peers.have_answered()) {
        clear(&into)?;
        anyhow::bail!(
            "the chain cannot be built from what is here, and no member that is named with --from answers: start one and \
             repeat this, or {}",
            by_hand(subject)
        );
    }
    let kept = replace(subject, (&damaged, &into))?;
    let mut said = format!(
        "the chain was built anew up to block {} of {}, {} blocks of it fetched from other members; what was there is in {kept}",
        rebuilt.height,
        rebuilt.before.max(rebuilt.height),
        rebuilt.fetched,
    );
    if rebuilt.height < rebuilt.before || rebuilt.before == 0 {
        said.push_str(
            "; the rest comes from the engine's archive or from the other members when the node starts",
        );
    }
    Ok(Mended {
        said,
        has_joined: false,
    })
}

async fn build(
    subject: &Subject,
    (damaged, into): (&Path, &Path),
    peers: &Peers,
) -> anyhow::Result<Rebuilt> {
    let bar = progress::bar(0, "blocks");
    let rebuilt = rebuild(
        &subject.genesis,
        (damaged, into),
        async |height| peers.blocks(height).await,
        |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        },
    )
    .await;
    bar.finish_and_clear();
    Ok(rebuilt?)
}

/// Other members have pruned what is lost: their snapshot and this member's own statements make the chain.
async fn join_anew(
    subject: &Subject,
    (damaged, into): (&Path, &Path),
    urls: &[String],
) -> anyhow::Result<Mended> {
    let member: MemberName = subject.file.member.parse()?;
    let peer = |url: &String| Ok(Arc::new(Peer::at(url)?) as Arc<dyn Source>);
    let peers: Vec<_> = urls.iter().map(peer).collect::<anyhow::Result<_>>()?;
    let terms = Terms {
        genesis: &subject.genesis,
        member: &member,
        directory: into,
        seen: None,
        former: Some(damaged),
    };
    let joined = join::join(&terms, &peers, |_| ()).await;
    let tip = joined.with_context(|| {
        let by_hand = by_hand(subject);
        format!("other members have pruned blocks that are lost here: name others with --from, or {by_hand}")
    })?;
    let kept = replace(subject, (damaged, into))?;
    Ok(Mended {
        said: format!(
            "other members have pruned blocks that are lost here, so the node joined anew at block {}, with the own \
             statements that it or they still have; what was there is in {kept}",
            tip.height.0
        ),
        has_joined: true,
    })
}

/// Puts a chain that is found sound in the place of the damaged one; says where that is now.
fn replace(subject: &Subject, (damaged, into): (&Path, &Path)) -> anyhow::Result<String> {
    let report = chain::inspect(&subject.genesis, into, |_, _| ())?;
    anyhow::ensure!(
        report.damages.is_empty(),
        "the chain that was built anew is not sound: nothing was changed"
    );
    let kept = set_aside(damaged)?;
    fs::rename(into, damaged)?;
    sync(&subject.data())?;
    Ok(kept.display().to_string())
}

fn by_hand(subject: &Subject) -> String {
    format!(
        "move {} and {} away and run `careledger node --join snapshot`",
        subject.part("chain").display(),
        subject.part("engine").display()
    )
}

fn clear(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}
