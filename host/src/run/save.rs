//! How far fitting has come, in a file of the run's folder.

use super::Fit;
use crate::{Error, Result, durable, plain_file, sealed};
use std::path::Path;

/// The file's name.
pub const PROGRESS: &str = "fit.json";

/// Bytes of the file: what plugins carry from pass to pass is bounded far below.
const MOST: u64 = 4 << 30;

impl Fit {
    /// Has what it tells safe on disk; the models that it tells of must be.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join(PROGRESS);
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::output("the progress of the run cannot be recorded").file(&path).because(error)
        };
        let sealed = sealed::seal(self).map_err(|error| failed(error.into()))?;
        durable::write(&path, &sealed).map_err(|error| failed(error.into()))
    }

    /// What an earlier run saved, if it came so far.
    ///
    /// # Errors
    /// Where it cannot be read, or is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(PROGRESS);
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
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn forget(folder: &Path) -> Result<()> {
        let path = folder.join(PROGRESS);
        let failed = |error| Error::output("the progress of the run cannot be forgotten").file(&path).because(error);
        durable::forget(&path).map_err(failed)
    }
}
