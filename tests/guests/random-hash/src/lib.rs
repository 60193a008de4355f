//! Breaks the law `instance`: hashes with the standard library's `RandomState`, whose keys are addresses where there is no randomness. They
//! are the same for all calls of an instance.

use schemars::JsonSchema;
use serde::Deserialize;
use std::hash::{BuildHasher, RandomState};
use wafermill_sdk::{Batch, DataType, Error, Field, Output, Plan, Result, Selection, Task, Transform, Values, export};

/// None.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Params {}

/// The plugin.
#[derive(Debug)]
pub struct RandomHash {
    state: RandomState,
}

export!(RandomHash);

impl Transform for RandomHash {
    const NAME: &'static str = "random-hash";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "hashes numbers";
    type Params = Params;

    fn plan(_: &Params, selection: &Selection) -> Result<Plan> {
        let mut plan = Plan::default();
        for field in selection.features()? {
            if *field.data_type() != DataType::Float64 {
                return Err(Error::unsupported_type("only Float64 is hashed").column(field.name()));
            }
            let hash = Field::new(format!("{}_hash", field.name()), DataType::UInt64, false);
            plan = plan.read(field, false).add(Some(field), hash);
        }
        Ok(plan)
    }

    fn open(_: Task<Params>) -> Result<Self> {
        Ok(Self { state: RandomState::new() })
    }

    fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()> {
        for column in batch.columns() {
            let Values::Float64(values) = column.values() else {
                return Err(Error::internal("another type than planned"));
            };
            let hashes = output.primitive::<u64>(None)?;
            for (row, (hash, value)) in hashes.iter_mut().zip(values.iter()).enumerate() {
                *hash = self.state.hash_one((!column.is_null(row)).then(|| value.to_bits()));
            }
        }
        Ok(())
    }
}
