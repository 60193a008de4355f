//! Canonical 64-bit hashes of keys and rows, version 1; `docs/hash.md` defines them for other implementations.
//!
//! Equal values hash alike whatever their width, encoding or source: `Int8` and `UInt64`, `Float32` and `Float64`,
//! plain and dictionary-encoded text, decimals of any scale.

mod decimal;
mod nested;
mod value;

use crate::{Error, Result};
use arrow_array::{Array, ArrayRef, UInt64Array};
use value::value_hashes;
use xxhash_rust::xxh3::xxh3_64;

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
            *hash = pair(*hash, value);
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
    let mut sums = vec![0_u64; rows];
    for (name, column) in columns {
        let name_hash = value::text_hash(name);
        let values = value_hashes(column).map_err(|error| error.column(*name))?;
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = sum.wrapping_add(pair(name_hash, value));
        }
    }
    let count = columns.len() as u64;
    Ok(UInt64Array::from_iter_values(sums.into_iter().map(|sum| pair(sum, count))))
}

/// XXH3 of two hashes, each as 8 little-endian bytes.
fn pair(first: u64, second: u64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&second.to_le_bytes());
    xxh3_64(&bytes)
}

fn common_length<'a>(mut columns: impl Iterator<Item = &'a ArrayRef>) -> Result<usize> {
    let Some(first) = columns.next() else {
        return Err(Error::usage("a hash needs at least one column").hint("name the columns that make up the key"));
    };
    match columns.find(|column| column.len() != first.len()) {
        None => Ok(first.len()),
        Some(other) => Err(Error::internal(format!(
            "columns of {} and {} rows cannot be hashed together",
            first.len(),
            other.len()
        ))),
    }
}

#[cfg(test)]
mod tests;
