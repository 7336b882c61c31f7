//! The adversary of P1: has a ledger's dump and nothing else, and guesses which items belong to one patient.
//!
//! It looks at pairs of items: how far apart they stand in their member's log, in height, in time and in their
//! statement, how large the statements are, whether bytes agree. It is trained with the truth about half of the
//! patients, and then judged on the other half. What it gains from knowing which member submitted an item does not
//! count: that is visible by nature (docs/threat-model.md), so every pair of one patient is compared with a pair of
//! two patients at the same members.

mod features;
mod sample;
mod score;

use ledger::codec::DecodeError;
use ledger::dump::Dump;
use ledger::ids::{BlockTime, Height, MemberName};
use ledger::item::ITEM_BYTES;
use ledger::statement::{StatementError, SubmittedStatement};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use sample::Sample;
use score::{Model, auc};

/// Times that the truth is shuffled to see what chance gives.
const SHUFFLES: usize = 200;
/// Of the advantages that chance gives, the share that lies within the noise.
const CONFIDENCE: f64 = 0.99;
/// Items of the judged half below which nothing can be said.
const ITEMS_MIN: usize = 40;

/// An item as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Who submitted it.
    pub member: MemberName,
    /// Its block.
    pub height: Height,
    /// The block's time.
    pub time: BlockTime,
    /// Its statement's index in the log.
    pub statement: u64,
    /// Items in that statement.
    pub statement_items: usize,
    /// Its position in the statement.
    pub position: usize,
    /// Its bytes.
    pub item: [u8; ITEM_BYTES],
}

/// What the adversary achieves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Advantage {
    /// 2·AUC − 1: 0 is chance, 1 tells every pair of one patient from every other pair.
    pub advantage: f64,
    /// Below this lie 99 % of the advantages, in either direction, of the same adversary against shuffled truth.
    pub noise: f64,
    /// Items on which it was judged.
    pub items: usize,
}

/// Why a dump cannot be observed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObserveError {
    /// The dump is malformed.
    #[error(transparent)]
    Dump(#[from] DecodeError),
    /// A statement is malformed.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

impl Advantage {
    /// Whether chance alone explains it.
    pub fn is_within_noise(&self) -> bool {
        self.advantage <= self.noise
    }
}

/// What a dump shows of every item, in the order of the log.
pub fn observe(dump: &[u8]) -> Result<Vec<Observed>, ObserveError> {
    let mut observed = Vec::new();
    let mut index = 0;
    for dumped in Dump::read(dump)? {
        let block = dumped?.block;
        for bytes in &block.statements {
            let statement = SubmittedStatement::decode(bytes)?;
            let items = statement.items();
            observed.extend(items.iter().enumerate().map(|(position, item)| Observed {
                member: statement.member().clone(),
                height: block.header.height,
                time: block.header.time,
                statement: index,
                statement_items: items.len(),
                position,
                item: item.to_bytes(),
            }));
            index += 1;
        }
    }
    Ok(observed)
}

/// How well the adversary does on `observed`, of whose items `subject_of` tells the truth; items of no subject, such
/// as padding, only stand between the others. `None` if there are too few items or subjects to tell.
pub fn advantage<S: Ord>(
    observed: &[Observed],
    subject_of: impl Fn(&Observed) -> Option<S>,
    seed: u64,
) -> Option<Advantage> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (training, mut judged) = sample::halves(observed, subject_of, &mut random)?;
    if judged.len() < ITEMS_MIN {
        return None;
    }
    let model = Model::train(&training.pairs(&mut random)?, &mut random);
    let judge = |sample: &Sample<'_>, random: &mut ChaCha8Rng| {
        let pairs = sample.pairs(random)?;
        let scored = pairs
            .iter()
            .map(|pair| (model.score(&pair.features), pair.same));
        Some(2.0 * auc(scored.collect()) - 1.0)
    };
    let advantage = judge(&judged, &mut random)?;
    let mut by_chance = Vec::with_capacity(SHUFFLES);
    for _ in 0..SHUFFLES {
        judged.shuffle(&mut random);
        by_chance.extend(judge(&judged, &mut random).map(f64::abs));
    }
    by_chance.sort_unstable_by(f64::total_cmp);
    let within = (by_chance.len() as f64 * CONFIDENCE) as usize;
    Some(Advantage {
        advantage,
        noise: by_chance.get(within).or(by_chance.last()).copied()?,
        items: judged.len(),
    })
}

#[cfg(test)]
mod tests;
