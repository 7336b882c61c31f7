//! Nodes are killed at random moments, and come back.

use std::time::Duration;

use rand::Rng as _;

use super::network::{MEMBERS, Net};

/// One round in so many kills two nodes at once: no quorum is left.
const TWO_IN: u32 = 4;

pub(super) async fn run(net: &mut Net, rounds: u32) -> anyhow::Result<String> {
    let traffic = net.write()?;
    let mut kills = 0;
    for _ in 0..rounds {
        wait(net, 200..1_500).await;
        let first = net.random.random_range(0..MEMBERS.len());
        let mut victims = vec![first];
        if net.random.random_range(0..TWO_IN) == 0 {
            victims.push((first + net.random.random_range(1..MEMBERS.len())) % MEMBERS.len());
        }
        for victim in &victims {
            net.processes.kill(MEMBERS[*victim]).await?;
            kills += 1;
        }
        wait(net, 0..900).await;
        for victim in &victims {
            net.processes.launch(MEMBERS[*victim])?;
        }
        for victim in &victims {
            net.processes.until_ready(MEMBERS[*victim]).await?;
        }
    }
    let all = traffic.stop().await?;
    let tip = net.settle().await?;
    net.check_all(&all).await?;
    net.all_sound().await?;
    Ok(format!(
        "{rounds} rounds, {kills} nodes killed while {} versions were acknowledged: none is lost, all receipts verify \
         from the genesis, all ledgers stand at block {} with {} statements, and every node is sound",
        all.len(),
        tip.height,
        tip.log_size
    ))
}

pub(super) async fn wait(net: &mut Net, milliseconds: std::ops::Range<u64>) {
    let time = net.random.random_range(milliseconds);
    tokio::time::sleep(Duration::from_millis(time)).await;
}
