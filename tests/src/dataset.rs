//! Reading back what was written.

use arrow_array::RecordBatch;
use arrow_cast::display::array_value_to_string;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A table as text: the names of its columns, and its rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows, a text for each value.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Appends the rows of a batch.
    ///
    /// # Panics
    /// Where a value has no text.
    pub fn push(&mut self, batch: &RecordBatch) {
        self.columns = batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|column| array_value_to_string(column, row));
            self.rows.push(values.collect::<Result<_, _>>().expect("every value has a text"));
        }
    }

    /// The Parquet files of a part, in the order of their names.
    ///
    /// # Panics
    /// Where one cannot be read.
    pub fn of_part(folder: &Path) -> Self {
        let entries = fs::read_dir(folder).expect("the part is there");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("the part can be listed").path()).collect();
        files.sort();
        let mut table = Self::default();
        for path in files {
            let file = File::open(path).expect("a file of the part can be read");
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is a Parquet file");
            table.columns = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
            for batch in reader.build().expect("it is a Parquet file") {
                table.push(&batch.expect("it can be decoded"));
            }
        }
        table
    }
}
