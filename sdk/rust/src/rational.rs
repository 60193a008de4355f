//! Rational numbers, as far as rounding an exact sum takes them.

use crate::natural::Natural;

/// The lowest bit of a double is worth 2⁻¹⁰⁷⁴.
pub(crate) const DOUBLE_BASE: i32 = -1074;

/// A rational number times a power of two. Its denominator stays below 2¹²⁷: it is a count of rows, squared at most, or a
/// hundred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rational {
    negative: bool,
    numerator: Natural,
    denominator: u128,
    exponent: i32,
}

/// Bits of a quotient that is to be rounded: enough for the mantissa of its square root.
const QUOTIENT_BITS: i32 = 112;

/// The first bits of a number, and whether any were cut off.
struct Quotient {
    bits: u128,
    cut: bool,
    /// The worth of the lowest bit, as a power of two; even.
    exponent: i32,
}

impl Rational {
    fn new(negative: bool, numerator: Natural) -> Self {
        Self { negative, numerator, denominator: 1, exponent: 0 }
    }

    /// The difference of two numbers.
    fn signed(positive: &Natural, negative: &Natural) -> Self {
        if positive >= negative {
            Self::new(false, positive.minus(negative))
        } else {
            Self::new(true, negative.minus(positive))
        }
    }

    /// An integer.
    pub(crate) fn integer(value: impl Into<i128>) -> Self {
        let value = value.into();
        Self::new(value < 0, value.unsigned_abs().into())
    }

    /// A finite double as it is.
    pub(crate) fn from_f64(value: f64) -> Self {
        let bits = value.to_bits();
        let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
        let mantissa = if exponent == 0 { fraction } else { fraction | 1 << 52 };
        Self::new(value.is_sign_negative(), u128::from(mantissa).into()).scaled(DOUBLE_BASE + (exponent - 1).max(0))
    }

    /// Whether it is zero.
    #[cfg(test)]
    pub(crate) fn is_zero(&self) -> bool {
        self.numerator.bits() == 0
    }

    /// Whether it is less than zero.
    pub(crate) fn is_negative(&self) -> bool {
        self.negative
    }

    /// Times a power of two.
    pub(crate) fn scaled(mut self, exponent: i32) -> Self {
        self.exponent += exponent;
        self
    }

    /// Times a rational.
    pub(crate) fn times(&self, other: &Self) -> Self {
        Self {
            negative: self.negative != other.negative,
            numerator: self.numerator.times(&other.numerator),
            denominator: self.denominator * other.denominator,
            exponent: self.exponent + other.exponent,
        }
    }

    /// Divided by a positive integer.
    pub(crate) fn over(mut self, divisor: u64) -> Self {
        self.denominator *= u128::from(divisor);
        self
    }

    /// Plus a rational.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        let (mut positive, mut negative) = (Natural::default(), Natural::default());
        for (it, by) in [(self, other.denominator), (other, self.denominator)] {
            let part = it.numerator.shifted_up((it.exponent - exponent) as usize).times(&by.into());
            let side = if it.negative { &mut negative } else { &mut positive };
            *side = side.plus(&part);
        }
        Self { denominator: self.denominator * other.denominator, exponent, ..Self::signed(&positive, &negative) }
    }

    /// Minus a rational.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.plus(&Self { negative: !other.negative, ..other.clone() })
    }

    /// The integer part of a number that is not negative, and below 2⁶⁴.
    pub(crate) fn floor(&self) -> u64 {
        let numerator = match usize::try_from(self.exponent) {
            Ok(up) => self.numerator.shifted_up(up),
            Err(_) => self.numerator.shifted_down(self.exponent.unsigned_abs() as usize).0,
        };
        numerator.divided_by(self.denominator).0 as u64
    }

    /// The nearest double, ties to even; infinite past the largest.
    pub(crate) fn to_f64(&self) -> f64 {
        let magnitude = round(&self.quotient());
        if self.negative { -magnitude } else { magnitude }
    }

    /// The double nearest to the square root of a number that is not negative.
    pub(crate) fn sqrt_to_f64(&self) -> f64 {
        // ⌊√⌊x⌋⌋ = ⌊√x⌋
        let Quotient { bits, cut, exponent } = self.quotient();
        let root = bits.isqrt();
        round(&Quotient { bits: root, cut: cut || root * root != bits, exponent: exponent / 2 })
    }

    fn quotient(&self) -> Quotient {
        let denominator_bits = (u128::BITS - self.denominator.leading_zeros()) as i32;
        let mut up = QUOTIENT_BITS + denominator_bits - self.numerator.bits() as i32;
        if (self.exponent - up) % 2 != 0 {
            up += 1;
        }
        let (numerator, cut) = match usize::try_from(up) {
            Ok(up) => (self.numerator.shifted_up(up), false),
            Err(_) => self.numerator.shifted_down(up.unsigned_abs() as usize),
        };
        let (bits, remainder) = numerator.divided_by(self.denominator);
        Quotient { bits, cut: cut || remainder != 0, exponent: self.exponent - up }
    }
}

/// The nearest double, ties to even.
fn round(&Quotient { bits, cut, exponent }: &Quotient) -> f64 {
    let length = (u128::BITS - bits.leading_zeros()) as i32;
    // A double has 53 bits, fewer where it is subnormal, and none where it is nearer to zero.
    let precision = length + exponent - DOUBLE_BASE;
    if bits == 0 || precision < 0 {
        return 0.0;
    }
    let dropped = length - precision.min(53);
    if dropped <= 0 {
        return scale(bits as f64, exponent);
    }
    let mut mantissa = bits >> dropped;
    let rest = bits & ((1 << dropped) - 1);
    let half = 1 << (dropped - 1);
    if rest > half || rest == half && (cut || mantissa & 1 == 1) {
        mantissa += 1;
    }
    scale(mantissa as f64, exponent + dropped)
}

/// `value` · 2^`exponent` where the result is exact or infinite.
fn scale(mut value: f64, mut exponent: i32) -> f64 {
    while exponent < -1000 {
        value *= f64::from_bits((1023 - 1000) << 52);
        exponent += 1000;
    }
    while exponent > 1000 {
        value *= f64::from_bits((1023 + 1000) << 52);
        exponent -= 1000;
    }
    value * f64::from_bits(((1023 + exponent) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_double_comes_through_unchanged() {
        let mut bits = 0x0123_4567_89ab_cdef_u64;
        for _ in 0..10_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                let rational = Rational::from_f64(value);
                assert_eq!(rational.to_f64(), value);
                assert_eq!(rational.times(&rational).sqrt_to_f64(), value.abs());
            }
        }
    }

    #[test]
    fn quotients_and_roots_are_rounded_to_the_nearest() {
        let integer = |value: u64| Rational::integer(value);
        assert_eq!(integer(1).over(3).to_f64(), 1.0 / 3.0);
        assert_eq!(integer(0).minus(&integer(2).over(3)).to_f64(), -2.0 / 3.0);
        assert_eq!(integer(2).sqrt_to_f64(), 2_f64.sqrt());
        assert_eq!(integer(0).over(7).sqrt_to_f64(), 0.0);
        for n in 1..2_000_u32 {
            assert_eq!(integer(n.into()).sqrt_to_f64(), f64::from(n).sqrt());
            assert_eq!(integer(n.into()).scaled(-2000).sqrt_to_f64(), (f64::from(n).sqrt()) * 2_f64.powi(-1000));
        }
    }

    #[test]
    fn ties_go_to_even_and_the_least_bit_beyond_them_up() {
        let integer = |value: u64| Rational::integer(value);
        let tie = integer((1 << 53) + 1);
        let above = tie.plus(&integer(1).scaled(-3000));
        assert_eq!(tie.to_f64(), 2_f64.powi(53));
        assert_eq!(above.to_f64(), 2_f64.powi(53) + 2.0);
        let least = f64::from_bits(1);
        assert_eq!(integer(1).scaled(-1075).to_f64(), 0.0);
        assert_eq!(integer(3).scaled(-1076).to_f64(), least);
        assert_eq!(integer(3).scaled(-1075).to_f64(), 2.0 * least);
        assert_eq!(integer(3).scaled(-1077).to_f64(), 0.0);
        assert_eq!(integer((1 << 54) - 1).scaled(1024 - 54).to_f64(), f64::INFINITY);
    }
}
