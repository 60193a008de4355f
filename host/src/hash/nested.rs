//! Values made of others: dictionaries, lists, structs and maps are hashed from the hashes of their parts.

use super::value::{Tag, null_hash, text_hash, value_hashes};
use super::width::Width;
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, OffsetSizeTrait};
use std::ops::Range;

/// Hashes each distinct value once, unless the dictionary is longer than the column.
pub(super) fn dictionary<W: Width>(array: &ArrayRef) -> Result<Vec<W>> {
    let array = array.as_any_dictionary();
    if array.values().is_empty() {
        return Ok(vec![null_hash(); array.len()]);
    }
    if array.values().len() > array.len() {
        let values = arrow_select::take::take(array.values(), array.keys(), None)
            .map_err(|error| Error::internal("a dictionary's keys do not fit its values").because(error))?;
        return value_hashes(&values);
    }
    let values: Vec<W> = value_hashes(array.values())?;
    // Keys under nulls are arbitrary, and normalised ones are in bounds all the same.
    Ok(array.normalized_keys().into_iter().map(|key| values[key]).collect())
}

pub(super) fn list<W: Width, O: OffsetSizeTrait>(array: &ArrayRef) -> Result<Vec<W>> {
    let array = array.as_list::<O>();
    let (values, ranges) = window(array.values(), array.value_offsets());
    Ok(sequences(Tag::List, ranges, &[value_hashes(&values)?]))
}

pub(super) fn fixed_size_list<W: Width>(array: &ArrayRef) -> Result<Vec<W>> {
    let array = array.as_fixed_size_list();
    let length = array.value_length() as usize;
    let ranges = (0..array.len()).map(|row| row * length..(row + 1) * length);
    Ok(sequences(Tag::List, ranges, &[value_hashes(array.values())?]))
}

pub(super) fn map<W: Width>(array: &ArrayRef) -> Result<Vec<W>> {
    let array = array.as_map();
    let (keys, ranges) = window(array.keys(), array.value_offsets());
    let (values, _) = window(array.values(), array.value_offsets());
    Ok(sequences(Tag::Map, ranges, &[value_hashes(&keys)?, value_hashes(&values)?]))
}

pub(super) fn structure<W: Width>(array: &ArrayRef) -> Result<Vec<W>> {
    let array = array.as_struct();
    let mut columns: Vec<Vec<W>> = Vec::with_capacity(2 * array.num_columns());
    for (name, column) in array.column_names().into_iter().zip(array.columns()) {
        columns.push(vec![text_hash(name); array.len()]);
        columns.push(value_hashes(column)?);
    }
    let mut bytes = Vec::new();
    Ok((0..array.len())
        .map(|row| {
            begin(&mut bytes, Tag::Struct, array.num_columns());
            columns.iter().for_each(|column| column[row].append(&mut bytes));
            W::hash(&bytes)
        })
        .collect())
}

/// The part of `values` that the offsets of a sliced array reach, and the range of each row in it.
fn window<O: OffsetSizeTrait>(values: &ArrayRef, offsets: &[O]) -> (ArrayRef, impl Iterator<Item = Range<usize>>) {
    let start = offsets.first().map_or(0, |offset| offset.as_usize());
    let end = offsets.last().map_or(0, |offset| offset.as_usize());
    let ranges = offsets.windows(2).map(move |pair| pair[0].as_usize() - start..pair[1].as_usize() - start);
    (values.slice(start, end - start), ranges)
}

/// Hashes runs of items; an item is the hashes at one index of all `columns`.
fn sequences<W: Width>(tag: Tag, ranges: impl Iterator<Item = Range<usize>>, columns: &[Vec<W>]) -> Vec<W> {
    let mut bytes = Vec::new();
    ranges
        .map(|range| {
            begin(&mut bytes, tag, range.len());
            for item in range {
                columns.iter().for_each(|column| column[item].append(&mut bytes));
            }
            W::hash(&bytes)
        })
        .collect()
}

fn begin(bytes: &mut Vec<u8>, tag: Tag, length: usize) {
    bytes.clear();
    bytes.push(tag as u8);
    bytes.extend((length as u64).to_le_bytes());
}
