//! Breaks the law `contract`: returns no row where the value is null. The SDK would not let it, so it speaks the contract itself.

use schemars::JsonSchema;
use serde::Deserialize;
use wafermill_sdk::bindings::exports::wafermill::plugin::guest::{self, Guest, GuestTransformer};
use wafermill_sdk::bindings::wafermill::plugin::types;
use wafermill_sdk::{
    Batch, Component, DataType, Error, Field, Fit, Input, Never, Output, Plan, Result, Schema, Selection, Task,
    Transform, Values,
};

/// None.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Params {}

/// What the plugin pretends to be.
#[derive(Debug)]
pub struct Honest;

/// What it exports.
#[derive(Debug)]
pub struct DropsNulls;

/// Its transformer, which knows what to announce.
#[derive(Debug)]
pub struct Transformer {
    input: Input,
    outputs: Vec<u8>,
}

#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: wafermill_sdk::AlignedAllocator = wafermill_sdk::AlignedAllocator;

#[cfg(target_family = "wasm")]
wafermill_sdk::bindings::export_component!(DropsNulls with_types_in wafermill_sdk::bindings);

fn output() -> Field {
    Field::new("copy", DataType::Float64, false)
}

impl Guest for DropsNulls {
    type Fitter = <Component<Honest> as Guest>::Fitter;
    type Finisher = <Component<Honest> as Guest>::Finisher;
    type Transformer = Transformer;

    fn describe() -> types::Description {
        Component::<Honest>::describe()
    }

    fn plan(params: String, selection: types::Selection) -> Result<types::StepPlan, types::Error> {
        Component::<Honest>::plan(params, selection)
    }
}

impl GuestTransformer for Transformer {
    fn open(task: types::Task) -> Result<guest::Transformer, types::Error> {
        let input = Input::decode(&task.input)?;
        let outputs = DropsNulls::plan(task.params, task.selection)?.outputs;
        Ok(guest::Transformer::new(Self { input, outputs }))
    }

    fn load(&self, _: types::TableBatch) -> Result<(), types::Error> {
        Ok(())
    }

    fn outputs(&self) -> Result<types::Outputs, types::Error> {
        Ok(types::Outputs { schema: self.outputs.clone(), columns: vec![1] })
    }

    fn apply(&self, batch: Vec<u8>) -> Result<Vec<u8>, types::Error> {
        let batch = self.input.batch(batch)?;
        let column = batch.column(0);
        let Values::Float64(values) = column.values() else {
            return Err(Error::internal("another type than planned").into());
        };
        let kept: Vec<f64> = (0..batch.rows()).filter(|row| !column.is_null(*row)).map(|row| values[row]).collect();
        let schema = Schema::new(vec![output()]);
        let mut rows = Output::new(&schema, kept.len());
        rows.primitives(kept.into_iter().map(Some))?;
        Ok(rows.finish()?)
    }
}

impl Transform for Honest {
    const NAME: &'static str = "drops-nulls";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "copies a column without its nulls";
    type Params = Params;

    fn plan(_: &Params, selection: &Selection) -> Result<Plan> {
        let features = selection.features()?;
        let [column] = features.as_slice() else { return Err(Error::invalid_params("one column, please")) };
        if *column.data_type() != DataType::Float64 {
            return Err(Error::unsupported_type("only Float64 can be copied").column(column.name()));
        }
        Ok(Plan::default().read(column, false).add(None, output()))
    }

    fn open(_: Task<Params>) -> Result<Self> {
        Ok(Self)
    }

    fn apply(&self, _: &Batch, output: &mut Output<'_>) -> Result<()> {
        output.primitive::<f64>(None).map(drop)
    }
}

impl Fit for Honest {
    type Fitter = Never;
    type Finisher = Never;
}
