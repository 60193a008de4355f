//! Drops rows by what is in their columns: a row is kept where every selected column passes every test.
//!
//! A null passes all tests but `drop_nulls`. A NaN is in no range and equals nothing, unless `nan` says otherwise.

mod order;
mod predicate;

use predicate::Predicate;
use schemars::JsonSchema;
use serde::Deserialize;
use wafermill_sdk::{
    Batch, Error, Field, Output, Plan, PluginRole, Result, Selection, Task, Transform, export, serde_json::Value,
};

/// What is kept.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Whether rows with a null are dropped. Otherwise nulls pass all tests.
    #[serde(default)]
    pub drop_nulls: bool,
    /// What becomes of NaN.
    #[serde(default)]
    pub nan: Nan,
    /// The least value that is kept. Dates are written as `"2024-01-31"`, timestamps as `"2024-01-31T12:00:00"`.
    pub min: Option<Value>,
    /// The largest value that is kept.
    pub max: Option<Value>,
    /// The only values that are kept.
    #[serde(rename = "in")]
    #[schemars(length(min = 1))]
    pub within: Option<Vec<Value>>,
    /// Values that are not kept.
    #[schemars(length(min = 1))]
    pub not_in: Option<Vec<Value>>,
}

/// What becomes of NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Nan {
    /// It is compared: it is neither from `min` to `max` nor `in` a set, and it is `not_in` any.
    #[default]
    Compare,
    /// It passes all tests.
    Keep,
    /// Its row is dropped.
    Drop,
}

impl Params {
    fn has_bounds(&self) -> bool {
        self.min.is_some() || self.max.is_some()
    }

    fn has_sets(&self) -> bool {
        self.within.is_some() || self.not_in.is_some()
    }

    fn tests_nothing(&self) -> bool {
        !self.drop_nulls && self.nan != Nan::Drop && !self.has_bounds() && !self.has_sets()
    }
}

/// The plugin.
#[derive(Debug)]
pub struct Filter {
    /// One for each column.
    predicates: Vec<Predicate>,
}

export!(Filter);

impl Transform for Filter {
    const NAME: &'static str = "filter";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "drops rows by nulls, ranges and sets of values";
    const ROLE: PluginRole = PluginRole::Filter;
    type Params = Params;

    fn plan(params: &Params, selection: &Selection) -> Result<Plan> {
        if params.tests_nothing() {
            return Err(Error::invalid_params("the filter tests nothing")
                .hint("say what is kept with `min`, `max`, `in`, `not_in`, `drop_nulls` or `nan`"));
        }
        let mut plan = Plan::default();
        for field in selection.features()? {
            Predicate::new(params, field)?;
            plan = plan.read(field, true);
        }
        Ok(plan.keeps_rows())
    }

    fn open(task: Task<Params>) -> Result<Self> {
        let predicate = |field: &Field| Predicate::new(&task.params, field);
        Ok(Self { predicates: task.input.fields().map(predicate).collect::<Result<_>>()? })
    }

    fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()> {
        let mut keep = vec![true; batch.rows()];
        for (predicate, column) in self.predicates.iter().zip(batch.columns()) {
            predicate.narrow(column, &mut keep)?;
        }
        output.booleans(None, |row| keep[row])
    }
}

#[cfg(test)]
mod tests;
