//! What is this user's own: folders that nobody else can look into, and files that nobody else can write.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// Whether something is a folder of this user, closed to all others. Ask for what stands there itself, not for what a link leads to.
pub(crate) fn is_private_folder(found: &Metadata) -> bool {
    found.is_dir() && is_own(found) && found.mode() & 0o077 == 0
}

/// Whether a file is a plain one of this user, with no other name, that nobody else can write to.
pub(crate) fn is_own_file(found: &Metadata) -> bool {
    found.is_file() && is_own(found) && found.nlink() == 1 && found.mode() & 0o022 == 0
}

fn is_own(found: &Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw()
}
