//! One process at a time works in a run's folder, which is that user's alone.

use super::{LOCK, PUBLISHED, cannot_write, holds_something};
use crate::private::is_private_folder;
use crate::{Error, Result};
use rustix::fs::OFlags;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Locks a run's folder, which is made where it is missing and may be.
pub(super) fn lock(path: &Path, make: bool) -> Result<File> {
    const TRIES: usize = 10;
    let cannot = |error: io::Error| cannot_write(path, error);
    for _ in 0..TRIES {
        if make {
            // nobody else sees the dataset grow; once published it has the permissions that the umask allows
            match DirBuilder::new().mode(0o700).create(path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(cannot(error)),
                _ => {}
            }
        }
        match check_own(path) {
            // the run before went away meanwhile, and its folder with it
            Err(_) if make && !path.exists() => continue,
            checked => checked?,
        }
        let mut options = File::options();
        let options = options.create(true).truncate(false).read(true).write(true);
        // What is written to it must not go elsewhere.
        let opened = options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path.join(LOCK));
        let mut file = match opened {
            // the run before went away meanwhile, and its folder with it
            Err(error) if make && error.kind() == ErrorKind::NotFound => continue,
            Err(error) if path.join(LOCK).is_symlink() => {
                let error = Error::output("the lock of the run is a link").file(path.join(LOCK)).because(error);
                return Err(error.hint("remove it, and try again"));
            }
            opened => opened.map_err(cannot)?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy(path, &mut file)),
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        let own = file.metadata().map_err(cannot)?;
        let there =
            fs::metadata(path.join(LOCK)).is_ok_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino()));
        if there {
            // it only helps people, and on a full disk what a run left must still be removable
            let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
            return Ok(file);
        }
    }
    Err(cannot(io::Error::other("other runs begin and end there all the time")))
}

/// Checks that a folder is that of a run: ours, and nobody else's.
fn check_own(path: &Path) -> Result<()> {
    let found = fs::symlink_metadata(path).map_err(|error| cannot_write(path, error))?;
    let is_run =
        || [LOCK, PUBLISHED].iter().any(|name| path.join(name).exists()) || !holds_something(path).unwrap_or(true);
    match is_private_folder(&found) && is_run() {
        true => Ok(()),
        false => {
            let error = Error::usage("there is something beside the destination where a run would work").file(path);
            Err(error.hint("move it away, or choose another destination"))
        }
    }
}

fn busy(path: &Path, lock: &mut File) -> Error {
    let mut process = String::new();
    let _ = lock.take(20).read_to_string(&mut process);
    let who = if process.is_empty() { String::new() } else { format!(", process {}", process.trim()) };
    Error::usage(format!("another run writes to this destination{who}"))
        .file(path)
        .hint("wait until it ends, or choose another destination")
}
