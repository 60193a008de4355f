//! From the contract's bytes to an author's traits and back.

use crate::bindings::exports::wafermill::plugin::guest as wit;
use crate::bindings::wafermill::plugin::types;
use crate::message::encode_schema;
use crate::plan::Plan;
use crate::plugin::{Finisher, Fit, Fitter, Outcome, Pass, Rows, Task, Transform};
use crate::{Error, Input, Output, Result, Selection};
use arrow_schema::Schema;
use std::cell::{OnceCell, RefCell};
use std::collections::VecDeque;
use std::marker::PhantomData;

/// The component of a plugin: what [`export!`](crate::export) exports.
#[derive(Debug)]
pub struct Component<P>(PhantomData<P>);

/// The resource behind a fitter.
#[derive(Debug)]
pub struct FitterResource<P: Fit> {
    fitter: RefCell<P::Fitter>,
    input: Input,
}

/// The resource behind a finisher.
#[derive(Debug)]
pub struct FinisherResource<P: Fit> {
    finisher: RefCell<Option<P::Finisher>>,
    partials: Vec<Input>,
    /// What `finish` gave of the model and was not drained yet.
    rest: RefCell<VecDeque<Rows>>,
}

/// The resource behind a transformer.
#[derive(Debug)]
pub struct TransformerResource<P> {
    transform: RefCell<P>,
    plan: Plan,
    input: Input,
    model: Vec<Input>,
    outputs: OnceCell<(Schema, Vec<u32>)>,
}

pub(crate) fn parse<P: Transform>(params: &str) -> Result<P::Params> {
    // All that a plugin does begins with its parameters.
    #[cfg(target_family = "wasm")]
    crate::log::tell_panics();
    serde_json::from_str(params).map_err(|error| Error::invalid_params(error.to_string()))
}

pub(crate) fn open_task<P: Transform>(task: types::Task) -> Result<Task<P::Params>> {
    let params = parse::<P>(&task.params)?;
    let selection = Selection::decode(&task.selection)?;
    let plan = P::plan(&params, &selection)?;
    Ok(Task { params, selection, plan, input: Input::decode(&task.input)? })
}

fn inputs(tables: &[crate::Table]) -> Result<Vec<Input>> {
    tables.iter().map(|table| Input::decode(&encode_schema(&table.schema)?)).collect()
}

fn table_batch(rows: Rows) -> types::TableBatch {
    types::TableBatch { table: rows.table as u32, batch: rows.message }
}

fn read_rows(tables: &[Input], rows: types::TableBatch) -> Result<(usize, crate::Batch)> {
    let table = rows.table as usize;
    let input = tables.get(table).ok_or_else(|| Error::invalid_model(format!("there is no table {table}")))?;
    Ok((table, input.batch(rows.batch)?))
}

impl<P: Fit> wit::Guest for Component<P> {
    type Fitter = FitterResource<P>;
    type Finisher = FinisherResource<P>;
    type Transformer = TransformerResource<P>;

    fn describe() -> types::Description {
        types::Description {
            name: P::NAME.to_owned(),
            version: P::VERSION.to_owned(),
            summary: P::SUMMARY.to_owned(),
            role: P::ROLE,
            passes: P::PASSES,
            params_schema: schemars::schema_for!(P::Params).to_value().to_string(),
        }
    }

    fn plan(params: String, selection: types::Selection) -> Result<types::StepPlan, types::Error> {
        let plan = parse::<P>(&params).and_then(|params| P::plan(&params, &Selection::decode(&selection)?));
        Ok(plan.and_then(Plan::encode)?)
    }
}

impl<P: Fit> FitterResource<P> {
    pub(crate) fn create(task: types::Task, pass: types::Pass) -> Result<Self> {
        let task = open_task::<P>(task)?;
        let input = task.input.clone();
        let fitter = P::Fitter::open(task, Pass { number: pass.number, carry: pass.carry })?;
        Ok(Self { fitter: RefCell::new(fitter), input })
    }
}

impl<P: Fit> FinisherResource<P> {
    pub(crate) fn create(task: types::Task, pass: types::Pass) -> Result<Self> {
        let task = open_task::<P>(task)?;
        let partials = inputs(task.plan.partial_tables())?;
        let finisher = P::Finisher::open(task, Pass { number: pass.number, carry: pass.carry })?;
        Ok(Self { finisher: RefCell::new(Some(finisher)), partials, rest: RefCell::default() })
    }
}

impl<P: Fit> TransformerResource<P> {
    pub(crate) fn create(task: types::Task) -> Result<Self> {
        let task = open_task::<P>(task)?;
        let (plan, input) = (task.plan.clone(), task.input.clone());
        let model = inputs(plan.model_tables())?;
        let transform = RefCell::new(P::open(task)?);
        Ok(Self { transform, plan, input, model, outputs: OnceCell::new() })
    }
}

impl<P: Fit> wit::GuestFitter for FitterResource<P> {
    fn open(task: types::Task, pass: types::Pass) -> Result<wit::Fitter, types::Error> {
        Ok(wit::Fitter::new(Self::create(task, pass)?))
    }

    fn update(&self, batch: Vec<u8>) -> Result<(), types::Error> {
        Ok(self.fitter.borrow_mut().update(&self.input.batch(batch)?)?)
    }

    fn drain(&self) -> Result<Option<types::TableBatch>, types::Error> {
        Ok(self.fitter.borrow_mut().drain()?.map(table_batch))
    }
}

impl<P: Fit> wit::GuestFinisher for FinisherResource<P> {
    fn open(task: types::Task, pass: types::Pass) -> Result<wit::Finisher, types::Error> {
        Ok(wit::Finisher::new(Self::create(task, pass)?))
    }

    fn push(&self, partials: types::TableBatch) -> Result<Vec<types::TableBatch>, types::Error> {
        let (table, batch) = read_rows(&self.partials, partials)?;
        let mut finisher = self.finisher.borrow_mut();
        let finisher = finisher.as_mut().ok_or_else(finished)?;
        Ok(finisher.push(table, &batch)?.into_iter().map(table_batch).collect())
    }

    fn finish(&self) -> Result<types::Outcome, types::Error> {
        let finisher = self.finisher.borrow_mut().take().ok_or_else(finished)?;
        Ok(match finisher.finish()? {
            Outcome::Model(rows) => {
                self.rest.replace(rows.into());
                types::Outcome::Model
            }
            Outcome::Again(carry) => types::Outcome::Again(carry),
        })
    }

    fn drain(&self) -> Result<Option<types::TableBatch>, types::Error> {
        Ok(self.rest.borrow_mut().pop_front().map(table_batch))
    }
}

impl<P: Fit> TransformerResource<P> {
    /// The message of what becomes of a batch, once `outputs` was called.
    pub(crate) fn write(&self, batch: &crate::Batch) -> Result<Vec<u8>> {
        let (schema, _) = self.outputs.get().ok_or_else(not_ready)?;
        let mut output = Output::new(schema, batch.rows());
        self.transform.borrow().apply(batch, &mut output)?;
        output.finish()
    }
}

impl<P: Fit> wit::GuestTransformer for TransformerResource<P> {
    fn open(task: types::Task) -> Result<wit::Transformer, types::Error> {
        Ok(wit::Transformer::new(Self::create(task)?))
    }

    fn load(&self, model: types::TableBatch) -> Result<(), types::Error> {
        let (table, batch) = read_rows(&self.model, model)?;
        Ok(self.transform.borrow_mut().load(table, &batch)?)
    }

    fn outputs(&self) -> Result<types::Outputs, types::Error> {
        let (schema, columns) = match self.outputs.get() {
            Some(outputs) => outputs,
            None => {
                let fields = self.transform.borrow_mut().outputs(self.plan.outputs())?;
                let columns = fields.iter().map(|fields| fields.len() as u32).collect();
                self.outputs.get_or_init(|| (Schema::new(fields.concat()), columns))
            }
        };
        Ok(types::Outputs { schema: encode_schema(schema)?, columns: columns.clone() })
    }

    fn apply(&self, batch: Vec<u8>) -> Result<Vec<u8>, types::Error> {
        Ok(self.write(&self.input.batch(batch)?)?)
    }
}

fn finished() -> Error {
    Error::internal("the pass was finished before")
}

fn not_ready() -> Error {
    Error::internal("`outputs` was not called before `apply`")
}

/// Exports a plugin as a component: `export!(MyPlugin)`, or `export!(MyPlugin, fit)` where it implements [`Fit`] itself.
///
/// Outside of WebAssembly it exports nothing, so that the crate can be linked natively.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        impl $crate::Fit for $plugin {
            type Fitter = $crate::Never;
            type Finisher = $crate::Never;
        }
        $crate::export!($plugin, fit);
    };
    ($plugin:ty, fit) => {
        #[cfg(target_family = "wasm")]
        #[global_allocator]
        static ALLOCATOR: $crate::AlignedAllocator = $crate::AlignedAllocator;

        #[cfg(target_family = "wasm")]
        type WafermillComponent = $crate::Component<$plugin>;

        #[cfg(target_family = "wasm")]
        $crate::bindings::export_component!(WafermillComponent with_types_in $crate::bindings);
    };
}
