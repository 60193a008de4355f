//! The values of a column as keys: bytes that order as the values do.
//!
//! Numbers are 8 bytes, decimals 16, strings their own bytes. Long strings are cut, and a hash of the whole tells them apart.

use crate::kind::Kind;
use wafermill_sdk::stats::float_bits;
use wafermill_sdk::{Bytes, Column, DataType, Values};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Bytes of a string that are kept.
pub(crate) const KEPT: usize = 256;

/// The sign of a number of 64 bits.
const SIGN: u64 = 1 << 63;

/// The values of one column of a batch.
pub(crate) struct Keys<'a> {
    column: &'a Column,
    values: KeyValues<'a>,
    /// The nearest doubles, of numbers.
    numbers: Option<Numbers>,
}

enum KeyValues<'a> {
    /// In the order of unsigned integers.
    Words(Vec<u64>),
    Wide(&'a [i128]),
    Bytes(&'a Bytes),
    /// For each row the position of a string.
    Dictionary(&'a [i32], &'a Bytes),
}

type Numbers = Vec<f64>;

/// The word of a signed integer.
fn signed(value: i64) -> u64 {
    value as u64 ^ SIGN
}

/// The word of a float; −0.0 is 0.0.
fn float(value: f64) -> u64 {
    let bits = float_bits(value);
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

/// The signed integer of a word.
pub(crate) fn to_signed(word: u64) -> i64 {
    (word ^ SIGN) as i64
}

/// The float of a word.
pub(crate) fn to_float(word: u64) -> f64 {
    f64::from_bits(if word & SIGN == 0 { !word } else { word ^ SIGN })
}

/// The bytes of a decimal without its scale.
fn wide(value: i128) -> [u8; 16] {
    (value ^ i128::MIN).to_be_bytes()
}

/// The decimal of its bytes.
pub(crate) fn to_wide(bytes: [u8; 16]) -> i128 {
    i128::from_be_bytes(bytes) ^ i128::MIN
}

/// The double nearest to a decimal.
pub(crate) fn decimal_to_f64(value: i128, scale: i8) -> f64 {
    // Parsing rounds once; dividing by a power of ten would round twice.
    format!("{value}e{}", -i32::from(scale)).parse().unwrap_or(f64::NAN)
}

impl<'a> Keys<'a> {
    /// Of a column of a kind; nothing where it has another type.
    pub(crate) fn of(column: &'a Column, kind: Kind) -> Option<Self> {
        let mut numbers: Option<Numbers> = None;
        let values = match (kind, column.values()) {
            (Kind::Boolean, Values::Boolean(bits)) => {
                numbers = Some(bits.iter().map(|bit| f64::from(u8::from(bit))).collect());
                KeyValues::Words(bits.iter().map(|bit| signed(bit.into())).collect())
            }
            (Kind::Signed, _) => {
                let integers = column.to_i64()?;
                numbers = Some(integers.iter().map(|value| *value as f64).collect());
                KeyValues::Words(integers.iter().map(|value| signed(*value)).collect())
            }
            (Kind::Unsigned, Values::UInt64(integers)) => {
                numbers = Some(integers.iter().map(|value| *value as f64).collect());
                KeyValues::Words(integers.to_vec())
            }
            (Kind::Float, _) => {
                let floats = column.to_f64()?;
                numbers = Some(floats.to_vec());
                KeyValues::Words(floats.iter().map(|value| float(*value)).collect())
            }
            (Kind::Decimal(scale), Values::Decimal128(decimals)) => {
                numbers = Some(decimals.iter().map(|value| decimal_to_f64(*value, scale)).collect());
                KeyValues::Wide(decimals)
            }
            (Kind::Text | Kind::Binary, Values::Bytes(bytes)) => KeyValues::Bytes(bytes),
            (Kind::Text, Values::Dictionary(dictionary)) => {
                KeyValues::Dictionary(dictionary.keys(), dictionary.values().bytes()?)
            }
            _ => return None,
        };
        Some(Self { column, values, numbers })
    }

    /// Whether a row is missing.
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.column.is_null(row)
    }

    /// The number of each row, of numbers; undefined where the row is missing.
    pub(crate) fn numbers(&self) -> Option<&[f64]> {
        self.numbers.as_deref()
    }

    /// The integer of a row, exactly; of integers only.
    pub(crate) fn integer(&self, kind: Kind, row: usize) -> Option<i128> {
        match (&self.values, kind) {
            (KeyValues::Words(words), Kind::Unsigned) => Some(words[row].into()),
            (KeyValues::Words(words), Kind::Signed | Kind::Boolean) => Some(to_signed(words[row]).into()),
            _ => None,
        }
    }

    /// The key of a row that is not missing. It may be written into `scratch`.
    pub(crate) fn key<'k>(&'k self, row: usize, scratch: &'k mut Vec<u8>) -> &'k [u8] {
        match &self.values {
            KeyValues::Words(words) => filled(scratch, &[&words[row].to_be_bytes()]),
            KeyValues::Wide(values) => filled(scratch, &[&wide(values[row])]),
            KeyValues::Bytes(bytes) => cut(bytes.get(row), scratch),
            KeyValues::Dictionary(keys, bytes) => cut(bytes.get(keys[row] as usize), scratch),
        }
    }

    /// Whether a row that is not missing has a value: NaN is none.
    fn has_value(&self, row: usize) -> bool {
        self.numbers.as_ref().is_none_or(|numbers| !numbers[row].is_nan())
    }

    /// The starts of the least and the largest value of some rows, none of them missing: one byte more than is kept, where a value is
    /// longer.
    pub(crate) fn extremes(&self, rows: &[u32]) -> Option<(Vec<u8>, Vec<u8>)> {
        let rows = rows.iter().map(|row| *row as usize).filter(|row| self.has_value(*row));
        let start = |bytes: &'a [u8]| &bytes[..bytes.len().min(KEPT + 1)];
        match &self.values {
            KeyValues::Words(words) => {
                let (least, largest) = least_and_largest(rows.map(|row| words[row]))?;
                Some((least.to_be_bytes().to_vec(), largest.to_be_bytes().to_vec()))
            }
            KeyValues::Wide(values) => {
                let (least, largest) = least_and_largest(rows.map(|row| values[row]))?;
                Some((wide(least).to_vec(), wide(largest).to_vec()))
            }
            KeyValues::Bytes(bytes) => {
                let (least, largest) = least_and_largest(rows.map(|row| start(bytes.get(row))))?;
                Some((least.to_vec(), largest.to_vec()))
            }
            KeyValues::Dictionary(keys, bytes) => {
                let (least, largest) = least_and_largest(rows.map(|row| start(bytes.get(keys[row] as usize))))?;
                Some((least.to_vec(), largest.to_vec()))
            }
        }
    }

    /// Calls `each` for the values of some rows, none of them missing, with a row that has it and how many rows do: once for a value
    /// behind a dictionary, for every row otherwise.
    pub(crate) fn each_value(&self, rows: &[u32], mut each: impl FnMut(usize, u32)) {
        let KeyValues::Dictionary(keys, bytes) = &self.values else {
            let rows = rows.iter().map(|row| *row as usize).filter(|row| self.has_value(*row));
            return rows.for_each(|row| each(row, 1));
        };
        let mut counts = vec![(0, 0); bytes.len()];
        for row in rows {
            let (first, count) = &mut counts[keys[*row as usize] as usize];
            (*first, *count) = (*row as usize, *count + 1);
        }
        counts.into_iter().filter(|(_, count)| *count > 0).for_each(|(row, count)| each(row, count));
    }
}

fn least_and_largest<T: Ord + Copy>(mut values: impl Iterator<Item = T>) -> Option<(T, T)> {
    let first = values.next()?;
    Some(values.fold((first, first), |(least, largest), value| (least.min(value), largest.max(value))))
}

fn filled<'k>(scratch: &'k mut Vec<u8>, pieces: &[&[u8]]) -> &'k [u8] {
    scratch.clear();
    pieces.iter().for_each(|piece| scratch.extend_from_slice(piece));
    scratch
}

/// A string as it is, or the start of it with a hash of the whole.
fn cut<'k>(bytes: &'k [u8], scratch: &'k mut Vec<u8>) -> &'k [u8] {
    if bytes.len() <= KEPT {
        return bytes;
    }
    filled(scratch, &[&bytes[..KEPT], &xxh3_128(bytes).to_be_bytes()])
}

/// A hash of a key.
pub(crate) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// Whether a type's strings may come behind a dictionary.
pub(crate) fn without_dictionary(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_order_as_numbers_do_and_come_back() {
        let floats = [f64::NEG_INFINITY, -1e300, -5e-324, 0.0, 5e-324, 2.5, f64::INFINITY];
        assert!(floats.is_sorted_by(|one, next| float(*one) < float(*next)));
        assert!(floats.iter().all(|value| to_float(float(*value)) == *value));
        assert_eq!(float(-0.0), float(0.0));
        let integers = [i64::MIN, -1, 0, 1, i64::MAX];
        assert!(integers.is_sorted_by(|one, next| signed(*one) < signed(*next)));
        assert!(integers.iter().all(|value| to_signed(signed(*value)) == *value));
        let decimals = [i128::MIN, -1, 0, 1, i128::MAX];
        assert!(decimals.is_sorted_by(|one, next| wide(*one) < wide(*next)));
        assert!(decimals.iter().all(|value| to_wide(wide(*value)) == *value));
    }

    #[test]
    fn decimals_become_the_nearest_doubles() {
        assert_eq!(decimal_to_f64(12_345, 2), 123.45);
        assert_eq!(decimal_to_f64(-1, 1), -0.1);
        assert_eq!(decimal_to_f64(7, -3), 7_000.0);
    }

    #[test]
    fn long_strings_are_told_apart_by_what_is_cut_off() {
        let (one, two) = (vec![b'x'; 1_000], [vec![b'x'; 999], vec![b'y']].concat());
        let key = |bytes: &[u8]| cut(bytes, &mut Vec::new()).to_vec();
        assert_ne!(key(&one), key(&two));
        assert_eq!(key(&one).len(), KEPT + 16);
        assert_eq!(key(&one[..KEPT]), one[..KEPT]);
    }
}
