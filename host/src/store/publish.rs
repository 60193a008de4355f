//! A dataset appears in a store: first a claim, then its files, and at last its manifest, without which it is incomplete.
//!
//! There is no rename: files of a dataset that is replaced are replaced one by one, after its manifest was removed.

use super::address::Address;
use super::bucket::{Bucket, same};
use super::journal::{Journal, Steps, UPLOAD};
use super::manifest::{Entry, MANIFEST_OBJECT, Manifest, UPLOAD_OBJECT};
use super::progress::{Nobody, Progress};
use super::upload::Uploader;
use crate::{Error, ErrorKind, Result, Stop, durable, plain_file, sealed};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Is in the folder of a run whose dataset is to be in a store, and holds its address.
const DESTINATION: &str = "destination";
const MOST_ADDRESS: u64 = 4096;

/// A dataset's place in a store.
pub struct Remote {
    bucket: Arc<Bucket>,
    address: Address,
    overwrite: bool,
}

/// What is at a destination.
#[derive(Default)]
struct There {
    manifest: Option<Manifest>,
    claim: Option<Manifest>,
    /// Whether there is anything else, where there is neither.
    other: bool,
}

impl Remote {
    /// Finds credentials for a destination. With `overwrite` what wafermill wrote there may be replaced.
    ///
    /// # Errors
    /// Where there are no credentials.
    pub fn connect(address: Address, overwrite: bool, stop: Stop) -> Result<Self> {
        Ok(Self { bucket: Bucket::connect(&address, ErrorKind::Output, stop)?, address, overwrite })
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Checks that a dataset may be written there, before anything is done for it.
    ///
    /// # Errors
    /// Where there is something that may not be replaced, or the store refuses to tell.
    pub fn check(&self) -> Result<()> {
        self.allows(&self.look()?, self.overwrite)
    }

    /// Notes in a run's folder where its dataset is to be.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn mark(&self, folder: &Path) -> Result<()> {
        let path = folder.join(DESTINATION);
        let sealed = sealed::seal(&self.address.to_string());
        let sealed = sealed.map_err(|error| Error::internal("no address").because(error))?;
        let written = durable::write(&path, &sealed);
        written.map_err(|error| Error::output("the run cannot be recorded").file(&path).because(error))
    }

    /// Where the dataset of a run is to be, if that is a store.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn of_run(folder: &Path) -> Result<Option<Address>> {
        let path = folder.join(DESTINATION);
        let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
            let error = Error::usage("the earlier run does not tell where its dataset is to be").file(&path);
            error.because(cause).hint(format!("remove its folder `{}`, and run again", folder.display()))
        };
        match plain_file::read(&path, MOST_ADDRESS) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.into())),
            Ok(bytes) => {
                let text: String = sealed::open(&bytes).map_err(failed)?;
                Address::parse(&text).map(Some).map_err(|error| error.file(&path))
            }
        }
    }

    /// Whether the dataset of a run is complete, and only its upload is left to be done.
    pub fn is_left(folder: &Path) -> bool {
        folder.join(UPLOAD).exists()
    }

    /// Records which files are to be uploaded: from here on nothing else of the run is needed.
    ///
    /// # Errors
    /// Where they cannot be read, or the record cannot be written.
    pub fn prepare(&self, data: &Path, folder: &Path) -> Result<()> {
        let (overwrite, manifest) = (self.overwrite, Manifest::of(data)?);
        Journal { overwrite, manifest, orphans: BTreeSet::new() }.write(folder)
    }

    /// Uploads the dataset in `data`, or what is left of it; `folder` is the run's, in which progress is recorded. With `check` the
    /// files are checked before, as those of an earlier process.
    ///
    /// # Errors
    /// Where something has appeared at the destination, or the store refuses. What was uploaded stays there, without a manifest.
    pub fn publish(&self, data: &Path, folder: &Path, check: bool, progress: Arc<dyn Progress>) -> Result<()> {
        let journal = Journal::read(folder)?;
        let mut journal = journal.ok_or_else(|| Error::internal("there is nothing to be uploaded"))?;
        let there = self.look()?;
        let run = journal.manifest.run.clone();
        let is_ours = |found: &Option<Manifest>| found.as_ref().is_some_and(|found| found.run == run);
        if !is_ours(&there.manifest) {
            if !is_ours(&there.claim) {
                self.allows(&there, journal.overwrite)?;
                self.claim(&mut journal, &there, folder)?;
            }
            // from here on it is incomplete, whatever files are there
            self.bucket.remove(&self.key(MANIFEST_OBJECT))?;
            self.put_files(&journal, data, folder, check, progress)?;
            self.check_files(&journal, folder)?;
            self.remove_orphans(&journal)?;
            if !is_ours(&self.look_for(UPLOAD_OBJECT)?) {
                let error = Error::output("another run has begun to upload to this destination meanwhile");
                return Err(error.file(self.address.to_string()).hint("choose another destination for one of them"));
            }
            self.bucket.write(&self.key(MANIFEST_OBJECT), journal.manifest.to_json()?, false)?;
        }
        if is_ours(&self.look_for(UPLOAD_OBJECT)?) {
            self.bucket.remove(&self.key(UPLOAD_OBJECT))?;
        }
        Ok(())
    }

    /// Removes what an interrupted upload left, if it left anything: of the objects only its own.
    ///
    /// # Errors
    /// Where the store refuses.
    pub fn clean(&self, folder: &Path) -> Result<()> {
        let Some(journal) = Journal::read(folder)? else { return Ok(()) };
        self.uploader(folder, folder, Arc::new(Nobody))?.abort_earlier()?;
        let is_claimed = self.look_for(UPLOAD_OBJECT)?.is_some_and(|claim| claim.run == journal.manifest.run);
        let is_complete = self.look_for(MANIFEST_OBJECT)?.is_some();
        if is_claimed && !is_complete {
            let names = journal.manifest.files.iter().map(|file| &file.path).chain(&journal.orphans);
            self.remove_names(names.collect())?;
        }
        if is_claimed {
            self.bucket.remove(&self.key(UPLOAD_OBJECT))?;
        }
        Ok(())
    }

    fn key(&self, name: &str) -> String {
        self.address.join(name).key().to_owned()
    }

    fn look_for(&self, name: &str) -> Result<Option<Manifest>> {
        Manifest::read(&self.bucket, &self.key(name))
    }

    fn look(&self) -> Result<There> {
        let mut there =
            There { manifest: self.look_for(MANIFEST_OBJECT)?, claim: self.look_for(UPLOAD_OBJECT)?, other: false };
        if there.manifest.is_none() && there.claim.is_none() {
            there.other = !self.bucket.list(&self.address.folder(), true)?.is_empty();
        }
        Ok(there)
    }

    fn allows(&self, there: &There, overwrite: bool) -> Result<()> {
        let refused = |message: &str, hint: &str| Err(Error::usage(message).file(self.address.to_string()).hint(hint));
        match (there, overwrite) {
            (There { manifest: None, claim: None, other: false }, _) => Ok(()),
            (There { claim: Some(_), .. }, false) => refused(
                "another run uploads to this destination, or was interrupted",
                "wait until it ends, `wafermill resume` it where it began, pass `--overwrite`, or choose another destination",
            ),
            (_, false) => refused(
                "the destination is not empty",
                "pass `--overwrite` to replace it, or choose another destination",
            ),
            (There { other: true, .. }, true) => refused(
                &format!(
                    "the destination has no `{MANIFEST_OBJECT}`, so it is not what wafermill writes and is not replaced"
                ),
                "choose another destination, or remove this one yourself",
            ),
            (_, true) => Ok(()),
        }
    }

    /// Tells everybody that this run writes there, and what. What it replaces is noted before.
    fn claim(&self, journal: &mut Journal, there: &There, folder: &Path) -> Result<()> {
        let earlier = [&there.manifest, &there.claim].into_iter().flatten().flat_map(|earlier| &earlier.files);
        let kept: BTreeSet<&String> = journal.manifest.files.iter().map(|file| &file.path).collect();
        journal.orphans = earlier.map(|file| &file.path).filter(|path| !kept.contains(path)).cloned().collect();
        journal.write(folder)?;
        let fresh = there.claim.is_none();
        if self.bucket.write(&self.key(UPLOAD_OBJECT), journal.manifest.to_json()?, fresh)? {
            return Ok(());
        }
        // a request whose answer was lost is repeated, and then finds what it wrote itself
        match self.look_for(UPLOAD_OBJECT)?.is_some_and(|claim| claim.run == journal.manifest.run) {
            true => Ok(()),
            false => Err(Error::output("another run has begun to upload to this destination")
                .file(self.address.to_string())
                .hint("wait until it ends, or choose another destination")),
        }
    }

    fn uploader(&self, data: &Path, folder: &Path, progress: Arc<dyn Progress>) -> Result<Arc<Uploader>> {
        let (bucket, destination) = (self.bucket.clone(), self.address.clone());
        Ok(Arc::new(Uploader { bucket, destination, folder: data.to_owned(), steps: Steps::open(folder)?, progress }))
    }

    /// Uploads the files that are not there yet.
    fn put_files(
        &self,
        journal: &Journal,
        data: &Path,
        folder: &Path,
        check: bool,
        progress: Arc<dyn Progress>,
    ) -> Result<()> {
        let uploader = self.uploader(data, folder, progress.clone())?;
        uploader.abort_earlier()?;
        let there = self.sizes_and_tags()?;
        let is_there = |file: &Entry| {
            let (done, there) = (uploader.steps.done.get(&file.path), there.get(&file.path));
            done.zip(there).is_some_and(|(own, (bytes, tag))| own.is_some() && same(own, tag) && *bytes == file.bytes)
        };
        let files = journal.manifest.files.iter().filter(|file| !is_there(file)).cloned().collect::<Vec<_>>();
        if check {
            // much may have happened to them since they were written
            for file in &files {
                if !file.is_in(data)? {
                    let error = Error::output("a file has changed since the dataset was completed");
                    let hint = "remove what the earlier run left with `wafermill clean`, and run again";
                    return Err(error.file(data.join(&file.path)).hint(hint));
                }
            }
        }
        progress.begin(files.iter().map(|file| file.bytes).sum());
        let uploaded = uploader.upload(files);
        progress.end();
        uploaded
    }

    /// Checks that all files are there, and nobody else's in their place, before a manifest says so.
    fn check_files(&self, journal: &Journal, folder: &Path) -> Result<()> {
        let (there, done) = (self.sizes_and_tags()?, Steps::open(folder)?.done);
        let is_there = |file: &Entry| {
            let found = there.get(&file.path);
            found.is_some_and(|(bytes, tag)| {
                *bytes == file.bytes && done.get(&file.path).is_some_and(|own| same(own, tag))
            })
        };
        match journal.manifest.files.iter().find(|file| !is_there(file)) {
            None => Ok(()),
            Some(file) => {
                let error = Error::output("the object is not there, or is another one than was uploaded");
                let hint = "see that nobody else writes there, and go on with `wafermill resume`";
                Err(error.file(self.address.join(&file.path).to_string()).hint(hint))
            }
        }
    }

    fn sizes_and_tags(&self) -> Result<BTreeMap<String, (u64, Option<String>)>> {
        let folder = self.address.folder();
        let listed = self.bucket.list(&folder, false)?.objects.into_iter();
        Ok(listed
            .filter_map(|found| Some((found.key.strip_prefix(&folder)?.to_owned(), (found.bytes, found.tag))))
            .collect())
    }

    fn remove_orphans(&self, journal: &Journal) -> Result<()> {
        if journal.orphans.is_empty() { Ok(()) } else { self.remove_names(journal.orphans.iter().collect()) }
    }

    /// Removes what has these names below the address: names come from manifests, which may say anything.
    fn remove_names(&self, names: BTreeSet<&String>) -> Result<()> {
        let there = self.sizes_and_tags()?;
        there.keys().filter(|name| names.contains(name)).try_for_each(|name| self.bucket.remove(&self.key(name)))
    }
}
