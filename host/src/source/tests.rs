//! Sources of all formats read back what was written, in any cut and projection, and bad input is a clear error.

mod arrow_files;
mod csv_files;
mod lying_parquet;
mod parquet_files;
mod paths;
mod samples;

use super::*;
use crate::Error;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A folder with the files of a test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        open(self.path(name).to_str().unwrap(), None, &CsvOptions::default())
    }

    fn error(&self, name: &str) -> Error {
        self.open(name).err().expect("opening must fail")
    }
}

/// Ten rows: `id` counts up, `city` repeats and is null in every third row, `x` is a half of `id`.
fn cities() -> RecordBatch {
    let ids = 0..10_i64;
    let city = |id: i64| (id % 3 != 0).then_some(["Oslo", "Łódź", ""][id as usize % 3]);
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from_iter_values(ids.clone())) as ArrayRef),
        ("city", Arc::new(ids.clone().map(city).collect::<StringArray>())),
        ("x", Arc::new(Float64Array::from_iter_values(ids.map(|id| id as f64 / 2.0)))),
    ])
    .unwrap()
}

/// All rows of a source with its logical types, having checked what every reader promises.
fn read_all(source: &dyn Source, columns: &[usize], batch_rows: usize) -> Result<RecordBatch> {
    let logical = Arc::new(source.schema().project(columns).unwrap());
    let mut batches = Vec::new();
    let mut physical = None;
    let mut rows = vec![0; source.fragments().len()];
    for read in source.read(columns, batch_rows)? {
        let SourceBatch { position, batch } = read?;
        assert!((1..=batch_rows).contains(&batch.num_rows()));
        assert_eq!(*physical.get_or_insert(batch.schema()), batch.schema(), "one physical schema");
        assert_eq!(position.start, rows[position.fragment]);
        assert!(rows[position.fragment + 1..].iter().all(|later| *later == 0), "fragments come in their order");
        rows[position.fragment] += batch.num_rows() as u64;
        batches.push(conform(batch, &logical).unwrap());
    }
    for (fragment, rows) in source.fragments().iter().zip(rows) {
        assert!(fragment.rows.is_none_or(|known| known == rows));
    }
    Ok(arrow_select::concat::concat_batches(&logical, &batches).unwrap())
}

/// Checks the rows of `cities`, read in several cuts and projections.
fn assert_reads(source: &dyn Source, expected: &RecordBatch) {
    for batch_rows in [1, 3, 4, 1_000] {
        let all = read_all(source, &[0, 1, 2], batch_rows).unwrap();
        assert_eq!(all.columns(), expected.columns());
        let some = read_all(source, &[2, 0], batch_rows).unwrap();
        assert_eq!(some, all.project(&[2, 0]).unwrap());
        let none = read_all(source, &[], batch_rows).unwrap();
        assert_eq!((none.num_rows(), none.num_columns()), (expected.num_rows(), 0));
    }
}

/// The types in which the first fragment's columns come.
fn physical_types(source: &dyn Source) -> Vec<DataType> {
    let columns: Vec<usize> = (0..source.schema().fields().len()).collect();
    let batch = source.read(&columns, 10).unwrap().next().unwrap().unwrap().batch;
    batch.schema().fields().iter().map(|field| field.data_type().clone()).collect()
}

/// The error that reading ends with, if any.
fn read_error(source: &dyn Source) -> Option<Error> {
    let columns: Vec<usize> = (0..source.schema().fields().len()).collect();
    match source.read(&columns, 4) {
        Ok(batches) => batches.filter_map(Result::err).next(),
        Err(error) => Some(error),
    }
}

/// Flips each of many bits of a file in turn; whatever happens, an error names the file.
fn assert_survives_flipped_bits(folder: &Folder, path: &Path) {
    let good = std::fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    for bit in (0..good.len() * 8).step_by(7) {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        folder.write(name, bad);
        let error = match folder.open(name) {
            Ok(source) => {
                source.reading_bytes(&[0]);
                read_error(source.as_ref())
            }
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            assert_eq!(error.place().file.as_deref(), Some(path), "bit {bit}: {error:?}");
        }
    }
}
