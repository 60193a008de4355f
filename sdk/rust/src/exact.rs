//! Sums without rounding, and their rounding to Float64 at the very end.
//!
//! A superaccumulator after Neal, "Fast exact summation using small and large superaccumulators", 2015 (arXiv:1505.05571): a
//! fixed-point number wide enough for every double, whose limbs are digits in base 2²⁸. A value adds its own digits to them, which are
//! never carried, so that adding is associative, commutative and independent of how values were divided among accumulators.

use crate::natural::Natural;

/// Bits of a digit; the other 35 bits of an i64 hold sums of more than 3·10¹⁰ values.
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
    pub const LIMBS: usize = if SQUARES { 152 } else { 76 };

    /// The limbs, lowest first: limb `i` is worth 2^(28 i) times the lowest bit.
    pub fn limbs(&self) -> &[i64] {
        &self.limbs
    }

    /// From limbs, as [`limbs`](Self::limbs) gives them. Nothing where their number is wrong.
    pub fn from_limbs(limbs: &[i64]) -> Option<Self> {
        (limbs.len() == Self::LIMBS).then(|| Self { limbs: limbs.to_vec() })
    }

    /// The sum, rounded to the nearest double.
    pub fn to_f64(&self) -> f64 {
        self.to_rational().to_f64()
    }

    /// The sum as a rational number.
    pub(crate) fn to_rational(&self) -> Rational {
        let part = |sign: i64| {
            self.limbs.iter().rev().fold(Natural::default(), |sum, limb| {
                let limb = if limb.signum() == sign { limb.unsigned_abs() } else { 0 };
                sum.shifted_up(LIMB_BITS as usize).plus(&u128::from(limb).into())
            })
        };
        Rational::signed(&part(1), &part(-1)).scaled(Self::BASE)
    }
}

/// The digits of a finite number, or of an integer of 64 bits, and the limb that the lowest of them belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digits {
    limb: usize,
    digits: [u64; 3],
    negative: bool,
}

impl Digits {
    /// Of a finite number; infinities and NaN are the caller's to sort out.
    #[inline]
    pub(crate) fn of(value: f64) -> Self {
        let (negative, mantissa, shift) = parts(value);
        Self::new(negative, mantissa, shift)
    }

    /// Of an integer of 64 bits, signed or not.
    #[inline]
    pub(crate) fn of_integer(value: i128) -> Self {
        Self::new(value < 0, value.unsigned_abs() as u64, -DOUBLE_BASE as u32)
    }

    /// A mantissa that stands `shift` bits above the lowest: up to 53 bits, or 64 where the shift is ten bits above a limb's start.
    #[inline]
    fn new(negative: bool, mantissa: u64, shift: u32) -> Self {
        let (limb, up) = ((shift / LIMB_BITS) as usize, shift % LIMB_BITS);
        let digits = [(mantissa << up) & MASK, (mantissa >> (LIMB_BITS - up)) & MASK, mantissa >> (2 * LIMB_BITS - up)];
        Self { limb, digits, negative }
    }

    /// The digits of its square, the lowest of which belongs to the limb `2 * limb` of a sum of squares.
    #[inline]
    fn square(&self) -> [u64; 6] {
        let [low, middle, high] = self.digits;
        let products = [low * low, 2 * low * middle, 2 * low * high + middle * middle, 2 * middle * high, high * high];
        let (mut digits, mut carry) = ([0; 6], 0);
        for (digit, product) in digits.iter_mut().zip(products) {
            let sum = product + carry;
            (*digit, carry) = (sum & MASK, sum >> LIMB_BITS);
        }
        digits[5] = carry;
        digits
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
        self.add_digits(&Digits::of(value));
    }

    #[inline]
    pub(crate) fn add_digits(&mut self, value: &Digits) {
        let sign = -i64::from(value.negative);
        for (limb, digit) in self.limbs[value.limb..value.limb + 3].iter_mut().zip(value.digits) {
            // The digit, or its negative where the sign is -1.
            *limb += (digit as i64 ^ sign) - sign;
        }
    }
}

impl ExactSum<true> {
    /// Adds the square of a finite number.
    #[inline]
    pub fn add_square(&mut self, value: f64) {
        self.add_square_of(&Digits::of(value));
    }

    #[inline]
    pub(crate) fn add_square_of(&mut self, value: &Digits) {
        let start = 2 * value.limb;
        for (limb, digit) in self.limbs[start..start + 6].iter_mut().zip(value.square()) {
            *limb += digit as i64;
        }
    }
}

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
    pub(crate) fn integer(value: u64) -> Self {
        Self::new(false, u128::from(value).into())
    }

    /// A finite double as it is.
    pub(crate) fn from_f64(value: f64) -> Self {
        let (negative, mantissa, shift) = parts(value);
        Self::new(negative, u128::from(mantissa).into()).scaled(DOUBLE_BASE + shift as i32)
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
                let value = Rational::from_f64(value);
                assert!(squares.to_rational().minus(&value.times(&value)).numerator.bits() == 0);
            }
        }
    }

    #[test]
    fn integers_of_64_bits_are_added_as_they_are() {
        let mut sum = ExactSum::<false>::default();
        let mut squares = ExactSum::<true>::default();
        for value in [u64::MAX.into(), i64::MIN.into(), 1] {
            sum.add_digits(&Digits::of_integer(value));
            squares.add_square_of(&Digits::of_integer(value));
        }
        assert_eq!(sum.to_rational().floor(), u64::MAX - (1 << 63) + 1);
        assert_eq!(squares.to_rational().to_f64(), 2_f64.powi(128) + 2_f64.powi(126));
    }

    #[test]
    fn quotients_and_roots_are_rounded_to_the_nearest() {
        let integer = Rational::integer;
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
        let integer = Rational::integer;
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
