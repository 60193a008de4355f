//! Where a dataset is to be, and whether what is there now may go.

use super::{cannot_write, holds_something};
use crate::{Error, Result, durable, plain_file};
use rustix::io::Errno;
use serde::Deserialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A folder by which it is tried out whether the destination can be moved.
const TRIAL: &str = "trial";

/// Bytes of a file by which wafermill knows what it wrote: the names of some million files.
const MOST: u64 = 1 << 30;

/// The destination, and the folder of its run.
pub(super) fn places(destination: &Path) -> Result<(PathBuf, PathBuf)> {
    if destination.is_symlink() && !destination.exists() {
        let error = Error::usage("the destination is a link that leads nowhere").file(destination);
        return Err(error.hint("remove the link, or make the folder that it names"));
    }
    // what a link leads to is replaced, not the link
    let destination = fs::canonicalize(destination).or_else(|_| std::path::absolute(destination));
    let destination = destination.map_err(|error| Error::output("cannot find the destination").because(error))?;
    let (Some(parent), Some(name)) = (destination.parent(), destination.file_name()) else {
        return Err(Error::usage("the destination has no name").file(&destination).hint("name a new directory"));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".run");
    let path = parent.join(hidden);
    Ok((destination, path))
}

/// A path without links, as far as it is there.
pub(super) fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    match there.and_then(|(ancestor, found)| Some((path.strip_prefix(ancestor).ok()?, found))) {
        // joining nothing would add a slash
        Some((rest, found)) if rest.as_os_str().is_empty() => found,
        Some((rest, found)) => found.join(rest),
        None => path,
    }
}

/// Checks that what is at the destination may go: nothing, or with `overwrite` what wafermill wrote itself, which `marker` tells.
pub(super) fn check(destination: &Path, marker: &str, overwrite: bool) -> Result<()> {
    let refused = |message: String| {
        let error = Error::usage(message).file(destination);
        Err(error.hint("choose another destination, or remove this one yourself"))
    };
    match holds_something(destination) {
        Ok(false) => Ok(()),
        Ok(true) if !overwrite => Err(Error::usage("the destination is not empty")
            .file(destination)
            .hint("pass `--overwrite` to replace it, or choose another destination")),
        Ok(true) if is_ours(destination, marker) => Ok(()),
        Ok(true) if destination.join(marker).is_file() => refused(format!(
            "the destination's `{marker}` is none that wafermill wrote, so the destination is not replaced"
        )),
        Ok(true) => refused(format!(
            "the destination has no `{marker}`, so it is not what this command writes and is not replaced"
        )),
        Err(error) => Err(Error::usage("the destination is not a directory that can be read")
            .file(destination)
            .because(error)
            .hint("choose another destination")),
    }
}

/// Whether a folder has a marker that wafermill wrote: JSON that says which wafermill that was, and in which format.
pub(super) fn is_ours(destination: &Path, marker: &str) -> bool {
    #[derive(Deserialize)]
    struct Marker {
        wafermill: String,
        format: u32,
    }
    let read = plain_file::read(&destination.join(marker), MOST).ok();
    let marker = read.and_then(|text| serde_json::from_slice::<Marker>(&text).ok());
    marker.is_some_and(|marker| !marker.wafermill.is_empty() && marker.format > 0)
}

/// Checks that a folder at the destination can be replaced in the end, by trying to move it onto one that is not empty: nothing ever
/// moves there, and where something else than that stands in the way it is told. A run works in `path`.
pub(super) fn check_movable(destination: &Path, path: &Path) -> Result<()> {
    let replaced = match holds_something(destination) {
        Ok(replaced) if destination.exists() => replaced,
        _ => return Ok(()),
    };
    let trial = path.join(TRIAL);
    fs::create_dir_all(trial.join(TRIAL)).map_err(|error| cannot_write(path, error))?;
    let obstacle = match fs::rename(destination, &trial) {
        // no file system may, but this one did
        Ok(()) => fs::rename(&trial, destination).err(),
        Err(error) => stands_in_the_way(&error, replaced).then_some(error),
    };
    durable::remove(&trial).map_err(|error| cannot_write(path, error))?;
    obstacle.map_or(Ok(()), |error| Err(cannot_replace(destination, error)))
}

/// Whether what keeps a folder from moving now will do so in the end too.
fn stands_in_the_way(error: &io::Error, replaced: bool) -> bool {
    match Errno::from_io_error(error) {
        Some(Errno::BUSY | Errno::PERM) => true,
        // an empty folder is not moved away: the dataset takes its place
        Some(Errno::XDEV | Errno::ACCESS) => replaced,
        // that it is not empty, as expected; what else network file systems say of that means nothing
        _ => false,
    }
}

fn cannot_replace(destination: &Path, error: io::Error) -> Error {
    let busy = Errno::from_io_error(&error) == Some(Errno::BUSY);
    let because =
        Error::usage("the destination cannot be replaced by the dataset in the end").file(destination).because(error);
    because.hint(match busy {
        true => "a file system is mounted there: choose a new folder inside of it",
        false => "choose a destination that does not exist yet",
    })
}
