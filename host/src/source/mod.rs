//! Where the rows come from: tables, as Arrow record batches in a fixed order.

mod agree;
mod arrow;
mod batches;
pub mod bigquery;
mod bounds;
mod csv;
mod cut;
mod files;
mod in_turn;
mod input;
mod limit;
mod normalize;
mod objects;
mod parquet;
mod price;
mod sample;
mod skip;

pub(crate) use bounds::parse_type;
pub use csv::CsvOptions;
pub(crate) use cut::Cut;
pub use files::{Format, InputFile};
pub use limit::Limit;
pub(crate) use normalize::conform;
pub use price::Price;
pub use sample::{Fraction, Sample};

use crate::store::{Address, Bucket};
use crate::{Error, ErrorKind, Result, Stop};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use skip::Skip;
pub(crate) use skip::too_few;
use std::path::Path;
use std::sync::Arc;

/// A table that can be read as often as needed, with the same rows every time. Whether they have the same order too is what
/// [`Self::keeps_order`] tells.
pub trait Source: Send + Sync {
    /// The logical schema: no dictionaries, no views, no run-end encoding.
    fn schema(&self) -> &SchemaRef;

    /// The source that this one reads, whose rows it gives in another way: what is not known here is what is known of that one.
    fn inner(&self) -> Option<&dyn Source> {
        None
    }

    /// What the table is made of, as far as it is known before it is read. A place in it names its fragment itself.
    fn fragments(&self) -> &[Fragment];

    /// How many rows there are, as far as it is known without reading them.
    fn estimated_rows(&self) -> Option<u64> {
        match self.inner() {
            Some(inner) => inner.estimated_rows(),
            None => total(self.fragments().iter().map(|fragment| fragment.rows)),
        }
    }

    /// How many bytes are read where all columns are, as they are stored or billed.
    fn estimated_bytes(&self) -> Option<u64> {
        match self.inner() {
            Some(inner) => inner.estimated_bytes(),
            None => total(self.fragments().iter().map(|fragment| fragment.bytes)),
        }
    }

    /// How many bytes the values of all columns have at most, where the source tells: compressed files and dictionaries hold more than is stored.
    fn value_bytes(&self) -> Option<u64> {
        self.inner()?.value_bytes()
    }

    /// Bytes of memory that it takes to read some of the columns, however short the batches are.
    fn reading_bytes(&self, columns: &[usize]) -> u64 {
        self.inner().map_or(0, |inner| inner.reading_bytes(columns))
    }

    /// Bytes of the rows of the pass that was begun last, where the source tells.
    fn pass_bytes(&self) -> Option<u64> {
        self.inner()?.pass_bytes()
    }

    /// Whether another reading gives the rows in the same order, in another run too.
    fn keeps_order(&self) -> bool {
        self.inner().is_none_or(|inner| inner.keeps_order())
    }

    /// What was read and in which state, so that it can be read again; nothing where the files tell.
    fn origin(&self) -> Option<String> {
        self.inner()?.origin()
    }

    /// The time of the state that was read, as `snapshot` in a pipeline file takes it, where it can be read again.
    fn snapshot(&self) -> Option<String> {
        self.inner()?.snapshot()
    }

    /// What a pass over all columns costs, where that is billed.
    fn price(&self) -> Option<Price> {
        self.inner()?.price()
    }

    /// Bytes that were billed so far, where reading is billed.
    fn billed_bytes(&self) -> Option<u64> {
        self.inner()?.billed_bytes()
    }

    /// How often reading broke off and began again where it was, where the source tells.
    fn restarts(&self) -> Option<u64> {
        self.inner()?.restarts()
    }

    /// The files that are read, where there are any, as they were when the source was opened.
    fn files(&self) -> Vec<&InputFile> {
        self.inner().map_or_else(Vec::new, |inner| inner.files())
    }

    /// Names a folder, the user's alone, whose disk has room for what does not fit into memory while it is read.
    fn use_folder(&self, folder: &Path) {
        if let Some(inner) = self.inner() {
            inner.use_folder(folder);
        }
    }

    /// Reads all rows, in order, in physical batches of at most `batch_rows` rows and at least one.
    ///
    /// `columns` are indices into [`Self::schema`]; the batches hold those columns in that order. With no columns they still tell
    /// how many rows there are. A text column may come as `Dictionary(Int32, Utf8)`, and then does so in all batches.
    ///
    /// # Errors
    /// Where the table can no longer be read; what goes wrong later comes out of the iterator, as the last it gives. Each error says
    /// in which file and fragment it arose.
    ///
    /// # Panics
    /// Where there is no such column.
    fn read(&self, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>>;

    /// As [`Self::read`], but for the first `start` rows of all.
    ///
    /// # Errors
    /// As for [`Self::read`].
    fn read_from(&self, start: u64, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        let reader = self.read(columns, batch_rows)?;
        Ok(if start == 0 { reader } else { Box::new(Skip::new(reader, start)) })
    }
}

/// The sum of what files claim, where all of them do.
fn total(mut claims: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    claims.try_fold(0, |sum: u64, claim| Some(sum.saturating_add(claim?)))
}

/// What a source is given by those who open it.
#[derive(Clone)]
pub struct Context {
    /// Is set once the user asks to stop.
    pub stop: Stop,
    /// Takes what people should know though nothing failed.
    pub warn: Arc<dyn Fn(&str) + Send + Sync>,
}

/// The batches of a table, in the order of its rows; after an error there are no more.
pub type BatchReader<'a> = Box<dyn Iterator<Item = Result<SourceBatch>> + Send + 'a>;

/// Some rows with their place in the table.
#[derive(Clone, Debug)]
pub struct SourceBatch {
    /// Where they begin.
    pub position: Position,
    /// The rows.
    pub batch: RecordBatch,
}

/// Where a batch begins.
#[derive(Clone, Debug)]
pub struct Position {
    /// The number of the fragment.
    pub fragment: usize,
    /// The fragment's name.
    pub name: Arc<str>,
    /// Rows of the fragment before the batch.
    pub start: u64,
    /// Where the rows stand in the fragment, where they do not follow each other from `start` on.
    pub rows: Option<Arc<[u64]>>,
}

impl SourceBatch {
    /// Keeps the first `rows` rows and gives the others, if there are any.
    pub(crate) fn split_off(&mut self, rows: usize) -> Option<Self> {
        let all = self.batch.num_rows();
        if rows >= all {
            return None;
        }
        let mut rest = Self { position: self.position.clone(), batch: self.batch.slice(rows, all - rows) };
        rest.position.skip(rows);
        self.batch = self.batch.slice(0, rows);
        Some(rest)
    }
}

impl Position {
    /// Of rows that follow each other.
    pub fn new(fragment: usize, name: Arc<str>, start: u64) -> Self {
        Self { fragment, name, start, rows: None }
    }

    /// Goes on by so many rows of the batch.
    fn skip(&mut self, rows: usize) {
        self.start += rows as u64;
        self.rows = self.rows.take().map(|origin| origin.get(rows..).unwrap_or_default().into());
    }

    /// Places an error, whose rows are counted from the start of the batch. One of the model is not the rows'.
    pub fn place(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::Model {
            return error;
        }
        let error = match &self.rows {
            None => error.offset_rows(self.start).batch(self.start),
            Some(origin) => error
                .map_rows(|row| usize::try_from(row).ok().and_then(|row| origin.get(row)).map_or(row, |row| *row))
                .batch(origin.first().copied().unwrap_or(self.start)),
        };
        error.fragment(self.fragment).file(&*self.name)
    }
}

/// A part of a table that is read from its start to its end: a row group, a record batch, a file or a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// A name for people, such as `data/x.parquet#3`.
    pub name: Arc<str>,
    /// The number of rows, where it is known without reading them.
    pub rows: Option<u64>,
    /// Bytes as they are stored, where that is known.
    pub bytes: Option<u64>,
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
    open_files(path, format, files, csv, u64::MAX)
}

/// As [`open`], of the objects of a store. So many bytes may be fetched before they are asked for, and eight times as many stand behind a
/// compressed message.
///
/// # Errors
/// As for [`open`], and where the store refuses, or there are no credentials for it.
pub fn open_objects(
    address: &str,
    format: Option<Format>,
    csv: &CsvOptions,
    read_ahead: usize,
    context: Context,
) -> Result<Box<dyn Source>> {
    let address = Address::parse(address)?;
    let bucket = Bucket::connect(&address, ErrorKind::Source, context.stop)?;
    let (format, files) = objects::find(&bucket, &address, format, read_ahead as u64)?;
    open_files(&address.to_string(), format, files, csv, (read_ahead as u64).saturating_mul(8))
}

fn open_files(
    path: &str,
    format: Format,
    files: Vec<InputFile>,
    csv: &CsvOptions,
    most: u64,
) -> Result<Box<dyn Source>> {
    let source: Box<dyn Source> = match format {
        Format::Parquet => Box::new(parquet::ParquetSource::open(files)?),
        Format::Csv => Box::new(csv::CsvSource::open(files, csv)?),
        Format::Arrow => Box::new(arrow::ArrowSource::open(files, most)?),
    };
    bounds::check(source.schema()).map_err(|error| error.file(path))?;
    Ok(source)
}

#[cfg(test)]
mod tests;
