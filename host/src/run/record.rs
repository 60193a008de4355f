//! What a run was begun with, so that it can go on where it was killed.

use super::task::Task;
use crate::ipc::{Cause, TableWriter, open_table};
use crate::pipeline::Plan;
use crate::source::{InputFile, Source};
use crate::{Error, Result, durable, plain_file, sealed};
use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The record's file in the run's folder.
pub const RECORD: &str = "run.json";

/// The columns of the source, as a table without rows.
const SOURCE: &str = "source.arrow";

/// The layout of a run's folder that this host writes and reads.
const FORMAT: u32 = 4;

/// Bytes of a record: a pipeline file, and a million input files.
const MOST: u64 = 1 << 30;

/// What a run was begun with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    format: u32,
    /// The host.
    wafermill: String,
    /// What it is to do.
    pub task: Task,
    /// By which file of the destination wafermill knows what it wrote itself.
    pub marker: String,
    /// Whether that may be replaced.
    pub overwrite: bool,
    /// The digests of the steps' plugins.
    plugins: BTreeMap<String, String>,
    /// What was read, and in which state.
    pub origin: Option<String>,
    /// The time of that state.
    pub snapshot: Option<String>,
    /// The files that were read.
    files: Vec<InputFile>,
    /// The digest of the table of the source's columns.
    columns: String,
}

impl Record {
    /// Of a run that is about to begin.
    ///
    /// # Errors
    /// Where a file of the source has no path.
    pub fn new(task: Task, plan: &Plan, source: &dyn Source, marker: &str, overwrite: bool) -> Result<Self> {
        Ok(Self {
            format: FORMAT,
            wafermill: env!("CARGO_PKG_VERSION").to_owned(),
            task,
            marker: marker.to_owned(),
            overwrite,
            plugins: digests(plan),
            origin: source.origin(),
            snapshot: source.snapshot(),
            files: files(source)?,
            columns: String::new(),
        })
    }

    /// Writes it to the run's folder, with the columns of the source.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(mut self, folder: &Path, schema: &SchemaRef) -> Result<()> {
        let columns = folder.join(SOURCE);
        self.columns = TableWriter::create(&columns, schema)?.finish()?.digest;
        durable::sync_file(&columns)
            .map_err(|error| Error::output("the run cannot be recorded").file(&columns).because(error))?;
        let path = folder.join(RECORD);
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::output("the run cannot be recorded").file(&path).because(error)
        };
        let sealed = sealed::seal(&self).map_err(|error| failed(error.into()))?;
        durable::write(&path, &sealed).map_err(|error| failed(error.into()))
    }

    /// Reads the record of an earlier run, and the columns of its source.
    ///
    /// # Errors
    /// Where there is none, it is damaged, or another version of the host wrote it.
    pub fn read(folder: &Path) -> Result<(Self, SchemaRef)> {
        let path = folder.join(RECORD);
        let failed = |path: &Path, error: Cause| {
            Error::usage("the earlier run cannot be resumed").file(path).because(error).hint(ANEW)
        };
        let bytes = plain_file::read(&path, MOST).map_err(|error| failed(&path, error.into()))?;
        let record: Self = sealed::open(&bytes).map_err(|error| failed(&path, error))?;
        if record.format != FORMAT || record.wafermill != env!("CARGO_PKG_VERSION") {
            let (version, format) = (&record.wafermill, record.format);
            let message =
                format!("it was begun by another wafermill: version {version}, layout {format} of this folder");
            return Err(failed(&path, message.into()));
        }
        let columns = folder.join(SOURCE);
        let table = open_table(&columns, Some(&record.columns));
        // Its hint is about models.
        let reason = |error: Error| std::error::Error::source(&error).unwrap_or(&error).to_string();
        let schema = table.map_err(|error| failed(&columns, reason(error).into()))?.schema().clone();
        Ok((record, schema))
    }

    /// Whether what was read can be read again as it was: files tell when they change, tables have states, results of queries have not.
    pub fn can_be_read_again(&self) -> bool {
        self.snapshot.is_some() || !self.files.is_empty()
    }

    /// Checks that a run can go on with these plugins.
    ///
    /// # Errors
    /// Where one is another than before.
    pub fn check_plugins(&self, plan: &Plan) -> Result<()> {
        let now = digests(plan);
        match now.iter().find(|(step, digest)| self.plugins.get(*step) != Some(digest)) {
            None => Ok(()),
            Some((step, _)) => {
                let error = Error::usage("the step's plugin is another one than when the run began").step(step);
                Err(error.hint(format!("put the earlier one back, or {ANEW}")))
            }
        }
    }

    /// Checks that the model that is applied, or added to, is what it was.
    ///
    /// # Errors
    /// Where its manifest, whose digest is given, is another than before.
    pub fn check_model(&self, folder: &Path, manifest: &str) -> Result<()> {
        let known = match &self.task {
            Task::Apply(task) => Some(&task.manifest),
            Task::Add(task) => Some(&task.manifest),
            Task::Pipeline(_) => None,
        };
        if known.is_none_or(|known| known == manifest) {
            return Ok(());
        }
        let error = Error::usage("the model is another one than when the run began").file(folder);
        Err(error.hint(format!("put the earlier one back, or {ANEW}")))
    }

    /// Checks that a source is what it was.
    ///
    /// # Errors
    /// Where its columns or its files are others.
    pub fn check_source(&self, source: &dyn Source, schema: &SchemaRef) -> Result<()> {
        let changed = |error: Error| error.hint(format!("put the earlier state back, or {ANEW}"));
        if source.schema().fields() != schema.fields() {
            return Err(changed(Error::source("the source has other columns than when the run began")));
        }
        let files = files(source)?;
        let known: HashMap<_, _> = self.files.iter().map(|file| (&file.path, file)).collect();
        for file in &files {
            let error = match known.get(&file.path) {
                Some(known) if *known == file => continue,
                Some(known) if file.seems_unchanged(known) => {
                    let message = "a file was replaced, moved, linked, or its times or permissions were set since the run began: it may have changed";
                    Error::source(message).hint(ANEW)
                }
                Some(_) => changed(Error::source("a file has changed since the run began")),
                None => changed(Error::source("a file has been added since the run began")),
            };
            return Err(error.file(&file.path));
        }
        if files.len() != self.files.len() {
            return Err(changed(Error::source("the source has fewer files than when the run began")));
        }
        Ok(())
    }
}

const ANEW: &str = "remove what the earlier run left with `wafermill clean`, and run again";

/// The files of a source, wherever the program was started.
fn files(source: &dyn Source) -> Result<Vec<InputFile>> {
    let absolute = |file: &InputFile| {
        let mut file = file.clone();
        if !file.is_object() {
            let path = std::path::absolute(&file.path);
            file.path = path.map_err(|error| Error::source("the file has no path").file(&file.path).because(error))?;
        }
        Ok(file)
    };
    source.files().into_iter().map(absolute).collect()
}

/// By step, as far as they are known without reading: plugins do not depend on what is read.
fn digests(plan: &Plan) -> BTreeMap<String, String> {
    let digest =
        |definition: &crate::pipeline::StepDefinition| (definition.name.clone(), definition.plugin.digest().to_owned());
    plan.definitions().iter().chain(plan.aggregate_definitions()).map(digest).collect()
}
