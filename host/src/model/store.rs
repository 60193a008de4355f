//! Where the tables of a model are, and how they are written and read.

use super::Fitted;
use super::manifest::RESTORE;
use crate::ipc::{SavedTable, TableReader, TableWriter, check_saved};
use crate::partials::PartialTable;
use crate::pipeline::Step;
use crate::sandbox::TableBatch;
use crate::{Error, Result, Stop};
use arrow_schema::SchemaRef;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Where the tables of partials are in a step's folder, and those of the model.
const PARTIALS: &str = "partials";
const MODEL: &str = "model";

/// A model's folder.
#[derive(Clone, Debug)]
pub struct ModelStore {
    root: PathBuf,
    /// What the tables must be, where the model was written by another run.
    digests: Option<HashMap<PathBuf, String>>,
    /// Ends the look at whether they are.
    stop: Stop,
}

/// The tables of one step's model in the making.
pub struct ModelWriter {
    tables: Vec<TableWriter>,
}

/// The batches of a model, its tables in the plan's order.
pub type ModelBatches = Box<dyn Iterator<Item = Result<TableBatch>>>;

impl ModelStore {
    /// In this folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), digests: None, stop: Stop::default() }
    }

    /// The same folder, of which only tables with these digests are read, until it is asked to stop.
    #[must_use]
    pub fn pinned(self, digests: HashMap<PathBuf, String>, stop: Stop) -> Self {
        Self { digests: Some(digests), stop, ..self }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a step's tables are, relative to the folder.
    pub fn step_folder(step: &Step) -> PathBuf {
        Path::new("steps").join(format!("{:02}-{}", step.ordinal, step.name))
    }

    /// The file of a partial table, relative to the folder.
    pub fn partials_file(step: &Step, table: &str) -> PathBuf {
        Self::step_folder(step).join(PARTIALS).join(format!("{table}.arrow"))
    }

    /// The file of a table of the model, relative to the folder.
    pub fn model_file(step: &Step, table: &str) -> PathBuf {
        Self::step_folder(step).join(MODEL).join(format!("{table}.arrow"))
    }

    /// Makes a step's folders and starts the tables of its model.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn begin(&self, step: &Step) -> Result<ModelWriter> {
        let folder = self.root.join(Self::step_folder(step));
        for name in [PARTIALS, MODEL] {
            let folder = folder.join(name);
            std::fs::create_dir_all(&folder)
                .map_err(|error| Error::output("a folder cannot be made").file(&folder).because(error))?;
        }
        let tables = step.plan.model.iter();
        let tables = tables
            .map(|table| TableWriter::create(&self.root.join(Self::model_file(step, &table.name)), &table.schema));
        Ok(ModelWriter { tables: tables.collect::<Result<_>>()? })
    }

    /// Checks that what a step learned in an earlier run is what it was.
    ///
    /// # Errors
    /// Where a table is missing or another, and those of `advance`, which is told of the bytes that were read.
    pub fn check(&self, step: &Step, fitted: &Fitted, advance: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        let model = step.plan.model.iter().map(|table| Self::model_file(step, &table.name)).zip(&fitted.model);
        let partials = step.plan.partials.iter().map(|table| Self::partials_file(step, table.name()));
        let mut tables = model.chain(partials.zip(&fitted.partials));
        tables.try_for_each(|(file, saved)| check_saved(&self.root.join(file), saved, advance))
    }

    /// Reads the model of a step; empty where it has none.
    ///
    /// # Errors
    /// Where a table is missing or of another form; damage comes out of the iterator.
    pub fn read_model(&self, step: &Step) -> Result<ModelBatches> {
        let mut readers = Vec::new();
        for table in 0..step.plan.model.len() {
            let reader = self.read_table(step, table)?;
            readers.push(reader.map(move |batch| Ok(TableBatch { table, batch: batch? })));
        }
        Ok(Box::new(readers.into_iter().flatten()))
    }

    /// Reads a table of the model of a step, by its position in the plan.
    ///
    /// # Errors
    /// As for [`read_model`](Self::read_model).
    pub fn read_table(&self, step: &Step, table: usize) -> Result<TableReader> {
        let planned =
            step.plan.model.get(table).ok_or_else(|| Error::internal("a table that was not planned is read"))?;
        self.open(Self::model_file(step, &planned.name), &planned.schema, &mut |_| self.stop.check())
    }

    /// Reads a table of the partials of a step, which may be large: `advance` is told of the bytes that are read to see whether it is the
    /// one that was written.
    ///
    /// # Errors
    /// As for [`read_model`](Self::read_model), and those of `advance`.
    pub fn read_partials(
        &self,
        step: &Step,
        table: &PartialTable,
        advance: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<TableReader> {
        self.open(Self::partials_file(step, table.name()), table.schema(), advance)
    }

    fn open(
        &self,
        file: PathBuf,
        schema: &SchemaRef,
        advance: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<TableReader> {
        let path = self.root.join(&file);
        let digest = self.digests.as_ref().map(|digests| digests.get(&file).ok_or_else(|| unknown(&path)));
        TableReader::open(&path, schema, digest.transpose()?.map(String::as_str), advance)
    }
}

fn unknown(path: &Path) -> Error {
    Error::model("the model's manifest does not name a table that its step needs").file(path).hint(RESTORE)
}

impl ModelWriter {
    /// Appends rows.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn write(&mut self, rows: &TableBatch) -> Result<()> {
        let table =
            self.tables.get_mut(rows.table).ok_or_else(|| Error::internal("rows of a table that was not planned"))?;
        table.write(&rows.batch)
    }

    /// Completes the tables.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn finish(self) -> Result<Vec<SavedTable>> {
        self.tables.into_iter().map(TableWriter::finish).collect()
    }
}
