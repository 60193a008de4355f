//! Combined partials as files, kept beside the model.

use super::Combined;
use crate::Result;
use crate::ipc::{SavedTable, TableWriter};
use arrow_array::RecordBatch;
use std::path::Path;

/// Writes combined partials to a new Arrow IPC file at `path`, and hands each batch to `take` as well. The file's bytes depend on the
/// table only.
///
/// # Errors
/// Where the partials cannot be combined, the file cannot be written, or `take` fails.
pub fn write(combined: Combined, path: &Path, mut take: impl FnMut(RecordBatch) -> Result<()>) -> Result<SavedTable> {
    let mut writer = TableWriter::create(path, combined.table().schema())?;
    for batch in combined {
        let batch = batch?;
        writer.write(&batch)?;
        take(batch)?;
    }
    writer.finish()
}
