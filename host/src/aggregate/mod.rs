//! Collects what the workers return, in order, into datasets.
//!
//! Every byte that is written is a function of the logical schema, the options and the rows in order: never of how the rows were cut
//! into batches, of dictionaries, of memory or of threads. To that end rows are cut anew into chunks of a fixed size (`chunk`),
//! brought into one physical form (`canonical`) and only then encoded.

mod arrow_file;
mod byte_column;
mod canonical;
mod chunk;
mod concat;
mod discard;
mod encode;
mod interval;
mod list;
mod pages;
mod parquet_columns;
mod parquet_file;
mod part;
mod route;
mod segment;
mod shuffle;
mod spill;
mod storable;
mod tables;
#[cfg(test)]
mod tests;

pub use concat::{Concat, ConcatOptions};
pub use discard::Discard;
pub use list::{List, Tagged, Tagger};
pub use parquet_file::{Compression, ParquetOptions};
pub use part::Format;
pub use route::{Routed, Router};
pub use segment::{SEGMENTS, forget};
pub use shuffle::{Keyed, Keyer, Shuffle, ShuffleOptions};
pub use tables::{AGGREGATES, TableFiles};

use crate::{Result, Stop};
use arrow_array::{RecordBatch, UInt8Array};
use serde::{Deserialize, Serialize};

/// The rows that are left of one batch of the source, once all steps are applied.
#[derive(Clone, Debug)]
pub struct Rows {
    /// What comes out.
    pub batch: RecordBatch,
    /// The part of each row; nothing where there is no split, and so only one part.
    pub parts: Option<UInt8Array>,
    /// The source's columns that they were made of.
    pub source: RecordBatch,
    /// How many rows the source's batch had.
    pub of: u64,
    /// Where the rows stood in it; nothing where none was dropped.
    pub origin: Option<Vec<u64>>,
}

/// The half of an aggregator that the workers share: it readies batches in parallel.
pub trait Prepare: Clone + Send + Sync {
    /// A batch made ready.
    type Item: Send;

    /// Readies the rows of a batch.
    ///
    /// # Errors
    /// Where they do not have the schema announced, or one belongs to no known part.
    fn prepare(&self, rows: Rows) -> Result<Self::Item>;

    /// Bytes of a batch made ready.
    fn weigh(item: &Self::Item) -> usize;
}

/// The half of an aggregator that one thread drives, in the order of the input manifest.
pub trait Aggregate: Send {
    /// The half that the workers share.
    type Prepare: Prepare;

    /// Rows of the source that an earlier run has brought to their end: those behind them are to be pushed.
    fn start(&self) -> u64 {
        0
    }

    /// Gives the workers their half.
    fn preparation(&self) -> Self::Prepare;

    /// Takes the next batch.
    ///
    /// # Errors
    /// Where a result cannot be encoded or written.
    fn push(&mut self, item: <Self::Prepare as Prepare>::Item) -> Result<()>;

    /// Bytes that went through spill files so far.
    fn spilled_bytes(&self) -> u64 {
        0
    }

    /// Writes what is left and tells what was written.
    ///
    /// # Errors
    /// Where a result cannot be encoded or written, or it is asked to stop.
    fn finish(self, stop: &Stop) -> Result<Summary>;
}

/// What an aggregator wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The parts, by their id.
    pub parts: Vec<PartSummary>,
    /// Bytes that went through spill files.
    pub spilled_bytes: u64,
    /// The most bytes of rows and pages that the aggregator held at a time, as it counts them itself.
    pub peak_buffered: usize,
}

/// What was written of one part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartSummary {
    /// The part's name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Its files, in the order of their rows.
    pub files: Vec<FileSummary>,
}

/// One file of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSummary {
    /// Its path in the dataset, with `/` between the names.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// `xxh3:` and the checksum of its bytes.
    pub checksum: String,
}
