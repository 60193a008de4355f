//! How far an upload has come, in the folder of its run.

use super::manifest::Manifest;
use crate::{Error, Result, durable, plain_file, sealed};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
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
            error.hint(format!(
                "the finished dataset is in the folder `data` beside it: move it where you want it, or remove `{}` and run again with `--overwrite`",
                folder.display()
            ))
        };
        match plain_file::read(&path, MOST) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.into())),
            Ok(bytes) => sealed::open(&bytes).map(Some).map_err(failed),
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(UPLOAD);
        let sealed = sealed::seal(self).map_err(|error| Error::internal("no journal").because(error))?;
        durable::write(&path, &sealed).map_err(|error| cannot_record(&path, error))
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
    /// The lines that can be read, where there are others that cannot.
    whole: Option<Vec<u8>>,
    path: PathBuf,
}

impl Steps {
    /// Reads those of earlier processes. A last line that was cut off is nothing that was relied on; what else is damaged
    /// [`Self::check`] tells.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(STEPS);
        let text = match plain_file::read(&path, MOST) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            read => read.map_err(|error| cannot_record(&path, error))?,
        };
        let (mut begun, mut done) = (BTreeMap::new(), BTreeMap::new());
        let (mut whole, mut is_damaged) = (Vec::with_capacity(text.len()), false);
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            // what ends the last line may be what is damaged
            let inner = line.split_last().map_or(line, |(_, inner)| inner);
            let (line, step) = match (sealed::open(inner), sealed::open(line)) {
                (Ok(step), _) => (inner, step),
                (Err(_), Ok(step)) => (line, step),
                _ => {
                    is_damaged |= line.ends_with(b"\n");
                    continue;
                }
            };
            match step {
                Step::Begun { path, id } => drop(begun.insert(id, path)),
                Step::Ended { id } => drop(begun.remove(&id)),
                Step::Done { path, tag } => drop(done.insert(path, tag)),
            }
            whole.extend_from_slice(line);
            whole.push(b'\n');
        }
        if whole != text && !is_damaged {
            durable::write(&path, &whole).map_err(|error| cannot_record(&path, error))?;
        }
        let file = File::options().create(true).append(true).open(&path);
        let file = Mutex::new(file.map_err(|error| cannot_record(&path, error))?);
        Ok(Self { file, begun, done, whole: is_damaged.then_some(whole), path })
    }

    /// Tells once of lines that a disk has changed: what they said is lost. They are gone from then on.
    pub(super) fn check(&self) -> Result<()> {
        let Some(whole) = &self.whole else { return Ok(()) };
        durable::write(&self.path, whole).map_err(|error| cannot_record(&self.path, error))?;
        let error = Error::output(
            "the record of the upload is damaged: an upload in parts that was begun may stay in the store",
        );
        Err(error.file(&self.path).hint("do again what you did, which goes on with what is known; and abort incomplete uploads in the bucket, or have a lifecycle rule do so"))
    }

    /// Notes a step, safely on disk.
    pub(super) fn note(&self, step: &Step) -> Result<()> {
        let mut line = sealed::seal(step).map_err(|error| Error::internal("no step").because(error))?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = file.write_all(&line).and_then(|()| file.sync_data());
        noted.map_err(|error| cannot_record(&self.path, error))
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

    fn step(id: &str, file: &str) -> [Step; 3] {
        let (id, path) = (id.to_owned(), file.to_owned());
        [
            Step::Begun { path: path.clone(), id: id.clone() },
            Step::Ended { id: id.clone() },
            Step::Done { path, tag: Some(id) },
        ]
    }

    #[test]
    fn steps_are_found_again_and_a_line_that_was_cut_off_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let steps = Steps::open(folder.path()).unwrap();
        let [[begun_1, ended_1, done_1], [begun_2, ended_2, _]] = [step("1", "a"), step("2", "b")];
        [begun_1, begun_2, ended_1, done_1].iter().for_each(|step| steps.note(step).unwrap());
        let path = folder.path().join(STEPS);
        let length = std::fs::metadata(&path).unwrap().len();
        File::options().append(true).open(&path).unwrap().write_all(br#"{"checksum":"xxh3:01"#).unwrap();
        let again = Steps::open(folder.path()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), length);
        again.note(&ended_2).unwrap();
        let last = Steps::open(folder.path()).unwrap();
        assert_eq!(again.begun, BTreeMap::from([("2".to_owned(), "b".to_owned())]));
        assert!(last.begun.is_empty());
        assert_eq!(last.done, BTreeMap::from([("a".to_owned(), Some("1".to_owned()))]));
        assert!(again.check().and_then(|()| last.check()).is_ok());
    }

    #[test]
    fn a_flipped_bit_in_the_steps_of_an_upload_is_told_once_or_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STEPS);
        let steps = Steps::open(folder.path()).unwrap();
        [step("1", "a")[0].clone(), step("2", "b")[0].clone()].iter().for_each(|step| steps.note(step).unwrap());
        let (whole, begun) = (std::fs::read(&path).unwrap(), Steps::open(folder.path()).unwrap().begun);
        assert_eq!(begun.len(), 2);
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, damaged).unwrap();
            let steps = Steps::open(folder.path()).unwrap();
            let is_cut_off = bit / 8 == whole.len() - 1;
            assert!(is_cut_off && steps.begun == begun || steps.check().is_err(), "{bit}");
            let again = Steps::open(folder.path()).unwrap();
            assert!(again.check().is_ok() && again.begun == steps.begun, "{bit}");
        }
    }

    #[test]
    fn a_flipped_bit_in_what_is_to_be_uploaded_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(UPLOAD);
        let manifest = Manifest::of(folder.path()).unwrap();
        Journal { overwrite: false, manifest, orphans: BTreeSet::new() }.write(folder.path()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert!(Journal::read(folder.path()).unwrap().is_some());
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, damaged).unwrap();
            assert!(Journal::read(folder.path()).is_err(), "{bit}");
        }
    }
}
