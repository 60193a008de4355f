//! Parquet: a fragment is a row group, and text that is stored as a dictionary stays one.

mod checked;
mod chunk;
mod delta;
mod footer;
mod header;
mod pages;
mod rows;

use super::agree::agree;
use super::batches::{Batches, Decoder};
use super::files::InputFile;
use super::in_turn::{FragmentReader, Fragmented, in_turn};
use super::input::{Chunks, beneath};
use super::normalize::{convert, logical_type, projected, text_dictionary};
use super::{BatchReader, Fragment, Source};
use crate::guard::guard;
use crate::memory::BATCH;
use crate::value_bytes::value_bytes;
use crate::{Error, Result};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use checked::{Group, Refused};
use footer::load_footers;
use pages::{is_dictionary, reading_bytes};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use rows::{Joined, RowBytes, value_bytes_of};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Parquet files as one table.
pub(super) struct ParquetSource {
    schema: SchemaRef,
    /// The type in which each column comes.
    physical: Vec<DataType>,
    files: Vec<ParquetFile>,
    fragments: Vec<Fragment>,
    /// For each fragment its file and its row group.
    row_groups: Vec<(usize, usize)>,
    ahead: Mutex<Option<Ahead>>,
}

struct ParquetFile {
    file: InputFile,
    metadata: ArrowReaderMetadata,
}

impl ParquetSource {
    /// Reads the footers of all files; they are kept, so that a fragment is opened without reading them again.
    pub(super) fn open(files: Vec<InputFile>) -> Result<Self> {
        let footers = load_footers(&files)?;
        let logical: Vec<Schema> = footers.iter().map(|footer| convert(footer.schema(), stored_type)).collect();
        let schema = agree(files.iter().map(|file| file.path.as_path()).zip(&logical))?;
        let physical: Vec<DataType> = (0..schema.fields().len())
            .map(|column| physical_type(schema.field(column).data_type(), column, &footers))
            .collect();

        let mut source = Self {
            schema: Arc::new(schema),
            physical,
            files: Vec::new(),
            fragments: Vec::new(),
            row_groups: Vec::new(),
            ahead: Mutex::default(),
        };
        for ((file, footer), logical) in files.into_iter().zip(footers).zip(logical) {
            source.add_file(file, footer, &logical)?;
        }
        Ok(source)
    }

    fn add_file(&mut self, file: InputFile, footer: ArrowReaderMetadata, logical: &Schema) -> Result<()> {
        let typed =
            |(field, data_type): (&Arc<Field>, &DataType)| field.as_ref().clone().with_data_type(data_type.clone());
        let schema = Schema::new(logical.fields().iter().zip(&self.physical).map(typed).collect::<Vec<_>>());
        let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
        let footer = Arc::clone(footer.metadata());
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(&footer), options).map_err(|error| {
            Error::source("the columns cannot be read as Arrow").because(error).file(&file.path).hint(CORRUPT)
        })?;
        for (index, group) in footer.row_groups().iter().enumerate() {
            let rows = u64::try_from(group.num_rows()).map_err(|_| {
                Error::source(format!("row group {index} has {} rows", group.num_rows())).file(&file.path).hint(CORRUPT)
            })?;
            let bytes = group.columns().iter().map(|chunk| u64::try_from(chunk.compressed_size()).unwrap_or(0));
            self.fragments.push(Fragment {
                name: format!("{}#{index}", file.path.display()).into(),
                rows: Some(rows),
                bytes: Some(bytes.fold(0, u64::saturating_add)),
            });
            self.row_groups.push((self.files.len(), index));
        }
        self.files.push(ParquetFile { file, metadata });
        Ok(())
    }
}

/// Columns of a fragment that are being fetched before it is opened.
struct Ahead {
    fragment: usize,
    mask: ProjectionMask,
    chunks: Chunks,
}

impl ParquetSource {
    /// The bytes of a fragment's columns. Where they come from a store, and there is room, those of the next one are asked for as well.
    fn chunks(&self, fragment: usize, mask: &ProjectionMask) -> Result<Chunks> {
        let begun = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
        let chunks = match begun.filter(|ahead| ahead.fragment == fragment && ahead.mask == *mask) {
            Some(ahead) => ahead.chunks,
            None => self.open_columns(fragment, mask)?,
        };
        let next = fragment + 1;
        if chunks.leave_room() && next < self.fragments.len() {
            let ahead = Ahead { fragment: next, mask: mask.clone(), chunks: self.open_columns(next, mask)? };
            // one that would be read window by window begins with nothing
            if ahead.chunks.leave_room() {
                *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
            }
        }
        Ok(chunks)
    }

    fn open_columns(&self, fragment: usize, mask: &ProjectionMask) -> Result<Chunks> {
        let (file, row_group) = self.row_groups[fragment];
        let ParquetFile { file, metadata } = &self.files[file];
        let chunks = metadata.metadata().row_group(row_group).columns().iter().enumerate();
        file.open_columns(chunks.filter(|(leaf, _)| mask.leaf_included(*leaf)).filter_map(|(_, chunk)| extent(chunk)))
    }
}

impl Source for ParquetSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn fragments(&self) -> &[Fragment] {
        &self.fragments
    }

    fn value_bytes(&self) -> Option<u64> {
        let footers = self.files.iter().map(|file| file.metadata.metadata());
        let mut chunks = footers.flat_map(|footer| footer.row_groups()).flat_map(|group| group.columns());
        chunks.try_fold(0, |sum: u64, chunk| Some(sum.saturating_add(value_bytes_of(chunk)?)))
    }

    /// A page and a dictionary of each column.
    fn reading_bytes(&self, columns: &[usize]) -> u64 {
        let of_group = |(file, group): &(usize, usize)| {
            let metadata = &self.files[*file].metadata;
            let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied());
            let chunks = metadata.metadata().row_group(*group).columns().iter().enumerate();
            let read = chunks.filter(|(leaf, _)| mask.leaf_included(*leaf));
            read.map(|(_, chunk)| reading_bytes(chunk)).fold(0, u64::saturating_add)
        };
        self.row_groups.iter().map(of_group).max().unwrap_or(0)
    }

    fn files(&self) -> Vec<&InputFile> {
        self.files.iter().map(|file| &file.file).collect()
    }

    fn use_folder(&self, folder: &Path) {
        self.files.iter().for_each(|file| file.file.use_folder(folder));
    }

    fn read(&self, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        self.read_from(0, columns, batch_rows)
    }

    fn read_from(&self, start: u64, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        Ok(in_turn(self, start, columns, batch_rows))
    }
}

impl Fragmented for ParquetSource {
    fn open(&self, fragment: usize, columns: &[usize], batch_rows: usize) -> Result<FragmentReader> {
        let (file, row_group) = self.row_groups[fragment];
        let ParquetFile { file, metadata } = &self.files[file];
        let path = file.path.clone();
        let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied());
        let roots = metadata.parquet_schema();
        let in_dictionary = |leaf| self.physical[roots.get_column_root_idx(leaf)] == text_dictionary();
        let rows = self.fragments[fragment].rows.unwrap_or(0);
        let chunks = self.chunks(fragment, &mask)?;
        let (failure, refused) = (chunks.failure(), Refused::default());
        let group = Group::new(chunks, Arc::clone(metadata.metadata()), row_group, Arc::clone(&refused));
        let explain = move |error: ArrowError, _| {
            let what = format!("row group {row_group} cannot be decoded");
            let error = beneath(&failure, || Error::source(what).because(error).hint(CORRUPT)).file(&path);
            refused.get().into_iter().fold(error, |error, column| error.column(column))
        };
        let open = || {
            let chunks = metadata.metadata().row_group(row_group).columns().iter().enumerate();
            let mut sizes = RowBytes::new(batch_rows, rows);
            for (leaf, chunk) in chunks.filter(|(leaf, _)| mask.leaf_included(*leaf)) {
                let stays = in_dictionary(leaf);
                let copied = chunk.column_type() == Type::BYTE_ARRAY && !(stays && is_dictionary(chunk));
                let longest = if copied { group.longest_in_dictionary(leaf)? } else { 0 };
                sizes.add(chunk, stays, longest);
            }
            let levels = parquet_to_arrow_field_levels(roots, mask.clone(), Some(metadata.schema().fields()))?;
            let reader = ParquetRecordBatchReader::try_new_with_row_groups(&levels, &group, sizes.at_once(), None)?;
            Ok((reader, sizes.told))
        };
        let opened = guard(|| open().map_err(|error: ParquetError| ArrowError::from(error))).flatten();
        let (reader, told) = opened.map_err(|error| explain(error, 0))?;
        let reader: Decoder = match told {
            true => Box::new(reader),
            false => Box::new(Joined::new(reader, batch_rows, BATCH, value_bytes)),
        };
        let order = reading_order(columns);
        let decoder = reader.map(move |batch| batch?.project(&order));
        let schema = projected(&self.schema, &self.physical, columns);
        Ok(Box::new(Batches::new(decoder, schema, batch_rows, self.fragments[fragment].rows, explain)))
    }
}

const CORRUPT: &str = "the file is damaged or was written by a broken writer; write it anew, or leave it out";

/// Where a column chunk lies in its file; nothing where its footer makes no sense of it, which its decoder tells.
fn extent(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = chunk.dictionary_page_offset().filter(|offset| *offset > 0).unwrap_or(chunk.data_page_offset());
    let start = u64::try_from(start).ok()?;
    Some(start..start.checked_add(u64::try_from(chunk.compressed_size()).ok()?)?)
}

/// The logical type of a stored column. Parquet has one text and one binary type; the offset width that its writer noted down
/// for itself does not belong to the table.
fn stored_type(noted: &DataType) -> DataType {
    match logical_type(noted) {
        DataType::LargeUtf8 => DataType::Utf8,
        DataType::LargeBinary => DataType::Binary,
        other => other,
    }
}

/// How a column is read, the same for all row groups of all files: as a dictionary where most of its values are stored so.
///
/// Making dictionaries of values stored plainly costs more than it saves, so a column that merely begins with a dictionary page
/// (a writer gives up on one that grows too large) is read as it is.
fn physical_type(logical: &DataType, column: usize, footers: &[ArrowReaderMetadata]) -> DataType {
    if *logical != DataType::Utf8 {
        return logical.clone();
    }
    let (mut values, mut in_dictionaries) = (0_i128, 0_i128);
    for footer in footers {
        let chunks = footer.metadata().row_groups().iter();
        for chunk in chunks.filter_map(|group| Some(group.column(leaf(footer.metadata(), column)?))) {
            values += i128::from(chunk.num_values());
            if is_dictionary(chunk) {
                in_dictionaries += i128::from(chunk.num_values());
            }
        }
    }
    if in_dictionaries > 0 && 2 * in_dictionaries >= values { text_dictionary() } else { logical.clone() }
}

/// The leaf column that holds a top-level column that is not nested.
fn leaf(metadata: &ParquetMetaData, column: usize) -> Option<usize> {
    let schema = metadata.file_metadata().schema_descr();
    (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == column)
}

/// Where each of `columns` stands in what the reader returns: it reads every column once, in the order of the file.
pub(super) fn reading_order(columns: &[usize]) -> Vec<usize> {
    let mut read = columns.to_vec();
    read.sort_unstable();
    read.dedup();
    columns.iter().map(|column| read.partition_point(|other| other < column)).collect()
}
