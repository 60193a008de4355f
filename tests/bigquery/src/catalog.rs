//! The tables that there are.

use crate::types;
use anyhow::{Context, Result, ensure};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow_ipc::reader::FileReader;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use prost_types::Timestamp;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of a table in all of BigQuery.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TableName {
    pub(crate) project: String,
    pub(crate) dataset: String,
    pub(crate) table: String,
}

impl TableName {
    /// Parses `project.dataset.table`.
    pub(crate) fn parse_dotted(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.splitn(3, '.').collect();
        ensure!(parts.len() == 3 && parts.iter().all(|part| !part.is_empty()), "`{text}` is not PROJECT.DATASET.TABLE");
        Ok(Self { project: parts[0].to_owned(), dataset: parts[1].to_owned(), table: parts[2].to_owned() })
    }

    /// Parses `projects/project/datasets/dataset/tables/table`, as requests name tables.
    pub(crate) fn parse_resource(text: &str) -> Option<Self> {
        let ["projects", project, "datasets", dataset, "tables", table] = text.split('/').collect::<Vec<_>>()[..]
        else {
            return None;
        };
        Some(Self { project: project.to_owned(), dataset: dataset.to_owned(), table: table.to_owned() })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}.{}", self.project, self.dataset, self.table)
    }
}

/// What a name stands for.
#[derive(Clone)]
pub(crate) enum Entry {
    Table(Arc<Table>),
    /// Which the Storage Read API does not read.
    View,
}

pub(crate) type Catalog = HashMap<TableName, Entry>;

/// A table in memory.
pub(crate) struct Table {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
    /// The rows of the batches.
    pub(crate) rows: usize,
    /// How often the Storage Read API serves them, one time after the other.
    pub(crate) times: usize,
    /// When it came to be as it is.
    pub(crate) since: SystemTime,
    /// What it was before.
    pub(crate) before: Option<Arc<Table>>,
}

/// What a table has been since a time, in a file.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) name: TableName,
    /// Since ever, if no time is given.
    since: SystemTime,
    path: PathBuf,
}

impl State {
    /// Parses `project.dataset.table=file` or `project.dataset.table@time=file`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let form = || format!("`{text}` is not PROJECT.DATASET.TABLE=FILE, nor PROJECT.DATASET.TABLE@TIME=FILE");
        let (name, path) = text.split_once('=').with_context(form)?;
        let (name, since) = match name.split_once('@') {
            Some((name, time)) => (name, SystemTime::try_from(Timestamp::from_str(time).with_context(form)?)?),
            None => (name, UNIX_EPOCH),
        };
        Ok(Self { name: TableName::parse_dotted(name)?, since, path: path.into() })
    }

    /// Reads the file and enters the table, of which there may be older and newer states.
    pub(crate) fn enter(self, catalog: &mut Catalog, times: usize) -> Result<()> {
        let table = read(&self.path).with_context(|| format!("cannot read `{}`", self.path.display()))?;
        let mut states = vec![Table { times, since: self.since, ..table }];
        let mut known = match catalog.remove(&self.name) {
            Some(Entry::Table(newest)) => Some(newest),
            _ => None,
        };
        while let Some(mut state) = known.and_then(Arc::into_inner) {
            known = state.before.take();
            states.push(state);
        }
        // Of two states of one time, the one that is given last counts.
        states.reverse();
        states.sort_by_key(|state| state.since);
        let chained = states.into_iter().fold(None, |before, state| Some(Arc::new(Table { before, ..state })));
        if let Some(newest) = chained {
            catalog.insert(self.name, Entry::Table(newest));
        }
        Ok(())
    }
}

/// Reads a table from a Parquet file, or from an Arrow file for types that Parquet lacks, with the types that BigQuery has for its columns.
fn read(path: &Path) -> Result<Table> {
    let file = File::open(path)?;
    match path.extension().and_then(OsStr::to_str) {
        Some("arrow") => {
            let reader = FileReader::try_new(BufReader::new(file), None)?;
            let schema = reader.schema();
            table(&schema, reader)
        }
        _ => {
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
            let schema = reader.schema().clone();
            table(&schema, reader.with_batch_size(65_536).build()?)
        }
    }
}

/// What `SELECT 1` gives.
pub(crate) fn one() -> Result<Table> {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let batch = RecordBatch::try_from_iter([("f0_", column)])?;
    let schema = batch.schema();
    table(&schema, [Ok(batch)].into_iter())
}

fn table(given: &Schema, reader: impl Iterator<Item = Result<RecordBatch, ArrowError>>) -> Result<Table> {
    let fields = given.fields().iter().map(|field| types::field(field)).collect::<Result<Vec<_>>>()?;
    let schema = Arc::new(Schema::new(fields));
    let mut batches = Vec::new();
    for batch in reader {
        let batch = batch?;
        let columns = batch.columns().iter().zip(schema.fields());
        let columns = columns.map(|(column, field)| {
            let cast = types::cast(column, field);
            cast.with_context(|| format!("column `{}` cannot be held as {}", field.name(), field.data_type()))
        });
        let columns = columns.collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        batches.push(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?);
    }
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    Ok(Table { schema, batches, rows, times: 1, since: UNIX_EPOCH, before: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::UInt64Array;

    #[test]
    fn unsigned_numbers_are_held_and_what_no_column_holds_is_told_with_its_name() {
        let held = |number: u64| {
            let column: ArrayRef = Arc::new(UInt64Array::from(vec![number]));
            let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
            let schema = batch.schema();
            table(&schema, [Ok(batch)].into_iter())
        };
        assert!(held(i64::MAX as u64).is_ok());
        let error = held(1 << 63).err().unwrap();
        assert_eq!(error.to_string(), "column `n` cannot be held as Int64");
    }
}
