//! Final blocks that a node has not seen before: it executes them whole, or refuses them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::ids::{Digest, Tag};
use ledger::item::Item;
use node::chain::{Chain, ChainApplication};
use node::engine::{self, Application as _};
use sim::forge::{Forge, Forged};
use tempfile::TempDir;

fn item(first: u8, second: u8) -> Item {
    Item {
        tags: [Tag([first; 16]), Tag([second; 16])],
        commitment: Digest([9; 32]),
    }
}

fn node_of(forge: &Forge) -> (TempDir, ChainApplication) {
    let folder = tempfile::tempdir().unwrap();
    let clock: node::chain::Clock = Arc::new(|| 0);
    let chain = Chain::open(forge.genesis().clone(), folder.path(), clock).unwrap();
    (folder, chain.application(BTreeMap::new()))
}

fn wire(forged: &Forged) -> Arc<engine::Block> {
    let header = &forged.block.header;
    Arc::new(engine::Block::new(
        header.height.0,
        header.parent.0,
        header.encode().into(),
        forged.block.body().into(),
    ))
}

/// The outcome of the second of two blocks with these items of `clinic` each.
async fn second(first: &[Item], second: &[Item]) -> Result<(), String> {
    let mut forge = Forge::found(&["clinic"]).unwrap();
    for items in [first, second] {
        let each = |item: &Item| forge.statement("clinic", vec![*item]).unwrap();
        let statements: Vec<_> = items.iter().map(each).collect();
        forge.append(&statements).unwrap();
    }
    let (_folder, mut node) = node_of(&forge);
    let blocks: Vec<_> = forge.blocks().iter().map(wire).collect();
    node.finalized(Arc::clone(&blocks[0]), None).await.unwrap();
    let outcome = node.finalized(Arc::clone(&blocks[1]), None).await;
    outcome.map_err(|error| error.to_string())
}

#[tokio::test]
async fn p4_a_final_block_that_uses_a_tag_again_is_refused_by_name() {
    let before: Vec<_> = (0..8).map(|n| item(2 * n, 2 * n + 1)).collect();
    let fresh = [item(100, 101), item(102, 103)];
    assert_eq!(second(&before, &fresh).await, Ok(()));
    let again = [item(100, 101), item(102, 3)];
    let refusal = second(&before, &again).await.unwrap_err();
    assert!(refusal.contains("statement 1"), "{refusal}");
    let within = [item(100, 101), item(101, 102)];
    let refusal = second(&before, &within).await.unwrap_err();
    assert!(refusal.contains("statement 1"), "{refusal}");
}

#[tokio::test]
async fn p9_one_wrong_signature_among_many_is_found() {
    let mut forge = Forge::found(&["clinic"]).unwrap();
    let items: Vec<_> = (0..8).map(|n| item(2 * n, 2 * n + 1)).collect();
    let statements: Vec<_> = items
        .iter()
        .map(|item| forge.statement("clinic", vec![*item]).unwrap())
        .collect();
    let sound = forge.append(&statements).unwrap().clone();
    let (_folder, mut node) = node_of(&forge);
    node.finalized(wire(&sound), None).await.unwrap();

    // The signature is at the end of the envelope.
    let mut bytes = statements[5].encode();
    let envelope = statements[5].envelope();
    let start = bytes.windows(envelope.len()).position(|at| at == envelope);
    bytes[start.unwrap() + envelope.len() - 1] ^= 1;
    let mut statements = statements;
    statements[5] = ledger::statement::SubmittedStatement::decode(&bytes).unwrap();
    let mut forge = Forge::found(&["clinic"]).unwrap();
    let forged = forge.append(&statements).unwrap().clone();
    let (_folder, mut node) = node_of(&forge);
    let refusal = node.finalized(wire(&forged), None).await.unwrap_err();
    let refusal = refusal.to_string();
    assert!(refusal.contains("statement 5"), "{refusal}");
}
