//! The tables that there are.

use crate::types;
use anyhow::{Result, ensure};
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

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
}

/// Reads a table from a Parquet file, with the types that BigQuery has for its columns.
pub(crate) fn read(path: &Path) -> Result<Table> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let fields = reader.schema().fields().iter().map(|field| types::field(field)).collect::<Result<Vec<_>>>()?;
    let schema = Arc::new(Schema::new(fields));
    let mut batches = Vec::new();
    for batch in reader.with_batch_size(65_536).build()? {
        let batch = batch?;
        let columns = batch.columns().iter().zip(schema.fields());
        let columns = columns.map(|(column, field)| types::cast(column, field)).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        batches.push(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?);
    }
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    Ok(Table { schema, batches, rows, times: 1 })
}
