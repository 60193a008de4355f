//! Tables of files: one fragment is read after the other.

use super::skip::Skip;
use super::{BatchReader, Position, Source, SourceBatch};
use crate::{Error, Result};
use arrow_array::RecordBatch;

/// The batches of one fragment, in the order of its rows; after an error there are no more.
pub(super) type FragmentReader = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A table whose fragments can be opened one by one.
pub(super) trait Fragmented: Source {
    /// Reads a fragment from its start, as [`Source::read`] reads the table. Its errors need not say which fragment it is.
    fn open(&self, fragment: usize, columns: &[usize], batch_rows: usize) -> Result<FragmentReader>;
}

/// Reads the fragments of a table, one after the other, but for the first `start` rows.
pub(super) fn in_turn<'a>(
    table: &'a impl Fragmented,
    start: u64,
    columns: &[usize],
    batch_rows: usize,
) -> BatchReader<'a> {
    // Fragments that are known to end before the first row are not opened.
    let (mut fragment, mut left) = (0, start);
    while let Some(rows) =
        table.fragments().get(fragment).and_then(|fragment| fragment.rows).filter(|rows| *rows <= left)
    {
        left -= rows;
        fragment += 1;
    }
    let columns = columns.to_vec();
    let reader = Box::new(InTurn { table, columns, batch_rows, fragment, start: 0, reader: None, failed: false });
    if left == 0 { reader } else { Box::new(Skip::new(reader, left)) }
}

struct InTurn<'a, T> {
    table: &'a T,
    columns: Vec<usize>,
    batch_rows: usize,
    fragment: usize,
    /// Rows of the fragment that were given.
    start: u64,
    reader: Option<FragmentReader>,
    failed: bool,
}

impl<T: Fragmented> InTurn<'_, T> {
    fn next_batch(&mut self) -> Result<Option<SourceBatch>> {
        while let Some(fragment) = self.table.fragments().get(self.fragment) {
            let reader = match &mut self.reader {
                Some(reader) => reader,
                None => self.reader.insert(self.table.open(self.fragment, &self.columns, self.batch_rows)?),
            };
            if let Some(batch) = reader.next().transpose()? {
                let position = Position::new(self.fragment, fragment.name.clone(), self.start);
                self.start += batch.num_rows() as u64;
                return Ok(Some(SourceBatch { position, batch }));
            }
            self.reader = None;
            self.fragment += 1;
            self.start = 0;
        }
        Ok(None)
    }
}

impl<T: Fragmented> Iterator for InTurn<'_, T> {
    type Item = Result<SourceBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_batch();
        self.failed = next.is_err();
        let place = |error: Error| match self.table.fragments().get(self.fragment) {
            Some(fragment) => error.fragment(self.fragment).file(&*fragment.name),
            None => error,
        };
        next.map_err(place).transpose()
    }
}
