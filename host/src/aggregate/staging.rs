//! Makes a dataset appear at its destination in one step, or not at all.

use crate::{Error, Result};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The dataset, in the staging directory.
const DATA: &str = "data";
/// What `publish` replaces, in the staging directory.
const REPLACED: &str = "replaced";

/// A dataset in the making, beside its destination.
///
/// It grows in a directory of its own, which nobody else can read and which goes away with this value.
pub struct Staging {
    directory: TempDir,
    destination: PathBuf,
    marker: String,
    overwrite: bool,
}

impl Staging {
    /// Starts a dataset that is to be at `destination`. With `overwrite` it may replace a directory that holds a file named `marker`,
    /// by which wafermill knows what it wrote itself.
    ///
    /// # Errors
    /// Where there is something at the destination that may not be replaced, or nothing can be written beside it.
    pub fn create(destination: &Path, marker: &str, overwrite: bool) -> Result<Self> {
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
        check(&destination, marker, overwrite)?;
        let prefix = format!(".{}.staging-{}-", name.to_string_lossy(), std::process::id());
        fs::create_dir_all(parent).map_err(|error| cannot_stage(parent, error))?;
        // nobody else sees the dataset grow; once published it has the permissions that the umask allows
        let directory =
            tempfile::Builder::new().prefix(&prefix).permissions(Permissions::from_mode(0o700)).tempdir_in(parent);
        let directory = directory.map_err(|error| cannot_stage(parent, error))?;
        fs::create_dir(directory.path().join(DATA)).map_err(|error| cannot_stage(parent, error))?;
        Ok(Self { directory, destination, marker: marker.to_owned(), overwrite })
    }

    /// Where to write the dataset.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join(DATA)
    }

    /// A private directory on the same disk for what is needed in between; it goes away too.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// Makes the dataset safe on disk and moves it to its destination.
    ///
    /// # Errors
    /// Where something has appeared at the destination, or it cannot be written. The dataset then stays where it is, and the error says
    /// where.
    pub fn publish(self) -> Result<()> {
        match self.move_to_destination() {
            Ok(()) => Ok(()),
            Err(error) => {
                let kept = self.directory.keep().join(DATA);
                Err(error
                    .hint(format!("the finished dataset is kept in `{}`: move it where you want it", kept.display())))
            }
        }
    }

    fn move_to_destination(&self) -> Result<()> {
        let destination = &self.destination;
        let cannot = |error: io::Error| {
            Error::output("cannot move the dataset to its destination").file(destination).because(error)
        };
        sync(&self.path())?;
        check(destination, &self.marker, self.overwrite)?;
        let replaced = self.directory.path().join(REPLACED);
        let replaces = holds_something(destination).map_err(cannot)?;
        if replaces {
            fs::rename(destination, &replaced).map_err(cannot)?;
        }
        // fails where somebody has written something there since: a directory takes only the place of an empty one
        if let Err(error) = fs::rename(self.path(), destination) {
            if replaces {
                fs::rename(&replaced, destination).map_err(cannot)?;
            }
            return Err(cannot(error));
        }
        // the dataset is there: its name is made safe as well as the file system can
        if let Some(parent) = destination.parent() {
            let _ = File::open(parent).and_then(|parent| parent.sync_all());
        }
        Ok(())
    }
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
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes files and directories safe on disk.
fn sync(path: &Path) -> Result<()> {
    let cannot = |error: io::Error| cannot_stage(path, error);
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(cannot)? {
            sync(&entry.map_err(cannot)?.path())?;
        }
    }
    File::open(path).and_then(|file| file.sync_all()).map_err(cannot)
}

fn cannot_stage(path: &Path, error: io::Error) -> Error {
    Error::output("cannot write beside the destination")
        .file(path)
        .because(error)
        .hint("see that the disk has room and that you may write there, or choose another destination")
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let staging = Staging::create(&destination, MARKER, false).unwrap();
        assert_eq!(fs::metadata(staging.scratch()).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(staging.scratch().join("spill"), "").unwrap();
        write(&staging.path(), "1");
        assert!(!destination.exists());
        staging.publish().unwrap();
        assert_eq!((read(&destination).as_str(), entries(&home.path().join("new"))), ("1", 1));
    }

    #[test]
    fn a_dropped_staging_leaves_no_debris() {
        let home = tempfile::tempdir().unwrap();
        let staging = Staging::create(&home.path().join("out"), MARKER, false).unwrap();
        write(&staging.path().join("train"), "1");
        assert_eq!(entries(home.path()), 1);
        drop(staging);
        assert_eq!(entries(home.path()), 0);
    }

    #[test]
    fn only_what_wafermill_wrote_is_overwritten_and_only_on_demand() {
        let home = tempfile::tempdir().unwrap();
        let destination = home.path().join("out");
        write(&destination, "old");
        let error = Staging::create(&destination, MARKER, false).err().unwrap();
        assert!(error.hint_text().unwrap().contains("--overwrite"));
        assert!(Staging::create(&destination, "other.json", true).is_err());
        let staging = Staging::create(&destination, MARKER, true).unwrap();
        write(&staging.path(), "new");
        assert_eq!(read(&destination), "old");
        staging.publish().unwrap();
        assert_eq!((read(&destination).as_str(), entries(home.path())), ("new", 1));
    }

    #[test]
    fn an_empty_directory_may_be_the_destination_and_a_file_may_not() {
        let home = tempfile::tempdir().unwrap();
        let staging = Staging::create(home.path(), MARKER, false).unwrap();
        write(&staging.path(), "1");
        staging.publish().unwrap();
        assert_eq!(read(home.path()), "1");
        assert!(Staging::create(&home.path().join(MARKER), MARKER, true).is_err());
        assert!(Staging::create(Path::new("/"), MARKER, true).is_err());
    }

    #[test]
    fn what_appears_meanwhile_is_kept_and_so_is_the_dataset() {
        let home = tempfile::tempdir().unwrap();
        let destination = home.path().join("out");
        let staging = Staging::create(&destination, MARKER, false).unwrap();
        let data = staging.path();
        write(&data, "mine");
        write(&destination, "theirs");
        let error = staging.publish().unwrap_err();
        assert!(error.hint_text().unwrap().contains(data.to_str().unwrap()));
        assert_eq!((read(&destination).as_str(), read(&data).as_str()), ("theirs", "mine"));
    }
}
