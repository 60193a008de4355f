//! The same plugins in the sandbox, called as a run calls them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use wafermill::Stop;
use wafermill::contract::{ColumnRole, Selection};
use wafermill::partials::Combiner;
use wafermill::sandbox::{Finisher, Fitter, Limits, Outcome, Pass, Plugin, Sandbox, TableBatch, Task, Transformer};

use crate::batches;

/// Memory of a combiner.
const MEMORY: usize = 64 << 20;

/// A step with its model, whose batch is at hand.
pub struct Sandboxed {
    /// It has the clock by which calls are ended.
    _sandbox: Sandbox,
    plugin: Arc<Plugin>,
    task: Task,
    batch: RecordBatch,
    passes: Vec<Pass>,
    fitter: Option<Fitter>,
    transformer: Transformer,
}

impl Sandboxed {
    /// Fits a plugin on a batch.
    ///
    /// # Errors
    /// Where it cannot be loaded, or fails.
    pub fn open(folder: &Path, plugin: &str, params: &str, batch: &RecordBatch) -> Result<Self> {
        let sandbox = Sandbox::with_cache(None)?;
        let plugin = sandbox.load(&folder.join(format!("{plugin}.wasm")), &Limits::default(), None)?;
        let schema = Schema::new(batches::logical_fields(batch));
        let selection = Selection { schema: schema.into(), roles: vec![ColumnRole::Feature; batch.num_columns()] };
        let plan = Arc::new(plugin.plan(params, &selection)?);
        let task = Task { params: params.to_owned(), selection, plan, input: batch.schema() };
        let (mut passes, mut model) = (Vec::new(), Vec::new());
        if task.plan.passes.any() {
            let mut pass = Pass::default();
            loop {
                let outcome = fit(&plugin, &task, &pass, batch, &mut model)?;
                passes.push(pass.clone());
                match outcome {
                    Outcome::Model => break,
                    Outcome::Again(carry) => pass = pass.next(carry),
                }
            }
        }
        let mut transformer = Transformer::open(&plugin, &task)?;
        model.sort_by_key(|rows| rows.table);
        model.iter().try_for_each(|rows| transformer.load(rows))?;
        transformer.outputs(&task.plan)?;
        Ok(Self { _sandbox: sandbox, plugin, task, batch: batch.clone(), passes, fitter: None, transformer })
    }

    /// Begins a pass.
    ///
    /// # Errors
    /// Where the plugin fails.
    pub fn begin(&mut self, pass: usize) -> Result<()> {
        self.fitter = Some(Fitter::open(&self.plugin, &self.task, &self.passes[pass])?);
        Ok(())
    }

    /// Learns from the batch once more.
    ///
    /// # Errors
    /// Where the plugin fails, or no pass was begun.
    pub fn update(&mut self) -> Result<()> {
        Ok(self.fitter.as_mut().context("no pass was begun")?.update(&self.batch)?)
    }

    /// What becomes of the batch.
    ///
    /// # Errors
    /// Where the plugin fails.
    pub fn apply(&mut self) -> Result<()> {
        self.transformer.apply(&self.batch)?;
        Ok(())
    }
}

/// One pass over one batch.
fn fit(plugin: &Plugin, task: &Task, pass: &Pass, batch: &RecordBatch, model: &mut Vec<TableBatch>) -> Result<Outcome> {
    let scratch = tempfile::tempdir()?;
    let combiner = |table| Combiner::new(Arc::clone(table), MEMORY, scratch.path(), Stop::default());
    let combiners = task.plan.partials.iter().map(combiner).collect::<wafermill::Result<Vec<_>>>()?;
    let mut fitter = Fitter::open(plugin, task, pass)?;
    fitter.update(batch)?;
    fitter.drain(|rows| combiners[rows.table].push(rows.batch))?;
    let mut finisher = Finisher::open(plugin, task, pass)?;
    for (table, combiner) in combiners.into_iter().enumerate() {
        for batch in combiner.finish()? {
            model.extend(finisher.push(&TableBatch { table, batch: batch? })?);
        }
    }
    let outcome = finisher.finish()?;
    if matches!(outcome, Outcome::Model) {
        finisher.drain(|rows| {
            model.push(rows);
            Ok(())
        })?;
    }
    Ok(outcome)
}
