//! Sums without rounding, and their rounding to Float64 at the very end.
//!
//! A superaccumulator after Neal, "Fast exact summation using small and large superaccumulators", 2015 (arXiv:1505.05571): a
//! fixed-point number wide enough for every double, in limbs of 28 bits. Limbs are plain sums, never carried, so that adding
//! them is associative, commutative and independent of how values were divided among accumulators.

use num_bigint::{BigInt, BigUint, Sign};

/// Bits of a limb; the other 35 bits of an i64 hold sums of more than 3·10¹⁰ values.
const LIMB_BITS: u32 = 28;
const MASK: u64 = (1 << LIMB_BITS) - 1;

/// The lowest bit of a double is worth 2⁻¹⁰⁷⁴.
const DOUBLE_BASE: i32 = -1074;

/// An exact sum of doubles and 64-bit integers, or of their squares.
///
/// `SQUARES` doubles its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExactSum<const SQUARES: bool> {
    limbs: Vec<i64>,
}

impl<const SQUARES: bool> Default for ExactSum<SQUARES> {
    fn default() -> Self {
        Self { limbs: vec![0; Self::LIMBS] }
    }
}

impl<const SQUARES: bool> ExactSum<SQUARES> {
    /// The worth of the lowest bit, as a power of two.
    const BASE: i32 = if SQUARES { 2 * DOUBLE_BASE } else { DOUBLE_BASE };

    /// How many limbs it has: 2,098 bits for doubles, 4,196 for their squares.
    pub const LIMBS: usize = if SQUARES { 151 } else { 76 };

    /// The limbs, lowest first: limb `i` is worth 2^(28 i) times the lowest bit.
    pub fn limbs(&self) -> &[i64] {
        &self.limbs
    }

    /// From limbs, as [`limbs`](Self::limbs) gives them. Nothing where their number is wrong.
    pub fn from_limbs(limbs: &[i64]) -> Option<Self> {
        (limbs.len() == Self::LIMBS).then(|| Self { limbs: limbs.to_vec() })
    }

    /// The sum as a rational number.
    pub fn to_rational(&self) -> Rational {
        let mut sum = BigInt::ZERO;
        for limb in self.limbs.iter().rev() {
            sum = (sum << LIMB_BITS) + *limb;
        }
        Rational::new(sum, BigUint::from(1_u8)).scaled(Self::BASE)
    }

    /// Adds 64 bits, `shift` bits above the lowest: with the shift inside a limb 91 bits, in four pieces.
    #[inline]
    fn add_bits(&mut self, negative: bool, value: u64, shift: u32) {
        let (index, shift) = ((shift / LIMB_BITS) as usize, shift % LIMB_BITS);
        let wide = u128::from(value) << shift;
        let sign = if negative { -1 } else { 1 };
        for (piece, limb) in self.limbs[index..].iter_mut().take(4).enumerate() {
            *limb += sign * ((wide >> (piece as u32 * LIMB_BITS)) as u64 & MASK) as i64;
        }
    }
}

/// Sign, integer mantissa and its exponent above the lowest bit of all doubles.
#[inline]
fn parts(value: f64) -> (bool, u64, u32) {
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as u32;
    let fraction = bits & ((1 << 52) - 1);
    let mantissa = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    (value.is_sign_negative(), mantissa, exponent.saturating_sub(1))
}

impl ExactSum<false> {
    /// Adds a finite number; infinities and NaN are the caller's to sort out.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let (negative, mantissa, shift) = parts(value);
        self.add_bits(negative, mantissa, shift);
    }

    /// Adds an integer.
    #[inline]
    pub fn add_integer(&mut self, value: i128) {
        self.add_bits(value < 0, value.unsigned_abs() as u64, -DOUBLE_BASE as u32);
    }
}

impl ExactSum<true> {
    /// Adds the square of a finite number.
    #[inline]
    pub fn add_square(&mut self, value: f64) {
        let (_, mantissa, shift) = parts(value);
        let square = u128::from(mantissa) * u128::from(mantissa);
        self.add_wide(square, 2 * shift);
    }

    /// Adds the square of an integer of 64 bits.
    #[inline]
    pub fn add_integer_square(&mut self, value: i128) {
        let magnitude = value.unsigned_abs();
        self.add_wide(magnitude * magnitude, (-2 * DOUBLE_BASE) as u32);
    }

    #[inline]
    fn add_wide(&mut self, value: u128, shift: u32) {
        self.add_bits(false, value as u64, shift);
        self.add_bits(false, (value >> 64) as u64, shift + 64);
    }
}

/// A rational number times a power of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rational {
    numerator: BigInt,
    denominator: BigUint,
    exponent: i32,
}

impl Rational {
    /// `numerator / denominator`; the denominator must not be zero.
    pub fn new(numerator: impl Into<BigInt>, denominator: impl Into<BigUint>) -> Self {
        Self { numerator: numerator.into(), denominator: denominator.into(), exponent: 0 }
    }

    /// A finite double as it is.
    pub fn from_f64(value: f64) -> Self {
        let (negative, mantissa, shift) = parts(value);
        let mantissa = BigInt::from(mantissa);
        Self::new(if negative { -mantissa } else { mantissa }, 1_u8).scaled(DOUBLE_BASE + shift as i32)
    }

    /// Times a power of two.
    #[must_use]
    pub fn scaled(mut self, exponent: i32) -> Self {
        self.exponent += exponent;
        self
    }

    /// Times a rational.
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        Self {
            numerator: &self.numerator * &other.numerator,
            denominator: &self.denominator * &other.denominator,
            exponent: self.exponent + other.exponent,
        }
    }

    /// Divided by a positive integer.
    #[must_use]
    pub fn over(&self, divisor: u64) -> Self {
        Self { denominator: &self.denominator * divisor, ..self.clone() }
    }

    /// Plus a rational.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        let shifted = |it: &Self| &it.numerator << (it.exponent - exponent) as usize;
        let left = shifted(self) * BigInt::from(other.denominator.clone());
        let right = shifted(other) * BigInt::from(self.denominator.clone());
        Self { numerator: left + right, denominator: &self.denominator * &other.denominator, exponent }
    }

    /// Minus a rational.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.plus(&Self { numerator: -&other.numerator, ..other.clone() })
    }

    /// The integer part of a number that is not negative.
    pub fn floor(&self) -> u64 {
        let numerator = self.numerator.magnitude();
        let whole = if self.exponent >= 0 {
            (numerator << self.exponent as usize) / &self.denominator
        } else {
            numerator / (&self.denominator << -self.exponent as usize)
        };
        u64::try_from(whole).unwrap_or(u64::MAX)
    }

    /// The nearest double, ties to even; infinite past the largest.
    pub fn to_f64(&self) -> f64 {
        let (quotient, exponent) = self.quotient(0);
        round(self.numerator.sign() == Sign::Minus, &quotient, exponent)
    }

    /// The double nearest to the square root of a number that is not negative.
    pub fn sqrt_to_f64(&self) -> f64 {
        // ⌊√⌊x⌋⌋ = ⌊√x⌋; the exponent is made even, and a bit below tells that something was cut off.
        let (quotient, exponent) = self.quotient(64);
        let (sticky, exact) = (quotient.bit(0), quotient >> 1_u8);
        let root = exact.sqrt();
        let cut = sticky || &root * &root != exact;
        let root = (root << 1_u8) | BigUint::from(u8::from(cut));
        round(false, &root, (exponent + 1) / 2 - 1)
    }

    /// At least 66 + `more` bits of the magnitude, the lowest of which is set where anything was cut off, and the exponent of
    /// the lowest bit, which is odd.
    fn quotient(&self, more: u64) -> (BigUint, i32) {
        let numerator = self.numerator.magnitude();
        let wanted = 66 + more as i64;
        let mut shift = (wanted + self.denominator.bits() as i64 - numerator.bits() as i64).max(0);
        if (i64::from(self.exponent) - shift) % 2 != 0 {
            shift += 1;
        }
        let dividend = numerator << shift as usize;
        let whole = &dividend / &self.denominator;
        let cut = &whole * &self.denominator != dividend;
        ((whole << 1_u8) | BigUint::from(u8::from(cut)), self.exponent - shift as i32 - 1)
    }
}

/// `magnitude` · 2^`exponent` as the nearest double, ties to even.
fn round(negative: bool, magnitude: &BigUint, exponent: i32) -> f64 {
    let bits = magnitude.bits() as i32;
    if bits == 0 {
        return 0.0;
    }
    // A double has 53 bits, fewer where it is subnormal.
    let precision = (bits + exponent - DOUBLE_BASE).clamp(0, 53);
    let cut = (bits - precision).max(0);
    let mut mantissa = u64::try_from(magnitude >> cut as usize).unwrap_or(u64::MAX);
    if cut > 0 {
        let half = magnitude.bit(cut as u64 - 1);
        let below = magnitude.trailing_zeros().is_some_and(|zeros| zeros < cut as u64 - 1);
        if half && (below || mantissa & 1 == 1) {
            mantissa += 1;
        }
    }
    let value = scale(mantissa as f64, exponent + cut);
    if negative { -value } else { value }
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

    fn sum(values: &[f64]) -> f64 {
        let mut sum = ExactSum::<false>::default();
        values.iter().for_each(|value| sum.add(*value));
        sum.to_rational().to_f64()
    }

    #[test]
    fn cancellation_loses_nothing() {
        assert_eq!(sum(&[1e308, 1.0, -1e308]), 1.0);
        assert_eq!(sum(&[f64::MAX, f64::MIN_POSITIVE, -f64::MAX, 5e-324]), f64::MIN_POSITIVE + 5e-324);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[]), 0.0);
    }

    #[test]
    fn sums_past_the_largest_double_come_back() {
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
    }

    #[test]
    fn every_double_comes_through_unchanged() {
        let mut bits = 0x0123_4567_89ab_cdef_u64;
        for _ in 0..10_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                assert_eq!(sum(&[value]), value);
                assert_eq!(Rational::from_f64(value).to_f64(), value);
                let mut squares = ExactSum::<true>::default();
                squares.add_square(value);
                assert_eq!(squares.to_rational().sqrt_to_f64(), value.abs());
                assert_eq!(squares.to_rational(), {
                    let value = Rational::from_f64(value);
                    let square = value.times(&value);
                    Rational { numerator: square.numerator << (square.exponent + 2148) as usize, exponent: -2148, ..square }
                });
            }
        }
    }

    #[test]
    fn integers_of_64_bits_are_added_as_they_are() {
        let mut sum = ExactSum::<false>::default();
        let mut squares = ExactSum::<true>::default();
        for value in [i128::from(u64::MAX), i128::from(i64::MIN), 1] {
            sum.add_integer(value);
            squares.add_integer_square(value);
        }
        assert_eq!(sum.to_rational().floor(), u64::MAX - (1 << 63) + 1);
        assert_eq!(squares.to_rational().to_f64(), 2_f64.powi(128) + 2_f64.powi(126));
    }

    #[test]
    fn quotients_and_roots_are_rounded_to_the_nearest() {
        assert_eq!(Rational::new(1, 3_u8).to_f64(), 1.0 / 3.0);
        assert_eq!(Rational::new(-2, 3_u8).to_f64(), -2.0 / 3.0);
        assert_eq!(Rational::new(2, 1_u8).sqrt_to_f64(), 2_f64.sqrt());
        assert_eq!(Rational::new(0, 7_u8).sqrt_to_f64(), 0.0);
        // One bit above a tie goes up, the tie itself to even.
        let tie = (BigInt::from(1) << 53) + 1;
        assert_eq!(Rational::new(tie.clone(), 1_u8).to_f64(), 2_f64.powi(53));
        assert_eq!(Rational::new((tie << 100) + 1, 1_u8).scaled(-100).to_f64(), 2_f64.powi(53) + 2.0);
        for n in 1..2_000_u32 {
            assert_eq!(Rational::new(n, 1_u8).sqrt_to_f64(), f64::from(n).sqrt());
            assert_eq!(Rational::new(n, 1_u8).scaled(-2000).sqrt_to_f64(), (f64::from(n).sqrt()) * 2_f64.powi(-1000));
        }
    }
}
