//! How far a run has come, safe on disk in its folder.

use crate::{Error, Result, durable, plain_file, sealed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Bytes of a file: what plugins carry from pass to pass is bounded far below.
const MOST: u64 = 4 << 30;

/// Has a value safe on disk, in a file of the run's folder; what it tells of must be.
pub(super) fn save(folder: &Path, name: &str, value: &impl Serialize) -> Result<()> {
    let path = folder.join(name);
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::output("the progress of the run cannot be recorded").file(&path).because(error)
    };
    let sealed = sealed::seal(value).map_err(|error| failed(error.into()))?;
    durable::write(&path, &sealed).map_err(|error| failed(error.into()))
}

/// What an earlier run saved, if it came so far.
pub(super) fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>> {
    let path = folder.join(name);
    if !path.exists() {
        return Ok(None);
    }
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        let error = Error::usage("the earlier run cannot be resumed").file(&path).because(error);
        error.hint("remove what it left with `wafermill clean`, and run again")
    };
    let bytes = plain_file::read(&path, MOST).map_err(|error| failed(error.into()))?;
    sealed::open(&bytes).map(Some).map_err(failed)
}

/// Forgets what an earlier run saved: it is of other rows than those that are read now.
pub(super) fn forget(folder: &Path, name: &str) -> Result<()> {
    let path = folder.join(name);
    let failed = |error| Error::output("the progress of the run cannot be forgotten").file(&path).because(error);
    durable::forget(&path).map_err(failed)
}
