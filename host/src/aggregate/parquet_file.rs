//! Writes one part as Parquet files.

use super::FileSummary;
use super::byte_column::ByteColumn;
use super::chunk::{CHUNK_ROWS, Chunk};
use super::encode::{Closing, ColumnEncoder, Encoders, Load, Ticket, Writer};
use super::pages::ExactPages;
use super::parquet_columns::{claim, leaves, properties};
use super::part::{Files, Place, cannot_write, create_file};
use super::storable::storable;
use crate::digest::Checksum;
use crate::durable::begin_sync;
use crate::{Error, Result};
use arrow_schema::{DataType, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::file::writer::SerializedFileWriter;
use std::collections::VecDeque;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a row group ends is decided on its size as of so many chunks ago: a fixed distance, so that the threads need not be waited for
/// after each chunk and the bytes do not depend on how far they have come.
pub(super) const LAG: usize = 2;

/// How pages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Fast, and read by everything.
    #[default]
    Snappy,
    /// Smaller, and slower to write.
    Zstd,
    /// Not at all.
    None,
}

/// How Parquet files are laid out.
#[derive(Clone, Debug)]
pub struct ParquetOptions {
    /// How pages are compressed.
    pub compression: Compression,
    /// Rows of a row group.
    pub row_group_rows: usize,
    /// Encoded bytes at which a row group ends early, a few thousand rows later.
    pub row_group_bytes: usize,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        Self { compression: Compression::default(), row_group_rows: 131_072, row_group_bytes: 64 << 20 }
    }
}

impl ParquetOptions {
    /// Bytes that an open row group takes: see [`super::Format::group_bytes`].
    pub(super) fn group_bytes(&self, schema: &Schema, rows: Option<u64>, bytes: Option<u64>) -> usize {
        let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let types = || schema.fields().iter().map(|field| field.data_type());
        let widths: usize =
            types().map(|data_type| data_type.primitive_width().unwrap_or(leaves(data_type) * TEXT)).sum();
        // Where only bytes are known, as of CSV, a row has one for each of its columns at the least.
        let rows = rows.or(bytes.map(|bytes| (bytes / schema.fields().len().max(1) as u64).saturating_add(1)));
        let rows = rows.map_or(self.row_group_rows, |rows| self.row_group_rows.min(number(rows)));
        let is_text = types().any(|data_type| data_type.primitive_width().is_none());
        // Texts have no more bytes than the table.
        let texts = if is_text { number(bytes.unwrap_or(u64::MAX)) } else { 0 };
        claim(schema, self, rows.saturating_mul(widths).max(texts.min(self.row_group_bytes)))
    }
}

/// Assumed of values that have no width of their own.
const TEXT: usize = 16;

/// One part's files.
pub(super) struct ParquetPart {
    part: usize,
    place: Place,
    options: ParquetOptions,
    /// Of the files.
    schema: SchemaRef,
    file: Option<OpenFile>,
    group: Group,
    closing: Option<(Closing, usize)>,
}

struct OpenFile {
    path: PathBuf,
    writer: SerializedFileWriter<BufWriter<Checksum<File>>>,
    factory: ArrowRowGroupWriterFactory,
    groups: usize,
    rows: usize,
}

/// The row group that is being encoded.
#[derive(Default)]
struct Group {
    rows: usize,
    load: Load,
    tickets: VecDeque<Ticket>,
}

impl Group {
    fn memory(&self) -> usize {
        let latest = self.tickets.iter().rev().find_map(Ticket::load).unwrap_or(self.load);
        latest.memory + self.tickets.iter().map(Ticket::bytes).sum::<usize>()
    }
}

impl ParquetPart {
    /// The files to come, for rows of the logical `schema`.
    pub(super) fn new(part: usize, place: Place, schema: SchemaRef, options: &ParquetOptions) -> Self {
        let (options, group, schema) = (options.clone(), Group::default(), storable(&schema));
        Self { part, place, options, schema, file: None, group, closing: None }
    }

    /// The file for rows that begin with a chunk, if there are rows.
    fn open_file(&self, first: Option<&Chunk>) -> Result<OpenFile> {
        let path = self.place.path();
        let target = BufWriter::new(Checksum::new(create_file(&path)?));
        let properties = properties(&self.schema, self.options.compression, first)?;
        let (writer, factory) = ArrowWriter::try_new(target, Arc::clone(&self.schema), Some(properties))
            .and_then(ArrowWriter::into_serialized_writer)
            .map(|(writer, factory)| (writer, factory.with_page_store_factory(Arc::new(ExactPages))))
            .map_err(|error| Error::output("cannot write this table as Parquet").file(&path).because(error))?;
        Ok(OpenFile { path, writer, factory, groups: 0, rows: 0 })
    }

    fn end_group(&mut self, encoders: &mut Encoders) -> Result<()> {
        self.collect(encoders)?;
        let group = std::mem::take(&mut self.group);
        if group.rows > 0 {
            self.closing = Some((encoders.close(self.part)?, group.memory()));
        }
        Ok(())
    }

    /// Appends a closed row group to the file.
    fn collect(&mut self, encoders: &mut Encoders) -> Result<()> {
        let (Some((closing, _)), Some(file)) = (self.closing.take(), &mut self.file) else { return Ok(()) };
        let columns = encoders.collect(&closing)?;
        let mut group = file.writer.next_row_group().map_err(|error| cannot_write(&file.path, error))?;
        for column in columns {
            column.append_to(&mut group).map_err(|error| cannot_write(&file.path, error))?;
        }
        group.close().map_err(|error| cannot_write(&file.path, error))?;
        begin_sync(file.writer.inner().get_ref().inner());
        Ok(())
    }
}

impl Files for ParquetPart {
    fn wanted(&mut self, encoders: &mut Encoders) -> Result<usize> {
        while self.group.tickets.len() > LAG
            && let Some(mut ticket) = self.group.tickets.pop_front()
        {
            self.group.load = encoders.wait(&mut ticket)?;
            // the row group before was closed before this chunk, so its columns are ready
            self.collect(encoders)?;
        }
        if self.group.rows >= self.options.row_group_rows || self.group.load.encoded >= self.options.row_group_bytes {
            self.end_group(encoders)?;
        }
        Ok(CHUNK_ROWS.min(self.options.row_group_rows - self.group.rows))
    }

    fn write(&mut self, chunk: Chunk, encoders: &mut Encoders) -> Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open_file(Some(&chunk))?,
        };
        if self.group.rows == 0 {
            encoders.open(self.part, file.column_encoders(&self.schema)?)?;
        }
        file.rows += chunk.rows();
        self.group.rows += chunk.rows();
        self.file = Some(file);
        self.group.tickets.push_back(encoders.encode(self.part, chunk)?);
        Ok(())
    }

    fn claim(&self, rows: &dyn Fn(usize) -> usize) -> usize {
        claim(&self.schema, &self.options, rows(self.options.row_group_rows))
    }

    fn is_open(&self) -> bool {
        self.group.rows > 0
    }

    fn memory(&self) -> usize {
        self.group.memory() + self.closing.as_ref().map_or(0, |(_, memory)| *memory)
    }

    fn drain(&mut self, encoders: &mut Encoders) -> Result<()> {
        self.group.tickets.iter_mut().try_for_each(|ticket| encoders.wait(ticket).map(drop))?;
        self.collect(encoders)
    }

    fn end_file(&mut self, encoders: &mut Encoders) -> Result<FileSummary> {
        self.end_group(encoders)?;
        self.collect(encoders)?;
        let OpenFile { path, writer, rows, .. } = match self.file.take() {
            Some(file) => file,
            None => self.open_file(None)?,
        };
        let target = writer.into_inner().map_err(|error| cannot_write(&path, error))?;
        self.place.end(&path, rows, target)
    }
}

impl OpenFile {
    fn column_encoders(&mut self, schema: &SchemaRef) -> Result<Vec<ColumnEncoder>> {
        let leaves =
            self.factory.create_column_writers(self.groups).map_err(|error| cannot_write(&self.path, error))?;
        self.groups += 1;
        let mut leaves = leaves.into_iter().enumerate().peekable();
        let descriptor = self.writer.schema_descr();
        let mut columns = Vec::with_capacity(schema.fields().len());
        for (index, field) in schema.fields().iter().enumerate() {
            let (mut own, mut first) = (Vec::new(), 0);
            while let Some((leaf, writer)) = leaves.next_if(|(leaf, _)| descriptor.get_column_root_idx(*leaf) == index)
            {
                first = leaf;
                own.push(writer);
            }
            let bytes = match field.data_type() {
                DataType::UInt8 if !field.is_nullable() => {
                    let leaf = descriptor.column(first);
                    let compression = self.writer.properties().compression(leaf.path());
                    ByteColumn::new(leaf, compression)
                }
                _ => None,
            };
            let writer = bytes.map_or(Writer::Leaves(own), |bytes| Writer::Bytes(Box::new(bytes)));
            columns.push(ColumnEncoder { index, field: Arc::clone(field), writer });
        }
        Ok(columns)
    }
}
