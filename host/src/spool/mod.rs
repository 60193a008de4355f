//! A table on disk: what is billed, or comes over a network, is read once, however many passes there are.
//!
//! The first pass over a spooled source writes what it reads, in its order, to an Arrow IPC file; later passes read the columns that they
//! need from there. Only a spool that is complete is ever read: one that was broken off is written anew. What is read of it is checked: it
//! may lie on disk for days, and a flipped bit would else be in the model.

mod blocks;
mod fill;
mod index;
mod layout;
mod recorded;
mod replay;
mod summing;
mod sums;

pub use index::INDEX;
pub use recorded::Recorded;

use crate::memory::format_size;
use crate::source::{BatchReader, Fragment, Source};
use crate::{Error, Result, durable};
use arrow_ipc::CompressionType;
use arrow_schema::SchemaRef;
use fill::Filling;
use index::Index;
use replay::Replay;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The rows, in the spool's folder.
const ROWS: &str = "rows.arrow";

/// How a spool is written.
#[derive(Clone, Debug)]
pub struct SpoolOptions {
    /// A private folder, which is made where it is missing.
    pub folder: PathBuf,
    /// How buffers are compressed.
    pub compression: SpoolCompression,
}

/// The compression of a spool's buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpoolCompression {
    /// None: for disks faster than about a gigabyte per second.
    #[default]
    None,
    /// Fast.
    Lz4,
    /// Small.
    Zstd,
}

impl SpoolCompression {
    fn codec(self) -> Option<CompressionType> {
        match self {
            Self::None => None,
            Self::Lz4 => Some(CompressionType::LZ4_FRAME),
            Self::Zstd => Some(CompressionType::ZSTD),
        }
    }
}

/// A source that is read once, into a folder, and from there ever after.
pub struct Spool {
    source: Box<dyn Source>,
    /// The columns that are kept, by their positions in the source, in ascending order.
    columns: Vec<usize>,
    options: SpoolOptions,
    /// What is in the folder, once it is complete.
    index: OnceLock<Index>,
}

impl Spool {
    /// A spool of some columns of a source. It is complete already where a spool of these columns was completed in the folder; nothing
    /// else that is there is kept.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn open(source: Box<dyn Source>, columns: Vec<usize>, options: SpoolOptions) -> Result<Self> {
        let index = OnceLock::new();
        match Index::read(&options.folder)?.filter(|found| found.columns == columns) {
            Some(found) => drop(index.set(found)),
            None => clear(&options.folder)?,
        }
        Ok(Self { source, columns, options, index })
    }

    /// Whether a folder has a spool that is complete, and what it says it is.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn is_in(folder: &Path) -> Result<bool> {
        Ok(Self::size_in(folder)?.is_some())
    }

    /// How many rows are there and their bytes, if all of them are.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn size_in(folder: &Path) -> Result<Option<(u64, u64)>> {
        Ok(Index::read(folder)?.map(|index| (index.rows, index.bytes)))
    }

    /// Whether all rows are on disk.
    pub fn is_complete(&self) -> bool {
        self.index.get().is_some()
    }

    /// Where columns of the source are among those that are kept.
    fn positions(&self, columns: &[usize]) -> Result<Vec<usize>> {
        let position = |column: &usize| {
            let missing =
                || Error::internal("a column was not spooled").column(self.source.schema().field(*column).name());
            self.columns.binary_search(column).map_err(|_| missing())
        };
        columns.iter().map(position).collect()
    }
}

impl Source for Spool {
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
        self.index.get().map(|index| index.rows).or_else(|| self.source.estimated_rows())
    }

    fn keeps_order(&self) -> bool {
        self.is_complete() || self.source.keeps_order()
    }

    fn billed_bytes(&self) -> Option<u64> {
        self.source.billed_bytes().or_else(|| self.index.get().and_then(|index| index.billed_bytes))
    }

    fn read(&self, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        self.read_from(0, columns, batch_rows)
    }

    fn read_from(&self, start: u64, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        let positions = self.positions(columns)?;
        match self.index.get() {
            Some(index) => Ok(Box::new(Replay::open(&self.options.folder, index, &positions, batch_rows, start)?)),
            // It would lack the first rows.
            None if start > 0 => self.source.read_from(start, columns, batch_rows),
            None => Ok(Box::new(Filling::start(self, positions, batch_rows)?)),
        }
    }
}

/// Makes the folder, empty.
fn clear(folder: &Path) -> Result<()> {
    let made = durable::remove(folder).and_then(|_| std::fs::create_dir_all(folder));
    made.map_err(|error| cannot_spool(folder, error))
}

/// Refuses to begin what cannot be ended: a pass of so many bytes.
fn check_room(folder: &Path, needed: u64) -> Result<()> {
    // What the file system does not tell is found out by writing.
    let Ok(found) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if needed <= free {
        return Ok(());
    }
    let message = format!("the spool needs about {}, and its disk has {} free", format_size(needed), format_size(free));
    Err(Error::output(message).file(folder).hint(ROOM))
}

const ROOM: &str = "make room on that disk, write to another one with `--out`, read fewer `columns`, compress with `spool_compression = \"zstd\"`, or state `spool = \"never\"` to read the source anew in each pass";

fn cannot_spool(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::output("the spool cannot be written").file(path).because(error).hint(ROOM)
}

fn cannot_read(path: &Path) -> Error {
    Error::source("the spool cannot be read").file(path)
}

#[cfg(test)]
mod tests;
