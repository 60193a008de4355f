//! The objects of a source: one, those of a folder, or those that a glob matches. What is a file's name on a disk is a key here.

use super::files::{FORMAT_HINT, Format, InputFile, common_format, is_hidden, is_wanted};
use super::input::Place;
use crate::store::{Address, Bucket, Found, Means, ODD_KEY, Object, UPLOAD_OBJECT};
use crate::{Error, Result};
use glob::{MatchOptions, Pattern};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// As on a disk: a star is no slash.
const AS_ON_DISK: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

const WILD: [char; 3] = ['*', '?', '['];

/// The objects at an address, sorted, and their format. Of each, `read_ahead` bytes may be fetched before they are asked for.
pub(super) fn find(
    bucket: &Arc<Bucket>,
    address: &Address,
    format: Option<Format>,
    read_ahead: u64,
) -> Result<(Format, Vec<InputFile>)> {
    // Whether there are objects of other formats.
    let others = Cell::new(false);
    let found = match exact(bucket, address)? {
        Some(found) => vec![found],
        None if address.key().contains(WILD) => matches(bucket, address, format, &others)?,
        None => below(bucket, address, format, &others)?,
    };
    if found.is_empty() {
        let error = match others.get() {
            true => Error::source("no object of a known format is there").hint(FORMAT_HINT),
            false => Error::source("nothing is there").hint("check the address; in globs `*` stands for no `/`"),
        };
        return Err(error.file(address.to_string()));
    }
    let means = Means::new(read_ahead);
    let file = |found: Found| {
        let object = Object::new(bucket, &found, &means)?;
        let path = PathBuf::from(bucket.at(&found.key).to_string());
        Ok(InputFile::of_object(path, found.bytes, found.modified, found.tag, Place(Some(object))))
    };
    let mut files = found.into_iter().map(file).collect::<Result<Vec<_>>>()?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let format = match format {
        Some(format) => format,
        None => common_format(&files)?,
    };
    Ok((format, files))
}

/// The object with just this key, whatever signs it has.
fn exact(bucket: &Bucket, address: &Address) -> Result<Option<Found>> {
    if address.is_folder { Ok(None) } else { bucket.look(address.key()) }
}

fn below(bucket: &Bucket, address: &Address, format: Option<Format>, others: &Cell<bool>) -> Result<Vec<Found>> {
    let folder = address.folder();
    refuse_incomplete(bucket, &folder)?;
    listed(bucket, &folder, |key| {
        let Some(name) = key.strip_prefix(&folder) else { return false };
        let wanted = is_wanted(Path::new(name), format);
        let hidden = name.split('/').any(|part| is_hidden(part.as_ref()));
        others.set(others.get() || !hidden && !wanted);
        !hidden && wanted
    })
}

fn matches(bucket: &Bucket, address: &Address, format: Option<Format>, others: &Cell<bool>) -> Result<Vec<Found>> {
    let bad = |error: glob::PatternError| {
        let error = Error::usage(format!("`{address}` is not a glob: {}", error.msg));
        error.hint("write a literal `[` as `[[]`")
    };
    let pattern = Pattern::new(address.key()).map_err(bad)?;
    let literal = address.key().split(WILD).next().unwrap_or_default();
    let folder = literal.rfind('/').map_or("", |slash| &literal[..=slash]);
    refuse_incomplete(bucket, folder)?;
    listed(bucket, literal, |key| {
        let path = Path::new(key);
        let hidden = path.file_name().is_some_and(is_hidden);
        let matched = pattern.matches_with(key, AS_ON_DISK) && !hidden;
        // A stated format is the user's word for all that the glob matches.
        let wanted = format.is_some() || is_wanted(path, None);
        others.set(others.get() || matched && !wanted);
        matched && wanted
    })
}

/// The objects below a prefix whose keys are wanted. One that is, and cannot be asked for, is an error: its rows must not be missed in silence.
fn listed(bucket: &Bucket, prefix: &str, wanted: impl Fn(&str) -> bool) -> Result<Vec<Found>> {
    let listing = bucket.list(prefix, false)?;
    match listing.odd.iter().find(|key| wanted(key)) {
        Some(key) => {
            Err(Error::source("the object's key cannot be used").file(bucket.at(key).to_string()).hint(ODD_KEY))
        }
        None => Ok(listing.objects.into_iter().filter(|found| wanted(&found.key)).collect()),
    }
}

/// Refuses to read a dataset that is still being uploaded: only its manifest, which then is not there, makes it complete.
fn refuse_incomplete(bucket: &Bucket, folder: &str) -> Result<()> {
    // the folder of a part lies in that of its dataset
    let outer = folder.strip_suffix('/').map(|inner| inner.rfind('/').map_or("", |slash| &inner[..=slash]));
    for folder in [Some(folder), outer].into_iter().flatten() {
        if bucket.look(&format!("{folder}{UPLOAD_OBJECT}"))?.is_some() {
            let error = Error::source("the dataset is incomplete: its upload is under way, or was interrupted");
            let hint = "wait until it ends; where it was interrupted, `wafermill resume` goes on with it";
            return Err(error.file(bucket.at(folder.trim_end_matches('/')).to_string()).hint(hint));
        }
    }
    Ok(())
}
