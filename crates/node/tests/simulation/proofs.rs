//! What validators show to strangers: receipts, and checkpoints that they published.

use contracts::membership::{Registry, Span};
use contracts::trust::trust;
use ledger::checkpoint::SignedCheckpoint;
use ledger::checkpoint::policy::Policy;
use ledger::ids::Tag;
use ledger::receipt::Receipt;
use node::chain::{Chain, PublicLog as _};
use sim::network::check::{Published, Violation};

use crate::inspect::position;
use crate::world::{Errand, World};

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
    if !is_signed(chain, &signed) {
        let why = "it has the signatures of no quorum".to_owned();
        world.violations.push(wrong(size, why));
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

/// Whether the validators of some epoch so far have signed, as many as have to.
fn is_signed(chain: &Chain, signed: &SignedCheckpoint) -> bool {
    let registry = chain.registry();
    past(&registry, chain).any(|span| {
        let signatories = registry.signatories(span.from);
        let policy = Policy::of_validators(chain.network(), &signatories).unwrap();
        policy.accept(signed).is_ok()
    })
}

/// Validators so far, the newest first.
fn past<'a>(registry: &'a Registry, chain: &Chain) -> impl Iterator<Item = &'a Span> + use<'a> {
    let epoch = registry.rules().epoch_of(chain.tip().height);
    let spans = registry.schedule().iter().rev();
    spans.filter(move |span| span.from <= epoch)
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
    let unused = Tag([0xee; 16]);
    let registry = chain.registry();
    let quorums = past(&registry, chain).map(|span| span.validators.quorum());
    let quorum = quorums.min().unwrap();
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
        if let Err(why) = verify(world, &receipt, errand, quorum) {
            return failed(why);
        }
        verified += 1;
    }
    world.add("checks of a receipt", verified);
    None
}

/// Checks a receipt with nothing but the genesis.
fn verify(world: &World, receipt: &Receipt, errand: &Errand, quorum: usize) -> Result<(), String> {
    let trust = trust(&world.genesis, receipt.succession.as_ref());
    let trust = trust.map_err(|error| error.to_string())?;
    let recorded = receipt.verify(&trust).map_err(|error| error.to_string())?;
    if recorded.item != errand.statement.items()[0] {
        return Err("it is of another item".to_owned());
    }
    if recorded.receipts_of.len() < quorum {
        return Err("no checkpoint covers it".to_owned());
    }
    Ok(())
}
