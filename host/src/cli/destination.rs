//! Where a dataset is to be: a folder, which appears by a rename, or a place in a store, to which it is uploaded.

use super::arguments::WorkFolder;
use super::console::Console;
use super::interrupt::leave;
use super::print::{counted, print, print_json};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wafermill::memory::format_size;
use wafermill::run::Watcher;
use wafermill::source::Source;
use wafermill::store::{Address, Progress, Remote};
use wafermill::{Error, Result, RunDirectory, Stop, quoted};

/// A destination.
pub(super) struct Target {
    /// The folder; of a place in a store one beside which the run works, and which itself never appears.
    folder: PathBuf,
    address: Option<Address>,
}

/// A run that may begin.
pub(super) struct Begun {
    pub(super) directory: RunDirectory,
    pub(super) remote: Option<Remote>,
}

impl Target {
    /// The one that a text means.
    pub(super) fn of(destination: &Path, work: &WorkFolder) -> Result<Self> {
        if !Address::is_one(destination) {
            if destination.to_str().is_some_and(|text| text.contains("://")) {
                let error = Error::usage("the destination is no address that is known").file(destination);
                return Err(
                    error.hint("addresses begin with `s3://` or `gs://`; write `./` before the name of a folder")
                );
            }
            return Ok(Self { folder: destination.to_owned(), address: None });
        }
        let text =
            destination.to_str().ok_or_else(|| Error::usage("the destination is no Unicode").file(destination))?;
        let address = Address::parse(text)?;
        let folder = match &work.work {
            Some(work) => work.clone(),
            None => states()?.join("wafermill"),
        };
        Ok(Self { folder: folder.join(address.to_file_name()), address: Some(address) })
    }

    /// Starts a run, where the destination allows it.
    pub(super) fn create(&self, marker: &str, overwrite: bool, stop: Stop) -> Result<Begun> {
        let Some(address) = &self.address else {
            return Ok(Begun { directory: RunDirectory::create(&self.folder, marker, overwrite)?, remote: None });
        };
        let remote = Remote::connect(address.clone(), overwrite, stop)?;
        // Nothing of an earlier run is touched where the store would refuse this one.
        remote.check()?;
        if overwrite && let Ok(mut earlier) = self.reopen() {
            // what it began to upload is known there only
            remote.clean(earlier.path())?;
            earlier.discard();
        }
        let directory = RunDirectory::create(&self.folder, marker, overwrite)?;
        remote.check()?;
        remote.mark(directory.path())?;
        Ok(Begun { directory, remote: Some(remote) })
    }

    /// Refuses a run whose record says that its dataset goes elsewhere.
    pub(super) fn check(&self, remote: Option<&Remote>) -> Result<()> {
        match (&self.address, remote.map(Remote::address)) {
            (Some(address), Some(recorded)) if address != recorded => {
                let message = format!("the earlier run was to write to `{recorded}`, not to `{address}`");
                Err(Error::usage(message)
                    .hint("its record is damaged: remove its folder, and run again")
                    .file(&self.folder))
            }
            _ => Ok(()),
        }
    }

    /// Takes over what an earlier run left.
    pub(super) fn reopen(&self) -> Result<RunDirectory> {
        RunDirectory::reopen(&self.folder)
    }

    /// Refuses to replace what is read: the files of a source, and others.
    pub(super) fn spare(&self, source: &dyn Source, others: &[&Path]) -> Result<()> {
        let refused = |destination: &Path, input: &Path| {
            let error = Error::usage(format!("the destination holds `{}`, which is read", input.display()));
            Err(error.file(destination).hint("choose another destination"))
        };
        let files = source.files();
        let mut inputs = files.iter().map(|file| file.path.as_path()).chain(others.iter().copied());
        if let Some(address) = &self.address {
            let inside = |input: &&Path| {
                let input = input.to_str().filter(|_| Address::is_one(input)).map(Address::parse);
                input.is_some_and(|input| input.is_ok_and(|input| input.is_within(address)))
            };
            return inputs.find(inside).map_or(Ok(()), |input| refused(Path::new(&address.to_string()), input));
        }
        let within = |other: &&&Path| other.canonicalize().is_ok_and(|other| leads_into(&self.folder, &other));
        if let Some(other) = others.iter().filter(|other| other.is_dir()).find(within) {
            let error = Error::usage(format!("the destination lies within `{}`, which is read", other.display()));
            return Err(error.file(&self.folder).hint("choose another destination"));
        }
        // Where there is nothing yet, nothing is replaced.
        let Ok(destination) = self.folder.canonicalize() else { return Ok(()) };
        let inside = |input: &&Path| input.canonicalize().is_ok_and(|input| input.starts_with(&destination));
        inputs.find(inside).map_or(Ok(()), |input| refused(&destination, input))
    }
}

/// Refuses to keep metrics where the dataset is to be or its run works, before they are written.
pub(super) fn spare_from_metrics(metrics: Option<&Path>, destination: &Path, work: &WorkFolder) -> Result<()> {
    // what is wrong with the destination is told later
    let (Some(metrics), Ok(target)) = (metrics, Target::of(destination, work)) else { return Ok(()) };
    match RunDirectory::meets(&target.folder, metrics) {
        false => Ok(()),
        true => {
            let error = Error::usage("metrics cannot be kept where the dataset is to be, or where its run works");
            Err(error.file(metrics).hint("choose another file for `--metrics`"))
        }
    }
}

/// Whether a path, some of which may not be there yet, leads into a folder.
fn leads_into(path: &Path, folder: &Path) -> bool {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = path.ancestors().skip(1).find_map(|part| part.canonicalize().ok());
    there.is_some_and(|there| there.starts_with(folder))
}

/// Where a run's dataset is to be, if that is a store.
pub(super) fn remote(directory: &RunDirectory, overwrite: bool, stop: Stop) -> Result<Option<Remote>> {
    let address = Remote::of_run(directory.path())?;
    address.map(|address| Remote::connect(address, overwrite, stop)).transpose()
}

/// Puts a complete dataset where it is to be, and tells where that is. With `check` an earlier process completed it.
pub(super) fn publish(
    mut directory: RunDirectory,
    remote: Option<&Remote>,
    check: bool,
    console: &Console,
) -> Result<PathBuf> {
    let watcher = console.watcher();
    let Some(remote) = remote else {
        let destination = directory.destination().to_owned();
        watcher.begin("publish", None);
        let published = directory.publish();
        watcher.end();
        return published.map(|()| destination);
    };
    match upload(&directory, remote, check, watcher) {
        Ok(()) => {
            directory.discard();
            Ok(PathBuf::from(remote.address().to_string()))
        }
        Err(error) => {
            if directory.can_be_resumed() {
                directory.keep();
                let [resume, clean] = ways_on(&directory, Some(remote));
                console.note(&format!("`{resume}` goes on from here, `{clean}` removes what is there"));
            }
            Err(error)
        }
    }
}

fn upload(directory: &RunDirectory, remote: &Remote, check: bool, watcher: Watcher) -> Result<()> {
    let (data, folder) = (directory.data(), directory.path());
    if !check {
        directory.sync()?;
        remote.prepare(&data, folder)?;
    }
    // Nothing but the dataset is needed any more, and disks are small.
    let _ = std::fs::remove_dir_all(directory.spool());
    remote.publish(&data, folder, check, Arc::new(Uploading(watcher)))
}

/// Goes on with an upload that was interrupted.
pub(super) fn go_on_uploading(
    target: &Target,
    directory: RunDirectory,
    stop: Stop,
    json: bool,
    console: &Console,
) -> Result<()> {
    let data = directory.data();
    let remote = remote(&directory, false, stop)?.ok_or_else(|| {
        let error = Error::usage("the earlier run does not tell where its dataset is to be").file(directory.path());
        error.hint("the finished dataset is in its folder `data`: move it where you want it")
    })?;
    target.check(Some(&remote))?;
    let (files, bytes) =
        size(&data).map_err(|error| Error::output("the dataset cannot be looked at").file(&data).because(error))?;
    leave(Some(left(&directory, Some(&remote))));
    let destination = publish(directory, Some(&remote), true, console)?;
    leave(None);
    match json {
        true => print_json(&json!({ "destination": destination, "files": files, "bytes": bytes })),
        false => {
            let files = counted(files, "file");
            print(&format!("{files}, {}\n\nwritten to {}\n", format_size(bytes), destination.display()))
        }
    }
}

/// What a user types so that a command of wafermill is about a run.
pub(super) fn command(name: &str, directory: &RunDirectory, remote: Option<&Remote>) -> String {
    match remote {
        Some(remote) => format!("wafermill {name} {}", quoted(remote.address().to_string())),
        None => directory.command(name),
    }
}

/// What a user types to go on with a run, and to remove what it left.
pub(super) fn ways_on(directory: &RunDirectory, remote: Option<&Remote>) -> [String; 2] {
    ["resume", "clean"].map(|name| command(name, directory, remote))
}

/// What people are told who end a run at once.
pub(super) fn left(directory: &RunDirectory, remote: Option<&Remote>) -> String {
    let [resume, clean] = ways_on(directory, remote);
    format!("`{resume}` goes on with what is there, `{clean}` removes it")
}

/// How many files a folder holds, and how many bytes.
fn size(folder: &Path) -> std::io::Result<(u64, u64)> {
    let mut total = (0, 0);
    for entry in folder.read_dir()? {
        let entry = entry?;
        let found = entry.metadata()?;
        let (files, bytes) = if found.is_dir() { size(&entry.path())? } else { (1, found.len()) };
        total = (total.0 + files, total.1 + bytes);
    }
    Ok(total)
}

/// Where programs keep what outlives them and is no cache: a run that can be resumed is none.
fn states() -> Result<PathBuf> {
    let home = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let states = home("XDG_STATE_HOME").or_else(|| Some(home("HOME")?.join(".local/state")));
    states.ok_or_else(|| {
        Error::usage("there is no home folder in which to work")
            .hint("name a folder with room for the dataset with `--work`")
    })
}

/// Tells how far an upload has come.
struct Uploading(Watcher);

impl Progress for Uploading {
    fn begin(&self, _: u64) {
        self.0.begin("upload", None);
    }

    fn advance(&self, bytes: u64) {
        self.0.bytes(bytes);
    }

    fn end(&self) {
        self.0.end();
    }
}
