//! The aggregator `list`: all rows as one Arrow IPC stream, in the order of the input.

use super::chunk::{CHUNK_ROWS, Pending};
use super::route::{check_columns, count_parts};
use super::{Aggregate, PartSummary, Prepare, Rows, Summary};
use crate::memory::batch_size;
use crate::{Error, Result, Stop};
use arrow_array::types::UInt8Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, RecordBatch, StringArray, UInt8Array};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use std::io::Write;
use std::sync::Arc;

/// The column with the names of the parts.
const PART: &str = "part";

/// Writes all rows as one Arrow IPC stream; the last column, `part`, names each row's part where there is more than one.
pub struct List<W: Write + Send> {
    tagger: Tagger,
    schema: SchemaRef,
    names: Vec<String>,
    rows: Vec<u64>,
    pending: Pending,
    writer: StreamWriter<W>,
    peak_buffered: usize,
}

/// Adds the names of the parts to batches.
#[derive(Clone, Debug)]
pub struct Tagger {
    schema: SchemaRef,
    names: Option<Arc<StringArray>>,
    parts: usize,
}

/// A batch with the names of the parts, and its rows per part.
pub struct Tagged {
    batch: RecordBatch,
    rows: Vec<usize>,
}

impl<W: Write + Send> List<W> {
    /// Starts a stream of rows of the logical `schema`; without a split, `parts` has one name and `split` is false.
    ///
    /// # Errors
    /// Where the table has a column `part` already, or the stream cannot be written.
    pub fn start(target: W, schema: &SchemaRef, parts: &[String], split: bool) -> Result<Self> {
        let tagged = if split { with_part(schema)? } else { Arc::clone(schema) };
        let names = split.then(|| Arc::new(StringArray::from_iter_values(parts)));
        Ok(Self {
            tagger: Tagger { schema: Arc::clone(schema), names, parts: parts.len() },
            writer: StreamWriter::try_new(target, &tagged).map_err(cannot_stream)?,
            schema: tagged,
            names: parts.to_vec(),
            rows: vec![0; parts.len()],
            pending: Pending::default(),
            peak_buffered: 0,
        })
    }

    fn write(&mut self, rows: usize) -> Result<()> {
        let batch = self.pending.take(rows).batch(&self.schema)?;
        self.writer.write(&batch).map_err(cannot_stream)
    }
}

impl<W: Write + Send> Aggregate for List<W> {
    type Prepare = Tagger;

    fn preparation(&self) -> Tagger {
        self.tagger.clone()
    }

    fn push(&mut self, Tagged { batch, rows }: Tagged) -> Result<()> {
        self.rows.iter_mut().zip(rows).for_each(|(total, rows)| *total += rows as u64);
        self.pending.push(batch);
        self.peak_buffered = self.peak_buffered.max(self.pending.bytes());
        while let Some(rows) = self.pending.next_chunk(CHUNK_ROWS) {
            self.write(rows)?;
        }
        Ok(())
    }

    fn finish(mut self, _: &Stop) -> Result<Summary> {
        if self.pending.rows() > 0 {
            self.write(CHUNK_ROWS)?;
        }
        self.writer.finish().map_err(cannot_stream)?;
        self.writer.get_mut().flush().map_err(|error| cannot_stream(error.into()))?;
        let parts = self.names.into_iter().zip(self.rows);
        let parts = parts.map(|(name, rows)| PartSummary { name, rows, files: Vec::new() }).collect();
        Ok(Summary { parts, spilled_bytes: 0, peak_buffered: self.peak_buffered })
    }
}

impl Prepare for Tagger {
    type Item = Tagged;

    fn prepare(&self, Rows { batch, parts, .. }: Rows) -> Result<Tagged> {
        check_columns(&self.schema, &batch)?;
        let rows = count_parts(&batch, parts.as_ref(), self.parts)?;
        let batch = match (&self.names, &parts) {
            (Some(names), Some(ids)) => tag(&batch, ids, names)?,
            (Some(_), None) => return Err(Error::internal("rows came without the ids of their parts")),
            (None, _) => batch,
        };
        Ok(Tagged { batch, rows })
    }

    fn weigh(tagged: &Tagged) -> usize {
        batch_size(&tagged.batch)
    }
}

/// The names of the parts are the dictionary to which the ids are the keys already.
fn tag(batch: &RecordBatch, ids: &UInt8Array, names: &Arc<StringArray>) -> Result<RecordBatch> {
    let wrong = |error: ArrowError| Error::internal("cannot name the parts of rows").because(error);
    let part = DictionaryArray::<UInt8Type>::try_new(ids.clone(), Arc::clone(names) as ArrayRef).map_err(wrong)?;
    let mut fields = batch.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(PART, part.data_type().clone(), false)));
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(part));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(wrong)
}

fn with_part(schema: &SchemaRef) -> Result<SchemaRef> {
    if schema.column_with_name(PART).is_some() {
        return Err(Error::usage("the table has a column that is named like the one for the parts")
            .column(PART)
            .hint("rename or drop the column, or write a dataset instead of a stream"));
    }
    let mut fields = schema.fields().to_vec();
    fields.push(Arc::new(Field::new(PART, DataType::Utf8, false)));
    Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

fn cannot_stream(error: ArrowError) -> Error {
    Error::output("cannot write the stream of rows").because(error)
}
