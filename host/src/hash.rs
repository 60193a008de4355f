//! Canonical hashes of keys and rows, of 64 bits, and of rows of 128, version 1; `docs/hash.md` defines them for other implementations.
//!
//! Equal values hash alike whatever their width, encoding or source: `Int8` and `UInt64`, `Float32` and `Float64`,
//! plain and dictionary-encoded text, decimals of any scale.

mod decimal;
mod nested;
mod value;
mod width;

use crate::{Error, Result};
use arrow_array::{Array, ArrayRef, UInt64Array};
use value::{text_hash, value_hashes};
use width::Width;

/// The version of the format; a change of any hash is a new version.
pub const VERSION: u32 = 1;

/// Hashes each row's key: the values of `columns`, in order.
///
/// The hash starts as 0 and takes up each column as XXH3 of its own 8 bytes followed by the 8 bytes of the value's hash. A null
/// has a hash like any value, so the result holds no nulls.
///
/// # Errors
/// Where there is no column, or one of a type that has no canonical form (unions, run-end encoding).
pub fn key_hash(columns: &[ArrayRef]) -> Result<UInt64Array> {
    let rows = common_length(columns.iter())?;
    let mut hashes = vec![0; rows];
    for column in columns {
        for (hash, value) in hashes.iter_mut().zip(value_hashes(column)?) {
            *hash = u64::pair(*hash, value);
        }
    }
    Ok(hashes.into())
}

/// Hashes each row's whole content: the names and values of `columns`, in whatever order they stand.
///
/// # Errors
/// Where there is no column, or one of a type that has no canonical form (unions, run-end encoding).
pub fn row_hash(columns: &[(&str, ArrayRef)]) -> Result<UInt64Array> {
    let rows = common_length(columns.iter().map(|(_, column)| column))?;
    row_hashes::<u64>(columns, rows).map(UInt64Array::from)
}

/// 128 bits of each row's whole content, by which rows are put in an order that does not depend on how they came.
///
/// Rows with equal keys are equal: unlike [`row_hash`], −0.0 and 0.0 differ, and so do all milliseconds of a day in `Date64`. Two
/// different ones of 10⁹ rows have equal keys with a probability of less than 10⁻²⁰.
///
/// # Errors
/// Where a column is of a type that has no canonical form (unions, run-end encoding), or has not as many rows as are told.
pub fn order_keys(columns: &[(&str, ArrayRef)], rows: usize) -> Result<Vec<u128>> {
    match columns {
        [] => Ok(vec![0; rows]),
        _ => row_hashes(columns, rows),
    }
}

fn row_hashes<W: Width>(columns: &[(&str, ArrayRef)], rows: usize) -> Result<Vec<W>> {
    let mut sums = vec![W::ZERO; rows];
    for (name, column) in columns {
        if column.len() != rows {
            return Err(uneven(rows, column.len()));
        }
        let name_hash: W = text_hash(name);
        let values = value_hashes(column).map_err(|error| error.column(*name))?;
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = sum.plus(W::pair(name_hash, value));
        }
    }
    let count = W::from(columns.len() as u64);
    sums.iter_mut().for_each(|sum| *sum = W::pair(*sum, count));
    Ok(sums)
}

fn common_length<'a>(mut columns: impl Iterator<Item = &'a ArrayRef>) -> Result<usize> {
    let Some(first) = columns.next() else {
        return Err(Error::usage("a hash needs at least one column").hint("name the columns that make up the key"));
    };
    match columns.find(|column| column.len() != first.len()) {
        None => Ok(first.len()),
        Some(other) => Err(uneven(first.len(), other.len())),
    }
}

fn uneven(first: usize, other: usize) -> Error {
    Error::internal(format!("columns of {first} and {other} rows cannot be hashed together"))
}

#[cfg(test)]
mod tests;
