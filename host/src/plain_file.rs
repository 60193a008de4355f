//! Files that are read from their start to their end. A device or a pipe may never end, and opening a pipe may never return.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// Opens a plain file, or what a link to one leads to.
///
/// # Errors
/// Where it cannot be opened, or is something else.
pub(crate) fn open(path: &Path) -> Result<File> {
    check(&std::fs::metadata(path)?)?;
    File::open(path)
}

/// Checks that something is a plain file.
///
/// # Errors
/// Where it is not.
pub(crate) fn check(metadata: &std::fs::Metadata) -> Result<()> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::InvalidInput, "it is no plain file")),
    }
}

/// The bytes of a plain file.
///
/// # Errors
/// Where it cannot be read, or has more than `most` bytes.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let too_large = || Error::new(ErrorKind::FileTooLarge, format!("it has more than {most} bytes"));
    let file = open(path)?;
    if file.metadata()?.len() > most {
        return Err(too_large());
    }
    // Files of `/proc` have no length before they are read.
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large()) } else { Ok(bytes) }
}

/// The text of a plain file in UTF-8.
///
/// # Errors
/// As for [`read`], and where it is no UTF-8.
pub(crate) fn read_to_string(path: &Path, most: u64) -> Result<String> {
    String::from_utf8(read(path, most)?).map_err(|error| Error::new(ErrorKind::InvalidData, error.utf8_error()))
}
