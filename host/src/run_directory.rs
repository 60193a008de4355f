//! The folder of a run in the making: its dataset, and all that it needs to go on where it was killed.
//!
//! It lies beside the destination, belongs to one process at a time, and can be read by its owner only. The dataset appears at its
//! destination in one step, or not at all.

use crate::durable;
use crate::{Error, Result};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
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
    /// Starts a run whose dataset is to be at `destination`. With `overwrite` it may replace a directory that holds a file named `marker`,
    /// by which wafermill knows what it wrote itself, and what an earlier run left unfinished.
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
        if !overwrite && created.can_be_resumed() {
            let error =
                Error::usage("an earlier run towards this destination was interrupted").file(&created.destination);
            let name = created.destination.display();
            return Err(error.hint(format!(
                "`wafermill resume {name}` goes on where it was; `wafermill clean {name}`, or `--overwrite`, removes what it left"
            )));
        }
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

    /// Says what the earlier run was allowed to replace.
    pub fn allow(&mut self, marker: &str, overwrite: bool) {
        (self.marker, self.overwrite) = (marker.to_owned(), overwrite);
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
        !self.data().exists() && self.path.join(crate::run::RECORD).exists()
    }

    /// Whether the run can be resumed: something was completed that would else have to be done again.
    pub fn can_be_resumed(&self) -> bool {
        let holds = |name: &str| self.path.join(name).metadata().is_ok_and(|found| found.len() > 0);
        self.data().exists()
            && holds(crate::run::RECORD)
            && (holds(crate::run::PROGRESS)
                || holds(crate::run::AGGREGATED)
                || holds(crate::aggregate::SEGMENTS)
                || self.spool().join(crate::spool::INDEX).exists())
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

    /// Makes the dataset safe on disk and moves it to its destination.
    ///
    /// # Errors
    /// Where something has appeared at the destination, or it cannot be written. The dataset then stays where it is, and the error says
    /// where.
    pub fn publish(mut self) -> Result<()> {
        let moved = self.move_to_destination();
        self.kept = moved.is_err();
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
        match fs::remove_file(self.path.join(crate::run::RECORD)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed.and_then(|()| durable::sync_folder(&self.path))?,
        }
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            match entry.file_name() == LOCK {
                true => {}
                false if entry.file_type()?.is_dir() => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if !self.kept {
            // the lock goes last, when there is nothing left that another run's could be taken for; where one has begun there the folder stays
            let _ = self.empty();
            let _ = fs::remove_file(self.path.join(LOCK));
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// The destination, and the folder of its run.
fn places(destination: &Path) -> Result<(PathBuf, PathBuf)> {
    if destination.is_symlink() && !destination.exists() {
        let error = Error::usage("the destination is a link that leads nowhere").file(destination);
        return Err(error.hint("remove the link, or make the folder that it names"));
    }
    // what a link leads to is replaced, not the link
    let destination = fs::canonicalize(destination).or_else(|_| std::path::absolute(destination));
    let destination = destination.map_err(|error| Error::output("cannot find the destination").because(error))?;
    let (Some(parent), Some(name)) = (destination.parent(), destination.file_name()) else {
        return Err(Error::usage("the destination has no name").file(&destination).hint("name a new directory"));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".run");
    let path = parent.join(hidden);
    Ok((destination, path))
}

/// Puts back what an earlier run was about to replace when it was killed.
fn put_back(path: &Path, destination: &Path) -> Result<()> {
    let replaced = path.join(REPLACED);
    if replaced.exists() && !destination.exists() {
        fs::rename(&replaced, destination).map_err(|error| {
            Error::output("cannot put back what an earlier run was to replace").file(&replaced).because(error)
        })?;
    }
    Ok(())
}

/// Checks that a folder is that of a run: ours, and nobody else's.
fn check_own(path: &Path) -> Result<()> {
    let found = fs::symlink_metadata(path).map_err(|error| cannot_write(path, error))?;
    let is_private = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0;
    let is_run = path.join(LOCK).exists() || !holds_something(path).unwrap_or(true);
    match is_private && is_run {
        true => Ok(()),
        false => {
            let error = Error::usage("there is something beside the destination where a run would work").file(path);
            Err(error.hint("move it away, or choose another destination"))
        }
    }
}

/// Locks a run's folder, which is made where it is missing and may be.
fn lock(path: &Path, make: bool) -> Result<File> {
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
        let opened = File::options().create(true).truncate(false).read(true).write(true).open(path.join(LOCK));
        let mut file = match opened {
            // the run before went away meanwhile, and its folder with it
            Err(error) if make && error.kind() == ErrorKind::NotFound => continue,
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
            let told = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
            return told.map(|()| file).map_err(cannot);
        }
    }
    Err(cannot(io::Error::other("other runs begin and end there all the time")))
}

fn busy(path: &Path, lock: &mut File) -> Error {
    let mut process = String::new();
    let _ = lock.take(20).read_to_string(&mut process);
    let who = if process.is_empty() { String::new() } else { format!(", process {}", process.trim()) };
    Error::usage(format!("another run writes to this destination{who}"))
        .file(path)
        .hint("wait until it ends, or choose another destination")
}

/// Checks that what is at the destination may go.
fn check(destination: &Path, marker: &str, overwrite: bool) -> Result<()> {
    match holds_something(destination) {
        Ok(false) => Ok(()),
        Ok(true) if !overwrite => Err(Error::usage("the destination is not empty")
            .file(destination)
            .hint("pass `--overwrite` to replace it, or choose another destination")),
        Ok(true) if destination.join(marker).is_file() => Ok(()),
        Ok(true) => Err(Error::usage(format!(
            "the destination has no `{marker}`, so it is not what this command writes and is not replaced"
        ))
        .file(destination)
        .hint("choose another destination, or remove this one yourself")),
        Err(error) => Err(Error::usage("the destination is not a directory that can be read")
            .file(destination)
            .because(error)
            .hint("choose another destination")),
    }
}

fn holds_something(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().transpose()?.is_some()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes files and directories safe on disk.
fn sync(path: &Path) -> Result<()> {
    let cannot = |error: io::Error| cannot_write(path, error);
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(cannot)? {
            sync(&entry.map_err(cannot)?.path())?;
        }
    }
    File::open(path).and_then(|file| file.sync_all()).map_err(cannot)
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::output("cannot write beside the destination")
        .file(path)
        .because(error)
        .hint("see that the disk has room and that you may write there, or choose another destination")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const MARKER: &str = "wafermill.json";

    fn write(directory: &Path, content: &str) {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join(MARKER), content).unwrap();
    }

    fn read(directory: &Path) -> String {
        fs::read_to_string(directory.join(MARKER)).unwrap()
    }

    fn entries(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn a_dataset_appears_at_its_destination_and_nothing_else_stays() {
        let home = tempfile::tempdir().unwrap();
        let destination = home.path().join("new/out");
        let run = RunDirectory::create(&destination, MARKER, false).unwrap();
        assert_eq!(fs::metadata(run.path()).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(run.path().join("spill"), "").unwrap();
        write(&run.data(), "1");
        assert!(!destination.exists());
        run.publish().unwrap();
        assert_eq!((read(&destination).as_str(), entries(&home.path().join("new"))), ("1", 1));
    }

    #[test]
    fn a_dropped_run_leaves_no_debris() {
        let home = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(&home.path().join("out"), MARKER, false).unwrap();
        write(&run.data().join("train"), "1");
        assert_eq!(entries(home.path()), 1);
        drop(run);
        assert_eq!(entries(home.path()), 0);
    }

    #[test]
    fn what_a_killed_run_was_about_to_replace_is_put_back() {
        let home = tempfile::tempdir().unwrap();
        let destination = home.path().join("out");
        write(&destination, "old");
        let mut run = RunDirectory::create(&destination, MARKER, true).unwrap();
        fs::rename(&destination, run.path().join(REPLACED)).unwrap();
        run.keep();
        drop(run);
        let mut run = RunDirectory::reopen(&destination).unwrap();
        assert_eq!(read(&destination), "old");
        run.discard();
        drop(run);
        assert_eq!((read(&destination).as_str(), entries(home.path())), ("old", 1));
    }

    #[test]
    fn a_folder_of_somebody_else_is_neither_used_nor_emptied() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".out.run");
        write(&path, "mine");
        for mode in [0o700, 0o755] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(RunDirectory::create(&home.path().join("out"), MARKER, true).is_err());
            assert!(RunDirectory::reopen(&home.path().join("out")).is_err());
        }
        fs::remove_file(path.join(MARKER)).unwrap();
        assert!(RunDirectory::create(&home.path().join("out"), MARKER, true).is_err(), "others can read it");
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink(home.path().join("elsewhere"), &path).unwrap();
        fs::create_dir(home.path().join("elsewhere")).unwrap();
        assert!(RunDirectory::create(&home.path().join("out"), MARKER, true).is_err());
    }

    #[test]
    fn a_run_that_is_half_removed_is_neither_published_nor_resumed() {
        let home = tempfile::tempdir().unwrap();
        let destination = home.path().join("out");
        let run = RunDirectory::create(&destination, MARKER, false).unwrap();
        for name in [crate::run::RECORD, crate::run::PROGRESS] {
            fs::write(run.path().join(name), "{}").unwrap();
        }
        assert!(run.can_be_resumed() && !run.is_published());
        fs::remove_file(run.path().join(crate::run::RECORD)).unwrap();
        assert!(!run.can_be_resumed() && !run.is_published());
        fs::remove_dir(run.data()).unwrap();
        assert!(!run.is_published());
    }

    #[test]
    fn only_what_wafermill_wrote_is_overwritten_and_only_on_demand() {
        let home = tempfile::tempdir().unwrap();
        let destination = home.path().join("out");
        write(&destination, "old");
        let error = RunDirectory::create(&destination, MARKER, false).err().unwrap();
        assert!(error.hint_text().unwrap().contains("--overwrite"));
        assert!(RunDirectory::create(&destination, "other.json", true).is_err());
        let run = RunDirectory::create(&destination, MARKER, true).unwrap();
        write(&run.data(), "new");
        assert_eq!(read(&destination), "old");
        run.publish().unwrap();
        assert_eq!((read(&destination).as_str(), entries(home.path())), ("new", 1));
    }

    #[test]
    fn an_empty_directory_may_be_the_destination_and_a_file_may_not() {
        let home = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(home.path(), MARKER, false).unwrap();
        write(&run.data(), "1");
        run.publish().unwrap();
        assert_eq!(read(home.path()), "1");
        assert!(RunDirectory::create(&home.path().join(MARKER), MARKER, true).is_err());
        assert!(RunDirectory::create(Path::new("/"), MARKER, true).is_err());
    }

    #[test]
    fn what_appears_meanwhile_is_kept_and_so_is_the_dataset() {
        let home = tempfile::tempdir().unwrap();
        let destination = home.path().join("out");
        let run = RunDirectory::create(&destination, MARKER, false).unwrap();
        let data = run.data();
        write(&data, "mine");
        write(&destination, "theirs");
        let error = run.publish().unwrap_err();
        assert!(error.hint_text().unwrap().contains(data.to_str().unwrap()));
        assert_eq!((read(&destination).as_str(), read(&data).as_str()), ("theirs", "mine"));
    }
}
