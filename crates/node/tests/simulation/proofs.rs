//! What validators show to strangers: receipts, and checkpoints that they published.

use contracts::membership::Registry;
use ledger::checkpoint::SignedCheckpoint;
use ledger::checkpoint::policy::Policy;
use ledger::ids::{Digest, MemberName, Tag};
use ledger::receipt::Trust;
use node::chain::{Chain, PublicLog as _};
use sim::network::check::{Published, Violation};

use crate::inspect::position;
use crate::world::World;

/// Of the final items, every so many get a receipt at each validator.
const RECEIPT_EVERY: usize = 3;

/// Notes what a validator publishes, if it is new.
pub(crate) fn published(world: &mut World, validator: usize, chain: &Chain) {
    let Some(note) = chain.checkpoint() else {
        return;
    };
    let last = world.notes.insert(validator, note.clone());
    if last.as_ref() == Some(&note) {
        return;
    }
    let wrong = |size, why: String| Violation::WrongCheckpoint(validator, size, why);
    let signed = match SignedCheckpoint::decode(&note) {
        Ok(signed) => signed,
        Err(error) => return world.violations.push(wrong(0, error.to_string())),
    };
    let size = signed.checkpoint.size;
    let policy = Policy::of_genesis(&world.genesis).unwrap();
    if let Err(error) = policy.accept(&signed) {
        world.violations.push(wrong(size, error.to_string()));
    }
    let before = world.last_published.insert(validator, size);
    if before.is_some_and(|before| before > size) {
        let why = format!("it had published {before:?} before");
        world.violations.push(wrong(size, why));
    }
    let one = Published {
        validator,
        size,
        root: signed.checkpoint.root,
    };
    if !world.published.contains(&one) {
        world.published.push(one);
        world.count("checks of a published checkpoint");
    }
}

/// Each checkpoint that a validator published continues the one before, and convicts nobody who follows the rules.
pub(crate) fn continuity(world: &mut World, validator: usize, chain: &Chain) -> Option<Violation> {
    let mut own: Vec<Published> = world.published.clone();
    own.retain(|one| one.validator == validator);
    own.sort_unstable();
    for pair in own.windows(2) {
        let path = chain.consistency_path(pair[0].size, pair[1].size);
        let path = path.map_err(|error| error.to_string());
        let shown = path.and_then(|path| {
            let verified = path.verify(pair[0].root, pair[1].root);
            verified.map_err(|error| error.to_string())
        });
        if let Err(why) = shown {
            return Some(Violation::WrongCheckpoint(validator, pair[1].size, why));
        }
        world.count("checks of consistency");
    }
    let convicted = chain.contradictions().unwrap();
    let count = u64::try_from(convicted.len()).unwrap();
    world.add("proofs against a forger of checkpoints", count);
    convicted.into_iter().find_map(|signed| {
        let member = signed.receipt.member;
        let members = &world.genesis.members;
        let number = members.iter().position(|one| one.name == member)?;
        let is_honest = world.is_honest(number);
        is_honest.then(|| Violation::Convicted(validator, member.to_string()))
    })
}

/// Receipts of final items verify, with the signatures of a quorum under a checkpoint.
pub(crate) fn receipts(world: &mut World, validator: usize, chain: &Chain) -> Option<Violation> {
    let registry = Registry::from_genesis(&world.genesis).unwrap();
    let trust = Trust {
        network: world.genesis.network(),
        validators: world.genesis.validators(),
        key_of: |member: &MemberName, thumbprint: Digest| {
            let certificate = registry.certificate(member, thumbprint).ok();
            certificate.map(|certificate| certificate.key)
        },
    };
    let unused = Tag([0xee; 16]);
    let quorum = trust.validators.quorum();
    let errands = world.errands.iter();
    let finals = errands.filter(|errand| errand.acknowledged.contains_key(&validator));
    let mut verified = 0;
    for errand in finals.step_by(RECEIPT_EVERY) {
        let failed = |why: String| Some(Violation::NoReceipt(validator, why));
        let Some(position) = position(chain, errand) else {
            return failed("the item is gone".to_owned());
        };
        let receipt = match chain.receipt(position, &[unused]) {
            Ok(Some(receipt)) => receipt,
            Ok(None) => return failed("no certified header covers it".to_owned()),
            Err(error) => return failed(error.to_string()),
        };
        match receipt.verify(&trust) {
            Ok(recorded) if recorded.item != errand.statement.items()[0] => {
                return failed("it is of another item".to_owned());
            }
            Ok(recorded) if recorded.receipts_of.len() < quorum => {
                return failed("no checkpoint covers it".to_owned());
            }
            Ok(_) => verified += 1,
            Err(error) => return failed(error.to_string()),
        }
    }
    world.add("checks of a receipt", verified);
    None
}
