//! Reading from a row on, where a source can only read from its start.

use super::{BatchReader, SourceBatch};
use crate::Result;

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
            let SourceBatch { mut position, batch } = match self.reader.next()? {
                Ok(read) => read,
                Err(error) => return Some(Err(error)),
            };
            let rows = batch.num_rows();
            if rows as u64 <= self.left {
                self.left -= rows as u64;
                continue;
            }
            // Fewer than the batch has, so that they can be counted.
            let skipped = std::mem::take(&mut self.left) as usize;
            position.skip(skipped);
            return Some(Ok(SourceBatch { position, batch: batch.slice(skipped, rows - skipped) }));
        }
    }
}
