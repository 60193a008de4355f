//! What an author implements.

use crate::plan::{Passes, Plan, PluginRole, Selection};
use crate::{Batch, Error, Input, Output, Result};
use arrow_schema::{Field, Schema};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// A transform, a split or a filter: turns batches into columns.
pub trait Transform: Sized + 'static {
    /// Lower case, digits and hyphens.
    const NAME: &'static str;
    /// A semantic version.
    const VERSION: &'static str;
    /// One line for people.
    const SUMMARY: &'static str;
    /// What kind of step it is.
    const ROLE: PluginRole = PluginRole::Transform;
    /// How often the training rows are seen, over all parameters.
    const PASSES: Passes = Passes::NONE;
    /// The parameters, as they stand in a pipeline file.
    type Params: DeserializeOwned + JsonSchema;

    /// What the step does with the selected columns.
    ///
    /// # Errors
    /// Where the parameters make no sense for these columns.
    fn plan(params: &Self::Params, selection: &Selection) -> Result<Plan>;

    /// Gets ready for batches of these columns.
    ///
    /// # Errors
    /// Where it cannot.
    fn open(task: Task<Self::Params>) -> Result<Self>;

    /// Takes a batch of a table of the model, by its position in the plan.
    ///
    /// # Errors
    /// Where it is no model of this plugin.
    fn load(&mut self, table: usize, rows: &Batch) -> Result<()> {
        let _ = (table, rows);
        Err(Error::invalid_model("this plugin learns nothing and has no model"))
    }

    /// For each planned field the fields that `apply` writes: itself, as a dictionary where it writes one, or the members of a
    /// family. Called once, after the model was loaded and before `apply`.
    ///
    /// # Errors
    /// Where the model lacks something.
    fn outputs(&mut self, planned: &[Field]) -> Result<Vec<Vec<Field>>> {
        Ok(planned.iter().map(|field| vec![field.clone()]).collect())
    }

    /// Writes one column for each field of `outputs`, in their order, with as many rows as the batch has.
    ///
    /// # Errors
    /// Where the rows hold what the plugin must refuse.
    fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()>;
}

/// A plugin that learns from the training rows before it transforms.
pub trait Fit: Transform {
    /// Learns from some of the rows.
    type Fitter: Fitter<Self::Params>;
    /// Turns what was learned into the model.
    type Finisher: Finisher<Self::Params>;
}

/// Learns from some of the training rows. What it gives away, combined over all rows, must not depend on how the rows were
/// cut into batches, on their order, or on which instance saw them.
pub trait Fitter<P>: Sized + 'static {
    /// Begins a pass.
    ///
    /// # Errors
    /// Where the carry is not one of this plugin.
    fn open(task: Task<P>, pass: Pass) -> Result<Self>;

    /// Learns from a batch.
    ///
    /// # Errors
    /// Where the rows hold what the plugin must refuse.
    fn update(&mut self, batch: &Batch) -> Result<()>;

    /// Gives away some of what was learned and forgets it; nothing when nothing is left.
    ///
    /// # Errors
    /// Where it cannot be laid out.
    fn drain(&mut self) -> Result<Option<Rows>>;
}

/// Turns the combined partials of a pass into the model.
pub trait Finisher<P>: Sized + 'static {
    /// Begins.
    ///
    /// # Errors
    /// Where the carry is not one of this plugin.
    fn open(task: Task<P>, pass: Pass) -> Result<Self>;

    /// Takes rows of a table of partials, by its position in the plan: ascending keys, each once. Gives rows of the model that
    /// are ready.
    ///
    /// # Errors
    /// Where they are no partials of this plugin, or the rows learned from must be refused.
    fn push(&mut self, table: usize, partials: &Batch) -> Result<Vec<Rows>>;

    /// Ends the pass.
    ///
    /// # Errors
    /// Where nothing can be learned from the rows.
    fn finish(self) -> Result<Outcome>;
}

/// What a fitter, a finisher or a transformer works on.
#[derive(Clone, Debug)]
pub struct Task<P> {
    /// The parameters.
    pub params: P,
    /// The columns that the pipeline selected, as the plan saw them.
    pub selection: Selection,
    /// The plan.
    pub plan: Plan,
    /// The columns of its batches: the plan's reads.
    pub input: Input,
}

/// Which pass over the training rows it is.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Counted from zero.
    pub number: u32,
    /// What the pass before gave to [`Outcome::Again`].
    pub carry: Option<Vec<u8>>,
}

/// How a pass ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The model is complete: its last rows.
    Model(Vec<Rows>),
    /// The rows are wanted once more, with this carry.
    Again(Vec<u8>),
}

/// Rows of a table of partials or of the model.
#[derive(Clone, Debug)]
pub struct Rows {
    pub(crate) table: usize,
    pub(crate) message: Vec<u8>,
}

impl Rows {
    /// Rows of the table with this position in the plan, written by `write`.
    ///
    /// # Errors
    /// Where `write` fails or leaves columns out.
    pub fn new(
        table: usize,
        schema: &Schema,
        rows: usize,
        write: impl FnOnce(&mut Output<'_>) -> Result<()>,
    ) -> Result<Self> {
        let mut output = Output::new(schema, rows);
        write(&mut output)?;
        Ok(Self { table, message: output.finish()? })
    }
}

/// The fitter and the finisher of plugins that learn nothing.
#[derive(Debug)]
pub enum Never {}

fn learns_nothing() -> Error {
    Error::internal("this plugin learns nothing")
}

impl<P> Fitter<P> for Never {
    fn open(_: Task<P>, _: Pass) -> Result<Self> {
        Err(learns_nothing())
    }

    fn update(&mut self, _: &Batch) -> Result<()> {
        match *self {}
    }

    fn drain(&mut self) -> Result<Option<Rows>> {
        match *self {}
    }
}

impl<P> Finisher<P> for Never {
    fn open(_: Task<P>, _: Pass) -> Result<Self> {
        Err(learns_nothing())
    }

    fn push(&mut self, _: usize, _: &Batch) -> Result<Vec<Rows>> {
        match *self {}
    }

    fn finish(self) -> Result<Outcome> {
        match self {}
    }
}
