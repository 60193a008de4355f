//! Where the rows come from: tables cut into fragments that are read in parallel, as Arrow record batches.

mod agree;
mod arrow;
mod batches;
mod csv;
mod files;
mod normalize;
mod parquet;

pub use csv::CsvOptions;
pub use files::Format;

use crate::Result;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

/// The batches of one fragment, in the order of its rows; after an error there are no more.
pub type BatchReader = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A table whose rows are read in fragments, each as often as needed and by any thread.
pub trait Source: Send + Sync {
    /// The logical schema: no dictionaries, no views, no run-end encoding.
    fn schema(&self) -> &SchemaRef;

    /// The input manifest: the fragments in order, fixed when the source was opened.
    fn fragments(&self) -> &[Fragment];

    /// Reads a fragment from its start, in physical batches of at most `batch_rows` rows.
    ///
    /// `columns` are indices into [`Self::schema`]; the batches hold those columns in that order. With no columns they still tell
    /// how many rows there are. A text column may come as `Dictionary(Int32, Utf8)`, and then does so in all batches.
    ///
    /// # Errors
    /// Where the fragment can no longer be opened; what goes wrong later comes out of the iterator. Each error says in which file
    /// and fragment it arose.
    ///
    /// # Panics
    /// Where there is no such fragment or column.
    fn read(&self, fragment: usize, columns: &[usize], batch_rows: usize) -> Result<BatchReader>;
}

/// A part of a source that one thread reads at a time: a row group, a record batch or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// A name for people, such as `data/x.parquet#3`.
    pub name: String,
    /// The number of rows, where it is known without reading them.
    pub rows: Option<u64>,
    /// Bytes as they are stored.
    pub bytes: u64,
}

/// Opens a file, a folder or a glob such as `data/2024-*.parquet`; several files make up one table, in the order of their paths.
///
/// The format is told by the extension where `format` is `None`. Folders are searched with all their subfolders for files of a known
/// format; names that start with `.` or `_` are skipped.
///
/// # Errors
/// Where nothing is found, a file cannot be read, two columns have one name, or the files' schemas differ.
pub fn open(path: &str, format: Option<Format>, csv: &CsvOptions) -> Result<Box<dyn Source>> {
    let (format, files) = files::find(path, format)?;
    Ok(match format {
        Format::Parquet => Box::new(parquet::ParquetSource::open(files)?),
        Format::Csv => Box::new(csv::CsvSource::open(files, csv)?),
        Format::Arrow => Box::new(arrow::ArrowSource::open(files)?),
    })
}

#[cfg(test)]
mod tests;
