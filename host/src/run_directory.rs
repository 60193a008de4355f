//! The folder of a run in the making: its dataset, and all that it needs to go on where it was killed.
//!
//! It lies beside the destination, belongs to one process at a time, and can be read by its owner only. The dataset appears at its
//! destination in one step, or not at all.

mod content;
mod destination;
mod lock;
#[cfg(test)]
mod tests;

use crate::model::MANIFEST;
use crate::run::{AGGREGATED, PROGRESS, RECORD, REPORT};
use crate::shell::quoted;
use crate::{Error, Result, durable};
use content::{check_plain, holds_something, sync};
use destination::{check, check_movable, is_ours, places, resolved};
use lock::lock;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The dataset.
const DATA: &str = "data";
/// What `publish` replaces.
const REPLACED: &str = "replaced";
/// Is locked by the process that writes here, and tells which one.
const LOCK: &str = "lock";
/// The tables of aggregates, until the dataset has them.
const TABLES: &str = "tables";
/// The rows of the source, once they were read.
const SPOOL: &str = "spool";
/// Tells that the dataset is at its destination, and that only the folder is left to be removed.
const PUBLISHED: &str = "published";

/// A run in the making, beside its destination. It goes away with this value, unless it is kept.
pub struct RunDirectory {
    path: PathBuf,
    destination: PathBuf,
    marker: String,
    overwrite: bool,
    /// Holds the lock for as long as it is open.
    _lock: File,
    kept: bool,
}

impl RunDirectory {
    /// Starts a run whose dataset is to be at `destination`. With `overwrite` it may replace a directory with a file `marker` that
    /// wafermill wrote, by which it knows what is its own, and what an earlier run left unfinished.
    ///
    /// # Errors
    /// Where there is something at the destination that may not be replaced, nothing can be written beside it, another run does so, or an
    /// earlier one can be resumed.
    pub fn create(destination: &Path, marker: &str, overwrite: bool) -> Result<Self> {
        let (destination, path) = places(destination)?;
        check(&destination, marker, overwrite)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| cannot_write(parent, error))?;
        }
        let lock = lock(&path, true)?;
        put_back(&path, &destination)?;
        check(&destination, marker, overwrite)?;
        let mut created = Self { path, destination, marker: marker.to_owned(), overwrite, _lock: lock, kept: true };
        created.kept = created.can_be_resumed();
        if !overwrite && created.kept {
            let error = Error::usage("an earlier run towards this destination was interrupted");
            let (resume, clean) = (created.command("resume"), created.command("clean"));
            return Err(error
                .file(&created.destination)
                .hint(format!("`{resume}` goes on where it was; `{clean}`, or `--overwrite`, removes what it left")));
        }
        check_movable(&created.destination, &created.path)?;
        created.kept = false;
        let emptied = created.empty().and_then(|()| fs::create_dir(created.data()));
        emptied.map_err(|error| cannot_write(&created.path, error))?;
        Ok(created)
    }

    /// Takes over what an earlier run left.
    ///
    /// # Errors
    /// Where there is none, or it is still running.
    pub fn reopen(destination: &Path) -> Result<Self> {
        let (destination, path) = places(destination)?;
        if !path.is_dir() {
            let error = Error::usage("there is no interrupted run towards this destination").file(&destination);
            return Err(error.hint("name the destination of the run; `wafermill run` starts a new one"));
        }
        let lock = lock(&path, false)?;
        put_back(&path, &destination)?;
        Ok(Self { path, destination, marker: String::new(), overwrite: false, _lock: lock, kept: true })
    }

    /// Checks that there is nothing in the folder but plain files and folders of such.
    ///
    /// # Errors
    /// Where there is: a run makes nothing else.
    pub fn check_plain(&self) -> Result<()> {
        check_plain(&self.path)
    }

    /// Whether a path, of something that need not be there, meets a destination or the folder of its run: within, or the other way round.
    pub fn meets(destination: &Path, path: &Path) -> bool {
        let path = resolved(path);
        let within = |place: PathBuf| path.starts_with(&place) || place.starts_with(&path);
        places(destination).is_ok_and(|(destination, run)| within(resolved(&destination)) || within(resolved(&run)))
    }

    /// Says what the earlier run was allowed to replace.
    ///
    /// # Errors
    /// Where there is something at the destination that may not be replaced, or cannot be.
    pub fn allow(&mut self, marker: &str, overwrite: bool) -> Result<()> {
        (self.marker, self.overwrite) = (marker.to_owned(), overwrite);
        let checked = check(&self.destination, marker, overwrite);
        checked.map_err(|error| error.hint("move away what is there, and resume again"))?;
        check_movable(&self.destination, &self.path)
    }

    /// Where the dataset is to be.
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// Where to write the dataset.
    pub fn data(&self) -> PathBuf {
        self.path.join(DATA)
    }

    /// Where to keep the rows of the source.
    pub fn spool(&self) -> PathBuf {
        self.path.join(SPOOL)
    }

    /// Where to keep the tables of aggregates.
    pub fn tables(&self) -> PathBuf {
        self.path.join(TABLES)
    }

    /// The run's own folder, for what it needs in between.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the dataset is at its destination already, so that only this folder was left to be removed.
    pub fn is_published(&self) -> bool {
        let there = |name: &str| self.path.join(name).exists();
        let moved = self.is_empty() || (there(RECORD) && !there(DATA));
        there(PUBLISHED) || moved && [REPORT, MANIFEST].iter().any(|marker| is_ours(&self.destination, marker))
    }

    /// Whether there is nothing but the lock.
    fn is_empty(&self) -> bool {
        let other = |entry: io::Result<fs::DirEntry>| entry.map_or(true, |entry| entry.file_name() != LOCK);
        fs::read_dir(&self.path).is_ok_and(|mut entries| !entries.any(other))
    }

    /// Whether the run can be resumed: something was completed that would else have to be done again.
    pub fn can_be_resumed(&self) -> bool {
        let holds = |name: &str| self.path.join(name).metadata().is_ok_and(|found| found.len() > 0);
        let is_left_to_upload = holds(crate::store::UPLOAD);
        self.data().exists()
            && (is_left_to_upload || holds(RECORD))
            && (is_left_to_upload
                || holds(PROGRESS)
                || holds(AGGREGATED)
                || holds(crate::aggregate::SEGMENTS)
                || self.spool().join(crate::spool::INDEX).exists())
    }

    /// What a user types so that a command of wafermill is about this run.
    pub fn command(&self, command: &str) -> String {
        format!("wafermill {command} {}", quoted(&self.destination))
    }

    /// Makes what was written of the dataset and of the tables of aggregates safe on disk.
    ///
    /// # Errors
    /// Where the file system cannot.
    pub fn sync(&self) -> Result<()> {
        if self.tables().exists() {
            sync(&self.tables())?;
        }
        sync(&self.data())
    }

    /// Leaves everything as it is when this value goes away.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Removes everything when this value goes away.
    pub fn discard(&mut self) {
        self.kept = false;
    }

    /// Removes it now.
    ///
    /// # Errors
    /// Where something of it stays.
    pub fn remove(mut self) -> Result<()> {
        self.kept = true;
        self.remove_all().map_err(|error| {
            let error = Error::output("what the run left cannot be removed").file(&self.path).because(error);
            error.hint("see that you may write there and that nothing is mounted in it, and try again")
        })
    }

    /// Makes the dataset safe on disk and moves it to its destination.
    ///
    /// # Errors
    /// Where something has appeared at the destination, or it cannot be written. The dataset then stays where it is, and the error says
    /// where.
    pub fn publish(mut self) -> Result<()> {
        let moved = self.move_to_destination();
        self.kept = moved.is_err();
        if moved.is_ok() {
            // without it `resume` still sees that there is no dataset here, as long as there is the run's record
            let _ = File::create(self.path.join(PUBLISHED));
        }
        moved.map_err(|error| {
            let data = self.data();
            error.hint(format!("the finished dataset is kept in `{}`: move it where you want it", data.display()))
        })
    }

    fn move_to_destination(&self) -> Result<()> {
        let destination = &self.destination;
        let cannot = |error: io::Error| {
            Error::output("cannot move the dataset to its destination").file(destination).because(error)
        };
        sync(&self.data())?;
        check(destination, &self.marker, self.overwrite)?;
        let replaced = self.path.join(REPLACED);
        let replaces = holds_something(destination).map_err(cannot)?;
        if replaces {
            fs::rename(destination, &replaced).map_err(cannot)?;
        }
        // fails where somebody has written something there since: a directory takes only the place of an empty one
        if let Err(error) = fs::rename(self.data(), destination) {
            if replaces {
                fs::rename(&replaced, destination).map_err(cannot)?;
            }
            return Err(cannot(error));
        }
        // the dataset is there: its name is made safe as well as the file system can
        if let Some(parent) = destination.parent() {
            let _ = durable::sync_folder(parent);
        }
        Ok(())
    }

    /// Removes all but the lock. What tells that there is a run goes first: half removed it must not look like one.
    fn empty(&self) -> io::Result<()> {
        durable::forget(&self.path.join(RECORD))?;
        durable::forget(&self.path.join(crate::store::UPLOAD))?;
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name() != LOCK && entry.file_name() != PUBLISHED {
                durable::remove(&entry.path())?;
            }
        }
        durable::remove(&self.path.join(PUBLISHED)).map(drop)
    }

    /// Removes the folder. The lock goes last, when there is nothing left that another run's could be taken for.
    fn remove_all(&self) -> io::Result<()> {
        self.empty()?;
        durable::remove(&self.path.join(LOCK))?;
        match fs::remove_dir(&self.path) {
            // another run has begun there, or removed it as well
            Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound) => Ok(()),
            removed => removed,
        }
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if !self.kept {
            let _ = self.remove_all();
        }
    }
}

/// Puts back what an earlier run was about to replace when it was killed, which was before its dataset had left its folder.
fn put_back(path: &Path, destination: &Path) -> Result<()> {
    let replaced = path.join(REPLACED);
    if replaced.exists() && path.join(DATA).exists() && !destination.exists() {
        fs::rename(&replaced, destination).map_err(|error| {
            Error::output("cannot put back what an earlier run was to replace").file(&replaced).because(error)
        })?;
    }
    Ok(())
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::output("cannot write beside the destination")
        .file(path)
        .because(error)
        .hint("see that the disk has room and that you may write there, or choose another destination")
}
