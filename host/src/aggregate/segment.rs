//! Segments: rows of the source whose files are complete and safe on disk, so that a run that is killed goes on behind them.
//!
//! Where a segment ends is a function of the rows and the layout options. At its end each part ends its file; the segment is then
//! recorded in a log, by one line that is written at once, with its checksum.

use super::FileSummary;
use crate::digest::Checksum;
use crate::durable;
use crate::run::Progress;
use crate::{Error, Result, Stop, plain_file, sealed};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// The log's file in the run's folder.
pub const SEGMENTS: &str = "segments";

/// Bytes of a log: some million files.
const MOST: u64 = 1 << 30;

/// Rows of the source whose files are complete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    /// The first row, and the one behind the last, counted over the whole source.
    pub(super) rows: (u64, u64),
    /// The files that were written of each part.
    pub(super) files: Vec<Vec<FileSummary>>,
    /// Bytes that went through spill files.
    pub(super) spilled_bytes: u64,
}

/// Where segments are recorded.
pub(super) struct SegmentLog {
    path: PathBuf,
    file: File,
}

impl SegmentLog {
    /// Opens a log, with the segments that were recorded in it. What a killed run was about to write is cut off.
    ///
    /// # Errors
    /// Where it cannot be read or written, or is no log of one dataset's segments.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Segment>)> {
        let failed = |error: std::io::Error| cannot_record(path, error);
        let text = match plain_file::read(path, MOST) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            text => text.map_err(failed)?,
        };
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let segments = lines.map(sealed::open::<Segment>).collect::<Result<Vec<_>, _>>();
        let segments = segments.map_err(|error| damaged(path).because(error))?;
        let mut next = 0;
        for segment in &segments {
            if segment.rows.0 != next || segment.rows.1 <= next {
                return Err(damaged(path).because("its segments do not follow each other"));
            }
            next = segment.rows.1;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(failed)?;
        if let Some(folder) = path.parent() {
            durable::sync_folder(folder).map_err(failed)?;
        }
        Ok((Self { path: path.to_owned(), file }, segments))
    }

    /// Records a segment whose files are safe on disk.
    pub(super) fn append(&mut self, segment: &Segment) -> Result<()> {
        let failed = |error: std::io::Error| cannot_record(&self.path, error);
        let mut line = sealed::seal(segment).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).and_then(|()| self.file.sync_data()).map_err(failed)
    }

    /// Checks that the files of recorded segments are what was recorded.
    ///
    /// # Errors
    /// Where a file has changed, or it is asked to stop.
    pub(super) fn check(
        &self,
        dataset: &Path,
        parts: &[String],
        segments: &[Segment],
        stop: &Stop,
        progress: &dyn Progress,
    ) -> Result<()> {
        if segments.iter().any(|segment| segment.files.len() != parts.len()) {
            return Err(damaged(&self.path).because("its segments have another number of parts"));
        }
        let files: Vec<&FileSummary> = segments.iter().flat_map(|segment| segment.files.iter().flatten()).collect();
        if files.is_empty() {
            return Ok(());
        }
        progress.begin("check what was written", Some(files.iter().map(|file| file.rows).sum()));
        let checked =
            files.iter().try_for_each(|file| self.check_file(&dataset.join(&file.path), file, stop, progress));
        progress.end();
        checked
    }

    /// Checks a file a piece at a time: there may be hundreds of gigabytes of them.
    fn check_file(&self, path: &Path, recorded: &FileSummary, stop: &Stop, progress: &dyn Progress) -> Result<()> {
        const PIECE: usize = 1 << 20;
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => self.changed(path),
            _ => Error::output("a file that an earlier run wrote cannot be read").file(path).because(error),
        };
        let mut file = File::open(path).map_err(failed)?;
        let mut checksum = Checksum::new(std::io::sink());
        let (mut piece, mut bytes, mut told) = (Vec::with_capacity(PIECE), 0, 0);
        loop {
            stop.check()?;
            piece.clear();
            let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece).map_err(failed)?;
            if read == 0 {
                break;
            }
            checksum.write_all(&piece).map_err(failed)?;
            bytes += read as u64;
            let share = u128::from(recorded.rows) * u128::from(bytes) / u128::from(recorded.bytes.max(1));
            let rows = u64::try_from(share).map_or(recorded.rows, |rows| rows.min(recorded.rows));
            progress.advance(rows - told);
            told = rows;
        }
        let (_, _, found) = checksum.finish();
        if found == recorded.checksum { Ok(()) } else { Err(self.changed(path)) }
    }

    /// Tells that a file has changed. Without the log none is kept, so that a run that goes on writes them anew.
    fn changed(&self, path: &Path) -> Error {
        let _ = durable::forget(&self.path);
        Error::output("a file that an earlier run wrote is not what it was").file(path).hint(ANEW)
    }
}

/// Forgets what was recorded: what was written is of no use, now and later.
///
/// # Errors
/// Where the log cannot be removed.
pub fn forget(log: &Path) -> Result<()> {
    let failed = |error| Error::output("the progress of the dataset cannot be forgotten").file(log).because(error);
    durable::forget(log).map_err(failed)
}

/// Removes all files of the parts but those of recorded segments.
///
/// # Errors
/// Where one cannot be removed.
pub(super) fn remove_others(dataset: &Path, parts: &[String], segments: &[Segment]) -> Result<()> {
    let recorded = segments.iter().flat_map(|segment| segment.files.iter().flatten());
    let known: HashSet<PathBuf> = recorded.map(|file| dataset.join(&file.path)).collect();
    for folder in parts.iter().map(|part| dataset.join(part)) {
        let failed = |error: std::io::Error| cannot_record(&folder, error);
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if !known.contains(&path) {
                std::fs::remove_file(&path).map_err(failed)?;
            }
        }
    }
    Ok(())
}

fn cannot_record(path: &Path, error: std::io::Error) -> Error {
    Error::output("the progress of the dataset cannot be recorded").file(path).because(error).hint(
        "see that the disk has room and that you may write there; `wafermill resume` goes on from what was recorded",
    )
}

/// Tells that the log is damaged, which then is none.
fn damaged(path: &Path) -> Error {
    let _ = durable::forget(path);
    Error::output("the record of what an earlier run wrote is damaged").file(path).hint(ANEW)
}

const ANEW: &str = "see to that disk; `wafermill resume` writes the dataset anew, or run again after `wafermill clean`";

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn segment(rows: (u64, u64)) -> Segment {
        Segment { rows, files: vec![Vec::new()], spilled_bytes: 0 }
    }

    #[test]
    fn a_line_that_was_cut_off_is_forgotten_and_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segments");
        let (mut log, segments) = SegmentLog::open(&path).unwrap();
        assert_eq!(segments, []);
        log.append(&segment((0, 10))).unwrap();
        log.append(&segment((10, 30))).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..20 {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let (mut log, segments) = SegmentLog::open(&path).unwrap();
            assert_eq!(segments, [segment((0, 10))], "{cut}");
            log.append(&segment((10, 30))).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn segments_that_do_not_follow_each_other_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (name, rows) in [("gap", [(0, 5), (6, 10)]), ("overlap", [(0, 5), (4, 10)]), ("empty", [(0, 5), (5, 5)])] {
            let path = folder.path().join(name);
            let mut log = SegmentLog::open(&path).unwrap().0;
            rows.iter().for_each(|rows| log.append(&segment(*rows)).unwrap());
            assert!(SegmentLog::open(&path).is_err(), "{name}");
        }
    }

    /// Adds up what it is told, and asks to stop once that is `most`.
    struct Told {
        rows: AtomicU64,
        most: u64,
        stop: Stop,
    }

    impl Progress for Told {
        fn begin(&self, _: &str, rows: Option<u64>) {
            assert_eq!(rows, Some(1_000));
        }

        fn advance(&self, rows: u64) {
            if self.rows.fetch_add(rows, Ordering::Relaxed) + rows >= self.most {
                self.stop.set();
            }
        }

        fn end(&self) {}
    }

    #[test]
    fn files_are_checked_with_progress_and_the_check_can_be_stopped_within_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("all")).unwrap();
        let content = vec![7; 5 << 20];
        std::fs::write(folder.path().join("all/a"), &content).unwrap();
        let (file, checksum) = ("all/a".to_owned(), crate::digest::checksum(&content));
        let file = FileSummary { path: file, rows: 1_000, bytes: content.len() as u64, checksum };
        let segments = [Segment { rows: (0, 1_000), files: vec![vec![file]], spilled_bytes: 0 }];
        let log = folder.path().join("segments");
        let (path, log) = (log.clone(), SegmentLog::open(&log).unwrap().0);
        let check = |most| {
            let told = Told { rows: AtomicU64::new(0), most, stop: Stop::default() };
            let checked = log.check(folder.path(), &["all".to_owned()], &segments, &told.stop, &told);
            (checked, told.rows.into_inner())
        };
        let (checked, rows) = check(u64::MAX);
        assert!(checked.is_ok() && rows == 1_000);
        let (checked, rows) = check(300);
        assert!(checked.unwrap_err().kind() == crate::ErrorKind::Interrupted && rows == 400);
        assert!(path.exists());
        std::fs::write(folder.path().join("all/a"), &content[1..]).unwrap();
        assert!(check(u64::MAX).0.unwrap_err().message().contains("not what it was"));
        assert!(!path.exists(), "what cannot be believed is forgotten");
    }

    #[test]
    fn a_flipped_bit_forgets_the_last_line_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segments");
        let mut log = SegmentLog::open(&path).unwrap().0;
        log.append(&segment((0, 10))).unwrap();
        log.append(&segment((10, 30))).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut forgotten = 0;
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bytes).unwrap();
            if let Ok((_, segments)) = SegmentLog::open(&path) {
                assert_eq!(segments, [segment((0, 10))], "{bit}");
                forgotten += 1;
            }
        }
        assert_eq!(forgotten, 8, "of the last line's end");
    }
}
