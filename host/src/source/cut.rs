//! Batches whose rows have more bytes than are worked on at once come in pieces.

use super::{BatchReader, SourceBatch};
use crate::Result;
use crate::dictionary::{are_shared, words};
use crate::memory::BATCH;
use crate::value_bytes::{column_bytes, rows_within};
use arrow_array::{RecordBatch, StringArray};

/// Cuts what a reader gives by the bytes of its rows, as a dictionary can hold a long text once for thousands of them.
pub(crate) struct Cut<'a> {
    reader: BatchReader<'a>,
    rest: Option<SourceBatch>,
    /// For each column the words of the dictionary that it had last, and how many bytes the longest one has: batches share them.
    words: Vec<Option<(StringArray, u64)>>,
}

impl<'a> Cut<'a> {
    pub(crate) fn new(reader: BatchReader<'a>) -> Self {
        Self { reader, rest: None, words: Vec::new() }
    }

    /// Bytes of the rows of a batch at most, without a look at each row where words are behind a dictionary.
    fn most_bytes(&mut self, batch: &RecordBatch) -> u64 {
        self.words.resize(batch.num_columns(), None);
        let columns = batch.columns().iter().zip(&mut self.words);
        let most = columns.map(|(column, last)| match words(column.as_ref()) {
            Some(words) => longest(words, last).saturating_mul(batch.num_rows() as u64),
            None => column_bytes(column.as_ref()),
        });
        most.fold(0, u64::saturating_add)
    }
}

/// Bytes of the longest of some words, which were looked at before where they are the `last` ones.
fn longest(words: &StringArray, last: &mut Option<(StringArray, u64)>) -> u64 {
    match last {
        Some((known, longest)) if are_shared(known, words) => *longest,
        _ => {
            let longest = words.offsets().lengths().max().unwrap_or(0) as u64;
            *last = Some((words.clone(), longest));
            longest
        }
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
        if self.most_bytes(&read.batch) > BATCH {
            self.rest = read.split_off(rows_within(&read.batch, BATCH));
        }
        Some(Ok(read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Position;
    use arrow_array::types::Int32Type;
    use arrow_array::{ArrayRef, DictionaryArray, Int32Array};
    use std::sync::Arc;

    #[test]
    fn a_text_that_a_dictionary_repeats_counts_in_every_row() {
        let texts = StringArray::from(vec!["x".repeat(1 << 20), "x".to_owned()]);
        let keys = Int32Array::from_iter_values((0..20).map(|row| i32::from(row >= 10)));
        let column: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(texts)));
        let batch = RecordBatch::try_from_iter([("x", column)]).unwrap();
        let read = SourceBatch { position: Position::new(0, "f".into(), 5), batch };
        // Behind it one with short words, and one with other long ones.
        let others = ["x".to_owned(), "y".repeat(3 << 20)].map(|word| {
            let keys = Int32Array::from_iter_values([0; 3]);
            let column: ArrayRef =
                Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(StringArray::from(vec![word]))));
            let batch = RecordBatch::try_from_iter([("x", column)]).unwrap();
            SourceBatch { position: Position::new(0, "f".into(), 100), batch }
        });
        let read = std::iter::once(read).chain(others).map(Ok);
        let pieces: Vec<_> = Cut::new(Box::new(read)).collect::<Result<_>>().unwrap();
        let pieces: Vec<_> = pieces.iter().map(|read| (read.position.start, read.batch.num_rows())).collect();
        assert_eq!(pieces, [(5, 4), (9, 4), (13, 12), (100, 3), (100, 1), (101, 1), (102, 1)]);
    }
}
