//! Natural numbers of any size: the little of their arithmetic that rounding an exact sum takes.

use std::cmp::Ordering;

/// A natural number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Natural {
    /// The lowest first; the last one is not zero.
    words: Vec<u64>,
}

impl From<u128> for Natural {
    fn from(value: u128) -> Self {
        Self::from_words(vec![value as u64, (value >> 64) as u64])
    }
}

impl Natural {
    fn from_words(mut words: Vec<u64>) -> Self {
        let length = words.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        words.truncate(length);
        Self { words }
    }

    /// How many bits it has.
    pub(crate) fn bits(&self) -> usize {
        self.words.last().map_or(0, |last| 64 * self.words.len() - last.leading_zeros() as usize)
    }

    fn word(&self, index: usize) -> u64 {
        self.words.get(index).copied().unwrap_or(0)
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        let mut carry = 0;
        let length = self.words.len().max(other.words.len()) + 1;
        let words = (0..length).map(|index| {
            let sum = u128::from(self.word(index)) + u128::from(other.word(index)) + carry;
            carry = sum >> 64;
            sum as u64
        });
        Self::from_words(words.collect())
    }

    /// Minus a number that is not larger.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let mut borrow = false;
        let words = (0..self.words.len()).map(|index| {
            let (word, less) = self.word(index).overflowing_sub(other.word(index));
            let (word, borrowed) = word.overflowing_sub(borrow.into());
            borrow = less || borrowed;
            word
        });
        Self::from_words(words.collect())
    }

    pub(crate) fn times(&self, other: &Self) -> Self {
        let mut words = vec![0; self.words.len() + other.words.len()];
        for (index, left) in self.words.iter().enumerate() {
            let mut carry = 0;
            for (word, position) in words[index..].iter_mut().zip(0..) {
                let sum = u128::from(*left) * u128::from(other.word(position)) + u128::from(*word) + carry;
                *word = sum as u64;
                carry = sum >> 64;
            }
        }
        Self::from_words(words)
    }

    /// Times 2^`bits`.
    pub(crate) fn shifted_up(&self, bits: usize) -> Self {
        let (words, bits) = (bits / 64, bits % 64);
        let piece = |index: usize| {
            let below = index.checked_sub(1).map_or(0, |below| self.word(below));
            (u128::from(self.word(index)) << 64 | u128::from(below)) << bits >> 64
        };
        let shifted = (0..=self.words.len()).map(|index| piece(index) as u64);
        Self::from_words(std::iter::repeat_n(0, words).chain(shifted).collect())
    }

    /// Divided by 2^`bits`, rounded down, and whether that cut anything off.
    pub(crate) fn shifted_down(&self, bits: usize) -> (Self, bool) {
        let (words, bits) = (bits / 64, bits % 64);
        let piece = |index: usize| (u128::from(self.word(index + 1)) << 64 | u128::from(self.word(index))) >> bits;
        let shifted = Self::from_words((words..self.words.len()).map(|index| piece(index) as u64).collect());
        let cut = self.words.iter().take(words).any(|word| *word != 0) || self.word(words) & ((1 << bits) - 1) != 0;
        (shifted, cut)
    }

    /// Divided by `divisor`, which is below 2¹²⁷ and not zero: the lowest 128 bits of the quotient, and the remainder.
    pub(crate) fn divided_by(&self, divisor: u128) -> (u128, u128) {
        let (mut quotient, mut remainder) = (0, 0);
        for bit in (0..self.bits()).rev() {
            remainder = remainder << 1 | u128::from(self.word(bit / 64) >> (bit % 64) & 1);
            let fits = remainder >= divisor;
            if fits {
                remainder -= divisor;
            }
            quotient = quotient << 1 | u128::from(fits);
        }
        (quotient, remainder)
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Natural {
    fn cmp(&self, other: &Self) -> Ordering {
        let lengths = self.words.len().cmp(&other.words.len());
        lengths.then_with(|| self.words.iter().rev().cmp(other.words.iter().rev()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigUint;

    fn numbers() -> Vec<Natural> {
        let mut bits = 1_u64;
        let mut word = |kind: usize| match kind {
            0 => 0,
            1 => u64::MAX,
            _ => {
                bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                bits
            }
        };
        (0..60).map(|it| Natural::from_words((0..it / 9).map(|index| word((it + index) % 4)).collect())).collect()
    }

    fn big(number: &Natural) -> BigUint {
        BigUint::from_slice(
            &number.words.iter().flat_map(|word| [*word as u32, (*word >> 32) as u32]).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn arithmetic_is_that_of_a_known_library() {
        for a in &numbers() {
            assert_eq!(a.bits() as u64, big(a).bits());
            for shift in [0, 1, 63, 64, 65, 200] {
                assert_eq!(big(&a.shifted_up(shift)), big(a) << shift);
                let (down, cut) = a.shifted_down(shift);
                assert_eq!((big(&down), cut), (big(a) >> shift, big(a) >> shift << shift != big(a)));
            }
            for divisor in [1, 3, u64::MAX.into(), (1 << 127) - 1] {
                let (quotient, remainder) = a.divided_by(divisor);
                assert_eq!(BigUint::from(quotient), big(a) / divisor % (BigUint::from(1_u8) << 128));
                assert_eq!(BigUint::from(remainder), big(a) % divisor);
            }
            for b in &numbers() {
                assert_eq!(big(&a.plus(b)), big(a) + big(b));
                assert_eq!(big(&a.times(b)), big(a) * big(b));
                assert_eq!(a.cmp(b), big(a).cmp(&big(b)));
                if a >= b {
                    assert_eq!(big(&a.minus(b)), big(a) - big(b));
                }
            }
        }
    }
}
