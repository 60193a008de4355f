//! A source of which only what is known of it is left: its rows are in a spool.

use crate::source::{BatchReader, Fragment, Source};
use crate::{Error, Result};
use arrow_schema::SchemaRef;

/// What is known of a source.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its columns.
    pub schema: SchemaRef,
    /// What was read, and in which state.
    pub origin: Option<String>,
    /// Its rows.
    pub rows: u64,
    /// The bytes of those on disk.
    pub bytes: u64,
}

impl Source for Recorded {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn fragments(&self) -> &[Fragment] {
        &[]
    }

    fn estimated_rows(&self) -> Option<u64> {
        Some(self.rows)
    }

    fn estimated_bytes(&self) -> Option<u64> {
        Some(self.bytes)
    }

    fn value_bytes(&self) -> Option<u64> {
        Some(self.bytes)
    }

    fn origin(&self) -> Option<String> {
        self.origin.clone()
    }

    fn read(&self, _: &[usize], _: usize) -> Result<BatchReader<'_>> {
        Err(Error::internal("a source of which only a record is left was read"))
    }
}
