//! `clean`: what an interrupted run left is removed.

use super::arguments::CleanArguments;
use super::print::print;
use wafermill::{Result, RunDirectory};

/// Removes the folder of an interrupted run; a finished dataset is not touched.
pub(super) fn clean(arguments: &CleanArguments) -> Result<()> {
    let directory = RunDirectory::reopen(&arguments.destination)?;
    let path = directory.path().display().to_string();
    directory.remove()?;
    print(&format!("removed {path}\n"))
}
