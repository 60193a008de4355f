//! The tables that aggregates learned, as files of a dataset.

use super::{Aggregate, Concat, ConcatOptions, FileSummary, Format};
use crate::contract::{Context, ModelTable, PART};
use crate::{Error, Result, Stop};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of aggregates in a dataset.
pub const AGGREGATES: &str = "aggregates";

/// Writes the tables of aggregates to a dataset.
pub struct TableFiles<'a> {
    dataset: &'a Path,
    /// For each part, by its id.
    parts: &'a [String],
    options: ConcatOptions,
    /// Where a file is until it is complete.
    making: PathBuf,
}

impl<'a> TableFiles<'a> {
    /// Makes the folder for them anew: what an earlier run left in it goes.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn create(
        dataset: &'a Path,
        parts: &'a [String],
        format: &Format,
        scratch: &Path,
        stop: &Stop,
    ) -> Result<Self> {
        let mut options = ConcatOptions::new(scratch);
        (options.format, options.threads, options.stop) = (format.clone(), 1, stop.clone());
        (options.file_rows, options.file_bytes) = (u64::MAX, u64::MAX);
        let files = Self { dataset, parts, options, making: scratch.join("making") };
        for folder in [dataset.join(AGGREGATES), files.making.clone()] {
            let removed = match std::fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => std::fs::create_dir(&folder),
            };
            removed.map_err(|error| cannot_write(&folder, error))?;
        }
        Ok(files)
    }

    /// The columns of a table as it is written: names stand for the ids of parts.
    pub fn schema(table: &Schema) -> SchemaRef {
        let id = Context::Part.field();
        let named = |field: &Arc<Field>| match field.name() == id.name() {
            true => Arc::new(Field::new(PART, DataType::Utf8, false)),
            false => field.clone(),
        };
        Arc::new(Schema::new(table.fields().iter().map(named).collect::<Vec<_>>()))
    }

    /// Writes the table of an aggregate that stands at `position` in its plan: the first one is named after the aggregate, any other
    /// also after itself.
    ///
    /// # Errors
    /// Where it cannot be read or written, or names a part that is none.
    pub fn write(
        &self,
        aggregate: &str,
        position: usize,
        table: &ModelTable,
        rows: impl Iterator<Item = Result<RecordBatch>>,
    ) -> Result<FileSummary> {
        let mut concat =
            Concat::create(&self.making, &Self::schema(&table.schema), &[AGGREGATES.to_owned()], &self.options)?;
        for batch in rows {
            self.options.stop.check()?;
            concat.append(0, self.with_names(&batch?)?)?;
        }
        let mut summary = concat.finish(&self.options.stop)?;
        let file = summary.parts.pop().and_then(|mut part| part.files.pop());
        let mut file = file.ok_or_else(|| Error::internal("a table was written to no file"))?;
        let made = self.making.join(&file.path);
        let extension = made.extension().unwrap_or_default().to_string_lossy();
        let name = if position == 0 { aggregate.to_owned() } else { format!("{aggregate}.{}", table.name) };
        file.path = format!("{AGGREGATES}/{name}.{extension}");
        let path = self.dataset.join(&file.path);
        std::fs::rename(&made, &path).map_err(|error| cannot_write(&path, error))?;
        Ok(file)
    }

    /// A batch with the names of parts for their ids. Rows without a part are of the only one that there is.
    fn with_names(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let schema = Self::schema(batch.schema_ref());
        let id = Context::Part.field();
        let column = |(field, column): (&Arc<Field>, &ArrayRef)| match field.name() == id.name() {
            true => self.names(column),
            false => Ok(column.clone()),
        };
        let columns =
            batch.schema_ref().fields().iter().zip(batch.columns()).map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|error| Error::internal("a table of an aggregate cannot be put together").because(error))
    }

    fn names(&self, ids: &ArrayRef) -> Result<ArrayRef> {
        let unknown = |id: Option<u8>| {
            let id = id.map_or_else(|| "null".to_owned(), |id| id.to_string());
            Error::sandbox(format!("a table of the aggregate names the part {id}, and there are {}", self.parts.len()))
        };
        let name = |id: Option<u8>| match (id, self.parts) {
            (None, [only]) => Ok(only.as_str()),
            (Some(id), parts) => parts.get(usize::from(id)).map(String::as_str).ok_or_else(|| unknown(Some(id))),
            (None, _) => Err(unknown(None)),
        };
        let names = ids.as_primitive::<UInt8Type>().iter().map(name).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(StringArray::from_iter_values(names)))
    }
}

impl Drop for TableFiles<'_> {
    fn drop(&mut self) {
        // What stays goes away with the run's folder.
        let _ = std::fs::remove_dir_all(&self.making);
    }
}

fn cannot_write(path: &Path, error: std::io::Error) -> Error {
    Error::output("the table of an aggregate cannot be written").file(path).because(error)
}
