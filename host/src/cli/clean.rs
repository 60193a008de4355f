//! `clean`: what an interrupted run left is removed.

use super::arguments::CleanArguments;
use super::console::Console;
use super::destination::{Target, remote};
use super::interrupt::context;
use super::print::print;
use wafermill::Result;
use wafermill::store::Remote;

/// Removes the folder of an interrupted run; a finished dataset is not touched.
pub(super) fn clean(arguments: &CleanArguments, console: &Console) -> Result<()> {
    let target = Target::of(&arguments.destination, &arguments.work)?;
    let directory = target.reopen()?;
    if Remote::is_left(directory.path())
        && let Some(remote) = remote(&directory, false, context(console).stop)?
    {
        target.check(Some(&remote))?;
        remote.clean(directory.path())?;
    }
    let path = directory.path().display().to_string();
    directory.remove()?;
    print(&format!("removed {path}\n"))
}
