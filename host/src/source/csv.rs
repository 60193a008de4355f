//! CSV: a fragment is a file; types are guessed from the first rows, and a value that breaks the guess later is an error.

mod decode;
mod infer;
mod locate;
mod types;
mod unclosed;

use super::batches::Batches;
use super::bounds::rows_of_cells;
use super::files::InputFile;
use super::in_turn::{FragmentReader, Fragmented, in_turn};
use super::input::beneath;
use super::normalize::projected;
use super::{BatchReader, Fragment, Source};
use crate::{Error, Result};
use arrow_csv::reader::Format;
use arrow_schema::{ArrowError, DataType, SchemaRef};
use decode::Decoding;
use regex::Regex;
use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::sync::Arc;

/// How CSV files are written.
#[derive(Clone, Debug)]
pub struct CsvOptions {
    /// The byte between fields; a comma by default, a tab for `.tsv`.
    pub delimiter: Option<u8>,
    /// Whether the first record names the columns; they are `column_1`, `column_2` … otherwise.
    pub header: bool,
    /// The values that stand for null, quoted or not; the empty one by default.
    pub nulls: Vec<String>,
    /// Types by column name, such as `int32`, `decimal(10, 2)` or `timestamp[us]`; those of other columns are guessed.
    pub types: BTreeMap<String, String>,
    /// Types by column name instead of guesses, of columns that may be there or not: those of a table seen before.
    pub assumed: BTreeMap<String, DataType>,
    /// From how many rows types are guessed.
    pub infer_rows: usize,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: None,
            header: true,
            nulls: vec![String::new()],
            types: BTreeMap::new(),
            assumed: BTreeMap::new(),
            infer_rows: 10_000,
        }
    }
}

/// CSV files as one table.
pub(super) struct CsvSource {
    schema: SchemaRef,
    physical: Vec<DataType>,
    files: Vec<InputFile>,
    fragments: Vec<Fragment>,
    layout: Layout,
}

/// Where fields begin and end, and which of them are null.
#[derive(Clone)]
struct Layout {
    delimiter: u8,
    header: bool,
    nulls: Option<Regex>,
    /// Where the types of columns come from that were not guessed.
    origins: Arc<BTreeMap<String, Origin>>,
    /// Where those of all others do.
    others: Origin,
}

/// Where the type of a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The first rows, where the user may state another.
    Guessed,
    /// The first rows, of a table that a model goes over which knows no such column.
    Unknown,
    /// The table that a model was fitted on.
    Assumed,
    /// The user.
    Stated,
}

impl CsvSource {
    /// Reads the header of every file, and as many rows as types are guessed from.
    pub(super) fn open(files: Vec<InputFile>, options: &CsvOptions) -> Result<Self> {
        let layout = Layout::new(&files, options)?;
        let schema = Arc::new(infer::schema(&files, &layout, options)?);
        let physical = schema.fields().iter().map(|field| field.data_type().clone()).collect();
        let fragment = |file: &InputFile| Fragment {
            name: file.path.display().to_string().into(),
            rows: None,
            bytes: Some(file.bytes),
        };
        let fragments = files.iter().map(fragment).collect();
        Ok(Self { schema, physical, files, fragments, layout })
    }
}

impl Source for CsvSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn fragments(&self) -> &[Fragment] {
        &self.fragments
    }

    /// What parts an empty field from the next may stand for a number of eight bytes.
    fn value_bytes(&self) -> Option<u64> {
        Some(self.estimated_bytes()?.saturating_mul(8))
    }

    fn files(&self) -> Vec<&InputFile> {
        self.files.iter().collect()
    }

    fn read(&self, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        self.read_from(0, columns, batch_rows)
    }

    fn read_from(&self, start: u64, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        Ok(in_turn(self, start, columns, batch_rows))
    }
}

impl Fragmented for CsvSource {
    fn open(&self, fragment: usize, columns: &[usize], batch_rows: usize) -> Result<FragmentReader> {
        let file = self.files[fragment].clone();
        let reader = file.open()?;
        let failure = reader.failure();
        let decoder = arrow_csv::ReaderBuilder::new(Arc::clone(&self.schema))
            .with_format(self.layout.format())
            .with_projection(columns.to_vec())
            .with_batch_size(rows_of_cells(batch_rows, self.schema.fields().len()))
            .build_decoder();
        let (layout, schema, read) = (self.layout.clone(), Arc::clone(&self.schema), columns.to_vec());
        let unclosed = {
            let (file, layout) = (file.clone(), layout.clone());
            Box::new(move || unclosed::line_of_unclosed(&file, &layout))
        };
        let decoder = Decoding::new(BufReader::new(reader), decoder, unclosed);
        let explain = move |error: ArrowError, rows| {
            let told = || Error::source(format!("the file cannot be read as CSV after {rows} rows")).because(error);
            let located = || locate::locate(&file, &layout, &schema, &read, rows).unwrap_or_else(told);
            beneath(&failure, located).file(&file.path)
        };
        let schema = projected(&self.schema, &self.physical, columns);
        Ok(Box::new(Batches::new(decoder, schema, batch_rows, None, explain)))
    }
}

impl Layout {
    fn new(files: &[InputFile], options: &CsvOptions) -> Result<Self> {
        let tabs = || files.iter().all(|file| file.path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("tsv")));
        let delimiter = options.delimiter.unwrap_or_else(|| if tabs() { b'\t' } else { b',' });
        if matches!(delimiter, b'"' | b'\n' | b'\r') {
            return Err(
                Error::usage("a quote or a line break cannot delimit fields").hint("use `,`, `;`, `|` or a tab")
            );
        }
        let assumed = options.assumed.keys().map(|name| (name.clone(), Origin::Assumed));
        let stated = options.types.keys().map(|name| (name.clone(), Origin::Stated));
        Ok(Self {
            delimiter,
            header: options.header,
            nulls: null_pattern(&options.nulls)?,
            origins: Arc::new(assumed.chain(stated).collect()),
            others: if options.assumed.is_empty() { Origin::Guessed } else { Origin::Unknown },
        })
    }

    /// Where the type of a column comes from.
    fn origin(&self, column: &str) -> Origin {
        self.origins.get(column).copied().unwrap_or(self.others)
    }

    /// The format as arrow-csv wants it.
    fn format(&self) -> Format {
        let format = Format::default().with_header(self.header).with_delimiter(self.delimiter);
        match &self.nulls {
            Some(pattern) => format.with_null_regex(pattern.clone()),
            None => format,
        }
    }

    /// The bare records of a file, of whatever lengths, each with its line.
    fn records<R: Read>(&self, reader: R) -> ::csv::Reader<BufReader<R>> {
        ::csv::ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(self.header)
            .flexible(true)
            .from_reader(BufReader::new(reader))
    }
}

/// A pattern for the values that are null, or none where that is just the empty one, which arrow-csv tests faster.
fn null_pattern(nulls: &[String]) -> Result<Option<Regex>> {
    if let [only] = nulls
        && only.is_empty()
    {
        return Ok(None);
    }
    let alternatives: Vec<String> = nulls.iter().map(|value| regex::escape(value)).collect();
    // Nothing follows the end of a text, so the second pattern matches nothing.
    let pattern = if nulls.is_empty() { r"\za".to_owned() } else { format!(r"\A(?:{})\z", alternatives.join("|")) };
    let pattern = Regex::new(&pattern).map_err(|error| {
        Error::usage("the list of null values is too long")
            .because(error)
            .hint("name only the values that the files use")
    })?;
    Ok(Some(pattern))
}
