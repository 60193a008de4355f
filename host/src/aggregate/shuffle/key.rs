//! What rows are sorted by; done by the workers.

use super::super::route::{check_columns, count_parts};
use super::super::{Prepare, Rows};
use crate::memory::batch_size;
use crate::value_bytes::{column_bytes, running_bytes};
use crate::{Error, ErrorKind, Result, hash};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, RecordBatch, RecordBatchOptions};
use arrow_cast::CastOptions;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// Bits of a key that its row's hash has; the part is above them, so that parts come one after the other.
const HASH_BITS: u32 = 120;

/// Computes the keys of batches.
#[derive(Clone, Debug)]
pub struct Keyer {
    schema: SchemaRef,
    parts: usize,
}

/// The rows of one batch, with their keys.
pub struct Keyed {
    pub(super) rows: RecordBatch,
    pub(super) keys: Vec<u128>,
    /// Bytes of each row's values.
    pub(super) weights: Vec<u32>,
}

impl Keyer {
    /// Keys for batches of the logical `schema`, whose rows are of `parts` parts.
    pub(super) fn new(schema: SchemaRef, parts: usize) -> Self {
        Self { schema, parts }
    }
}

impl Prepare for Keyer {
    type Item = Keyed;

    fn prepare(&self, Rows { batch, parts, source, .. }: Rows) -> Result<Keyed> {
        check_columns(&self.schema, &batch)?;
        count_parts(&batch, parts.as_ref(), self.parts)?;
        let names = source.schema_ref().fields().iter().map(|field| field.name().as_str());
        let columns: Vec<_> = names.zip(source.columns().iter().cloned()).collect();
        let mut keys = hash::order_keys(&columns, batch.num_rows()).map_err(|error| match error.kind() {
            ErrorKind::Usage => error.hint("leave the column out, or write the rows with `order = \"stream\"`"),
            _ => error,
        })?;
        keys.iter_mut().for_each(|key| *key >>= u128::BITS - HASH_BITS);
        if let Some(parts) = parts {
            keys.iter_mut().zip(parts.values()).for_each(|(key, part)| *key |= u128::from(*part) << HASH_BITS);
        }
        let rows =
            unpacked(batch).map_err(|error| Error::internal("a dictionary cannot be unpacked").because(error))?;
        let weights = weights(&rows);
        Ok(Keyed { rows, keys, weights })
    }

    fn weigh(keyed: &Keyed) -> usize {
        batch_size(&keyed.rows) + size_of_val(&keyed.keys[..]) + size_of_val(&keyed.weights[..])
    }
}

/// The part of a key's row.
pub(super) fn part(key: u128) -> usize {
    (key >> HASH_BITS) as usize
}

/// Bytes of the values of each row.
pub(super) fn weights(rows: &RecordBatch) -> Vec<u32> {
    let mut before = 0;
    let weight = |sum: u64| u32::try_from(sum - std::mem::replace(&mut before, sum)).unwrap_or(u32::MAX);
    running_bytes(rows).into_iter().map(weight).collect()
}

/// The same rows without dictionaries that take more memory than their values would, one for each row.
fn unpacked(batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns: Vec<ArrayRef> = batch.columns().iter().map(smaller).collect::<Result<_, _>>()?;
    let fields = batch.schema_ref().fields().iter().zip(&columns);
    let fields: Vec<Field> =
        fields.map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone())).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn smaller(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let DataType::Dictionary(_, value) = column.data_type() else { return Ok(Arc::clone(column)) };
    let plain = column.len() * size_of::<i32>() + column_bytes(column) as usize;
    let dictionary = |packed: &DictionaryArray<Int32Type>| packed.values().to_data().get_slice_memory_size();
    match column.as_dictionary_opt::<Int32Type>() {
        Some(packed) if dictionary(packed)? < plain => Ok(Arc::clone(column)),
        _ => arrow_cast::cast_with_options(column, value, &CastOptions { safe: false, ..CastOptions::default() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float64Array, Int64Array, StringArray, UInt8Array};

    fn keyed(parts: Option<&UInt8Array>, columns: [(&str, ArrayRef); 2]) -> Result<Keyed> {
        let source = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)));
        let source = source.unwrap();
        let rows = source.project(&[0]).unwrap();
        let of = rows.num_rows() as u64;
        Keyer::new(rows.schema(), 3).prepare(Rows { batch: rows, parts: parts.cloned(), source, of, origin: None })
    }

    fn numbers() -> (&'static str, ArrayRef) {
        ("n", Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(1)])))
    }

    #[test]
    fn equal_rows_have_equal_keys_and_others_have_others() {
        let nan = f64::from_bits(0xfff8_0000_0000_1234);
        let floats = |values: [f64; 4]| ("x", Arc::new(Float64Array::from(values.to_vec())) as ArrayRef);
        let keys = |values| keyed(Some(&vec![0, 0, 0, 0].into()), [numbers(), floats(values)]).unwrap().keys;
        let first = keys([0.0, 0.0, nan, 0.0]);
        assert_eq!(first, keys([0.0, 0.0, f64::NAN, 0.0]));
        assert!(first[0] == first[3] && first[0] != first[1] && first[1] != first[2]);
        assert_ne!(
            keys([0.0, 0.0, nan, -0.0])[3],
            first[3],
            "what is written differs, so that ties would not be harmless"
        );
    }

    #[test]
    fn keys_ascend_by_part_first() {
        let other = ("x", Arc::new(Int64Array::from(vec![7; 4])) as ArrayRef);
        let keys = keyed(Some(&vec![2, 0, 1, 0].into()), [numbers(), other.clone()]).unwrap().keys;
        assert_eq!(keys.iter().map(|key| part(*key)).collect::<Vec<_>>(), [2, 0, 1, 0]);
        assert!(keyed(Some(&vec![2, 0, 3, 0].into()), [numbers(), other.clone()]).is_err());
        assert!(keyed(None, [numbers(), other]).is_err());
    }

    #[test]
    fn dictionaries_are_unpacked_where_that_takes_less_memory() {
        let dictionary = |values: Vec<String>, keys: Vec<i32>| -> ArrayRef {
            Arc::new(DictionaryArray::<Int32Type>::new(keys.into(), Arc::new(StringArray::from(values))))
        };
        let many = dictionary((0..1_000).map(|value| value.to_string()).collect(), vec![5, 5]);
        assert_eq!(smaller(&many).unwrap().data_type(), &DataType::Utf8);
        let long = dictionary(vec!["long ".repeat(1_000)], vec![0, 0]);
        assert_eq!(smaller(&long).unwrap().data_type(), long.data_type());
    }
}
