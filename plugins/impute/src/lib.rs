//! Fills missing values: nulls, and NaN unless it is kept.
//!
//! Nulls and NaN never count in fitting.

mod constant;
mod fill;
mod learn;

use fill::{Fill, fill_column, model_tables, read_fills};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wafermill_sdk::stats::{Counts, KeyClass, Moments, Quantiles};
use wafermill_sdk::{
    Batch, DataType, Error, Field, Fit, Float, Output, Passes, Plan, Result, Selection, Table, Task, Transform, export,
    serde_json,
};

/// How missing values are filled.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Where the filling comes from.
    #[serde(default)]
    pub strategy: Strategy,
    /// For `constant`: the filling. Dates are written as `"2024-01-31"`, timestamps as `"2024-01-31T12:00:00"`.
    pub value: Option<serde_json::Value>,
    /// Whether a column `NAME_missing` of zeros and ones is added behind each column.
    #[serde(default)]
    pub indicator: bool,
    /// Whether NaN is filled as well.
    #[serde(default)]
    pub nan: Nan,
    /// For `mean` and `median`: the type of the filled columns. Without it floats keep theirs, and integers become Float64.
    pub output: Option<Float>,
}

/// Where the filling comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The mean of the training rows' numbers.
    Mean,
    /// Their median.
    #[default]
    Median,
    /// The value that most training rows have; of several the least.
    MostFrequent,
    /// `value`.
    Constant,
}

/// What NaN is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Nan {
    /// A missing value, to be filled.
    #[default]
    Missing,
    /// A value, to be kept.
    Keep,
}

/// The plugin.
#[derive(Debug)]
pub struct Impute {
    task: Task<Params>,
    fills: Vec<Option<Fill>>,
}

export!(Impute, fit);

fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// What the plan of a strategy learns: how often it sees the rows, and to which partials.
fn learns(strategy: Strategy, classes: &[KeyClass]) -> (Passes, Vec<Table>) {
    match strategy {
        Strategy::Mean => (Passes::ONE, Moments::tables().to_vec()),
        Strategy::Median => (Passes::between(2, 4), vec![Quantiles::table()]),
        Strategy::MostFrequent => (Passes::ONE, Counts::tables(classes)),
        Strategy::Constant => (Passes::NONE, Vec::new()),
    }
}

/// The field of a column once it is filled.
fn filled(field: &Field, params: &Params) -> Result<Field> {
    let data_type = field.data_type();
    let numeric = data_type.is_integer() || is_float(data_type);
    let learned_number = matches!(params.strategy, Strategy::Mean | Strategy::Median);
    if learned_number && !numeric {
        let message = format!("the strategies `mean` and `median` take numbers, not {data_type}");
        return Err(Error::unsupported_type(message)
            .column(field.name())
            .hint("use `most_frequent` or `constant` for this column"));
    }
    let filled = match params.output {
        Some(_) if !learned_number => {
            return Err(Error::invalid_params("`output` goes with the strategies `mean` and `median` only"));
        }
        Some(float) => float.data_type(),
        None if learned_number && !is_float(data_type) => DataType::Float64,
        None => data_type.clone(),
    };
    Ok(Field::new(field.name(), filled, false).with_metadata(field.metadata().clone()))
}

impl Transform for Impute {
    const NAME: &'static str = "impute";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "fills missing values";
    const PASSES: Passes = Passes::between(0, 4);
    type Params = Params;

    fn plan(params: &Params, selection: &Selection) -> Result<Plan> {
        if params.value.is_some() != (params.strategy == Strategy::Constant) {
            return Err(Error::invalid_params("`value` goes with the strategy `constant`, and only with it"));
        }
        let features = selection.features()?;
        let outputs = features.iter().map(|field| filled(field, params)).collect::<Result<Vec<_>>>()?;
        let classes = KeyClass::of_all(features.iter().copied())?;
        let (passes, partials) = learns(params.strategy, &classes);
        let mut plan = Plan::default().passes(passes).partials(partials);
        for table in model_tables(params.strategy, &classes) {
            plan = plan.model(table);
        }
        for (field, output) in features.into_iter().zip(outputs) {
            if let Some(value) = &params.value {
                constant::parse(value, field)?;
            }
            plan = plan.read(field, true).replace(field, output);
            if params.indicator {
                let name = format!("{}_missing", field.name());
                if selection.field(&name).is_some() {
                    return Err(Error::invalid_params(format!(
                        "the indicator `{name}` would replace the column of that name"
                    ))
                    .column(field.name())
                    .hint("leave that column out of the step, or rename it"));
                }
                plan = plan.add(Some(field), Field::new(name, DataType::UInt8, false));
            }
        }
        Ok(plan)
    }

    fn open(task: Task<Params>) -> Result<Self> {
        let constant = |field: &Field| match &task.params.value {
            Some(value) => constant::parse(value, field).map(Some),
            None => Ok(None),
        };
        let fills = task.input.fields().map(constant).collect::<Result<_>>()?;
        Ok(Self { task, fills })
    }

    fn load(&mut self, table: usize, rows: &Batch) -> Result<()> {
        let tables = self.task.plan.model_tables();
        let name = tables.get(table).map_or("", |table| table.name.as_str());
        for (column, fill) in read_fills(name, rows)? {
            let index = self.task.input.fields().position(|field| *field.name() == column);
            let index =
                index.ok_or_else(|| Error::invalid_model(format!("the model has an unknown column `{column}`")))?;
            self.fills[index] = Some(fill);
        }
        Ok(())
    }

    fn outputs(&mut self, planned: &[Field]) -> Result<Vec<Vec<Field>>> {
        let mut outputs = planned.to_vec();
        for (field, fill) in self.task.input.fields().zip(&self.fills) {
            if fill.is_none() {
                return Err(Error::invalid_model("the model has no filling for a column").column(field.name()));
            }
            if matches!(field.data_type(), DataType::Dictionary(_, _)) {
                let output = outputs.iter_mut().find(|output| output.name() == field.name());
                if let Some(output) = output {
                    output.set_data_type(field.data_type().clone());
                }
            }
        }
        Ok(outputs.into_iter().map(|field| vec![field]).collect())
    }

    fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()> {
        for (column, fill) in batch.columns().iter().zip(&self.fills) {
            let fill = fill.as_ref().ok_or_else(|| Error::internal("a column without a filling"))?;
            let missing = fill::missing(column, self.task.params.nan);
            fill_column(column, missing.as_ref(), fill, output)?;
            if self.task.params.indicator {
                let target = output.primitive::<u8>(None)?;
                if let Some(missing) = &missing {
                    missing.set_indices().for_each(|row| target[row] = 1);
                }
            }
        }
        Ok(())
    }
}

impl Fit for Impute {
    type Fitter = learn::Learn;
    type Finisher = learn::Finish;
}

#[cfg(test)]
mod tests;
