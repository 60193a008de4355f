//! Reading from a row on, where a source can only read from its start.

use super::{BatchReader, SourceBatch};
use crate::{Error, Result};

/// Leaves out the first rows.
pub(super) struct Skip<'a> {
    reader: BatchReader<'a>,
    /// Rows that are still to be left out.
    left: u64,
}

impl<'a> Skip<'a> {
    pub(super) fn new(reader: BatchReader<'a>, rows: u64) -> Self {
        Self { reader, left: rows }
    }
}

impl Iterator for Skip<'_> {
    type Item = Result<SourceBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut read = match self.reader.next() {
                Some(Ok(read)) => read,
                Some(Err(error)) => return Some(Err(error)),
                None if std::mem::take(&mut self.left) > 0 => return Some(Err(too_few())),
                None => return None,
            };
            let rows = read.batch.num_rows() as u64;
            if rows <= self.left {
                self.left -= rows;
                continue;
            }
            // Fewer than the batch has, so that they can be counted.
            let skipped = std::mem::take(&mut self.left) as usize;
            return if skipped == 0 { Some(Ok(read)) } else { read.split_off(skipped).map(Ok) };
        }
    }
}

/// Of a source that ends before the row to start from.
pub(crate) fn too_few() -> Error {
    let error = Error::source("the source has fewer rows than an earlier run has brought to their end");
    error.hint("it was changed, or what the earlier run left was: remove that with `wafermill clean`, and run again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Position;
    use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    use std::sync::Arc;

    fn skipping(rows: u64) -> Vec<Result<i64>> {
        let batch = |start: i64| {
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(start..start + 3));
            let position = Position::new(0, "f".into(), start as u64);
            Ok(SourceBatch { position, batch: RecordBatch::try_from_iter([("x", column)]).unwrap() })
        };
        let skip = Skip::new(Box::new([0, 3].into_iter().map(batch)), rows);
        skip.map(|read| read.map(|read| read.position.start as i64)).collect()
    }

    #[test]
    fn rows_that_are_not_there_cannot_be_left_out() {
        let starts = |rows| skipping(rows).into_iter().collect::<Result<Vec<_>>>();
        assert_eq!(starts(0).unwrap(), [0, 3]);
        assert_eq!(starts(4).unwrap(), [4]);
        assert_eq!(starts(6).unwrap(), [] as [i64; 0]);
        let [Err(error)] = &skipping(7)[..] else { panic!("there is no seventh row") };
        assert!(error.message().contains("fewer rows"));
    }
}
