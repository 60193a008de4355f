//! The form of rows on their way through the sort: plain columns, on disk with the key as the last one.

use super::key::part;
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_buffer::Buffer;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::interleave::interleave;
use std::sync::Arc;

/// Bytes of a key.
const KEY: usize = size_of::<u128>();

/// The schemas of sorted rows.
pub(super) struct Form {
    /// The logical schema, but that every column may hold nulls: who writes the rows refuses those that are not allowed.
    rows: SchemaRef,
    /// The same with the key.
    stored: SchemaRef,
}

/// Some rows that follow each other in the order of their keys.
pub(super) struct Piece {
    pub(super) keys: Vec<u128>,
    pub(super) rows: RecordBatch,
}

impl Piece {
    /// The rows of each part, by its id.
    pub(super) fn into_parts(self) -> Vec<(usize, RecordBatch)> {
        let mut start = 0;
        let same = self.keys.chunk_by(|one, next| part(*one) == part(*next));
        let slice = |keys: &[u128]| {
            let rows = self.rows.slice(start, keys.len());
            start += keys.len();
            (part(keys[0]), rows)
        };
        same.map(slice).collect()
    }
}

impl Form {
    pub(super) fn new(logical: &SchemaRef) -> Self {
        let mut fields: Vec<Field> =
            logical.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let rows = Arc::new(Schema::new(fields.clone()));
        fields.push(Field::new("key", DataType::FixedSizeBinary(KEY as i32), false));
        Self { rows, stored: Arc::new(Schema::new(fields)) }
    }

    /// The schema on disk.
    pub(super) fn stored(&self) -> &SchemaRef {
        &self.stored
    }

    /// A piece as it is kept on disk.
    pub(super) fn store(&self, piece: Piece) -> Result<RecordBatch> {
        let bytes: Vec<u8> = piece.keys.iter().flat_map(|key| key.to_le_bytes()).collect();
        let keys = FixedSizeBinaryArray::try_new(KEY as i32, Buffer::from_vec(bytes), None).map_err(broken)?;
        let mut columns = piece.rows.columns().to_vec();
        columns.push(Arc::new(keys));
        RecordBatch::try_new(Arc::clone(&self.stored), columns).map_err(broken)
    }

    /// A piece as it was before it was kept.
    pub(super) fn load(&self, stored: &RecordBatch) -> Result<Piece> {
        let mut columns = stored.columns().to_vec();
        let keys = columns.pop();
        let keys = keys.as_ref().and_then(|keys| keys.as_fixed_size_binary_opt());
        let keys = keys.ok_or_else(|| Error::internal("sorted rows have lost their keys"))?;
        let (keys, _) = keys.value_data().as_chunks::<KEY>();
        let keys = keys.iter().map(|key| u128::from_le_bytes(*key)).collect();
        Ok(Piece { keys, rows: self.batch(columns, stored.num_rows())? })
    }

    /// Copies rows, each the row of one of `batches`, in the order of `chosen`.
    pub(super) fn gather(&self, batches: &[RecordBatch], chosen: &[(usize, usize)]) -> Result<RecordBatch> {
        let column = |(index, field): (usize, &Arc<Field>)| {
            let pieces: Vec<&ArrayRef> = batches.iter().map(|batch| batch.column(index)).collect();
            gather(field.data_type(), &pieces, chosen).map_err(|error| broken(error).column(field.name()))
        };
        let columns = self.rows.fields().iter().enumerate().map(column).collect::<Result<_>>()?;
        self.batch(columns, chosen.len())
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.rows), columns, &options).map_err(broken)
    }
}

/// Copies values of one type, which in some pieces stand behind a dictionary.
fn gather(data_type: &DataType, pieces: &[&ArrayRef], chosen: &[(usize, usize)]) -> Result<ArrayRef, ArrowError> {
    let packed = |piece: &&ArrayRef| match piece.data_type() == data_type {
        true => None,
        false => piece.as_dictionary_opt::<Int32Type>().cloned(),
    };
    let packed: Vec<_> = pieces.iter().map(packed).collect();
    if packed.iter().all(Option::is_none) {
        let pieces: Vec<&dyn Array> = pieces.iter().map(|piece| piece.as_ref()).collect();
        return interleave(&pieces, chosen);
    }
    let null = new_null_array(data_type, 1);
    let values = pieces.iter().zip(&packed).map(|(piece, packed)| match packed {
        Some(packed) => packed.values().as_ref(),
        None => piece.as_ref(),
    });
    let values: Vec<&dyn Array> = values.chain([null.as_ref()]).collect();
    let chosen = chosen.iter().map(|&(piece, row)| match &packed[piece] {
        None => (piece, row),
        Some(packed) if packed.is_null(row) => (pieces.len(), 0),
        Some(packed) => (piece, packed.keys().value(row) as usize),
    });
    interleave(&values, &chosen.collect::<Vec<_>>())
}

fn broken(error: ArrowError) -> Error {
    Error::internal("rows cannot be put in order").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{DictionaryArray, StringArray};

    #[test]
    fn rows_behind_dictionaries_and_others_are_gathered_as_plain_ones() {
        let values = StringArray::from(vec![Some("a"), None, Some("c")]);
        let keys = vec![Some(2), None, Some(1), Some(0)];
        let packed = DictionaryArray::<Int32Type>::new(keys.into(), Arc::new(values));
        let plain = StringArray::from(vec![Some("x"), None]);
        let batch = |column: ArrayRef| RecordBatch::try_from_iter_with_nullable([("t", column, true)]).unwrap();
        let batches = [batch(Arc::new(plain)), batch(Arc::new(packed))];
        let chosen = [(1, 0), (0, 0), (1, 1), (1, 3), (0, 1), (1, 2), (1, 0)];
        let rows = Form::new(&batches[0].schema()).gather(&batches, &chosen).unwrap();
        let rows: Vec<_> = rows.column(0).as_string::<i32>().iter().collect();
        assert_eq!(rows, [Some("c"), Some("x"), None, Some("a"), None, None, Some("c")]);
    }

    #[test]
    fn a_piece_is_the_same_when_it_was_kept_also_without_columns() {
        let form = Form::new(&Arc::new(Schema::empty()));
        let keys = vec![3, u128::MAX];
        let stored = form.store(Piece { keys: keys.clone(), rows: form.batch(Vec::new(), 2).unwrap() }).unwrap();
        let loaded = form.load(&stored).unwrap();
        assert_eq!((loaded.keys, loaded.rows.num_rows()), (keys, 2));
    }
}
