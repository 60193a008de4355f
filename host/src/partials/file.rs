//! Combined partials as files, kept beside the model.

use super::Combined;
use crate::Result;
use crate::ipc::TableWriter;
use std::path::Path;

/// Writes combined partials to a new Arrow IPC file at `path` and returns how many rows it has. The bytes depend on the table only.
///
/// # Errors
/// Where the partials cannot be combined or the file cannot be written.
pub fn write(combined: Combined, path: &Path) -> Result<u64> {
    let mut writer = TableWriter::create(path, combined.table().schema())?;
    for batch in combined {
        writer.write(&batch?)?;
    }
    writer.finish()
}
