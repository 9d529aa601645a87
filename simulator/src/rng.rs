//! Random numbers: one named stream per purpose, so that an extra draw of one part of the world
//! does not shift what another part draws.
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): fixed here rather than taken
//! from a library, because a recorded seed must mean the same run in every later version.

use std::collections::BTreeMap;

/// One stream.
#[derive(Clone, Debug)]
pub struct Stream {
    state: u64,
}

/// The finalizer of SplitMix64.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// FNV-1a, to make a number of a stream's name.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// A number that depends on nothing but its arguments: noise without a stream's state.
pub fn noise(seed: u64, name: &str, at: i64) -> u64 {
    mix(mix(seed ^ hash(name)).wrapping_add(at.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

impl Stream {
    /// The stream of a name under a seed.
    pub fn new(seed: u64, name: &str) -> Self {
        Self { state: mix(seed ^ hash(name)) }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number in `0..below`; zero when `below` is zero. The bias of the multiplication is below
    /// one in 2^32 for the ranges used here.
    pub fn below(&mut self, below: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(below)) >> 64) as u64
    }

    /// A number in `low..=high`, or `low` when the range is empty.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        if high <= low { low } else { low + self.below((high - low + 1).cast_unsigned()).cast_signed() }
    }

    /// True with a chance of `ppm` in a million.
    pub fn chance(&mut self, ppm: i64) -> bool {
        self.below(1_000_000).cast_signed() < ppm
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(usize::try_from(self.below(items.len() as u64)).unwrap_or(0))
    }

    /// `count` characters that Kubernetes uses for generated names.
    pub fn suffix(&mut self, count: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..count).map(|_| char::from(self.pick(ALPHABET).copied().unwrap_or(b'x'))).collect()
    }
}

/// All streams of a world.
#[derive(Clone, Debug)]
pub struct Streams {
    seed: u64,
    streams: BTreeMap<&'static str, Stream>,
}

impl Streams {
    /// The streams under a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, streams: BTreeMap::new() }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The stream of a purpose.
    pub fn of(&mut self, purpose: &'static str) -> &mut Stream {
        let seed = self.seed;
        self.streams.entry(purpose).or_insert_with(|| Stream::new(seed, purpose))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_fixed_for_ever() {
        let mut stream = Stream::new(7, "scheduler");
        let drawn: Vec<u64> = (0..3).map(|_| stream.below(1000)).collect();
        assert_eq!(drawn, vec![958, 310, 645]);
    }

    #[test]
    fn a_draw_of_one_purpose_does_not_shift_another() {
        let mut one = Streams::new(1);
        let mut two = Streams::new(1);
        let _ = one.of("names").bits();
        assert_eq!(one.of("latency").bits(), two.of("latency").bits());
        assert_ne!(two.of("names").bits(), two.of("latency").bits());
    }

    #[test]
    fn ranges_are_inclusive_and_never_left() {
        let mut stream = Stream::new(3, "range");
        let drawn: Vec<i64> = (0..1000).map(|_| stream.between(-2, 2)).collect();
        assert_eq!(drawn.iter().min(), Some(&-2));
        assert_eq!(drawn.iter().max(), Some(&2));
        assert_eq!(stream.between(5, 4), 5);
    }
}
