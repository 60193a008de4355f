//! Files that are there whole or not at all, whatever happens to the machine; and how they go.

use std::fs::File;
use std::io::{ErrorKind, Result, Write};
use std::path::Path;

/// Writes a file in one step: a reader, and a machine that comes up again, sees the old content or the new one.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".write-").tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Removes a file, or a folder with all that is in it, and tells whether there was one.
///
/// # Errors
/// Where it cannot be removed.
pub(crate) fn remove(path: &Path) -> Result<bool> {
    let removed = std::fs::symlink_metadata(path).and_then(|found| match found.is_dir() {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    });
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}

/// Removes a file for good: a machine that comes up again does not see it either.
///
/// # Errors
/// Where it cannot be removed.
pub(crate) fn forget(path: &Path) -> Result<()> {
    match (remove(path)?, path.parent()) {
        (true, Some(folder)) => sync_folder(folder),
        _ => Ok(()),
    }
}

/// Makes a file that was written safe on disk.
///
/// # Errors
/// Where the file system cannot.
pub(crate) fn sync_file(path: &Path) -> Result<()> {
    File::open(path)?.sync_all()
}

/// Has the system begin to write out what a file has so far: less is left to wait for when it is made safe at its end. No more than a hint.
pub(crate) fn begin_sync(file: &File) {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        // SAFETY: it takes no pointers, and the descriptor is open as long as the file is borrowed.
        let _ = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// Makes names in a folder safe on disk.
///
/// # Errors
/// Where the file system cannot.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)?.sync_all()
}
