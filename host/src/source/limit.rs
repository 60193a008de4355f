//! The first rows of a table, for a try.

use super::{BatchReader, Fragment, Source, SourceBatch};
use crate::Result;
use arrow_schema::SchemaRef;

/// A table of which only the first rows are read.
pub struct Limit {
    source: Box<dyn Source>,
    rows: u64,
}

impl Limit {
    /// The first `rows` rows of a source, in its order.
    pub fn new(source: Box<dyn Source>, rows: u64) -> Self {
        Self { source, rows }
    }
}

impl Source for Limit {
    fn schema(&self) -> &SchemaRef {
        self.source.schema()
    }

    fn fragments(&self) -> &[Fragment] {
        self.source.fragments()
    }

    fn inner(&self) -> Option<&dyn Source> {
        Some(self.source.as_ref())
    }

    fn estimated_rows(&self) -> Option<u64> {
        self.source.estimated_rows().map(|rows| rows.min(self.rows))
    }

    /// Those of the first rows are not known.
    fn pass_bytes(&self) -> Option<u64> {
        None
    }

    fn read(&self, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        let reader = self.source.read(columns, batch_rows)?;
        Ok(Box::new(First { reader, left: self.rows }))
    }
}

/// The first rows of what a reader gives.
struct First<'a> {
    reader: BatchReader<'a>,
    left: u64,
}

impl Iterator for First<'_> {
    type Item = Result<SourceBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let mut next = self.reader.next()?;
        if let Ok(read) = &mut next {
            drop(read.split_off(usize::try_from(self.left).unwrap_or(usize::MAX)));
            self.left -= read.batch.num_rows() as u64;
        }
        Some(next)
    }
}
