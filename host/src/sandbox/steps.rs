//! Fitters, finishers and transformers: instances with the batches that they take and give.

use super::bindings::wafermill::plugin::types;
use super::convert;
use super::instance::Instance;
use super::limits::drained;
use super::plugin::Plugin;
use crate::contract::{Outputs, Selection, StepPlan};
use crate::dictionary::without_unused;
use crate::ipc::{BatchEncoder, decode_batch, encode_schema};
use crate::memory::{batch_size, format_size};
use crate::{Error, Result};
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::component::ResourceAny;

/// What a step works on.
#[derive(Clone, Debug)]
pub struct Task {
    /// The parameters, as JSON.
    pub params: String,
    /// The columns that the step was given.
    pub selection: Selection,
    /// What the plugin planned with them.
    pub plan: Arc<StepPlan>,
    /// The schema of the batches that it sees, with their dictionaries.
    pub input: SchemaRef,
}

impl Task {
    fn encode(&self, plugin: &Plugin) -> Result<types::Task> {
        Ok(types::Task {
            params: self.params.clone(),
            selection: convert::selection(&self.selection).map_err(|error| plugin.unspeakable(error))?,
            input: encode_schema(&self.input).map_err(|error| plugin.unspeakable(error))?,
        })
    }
}

/// Which pass over the training rows it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Pass {
    /// Counted from zero.
    pub number: u32,
    /// What the pass before gave.
    pub carry: Option<Vec<u8>>,
    /// What all fitters of the pass have given away.
    #[serde(skip)]
    drained: Arc<AtomicU64>,
}

impl Pass {
    pub(crate) fn new(number: u32, carry: Option<Vec<u8>>) -> Self {
        Self { number, carry, drained: Arc::default() }
    }

    /// The pass behind this one, which gave `carry`.
    pub fn next(&self, carry: Vec<u8>) -> Self {
        Self::new(self.number.saturating_add(1), Some(carry))
    }

    fn encode(&self) -> types::Pass {
        types::Pass { number: self.number, carry: self.carry.clone() }
    }
}

/// Rows of a table of partials or of a model.
#[derive(Clone, Debug)]
pub struct TableBatch {
    /// The table's position in the plan.
    pub table: usize,
    /// Its rows.
    pub batch: RecordBatch,
}

/// How a pass ended.
#[derive(Debug)]
pub enum Outcome {
    /// The model is complete; the rest of it is drained.
    Model,
    /// Another pass, with this carry.
    Again(Vec<u8>),
}

/// Cuts a batch to pieces that an instance can take in one call: halves, until they are small enough or one row.
fn pieces(batch: &RecordBatch, most: usize) -> Result<Vec<RecordBatch>> {
    if batch_size(batch) <= most {
        return Ok(vec![batch.clone()]);
    }
    // A dictionary crosses whole with each piece.
    let batch =
        without_unused(batch, |_| true).map_err(|error| Error::internal("a batch cannot be cut").because(error))?;
    let rows = batch.num_rows();
    if batch_size(&batch) <= most || rows <= 1 {
        return Ok(vec![batch]);
    }
    let half = rows / 2;
    let mut all = pieces(&batch.slice(0, half), most)?;
    all.extend(pieces(&batch.slice(half, rows - half), most)?);
    Ok(all)
}

/// Reads rows that a plugin gave for one of its tables.
fn table_batch(instance: &Instance, export: &str, tables: &[SchemaRef], rows: types::TableBatch) -> Result<TableBatch> {
    let table = rows.table as usize;
    let schema = tables.get(table).ok_or_else(|| instance.broken(export, format!("there is no table {table}")))?;
    let batch = decode_batch(schema, Buffer::from_vec(rows.batch)).map_err(|error| instance.broken(export, error))?;
    Ok(TableBatch { table, batch })
}

/// Learns from some of the training rows.
pub struct Fitter {
    input: SchemaRef,
    instance: Instance,
    resource: ResourceAny,
    tables: Vec<SchemaRef>,
    encoder: BatchEncoder,
    /// What all fitters of the pass have given away.
    drained: Arc<AtomicU64>,
}

impl Fitter {
    /// A fitter in an instance of its own.
    ///
    /// # Errors
    /// Where the plugin fails to open it.
    pub fn open(plugin: &Plugin, task: &Task, pass: &Pass) -> Result<Self> {
        let mut instance = plugin.instance()?;
        let drained = pass.drained.clone();
        let (arguments, pass) = (task.encode(plugin)?, pass.encode());
        let resource =
            instance.call("fitter.open", |store, guest| guest.fitter().call_open(store, &arguments, &pass))?;
        let tables = task.plan.partials.iter().map(|table| table.schema().clone()).collect();
        Ok(Self { input: task.input.clone(), instance, resource, tables, encoder: BatchEncoder::default(), drained })
    }

    /// The schema of its batches.
    pub fn input(&self) -> &SchemaRef {
        &self.input
    }

    /// Learns from a batch with the task's input schema.
    ///
    /// # Errors
    /// Where the plugin refuses the rows, traps or breaks a limit. Rows are counted from the batch's start.
    pub fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        let Self { instance, resource, encoder, .. } = self;
        let mut start = 0;
        for piece in pieces(batch, instance.limits().passed)? {
            let message =
                encoder.encode(&piece).map_err(|error| Error::internal("a batch cannot be encoded").because(error))?;
            instance
                .call("fitter.update", |store, guest| guest.fitter().call_update(store, *resource, message))
                .map_err(|error| error.offset_rows(start))?;
            start += piece.num_rows() as u64;
        }
        Ok(())
    }

    /// Whether its memory has grown so far, or beyond so many bytes, that it is to be drained and replaced.
    pub fn is_full(&self, bytes: usize) -> bool {
        self.instance.memory() > self.instance.limits().drain.min(bytes)
    }

    /// Hands all that was learned to `take`.
    ///
    /// # Errors
    /// Where the plugin fails or returns what its plan did not announce, or `take` fails.
    pub fn drain(&mut self, take: impl FnMut(TableBatch) -> Result<()>) -> Result<()> {
        let Self { instance, resource, tables, drained, .. } = self;
        let most = instance.limits().partials;
        let count = |bytes| match drained.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > most {
            true => Err(more_than("partials of a step", most, "partials")),
            false => Ok(()),
        };
        drain(instance, "fitter.drain", tables, count, take, |instance| {
            instance.call("fitter.drain", |store, guest| guest.fitter().call_drain(store, *resource))
        })
    }
}

/// Turns combined partials into a model.
pub struct Finisher {
    instance: Instance,
    resource: ResourceAny,
    tables: Vec<SchemaRef>,
    encoder: BatchEncoder,
    /// Bytes of the model so far.
    given: u64,
}

impl Finisher {
    /// A finisher in an instance of its own.
    ///
    /// # Errors
    /// Where the plugin fails to open it.
    pub fn open(plugin: &Plugin, task: &Task, pass: &Pass) -> Result<Self> {
        let mut instance = plugin.instance()?;
        let (arguments, pass) = (task.encode(plugin)?, pass.encode());
        let resource =
            instance.call("finisher.open", |store, guest| guest.finisher().call_open(store, &arguments, &pass))?;
        let tables = task.plan.model.iter().map(|table| table.schema.clone()).collect();
        Ok(Self { instance, resource, tables, encoder: BatchEncoder::default(), given: 0 })
    }

    /// Takes combined partials and gives rows of the model.
    ///
    /// # Errors
    /// Where the plugin refuses them, traps, breaks a limit or returns what its plan did not announce.
    pub fn push(&mut self, partials: &TableBatch) -> Result<Vec<TableBatch>> {
        let mut model = Vec::new();
        let Self { instance, resource, tables, encoder, given } = self;
        for piece in pieces(&partials.batch, instance.limits().passed)? {
            let batch =
                encoder.encode(&piece).map_err(|error| Error::internal("partials cannot be encoded").because(error))?;
            let rows = types::TableBatch { table: partials.table as u32, batch: batch.to_vec() };
            let ready =
                instance.call("finisher.push", |store, guest| guest.finisher().call_push(store, *resource, &rows))?;
            for rows in ready {
                let most = instance.limits().model;
                count_model(given, most, rows.batch.len() as u64).map_err(|error| instance.error(error))?;
                model.push(table_batch(instance, "finisher.push", tables, rows)?);
            }
        }
        Ok(model)
    }

    /// Ends the pass.
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    pub fn finish(&mut self) -> Result<Outcome> {
        let Self { instance, resource, .. } = self;
        let outcome =
            instance.call("finisher.finish", |store, guest| guest.finisher().call_finish(store, *resource))?;
        match outcome {
            types::Outcome::Again(carry) if carry.len() > instance.limits().carry => {
                Err(instance.broken("finisher.finish", format!("a carry of {} bytes", carry.len())))
            }
            types::Outcome::Again(carry) => Ok(Outcome::Again(carry)),
            types::Outcome::Model => Ok(Outcome::Model),
        }
    }

    /// Hands the rest of the model to `take`.
    ///
    /// # Errors
    /// As for [`push`](Self::push), or where `take` fails.
    pub fn drain(&mut self, take: impl FnMut(TableBatch) -> Result<()>) -> Result<()> {
        let Self { instance, resource, tables, given, .. } = self;
        let most = instance.limits().model;
        let count = |bytes| count_model(given, most, bytes);
        drain(instance, "finisher.drain", tables, count, take, |instance| {
            instance.call("finisher.drain", |store, guest| guest.finisher().call_drain(store, *resource))
        })
    }
}

/// Counts more bytes of a model.
fn count_model(given: &mut u64, most: u64, bytes: u64) -> Result<()> {
    *given = given.saturating_add(bytes);
    if *given > most { Err(more_than("model of a step", most, "model")) } else { Ok(()) }
}

fn more_than(what: &str, most: u64, key: &str) -> Error {
    Error::sandbox(format!("the plugin gives more than the {} that the {what} may have", format_size(most)))
        .hint(format!("raise the limit: `{key}` in `[limits]` of the pipeline file, or of the step"))
}

/// Calls an export until it has nothing left to give.
fn drain(
    instance: &mut Instance,
    export: &str,
    tables: &[SchemaRef],
    mut count: impl FnMut(u64) -> Result<()>,
    mut take: impl FnMut(TableBatch) -> Result<()>,
    mut next: impl FnMut(&mut Instance) -> Result<Option<types::TableBatch>>,
) -> Result<()> {
    let mut bytes = 0;
    while let Some(rows) = next(instance)? {
        // What it gives was in its memory: one that gives more than that will never end.
        bytes += rows.batch.len();
        count(rows.batch.len() as u64).map_err(|error| instance.error(error))?;
        let rows = table_batch(instance, export, tables, rows)?;
        if rows.batch.num_rows() == 0 {
            return Err(instance.broken(export, "a batch without rows"));
        }
        if bytes > drained(instance.memory()) {
            return Err(instance.broken(export, "more rows than its memory can have held"));
        }
        take(rows).map_err(|error| instance.error(error))?;
    }
    Ok(())
}

/// Turns batches into batches.
pub struct Transformer {
    instance: Instance,
    resource: ResourceAny,
    encoder: BatchEncoder,
    outputs: Option<SchemaRef>,
}

impl Transformer {
    /// A transformer in an instance of its own, still without its model.
    ///
    /// # Errors
    /// Where the plugin fails to open it.
    pub fn open(plugin: &Plugin, task: &Task) -> Result<Self> {
        let mut instance = plugin.instance()?;
        let arguments = task.encode(plugin)?;
        let resource =
            instance.call("transformer.open", |store, guest| guest.transformer().call_open(store, &arguments))?;
        Ok(Self { instance, resource, encoder: BatchEncoder::default(), outputs: None })
    }

    /// Loads rows of the model; all of them, the tables in the plan's order, before anything else.
    ///
    /// # Errors
    /// Where the plugin refuses them, traps or breaks a limit.
    pub fn load(&mut self, model: &TableBatch) -> Result<()> {
        let Self { instance, resource, encoder, .. } = self;
        for piece in pieces(&model.batch, instance.limits().passed)? {
            let batch =
                encoder.encode(&piece).map_err(|error| Error::internal("a model cannot be encoded").because(error))?;
            let rows = types::TableBatch { table: model.table as u32, batch: batch.to_vec() };
            instance.call("transformer.load", |store, guest| guest.transformer().call_load(store, *resource, &rows))?;
        }
        Ok(())
    }

    /// What `apply` returns, checked against the plan.
    ///
    /// # Errors
    /// Where the plugin fails, or announces something else than it planned.
    pub fn outputs(&mut self, plan: &StepPlan) -> Result<Outputs> {
        let Self { instance, resource, .. } = self;
        let outputs =
            instance.call("transformer.outputs", |store, guest| guest.transformer().call_outputs(store, *resource))?;
        let schema = convert::schema(&outputs.schema, instance.limits())
            .map_err(|error| instance.broken("transformer.outputs", error))?;
        let outputs = Outputs { schema, columns: outputs.columns.into_iter().map(|count| count as usize).collect() };
        plan.check_outputs(&outputs).map_err(|reason| instance.broken("transformer.outputs", reason))?;
        self.outputs = Some(outputs.schema.clone());
        Ok(outputs)
    }

    /// As many rows as came in, with the schema that `outputs` gave.
    ///
    /// # Errors
    /// Where the plugin refuses the rows, traps, breaks a limit or returns something else. Rows are counted from the batch's
    /// start.
    pub fn apply(&mut self, batch: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let Self { instance, resource, encoder, outputs } = self;
        let outputs = outputs.as_ref().ok_or_else(|| Error::internal("`outputs` was not called before `apply`"))?;
        let mut applied = Vec::with_capacity(1);
        let mut start = 0;
        for piece in pieces(batch, instance.limits().passed)? {
            let message =
                encoder.encode(&piece).map_err(|error| Error::internal("a batch cannot be encoded").because(error))?;
            let result = instance
                .call("transformer.apply", |store, guest| guest.transformer().call_apply(store, *resource, message))
                .map_err(|error| error.offset_rows(start))?;
            let result = decode_batch(outputs, Buffer::from_vec(result))
                .map_err(|error| instance.broken("transformer.apply", error))?;
            if result.num_rows() != piece.num_rows() {
                let reason = format!("{} rows for a batch of {}", result.num_rows(), piece.num_rows());
                return Err(instance.broken("transformer.apply", reason));
            }
            start += piece.num_rows() as u64;
            applied.push(result);
        }
        Ok(applied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Int32Type;
    use arrow_array::{Array, ArrayRef, DictionaryArray, StringArray};

    #[test]
    fn pieces_carry_only_the_dictionary_that_they_use() {
        let values = StringArray::from_iter_values((0..100).map(|value| format!("{value:02}").repeat(50)));
        let keys = (0..1_000).map(|row| row * 7 % 100).collect();
        let column = DictionaryArray::<Int32Type>::new(keys, Arc::new(values));
        let batch = RecordBatch::try_from_iter([("x", Arc::new(column) as ArrayRef)]).unwrap();
        let pieces = pieces(&batch, 8_000).unwrap();
        assert!(pieces.len() < 40, "{} pieces", pieces.len());
        assert!(pieces.iter().all(|piece| batch_size(piece) <= 8_000));
        let words = |batch: &RecordBatch| arrow_cast::cast(batch.column(0), &arrow_schema::DataType::Utf8).unwrap();
        let again: Vec<_> = pieces.iter().map(words).collect();
        let again: Vec<&dyn Array> = again.iter().map(AsRef::as_ref).collect();
        assert_eq!(&arrow_select::concat::concat(&again).unwrap(), &words(&batch));
    }
}
