//! Breaks the law `contract`: returns one row for any batch. The SDK would not let it, so it speaks the contract itself.

use schemars::JsonSchema;
use serde::Deserialize;
use wafermill_sdk::bindings::exports::wafermill::plugin::guest::{self, Guest, GuestTransformer};
use wafermill_sdk::bindings::wafermill::plugin::types;
use wafermill_sdk::{
    Batch, Component, DataType, Field, Fit, Never, Output, Plan, Result, Schema, Selection, Task, Transform,
};

/// None.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Params {}

/// What the plugin pretends to be.
#[derive(Debug)]
pub struct Honest;

/// What it exports.
#[derive(Debug)]
pub struct OneRow;

/// Its transformer, which knows what to announce.
#[derive(Debug)]
pub struct Transformer {
    outputs: Vec<u8>,
}

#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: wafermill_sdk::AlignedAllocator = wafermill_sdk::AlignedAllocator;

#[cfg(target_family = "wasm")]
wafermill_sdk::bindings::export_component!(OneRow with_types_in wafermill_sdk::bindings);

fn output() -> Field {
    Field::new("zero", DataType::Float64, false)
}

impl Guest for OneRow {
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
        let outputs = OneRow::plan(task.params, task.selection)?.outputs;
        Ok(guest::Transformer::new(Self { outputs }))
    }

    fn load(&self, _: types::TableBatch) -> Result<(), types::Error> {
        Ok(())
    }

    fn outputs(&self) -> Result<types::Outputs, types::Error> {
        Ok(types::Outputs { schema: self.outputs.clone(), columns: vec![1] })
    }

    fn apply(&self, _: Vec<u8>) -> Result<Vec<u8>, types::Error> {
        let schema = Schema::new(vec![output()]);
        let mut rows = Output::new(&schema, 1);
        rows.primitive::<f64>(None)?;
        Ok(rows.finish()?)
    }
}

impl Transform for Honest {
    const NAME: &'static str = "one-row";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "returns one row for any batch";
    type Params = Params;

    fn plan(_: &Params, selection: &Selection) -> Result<Plan> {
        let read = |plan: Plan, field: &&Field| plan.read(field, true);
        Ok(selection.features()?.iter().fold(Plan::default(), read).add(None, output()))
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
