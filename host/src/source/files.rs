//! The files of a source: one, those of a folder, or those that a glob matches.

use super::input::{Chunks, Input, Place};
use crate::store::ObjectReader;
use crate::{Error, Result, plain_file};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The format of a source's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Apache Parquet: `.parquet`, `.pq`.
    Parquet,
    /// Text with a delimiter: `.csv`, `.tsv`.
    Csv,
    /// Arrow IPC, as a file or as a stream: `.arrow`, `.arrows`, `.ipc`, `.feather`.
    Arrow,
}

impl Format {
    /// The one that a name's extension tells.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" | "tsv" => Some(Self::Csv),
            "arrow" | "arrows" | "ipc" | "feather" => Some(Self::Arrow),
            _ => None,
        }
    }
}

pub(super) const FORMAT_HINT: &str = "known are `.parquet`, `.pq`, `.csv`, `.tsv`, `.arrow`, `.arrows`, `.ipc` and `.feather`; for other names state the format";

/// A file as it was when the source was opened; later passes must find the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Where it is; the address of an object.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    pub(crate) modified: Option<SystemTime>,
    /// What tells, beside its size and the time above, whether it is the same file; objects have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<FileState>,
    /// Names the content of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tag: Option<String>,
    #[serde(skip)]
    pub(super) place: Place,
}

/// What changes where the time at which a file was last written to is put back, or another one is put in its place. It also changes where
/// the file is moved or its permissions are changed, and some network file systems make it up: passes of one run go without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileState {
    inode: u64,
    /// When it was last changed in any way: seconds and nanoseconds since 1970.
    changed: (i64, i64),
}

impl InputFile {
    fn new(path: PathBuf) -> Result<Self> {
        let metadata = path.metadata().map_err(|error| cannot_read(&path, error))?;
        plain_file::check(&metadata).map_err(|error| cannot_read(&path, error))?;
        let (bytes, modified) = (metadata.len(), metadata.modified().ok());
        let state = FileState { inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) };
        Ok(Self { path, bytes, modified, state: Some(state), tag: None, place: Place::default() })
    }

    /// An object of a store. Where nothing names its content, the time at which it was written must do.
    pub(super) fn of_object(
        path: PathBuf,
        bytes: u64,
        modified: SystemTime,
        tag: Option<String>,
        place: Place,
    ) -> Self {
        let modified = tag.is_none().then_some(modified);
        Self { path, bytes, modified, state: None, tag, place }
    }

    /// Whether all that is told of its content is what it was.
    pub(crate) fn seems_unchanged(&self, earlier: &Self) -> bool {
        (self.bytes, self.modified, &self.tag) == (earlier.bytes, earlier.modified, &earlier.tag)
    }

    /// Whether it is in an object store.
    pub(crate) fn is_object(&self) -> bool {
        self.place.0.is_some()
    }

    /// Names a folder for what does not fit into memory while it is read.
    pub(super) fn use_folder(&self, folder: &Path) {
        if let Some(object) = &self.place.0 {
            object.means.use_folder(folder);
        }
    }

    /// Opens the file, if it has not changed: the passes of a run must see the same rows. Of an object each reading checks that.
    pub(super) fn open(&self) -> Result<Input> {
        Ok(match &self.place.0 {
            Some(object) => Input::Object(Box::new(ObjectReader::new(object))),
            None => Input::File(self.open_file()?),
        })
    }

    /// As [`Self::open`], to read the footer of a Parquet file.
    pub(super) fn open_footer(&self) -> Result<Chunks> {
        Ok(match &self.place.0 {
            Some(object) => Chunks::of_footer(object),
            None => Chunks::File(self.open_file()?),
        })
    }

    /// As [`Self::open`], to read some columns of a row group by turns.
    pub(super) fn open_columns(&self, columns: impl Iterator<Item = Range<u64>>) -> Result<Chunks> {
        Ok(match &self.place.0 {
            Some(object) => Chunks::of_columns(object, columns.collect())?,
            None => Chunks::File(self.open_file()?),
        })
    }

    fn open_file(&self) -> Result<File> {
        let file = File::open(&self.path).map_err(|error| cannot_read(&self.path, error))?;
        let metadata = file.metadata().map_err(|error| cannot_read(&self.path, error))?;
        if (metadata.len(), metadata.modified().ok()) != (self.bytes, self.modified) {
            return Err(Error::source("the file changed while it was read")
                .file(&self.path)
                .hint("start again once nothing writes to it"));
        }
        Ok(file)
    }
}

/// The files at `path`, sorted, and their format.
pub(super) fn find(path: &str, format: Option<Format>) -> Result<(Format, Vec<InputFile>)> {
    let root = Path::new(path);
    // A file may have a name that looks like a glob, so what exists is taken as it is.
    let mut paths = if root.is_dir() {
        let mut found = Matched::default();
        walk(root, format, &mut found)?;
        found.paths(|| {
            Error::source("the folder holds no file").hint("check its name; what begins with `.` or `_` is passed over")
        })
    } else if root.exists() || !path.contains(['*', '?', '[']) {
        Ok(vec![root.to_owned()])
    } else {
        let found = matches(path, format)?;
        let hint = match found.folders {
            true => "it matches folders only: end it with `/*`, or with `/**/*` for those within them",
            false => "check it; `*` stands for no `/`, and in a pipeline file it is relative to that file",
        };
        found.paths(|| Error::source("the glob matches no file").hint(hint))
    }
    .map_err(|error| error.file(root))?;
    paths.sort();
    let files = paths.into_iter().map(InputFile::new).collect::<Result<Vec<_>>>()?;
    let format = match format {
        Some(format) => format,
        None => common_format(&files)?,
    };
    Ok((format, files))
}

/// What was found at a place.
#[derive(Default)]
struct Matched {
    paths: Vec<PathBuf>,
    /// Whether there are files of other formats.
    others: bool,
    /// Whether a glob matches a folder.
    folders: bool,
}

impl Matched {
    fn add(&mut self, path: PathBuf, wanted: bool) {
        match wanted {
            true => self.paths.push(path),
            false => self.others = true,
        }
    }

    fn paths(self, nothing: impl FnOnce() -> Error) -> Result<Vec<PathBuf>> {
        match (self.paths.is_empty(), self.others) {
            (false, _) => Ok(self.paths),
            (true, true) => Err(Error::source("no file of a known format is there").hint(FORMAT_HINT)),
            (true, false) => Err(nothing()),
        }
    }
}

fn walk(folder: &Path, format: Option<Format>, found: &mut Matched) -> Result<()> {
    let failed = |error| cannot_read(folder, error);
    for entry in folder.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if is_hidden(&entry.file_name()) {
            continue;
        }
        // Links to folders are not followed: they can form a circle.
        if entry.file_type().map_err(failed)?.is_dir() {
            walk(&path, format, found)?;
        } else if path.is_file() {
            let wanted = is_wanted(&path, format);
            found.add(path, wanted);
        }
    }
    Ok(())
}

fn matches(pattern: &str, format: Option<Format>) -> Result<Matched> {
    let bad = |error: glob::PatternError| {
        Error::usage(format!("`{pattern}` is not a glob: {}", error.msg)).hint("write a literal `[` as `[[]`")
    };
    let mut found = Matched::default();
    for path in glob::glob(pattern).map_err(bad)? {
        let path = path.map_err(|error| cannot_read(&PathBuf::from(error.path()), error.into()))?;
        let hidden = path.file_name().is_some_and(is_hidden);
        found.folders |= path.is_dir();
        if path.is_file() && !hidden {
            // A stated format is the user's word for all that the glob matches.
            let wanted = format.is_some() || is_wanted(&path, None);
            found.add(path, wanted);
        }
    }
    Ok(found)
}

/// Writers leave files such as `_SUCCESS` and `.part-0.crc` beside the data.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    matches!(name.as_encoded_bytes().first(), Some(b'.' | b'_'))
}

pub(super) fn is_wanted(path: &Path, format: Option<Format>) -> bool {
    let own = Format::of(path);
    own.is_some() && (format.is_none() || own == format)
}

pub(super) fn common_format(files: &[InputFile]) -> Result<Format> {
    let (first, rest) = files.split_first().ok_or_else(|| Error::internal("a source needs at least one file"))?;
    let unknown = || Error::usage("the name does not tell the format").file(&first.path).hint(FORMAT_HINT);
    let format = Format::of(&first.path).ok_or_else(unknown)?;
    match rest.iter().find(|file| Format::of(&file.path) != Some(format)) {
        None => Ok(format),
        Some(other) => {
            let (other, first) = (other.path.display(), first.path.display());
            Err(Error::usage(format!("`{other}` has another format than `{first}`"))
                .hint("state the format, or use a glob that matches one kind of file"))
        }
    }
}

fn cannot_read(path: &Path, error: std::io::Error) -> Error {
    let hint = match error.kind() {
        ErrorKind::NotFound => "check the path; in a pipeline file it is relative to that file",
        ErrorKind::InvalidInput => "every pass reads the rows anew: write them to a file first",
        ErrorKind::PermissionDenied => "check the permissions of the file and of its folders",
        _ => "check the disk or the mount, then run again",
    };
    Error::source("cannot read the file").because(error).file(path).hint(hint)
}
