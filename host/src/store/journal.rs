//! How far an upload has come, in the folder of its run.

use super::manifest::Manifest;
use crate::{Error, Result, durable, plain_file};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Is in a run's folder once its dataset is complete there, and only its upload is left.
pub const UPLOAD: &str = "upload.json";

/// What was begun and what was done, a line each.
const STEPS: &str = "upload-steps";

/// Bytes of either.
const MOST: u64 = 1 << 30;

/// What is to be uploaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Journal {
    /// Whether what wafermill wrote there may be replaced.
    pub(super) overwrite: bool,
    pub(super) manifest: Manifest,
    /// Files of the dataset that is replaced, which this one does not have.
    pub(super) orphans: BTreeSet<String>,
}

impl Journal {
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(UPLOAD);
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            let error = Error::output("the upload cannot be gone on with").file(&path).because(error);
            error.hint("remove what the earlier run left with `wafermill clean`, and run again")
        };
        match plain_file::read_to_string(&path, MOST) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.into())),
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| failed(error.into())),
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(UPLOAD);
        let json = serde_json::to_vec(self).map_err(|error| Error::internal("no journal").because(error))?;
        durable::write(&path, &json).map_err(|error| cannot_record(&path, error))
    }
}

/// A step of an upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// An upload in parts was begun; it has a name in the store, by which it is aborted.
    Begun { path: String, id: String },
    /// It was aborted, or completed.
    Ended { id: String },
    /// A file is there, and its content has this name.
    Done { path: String, tag: Option<String> },
}

/// The steps of an upload, in this process and in those before.
pub(super) struct Steps {
    file: Mutex<File>,
    /// The path of each upload that was begun and not ended, by its name.
    pub(super) begun: BTreeMap<String, String>,
    /// The name of the content of each file that was uploaded.
    pub(super) done: BTreeMap<String, Option<String>>,
}

impl Steps {
    /// Reads those of earlier processes. A last line that was cut off is nothing that was relied on.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(STEPS);
        let text = match plain_file::read(&path, MOST) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            read => read.map_err(|error| cannot_record(&path, error))?,
        };
        let (mut begun, mut done) = (BTreeMap::new(), BTreeMap::new());
        for line in text.split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Step::Begun { path, id }) => drop(begun.insert(id, path)),
                Ok(Step::Ended { id }) => drop(begun.remove(&id)),
                Ok(Step::Done { path, tag }) => drop(done.insert(path, tag)),
                Err(_) => {}
            }
        }
        let file = File::options().create(true).append(true).open(&path);
        let mut file = file.map_err(|error| cannot_record(&path, error))?;
        // A line that was cut off takes none with it.
        if !text.is_empty() && !text.ends_with(b"\n") {
            file.write_all(b"\n").map_err(|error| cannot_record(&path, error))?;
        }
        Ok(Self { file: Mutex::new(file), begun, done })
    }

    /// Notes a step, safely on disk.
    pub(super) fn note(&self, step: &Step) -> Result<()> {
        let mut line = serde_json::to_vec(step).map_err(|error| Error::internal("no step").because(error))?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = file.write_all(&line).and_then(|()| file.sync_data());
        noted.map_err(|error| Error::output("the upload cannot be recorded").because(error))
    }
}

fn cannot_record(path: &Path, error: io::Error) -> Error {
    Error::output("the upload cannot be recorded").file(path).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunDirectory;

    #[test]
    fn a_dataset_whose_upload_is_left_is_not_thrown_away_by_the_next_run() {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().join("s3-bucket-sets");
        let mut run = RunDirectory::create(&place, "report.json", false).unwrap();
        std::fs::write(run.data().join("x"), "rows").unwrap();
        assert!(!run.can_be_resumed());
        let manifest = Manifest::of(&run.data()).unwrap();
        Journal { overwrite: false, manifest, orphans: BTreeSet::new() }.write(run.path()).unwrap();
        run.keep();
        drop(run);
        let refused = RunDirectory::create(&place, "report.json", false).err().unwrap();
        assert_eq!(refused.message(), "an earlier run towards this destination was interrupted");
        let again = RunDirectory::reopen(&place).unwrap();
        let manifest = Journal::read(again.path()).unwrap().unwrap().manifest;
        assert!(manifest.files[0].is_in(&again.data()).unwrap());
        std::fs::write(again.data().join("x"), "r0ws").unwrap();
        assert!(!manifest.files[0].is_in(&again.data()).unwrap());
    }

    #[test]
    fn steps_are_found_again_and_a_line_that_was_cut_off_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| name.to_owned();
        let steps = Steps::open(folder.path()).unwrap();
        for (id, file) in [("1", "a"), ("2", "b")] {
            steps.note(&Step::Begun { path: path(file), id: id.to_owned() }).unwrap();
        }
        steps.note(&Step::Ended { id: "1".to_owned() }).unwrap();
        steps.note(&Step::Done { path: path("a"), tag: Some("x".to_owned()) }).unwrap();
        let mut file = File::options().append(true).open(folder.path().join(STEPS)).unwrap();
        file.write_all(br#"{"done":{"path":"c""#).unwrap();
        let again = Steps::open(folder.path()).unwrap();
        again.note(&Step::Ended { id: "2".to_owned() }).unwrap();
        let last = Steps::open(folder.path()).unwrap();
        assert_eq!(again.begun, BTreeMap::from([("2".to_owned(), "b".to_owned())]));
        assert!(last.begun.is_empty());
        assert_eq!(last.done, BTreeMap::from([("a".to_owned(), Some("x".to_owned()))]));
    }
}
