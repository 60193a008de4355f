//! What is in a run's folder, and in a destination: plain files and folders of such.

use super::cannot_write;
use crate::{Error, Result};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

pub(super) fn holds_something(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().transpose()?.is_some()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// As [`RunDirectory::check_plain`]. A link would have a run read and publish what is elsewhere, and a pipe may never end.
pub(super) fn check_plain(path: &Path) -> Result<()> {
    let cannot =
        |error: io::Error| Error::output("what the earlier run left cannot be looked at").file(path).because(error);
    for entry in fs::read_dir(path).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(cannot)?);
        match (kind.is_dir(), kind.is_file()) {
            (true, _) => check_plain(&path)?,
            (_, true) => {}
            _ => return Err(no_plain(&path, kind)),
        }
    }
    Ok(())
}

fn no_plain(path: &Path, kind: fs::FileType) -> Error {
    let what = if kind.is_symlink() { "a link" } else { "no plain file" };
    let error = Error::output(format!("there is {what} in a run's folder, which no run puts there")).file(path);
    error.hint("put back what it was, or remove what the run left with `wafermill clean`, and run again")
}

/// Makes files and directories safe on disk, which are nothing else.
pub(super) fn sync(path: &Path) -> Result<()> {
    let cannot = |error: io::Error| cannot_write(path, error);
    let kind = fs::symlink_metadata(path).map_err(cannot)?.file_type();
    if !kind.is_dir() && !kind.is_file() {
        return Err(no_plain(path, kind));
    }
    if kind.is_dir() {
        for entry in fs::read_dir(path).map_err(cannot)? {
            sync(&entry.map_err(cannot)?.path())?;
        }
    }
    File::open(path).and_then(|file| file.sync_all()).map_err(cannot)
}
