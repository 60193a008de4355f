//! Batches whose rows have more bytes than are worked on at once come in pieces.

use super::{BatchReader, SourceBatch};
use crate::Result;
use crate::memory::BATCH;
use crate::value_bytes::rows_within;

/// Cuts what a reader gives by the bytes of its rows, as a dictionary can hold a long text once for thousands of them.
pub(crate) struct Cut<'a> {
    reader: BatchReader<'a>,
    rest: Option<SourceBatch>,
}

impl<'a> Cut<'a> {
    pub(crate) fn new(reader: BatchReader<'a>) -> Self {
        Self { reader, rest: None }
    }
}

impl Iterator for Cut<'_> {
    type Item = Result<SourceBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut read = match self.rest.take() {
            Some(rest) => rest,
            None => match self.reader.next()? {
                Ok(read) => read,
                Err(error) => return Some(Err(error)),
            },
        };
        self.rest = read.split_off(rows_within(&read.batch, BATCH));
        Some(Ok(read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Position;
    use arrow_array::types::Int32Type;
    use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
    use std::sync::Arc;

    #[test]
    fn a_text_that_a_dictionary_repeats_counts_in_every_row() {
        let texts = StringArray::from(vec!["x".repeat(1 << 20), "x".to_owned()]);
        let keys = Int32Array::from_iter_values((0..20).map(|row| i32::from(row >= 10)));
        let column: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(texts)));
        let batch = RecordBatch::try_from_iter([("x", column)]).unwrap();
        let read = SourceBatch { position: Position::new(0, "f".into(), 5), batch };
        let pieces: Vec<_> = Cut::new(Box::new([Ok(read)].into_iter())).collect::<Result<_>>().unwrap();
        let pieces: Vec<_> = pieces.iter().map(|read| (read.position.start, read.batch.num_rows())).collect();
        assert_eq!(pieces, [(5, 4), (9, 4), (13, 12)]);
    }
}
