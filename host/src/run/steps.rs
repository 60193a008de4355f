//! A worker's instances of the steps' transformers.

use super::filters::drop_rows;
use super::table::{Table, internal};
use super::{Run, Timing};
use crate::contract::Outputs;
use crate::dump::{Call, Dump, Given};
use crate::model::ModelStore;
use crate::pipeline::{Plan, Step};
use crate::sandbox::{Task, Transformer};
use crate::{Error, Result};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;

/// Runs steps on the batches of one worker.
pub(super) struct StepRunner<'a> {
    plan: &'a Plan,
    store: &'a ModelStore,
    timing: &'a Timing,
    dump: Option<&'a Dump>,
    open: Vec<Option<Open>>,
}

struct Open {
    input: SchemaRef,
    outputs: Outputs,
    transformer: Transformer,
}

impl<'a> StepRunner<'a> {
    pub(super) fn new(plan: &'a Plan, run: &Run<'a>) -> Self {
        let open = plan.steps().iter().map(|_| None).collect();
        Self { plan, store: run.store, timing: run.timing, dump: run.options.dump.as_ref(), open }
    }

    /// Applies a step to a table.
    pub(super) fn apply(&mut self, index: usize, table: &mut Table) -> Result<()> {
        let step = &self.plan.steps()[index];
        self.apply_unplaced(index, step, table).map_err(|error| step.place(error))
    }

    fn apply_unplaced(&mut self, index: usize, step: &Step, table: &mut Table) -> Result<()> {
        let _clock = self.timing.apply(index);
        let input = table.input(step)?;
        if step.is_filter() {
            return drop_rows(step, table, input, |rows| self.write(index, step, rows));
        }
        let written = self.write(index, step, &input)?;
        if step.is_split() {
            let parts = written.column(0).as_primitive::<UInt8Type>();
            let known = crate::contract::parts(&step.plan.writes[0].field)?.len();
            if let Some(row) = parts.values().iter().position(|part| usize::from(*part) >= known) {
                let message = format!("the split assigned a row to part {}, and there are {known}", parts.value(row));
                return Err(Error::sandbox(message).rows([row as u64]));
            }
            table.set_parts(parts.clone());
        } else {
            table.take(step, &written);
        }
        Ok(())
    }

    /// What a step's transformer writes for a batch.
    fn write(&mut self, index: usize, step: &Step, input: &RecordBatch) -> Result<RecordBatch> {
        let open = match &mut self.open[index] {
            // A source may stop or begin to pass a column behind a dictionary.
            Some(open) if open.input == input.schema() => open,
            slot => slot.insert(open(step, input.schema(), self.store)?),
        };
        let pieces = open.transformer.apply(input).map_err(|error| match self.dump {
            Some(dump) => {
                let given = Given { step, call: Call::Apply, batch: input, pass: None, model: Some(self.store) };
                dump.keep(&given, error)
            }
            None => error,
        })?;
        match pieces.as_slice() {
            [whole] => Ok(whole.clone()),
            _ => concat_batches(&open.outputs.schema, &pieces).map_err(internal),
        }
    }
}

/// A transformer with its model loaded.
fn open(step: &Step, input: SchemaRef, store: &ModelStore) -> Result<Open> {
    let mut transformer = Transformer::open(&step.plugin, &task(step, input.clone()))?;
    for rows in store.read_model(step)? {
        transformer.load(&rows?)?;
    }
    let outputs = transformer.outputs(&step.plan)?;
    // The plan was made from what another instance said: this one must write the same columns, behind dictionaries or not.
    let named =
        |outputs: &Outputs| -> Vec<_> { outputs.schema.fields().iter().map(|field| field.name().clone()).collect() };
    if step.outputs.as_ref().is_some_and(|known| known.columns != outputs.columns || named(known) != named(&outputs)) {
        return Err(Error::sandbox("`transformer.outputs` is not the same in two instances with one model"));
    }
    Ok(Open { input, outputs, transformer })
}

/// What a step's instances are opened with.
pub(super) fn task(step: &Step, input: SchemaRef) -> Task {
    Task { params: step.params.clone(), selection: step.selection.clone(), plan: step.plan.clone(), input }
}

/// What a fitted step writes. Its plugin is asked only where the plan leaves it open: loading a model can take long.
pub(super) fn outputs(step: &Step, store: &ModelStore) -> Result<Outputs> {
    if let Some(outputs) = step.plan.known_outputs() {
        return Ok(outputs);
    }
    let opened = open(step, step.plan.input(&step.selection), store);
    Ok(opened.map_err(|error| step.place(error))?.outputs)
}
