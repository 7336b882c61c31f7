//! Bloom filters, compared by Dice's coefficient.

/// Bits of a filter.
const BITS: usize = 512;
const BITS_MAX: u32 = 512;
const WORDS: usize = BITS / 64;
/// Bytes of a filter.
pub(super) const FILTER_BYTES: usize = BITS / 8;
/// Bits that a token sets.
const HASHES: usize = 8;

/// A set of tokens; empty for a value that is not there.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Filter([u64; WORDS]);

impl Filter {
    /// Sets the bits that a token's hash chooses, each by two bytes of its own: bits that one hash steps through could be told
    /// apart (Niedermeyer and others 2014).
    pub(super) fn add(&mut self, hash: &[u8; 32]) {
        for pair in hash.as_chunks().0.iter().take(HASHES) {
            let bit = usize::from(u16::from_be_bytes(*pair)) % BITS;
            if let Some(word) = self.0.get_mut(bit / 64) {
                *word |= 1 << (bit % 64);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// How alike two sets are by Dice, from 0 to 1; 1 only if all bits are the same. Tokens are estimated from the bits that
    /// are set (Swamidass and Baldi 2007): the fuller two filters are, the more bits they share by chance.
    pub(super) fn dice(&self, other: &Self) -> f64 {
        if self == other {
            return 1.0;
        }
        let tokens = |ones: u32| -(1.0 - f64::from(ones) / f64::from(BITS_MAX)).ln();
        let of = |words: &[u64; WORDS]| words.iter().map(|word| word.count_ones()).sum::<u32>();
        let pairs = self.0.iter().zip(&other.0);
        let both: u32 = pairs.map(|(one, two)| (one | two).count_ones()).sum();
        if both >= BITS_MAX {
            // Nobody fills a filter who means a value.
            return 0.0;
        }
        let all = tokens(of(&self.0)) + tokens(of(&other.0));
        let common = all - tokens(both);
        (2.0 * common / all).clamp(0.0, 0.99)
    }

    pub(super) fn to_bytes(self) -> impl Iterator<Item = u8> {
        self.0.into_iter().flat_map(u64::to_be_bytes)
    }

    pub(super) fn of(bytes: &[u8; FILTER_BYTES]) -> Self {
        let mut words = [0; WORDS];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_be_bytes(*chunk);
        }
        Self(words)
    }
}
