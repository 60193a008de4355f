//! `clean`: what an interrupted run left is removed.

use super::arguments::CleanArguments;
use super::destination::{Target, remote};
use super::interrupt::context;
use super::print::print;
use wafermill::Result;

/// Removes the folder of an interrupted run; a finished dataset is not touched.
pub(super) fn clean(arguments: &CleanArguments) -> Result<()> {
    let target = Target::of(&arguments.destination, &arguments.work)?;
    let mut directory = target.reopen()?;
    if let Some(remote) = remote(&directory, false, context().stop)? {
        remote.clean(directory.path())?;
    }
    let path = directory.path().display().to_string();
    directory.discard();
    drop(directory);
    print(&format!("removed {path}\n"))
}
