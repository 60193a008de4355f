//! What the fuzz targets in `fuzz/` do with an input. Whatever is wrong with how the host takes it is a panic, a sanitizer's finding, or a
//! limit of memory or time that is passed. Compiled for fuzzing and for tests only.

mod files;
mod guests;
mod models;
mod pipelines;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod tests;

use arrow_array::{Array, RecordBatch};
use arrow_data::ArrayData;
use std::path::Path;
use tempfile::TempDir;

/// Takes an input.
pub type Body = fn(&[u8]);

/// All targets, by the names of their folders in `fuzz/corpus`.
pub const TARGETS: [(&str, Body); 10] = [
    ("arrow", files::arrow),
    ("batch", guests::batch),
    ("bigquery", crate::source::bigquery::fuzzing::response),
    ("component", crate::sandbox::fuzzing::component),
    ("csv", files::csv),
    ("metadata", crate::sandbox::fuzzing::metadata),
    ("model", models::manifest),
    ("parquet", files::parquet),
    ("pipeline", pipelines::pipeline),
    ("table", models::table),
];

/// Checks a batch that the host accepted as arrow-rs checks it in full, and its nulls bit by bit.
pub(crate) fn check_batch(batch: &RecordBatch) {
    for column in batch.columns() {
        assert_eq!(column.len(), batch.num_rows(), "a column has another length than its batch");
        let data = column.to_data();
        data.validate_full().expect("what is accepted is valid");
        check_nulls(&data);
    }
}

fn check_nulls(data: &ArrayData) {
    if let Some(nulls) = data.nulls() {
        assert_eq!(nulls.null_count(), nulls.len() - nulls.inner().count_set_bits(), "nulls are counted truly");
    }
    data.child_data().iter().for_each(check_nulls);
}

/// The first byte, which chooses what is done with the others.
pub(crate) fn choice(input: &[u8]) -> Option<(usize, &[u8])> {
    input.split_first().map(|(first, rest)| (usize::from(*first), rest))
}

/// A folder that goes with what it is returned as, in memory where that can be had.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a folder can be made")
}

/// Calls `work` with the path of a file that holds these bytes.
fn with_file(name: &str, bytes: &[u8], work: impl FnOnce(&Path)) {
    let folder = folder();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a file can be written");
    work(&path);
}
