//! How many bits a hash has, and what it takes for equal.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// A width of hashes.
pub(super) trait Width: Copy + From<u64> {
    /// Where sums begin.
    const ZERO: Self;

    /// Whether only equal values hash alike; otherwise −0.0 is 0.0, and a date has no time.
    const EXACT: bool;

    /// XXH3 of some bytes.
    fn hash(bytes: &[u8]) -> Self;

    /// XXH3 of two hashes, each as little-endian bytes.
    fn pair(first: Self, second: Self) -> Self;

    /// Appends its little-endian bytes.
    fn append(self, bytes: &mut Vec<u8>);

    /// The sum, modulo the width.
    fn plus(self, other: Self) -> Self;
}

impl Width for u64 {
    const ZERO: Self = 0;
    const EXACT: bool = false;

    #[inline(always)]
    fn hash(bytes: &[u8]) -> Self {
        xxh3_64(bytes)
    }

    fn pair(first: Self, second: Self) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&first.to_le_bytes());
        bytes[8..].copy_from_slice(&second.to_le_bytes());
        xxh3_64(&bytes)
    }

    fn append(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }

    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

impl Width for u128 {
    const ZERO: Self = 0;
    const EXACT: bool = true;

    #[inline(always)]
    fn hash(bytes: &[u8]) -> Self {
        xxh3_128(bytes)
    }

    fn pair(first: Self, second: Self) -> Self {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&first.to_le_bytes());
        bytes[16..].copy_from_slice(&second.to_le_bytes());
        xxh3_128(&bytes)
    }

    fn append(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }

    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}
