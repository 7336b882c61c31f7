//! Numbers that look random and are the same on every machine (SplitMix64).

/// A stream of numbers.
#[derive(Debug, Clone)]
pub struct Draw(u64);

impl Draw {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream of a name and a seed.
    pub fn named(name: &str, seed: u64) -> Self {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, mix))
    }

    /// A number; each is as likely as any other.
    pub fn uniform(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, or 0 if there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        let drawn = self.uniform().checked_rem(bound).unwrap_or(0);
        usize::try_from(drawn).unwrap_or(0)
    }

    /// One of `choices`.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// Bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// Up to `most` bytes.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.byte()).collect()
    }

    /// Yes or no.
    pub fn flip(&mut self) -> bool {
        self.uniform() & 1 == 1
    }

    /// A number of any magnitude: small ones are as likely as large ones.
    pub fn number(&mut self) -> u64 {
        let bits = self.below(64);
        self.uniform() >> bits
    }

    /// A word of small letters.
    pub fn word(&mut self) -> String {
        let length = 1 + self.below(12);
        let letter = |_| char::from(b'a' + u8::try_from(self.below(26)).unwrap_or(0));
        (0..length).map(letter).collect()
    }

    /// Nothing, or what `draw` gives.
    pub fn option<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flip().then(|| draw(self))
    }

    /// Up to `most` of what `draw` gives.
    pub fn list<T>(&mut self, most: usize, mut draw: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let length = self.below(most + 1);
        (0..length).map(|_| draw(self)).collect()
    }

    fn byte(&mut self) -> u8 {
        self.uniform().to_be_bytes()[0]
    }
}
