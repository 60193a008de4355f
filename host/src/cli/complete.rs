//! A run from what is there, or from nothing, to its dataset at the destination.

use super::console::Console;
use super::destination::{left, publish, ways_on};
use super::interrupt::leave;
use std::path::PathBuf;
use wafermill::run::{Aggregated, Fit, Report};
use wafermill::store::Remote;
use wafermill::{ErrorKind, Result, RunDirectory};

/// Does the work and publishes what came of it, and tells where that is. Where that fails, and may succeed later, what was completed
/// stays for `resume`.
pub(super) fn complete(
    mut directory: RunDirectory,
    remote: Option<&Remote>,
    console: &Console,
    work: impl FnOnce(&RunDirectory) -> Result<Report>,
) -> Result<(Report, PathBuf)> {
    directory.discard();
    leave(Some(left(&directory, remote)));
    let report = match work(&directory) {
        Ok(report) => report,
        Err(error) => {
            // The same pipeline, plugins and rows would fail in the same way; all else may be otherwise next time.
            let stays = matches!(error.kind(), ErrorKind::Usage | ErrorKind::Plugin);
            if error.kind() == ErrorKind::Model {
                // A table that the disk has changed: what it was fitted to is there, and is fitted to anew.
                Fit::forget(directory.path())?;
                Aggregated::forget(directory.path())?;
            }
            if !stays && directory.can_be_resumed() {
                directory.keep();
                let [resume, clean] = ways_on(&directory, remote);
                console.note(&format!("`{resume}` goes on from here, `{clean}` removes what is there"));
            }
            return Err(error);
        }
    };
    let destination = publish(directory, remote, false, console)?;
    leave(None);
    Ok((report, destination))
}
