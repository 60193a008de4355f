//! Sums of numbers and of their squares without rounding, by exponent.
//!
//! The mantissas of doubles with one exponent are integers of one worth. They are added as integers, and so are the products of their
//! halves, so that adding is associative, commutative and independent of how values were divided among accumulators. An accumulator for
//! each exponent is also what Neal's large superaccumulator has ("Fast exact summation using small and large superaccumulators", 2015,
//! arXiv:1505.05571).

use crate::rational::{DOUBLE_BASE, Rational};

/// Most numbers that an [`Adder`] takes at once: so many squares of 27 bits have 63 bits together.
pub(crate) const MOST: usize = 512;

/// Bits of the lower half of a mantissa; the upper one has 26.
const LOW_BITS: u32 = 27;

/// Integers with more bits than a mantissa are kept behind the last exponent, which is that of no finite number.
const WIDE: u16 = 0x7ff;

/// Bits of the lower half of such an integer.
const WIDE_LOW_BITS: u32 = 32;

/// All integers up to this magnitude are doubles.
pub(crate) const WIDEST: u64 = 1 << 53;

/// What the numbers with one exponent add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Σ m, of mantissas with their signs.
    pub(crate) mantissas: i128,
    /// Σ h², Σ h·l and Σ l² of mantissas, whose upper half is h and whose lower one is l.
    pub(crate) products: [i128; 3],
}

impl Sums {
    fn add(&mut self, mantissas: i128, products: [i128; 3]) {
        self.mantissas += mantissas;
        self.products.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
    }
}

/// Exact sums of doubles and 64-bit integers, and of their squares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExactSums {
    /// Ascending by the bits of the exponent.
    exponents: Vec<(u16, Sums)>,
}

impl ExactSums {
    /// What was added, by the bits of the exponent.
    pub(crate) fn exponents(&self) -> &[(u16, Sums)] {
        &self.exponents
    }

    /// Adds what [`exponents`](Self::exponents) gave. Nothing where there is no such exponent, or where no numbers come to that.
    pub(crate) fn insert(&mut self, exponent: u16, sums: Sums) -> Option<()> {
        let [squares_of_highs, mixed, squares_of_lows] = sums.products;
        // Of integers only the halves can have different signs.
        let mixed_signs = mixed < 0 && exponent != WIDE;
        if exponent > WIDE || squares_of_highs < 0 || squares_of_lows < 0 || mixed_signs {
            return None;
        }
        let so_far = self.at(exponent);
        so_far.mantissas = so_far.mantissas.checked_add(sums.mantissas)?;
        for (sum, product) in so_far.products.iter_mut().zip(sums.products) {
            *sum = sum.checked_add(product)?;
        }
        Some(())
    }

    fn at(&mut self, exponent: u16) -> &mut Sums {
        let at = match self.exponents.binary_search_by_key(&exponent, |(exponent, _)| *exponent) {
            Ok(at) => at,
            Err(at) => {
                self.exponents.insert(at, (exponent, Sums::default()));
                at
            }
        };
        &mut self.exponents[at].1
    }

    /// Adds an integer of 64 bits, signed or not.
    pub(crate) fn add_integer(&mut self, value: i128) {
        if value == 0 {
            return;
        }
        if value.unsigned_abs() <= WIDEST.into() {
            let Parts { exponent, mantissa, products } = Parts::of(value as f64);
            return self.at(exponent).add(mantissa.into(), products.map(i128::from));
        }
        let (high, low) = (value >> WIDE_LOW_BITS, value & ((1 << WIDE_LOW_BITS) - 1));
        self.at(WIDE).add(value, [high * high, high * low, low * low]);
    }

    /// Σ x.
    pub(crate) fn sum(&self) -> Rational {
        self.total(|exponent, sums| {
            let (unit, _) = worth(exponent);
            Rational::integer(sums.mantissas).scaled(unit)
        })
    }

    /// Σ x².
    pub(crate) fn squares(&self) -> Rational {
        self.total(|exponent, sums| {
            let (unit, low_bits) = worth(exponent);
            let [high, mixed, low] = sums.products.map(Rational::integer);
            let products = high.scaled(2 * low_bits).plus(&mixed.scaled(low_bits + 1)).plus(&low);
            products.scaled(2 * unit)
        })
    }

    fn total(&self, of_exponent: impl Fn(u16, &Sums) -> Rational) -> Rational {
        let all = self.exponents.iter().map(|(exponent, sums)| of_exponent(*exponent, sums));
        all.fold(Rational::integer(0), |total, sum| total.plus(&sum))
    }
}

/// What the lowest bit of a mantissa is worth, as a power of two, and how many bits its lower half has.
fn worth(exponent: u16) -> (i32, i32) {
    match exponent {
        WIDE => (0, WIDE_LOW_BITS as i32),
        // Subnormal numbers have the worth of the least normal ones.
        exponent => (DOUBLE_BASE + i32::from(exponent).max(1) - 1, LOW_BITS as i32),
    }
}

/// A finite double.
#[derive(Clone, Copy, Debug)]
struct Parts {
    /// The bits of its exponent.
    exponent: u16,
    mantissa: i64,
    products: [i64; 3],
}

impl Parts {
    #[inline]
    fn of(value: f64) -> Self {
        let bits = value.to_bits();
        let exponent = (bits >> 52) as u16 & 0x7ff;
        let mantissa = (bits & ((1 << 52) - 1) | u64::from(exponent != 0) << 52) as i64;
        let (high, low) = (mantissa >> LOW_BITS, mantissa & ((1 << LOW_BITS) - 1));
        // The mantissa, or its negative where the sign is -1.
        let sign = bits as i64 >> 63;
        Self { exponent, mantissa: (mantissa ^ sign) - sign, products: [high * high, high * low, low * low] }
    }
}

/// Adds doubles to sums by the hundred: an accumulator for each exponent, where it is found by its number.
#[derive(Clone, Debug)]
pub struct Adder {
    /// Σ m, Σ h², Σ h·l and Σ l², all zero between two calls.
    exponents: Box<[[i64; 4]; 0x800]>,
}

impl Default for Adder {
    fn default() -> Self {
        Self { exponents: Box::new([[0; 4]; 0x800]) }
    }
}

impl Adder {
    /// Adds up to [`MOST`] finite numbers; infinities and NaN are the caller's to sort out.
    pub(crate) fn add(&mut self, numbers: &[f64], sums: &mut ExactSums) {
        debug_assert!(numbers.len() <= MOST && numbers.iter().all(|number| number.is_finite()));
        let (mut least, mut most) = (u32::MAX, 0);
        for number in numbers {
            let exponent = (number.to_bits() >> 52) as u32 & 0x7ff;
            // Zeros and subnormal numbers are looked after by themselves: they are far from all others.
            least = least.min(exponent.wrapping_sub(1));
            most = most.max(exponent);
        }
        for number in numbers {
            let Parts { exponent, mantissa, products: [high, mixed, low] } = Parts::of(*number);
            let [mantissas, highs, mixeds, lows] = &mut self.exponents[usize::from(exponent)];
            *mantissas += mantissa;
            *highs += high;
            *mixeds += mixed;
            *lows += low;
        }
        let normal = least.saturating_add(1)..=most;
        for exponent in std::iter::once(0).chain(normal) {
            let [mantissas, products @ ..] = std::mem::take(&mut self.exponents[exponent as usize]);
            if products != [0; 3] {
                sums.at(exponent as u16).add(mantissas.into(), products.map(i128::from));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: i128 = WIDEST as i128;

    fn add(values: &[f64]) -> ExactSums {
        let (mut sums, mut adder) = (ExactSums::default(), Adder::default());
        values.chunks(MOST).for_each(|values| adder.add(values, &mut sums));
        sums
    }

    fn sum(values: &[f64]) -> f64 {
        add(values).sum().to_f64()
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
    fn every_number_and_its_square_come_through_unchanged() {
        let mut bits = 0x0123_4567_89ab_cdef_u64;
        for round in 0..10_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Zeros, subnormal numbers and others.
            let value = f64::from_bits(if round % 3 == 0 { bits >> 20 } else { bits >> (round % 64) });
            if value.is_finite() {
                let sums = add(&[value]);
                assert_eq!(sums.sum().to_f64(), value);
                assert_eq!(sums.squares().sqrt_to_f64(), value.abs());
                let value = Rational::from_f64(value);
                assert!(sums.squares().minus(&value.times(&value)).is_zero());
            }
        }
    }

    #[test]
    fn sums_that_no_numbers_have_are_refused() {
        let sums = |products| Sums { mantissas: 1, products };
        let mut all = add(&[1.0]);
        assert!(all.insert(WIDE + 1, sums([0, 0, 1])).is_none());
        assert!(all.insert(7, sums([0, 0, -1])).is_none());
        assert!(all.insert(7, sums([-1, 0, 0])).is_none());
        assert!(all.insert(7, sums([1, -1, 1])).is_none());
        assert!(all.insert(WIDE, sums([i128::MAX, -1, 0])).is_some());
        assert!(all.insert(WIDE, sums([1, 0, 0])).is_none());
    }

    #[test]
    fn a_whole_chunk_of_the_largest_mantissas_fits() {
        let largest = f64::from_bits((1 << 53) - 1);
        let sums = add(&[-largest; MOST]);
        let count = Rational::integer(MOST as i64);
        assert!(sums.sum().plus(&Rational::from_f64(largest).times(&count)).is_zero());
        let square = Rational::from_f64(largest).times(&Rational::from_f64(largest));
        assert!(sums.squares().minus(&square.times(&count)).is_zero());
    }

    #[test]
    fn integers_of_64_bits_are_added_as_they_are() {
        let mut sums = ExactSums::default();
        let values = [u64::MAX.into(), i64::MIN.into(), 1, -BOUND, BOUND + 1, -BOUND - 1];
        values.iter().for_each(|value| sums.add_integer(*value));
        let integer = |value: &i128| Rational::integer(*value);
        let total = values.iter().fold(Rational::integer(0), |total, it| total.plus(&integer(it)));
        let squares =
            values.iter().fold(Rational::integer(0), |total, it| total.plus(&integer(it).times(&integer(it))));
        assert!(sums.sum().minus(&total).is_zero());
        assert!(sums.squares().minus(&squares).is_zero());
    }

    #[test]
    fn integers_and_doubles_of_one_value_share_an_exponent() {
        for value in [0, 1, -7, 1 << 40, BOUND, -BOUND] {
            let mut sums = ExactSums::default();
            sums.add_integer(value);
            assert_eq!(sums, add(&[value as f64]));
        }
    }
}
