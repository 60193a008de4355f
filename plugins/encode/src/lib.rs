//! Turns categories into numbers: one column for each category, a code, a frequency or a hash.
//!
//! Nulls can be a category of their own; NaN is a value like any other, after all others. Categories are ordered by their
//! values, strings by their bytes.

mod codes;
mod learn;
mod model;
mod names;

use codes::{Codes, NOTHING};
use model::{columns_table, load_categories, load_columns, model_tables};
use names::column_names;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use wafermill_sdk::stats::{Counts, KeyClass};
use wafermill_sdk::{
    Batch, DataType, Error, Field, Fit, Float, NullBuffer, Output, Passes, Plan, Result, Selection, Task, Transform,
    export,
};

/// How categories are encoded.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What categories become.
    #[serde(default)]
    pub method: Method,
    /// What becomes of values that no training row has.
    #[serde(default)]
    pub unseen: Unseen,
    /// What becomes of nulls.
    #[serde(default)]
    pub nulls: Nulls,
    /// Values that fewer training rows have are one category together, and so are values that no training row has.
    #[schemars(range(min = 1))]
    pub min_frequency: Option<u64>,
    /// At most so many categories for each column: the rarest are one category together, and so are values that no training
    /// row has. Nulls are not counted.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub max_categories: Option<u32>,
    /// For `hash`: how many codes there are.
    #[schemars(range(min = 1, max = 2_147_483_646))]
    pub buckets: Option<u32>,
    /// For `frequency`: the type of the column.
    #[serde(default)]
    pub output: Float,
}

/// What categories become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A column `NAME_VALUE` of zeros and ones for each category.
    #[default]
    Onehot,
    /// The category's position, from zero.
    Ordinal,
    /// The share of the training rows that have the category.
    Frequency,
    /// A hash of the value, from zero to below `buckets`. Learns nothing.
    Hash,
}

/// What becomes of values that no training row has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unseen {
    /// The run ends with an error.
    #[default]
    Error,
    /// All zeros for `onehot`, null for `ordinal` and `frequency`.
    Ignore,
    /// A column `NAME__unseen` for `onehot`, -1 for `ordinal`, 0 for `frequency`.
    Code,
}

/// What becomes of nulls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Nulls {
    /// They are a category, after all others; where no training row has one, they are unseen.
    #[default]
    Code,
    /// All zeros for `onehot`, null for the other methods.
    Ignore,
}

/// No more columns than this are made of one column.
const MOST_COLUMNS: u32 = 10_000;

/// The plugin.
#[derive(Debug)]
pub struct Encode {
    task: Task<Params>,
    classes: Vec<KeyClass>,
    columns: Vec<Codes>,
}

export!(Encode, fit);

fn check(params: &Params) -> Result<()> {
    let grouped = params.min_frequency.is_some() || params.max_categories.is_some();
    let hashed = params.method == Method::Hash;
    if params.buckets.is_some() != hashed {
        return Err(Error::invalid_params("`buckets` goes with the method `hash`, and only with it"));
    }
    if params.buckets.is_some_and(|buckets| buckets == 0 || buckets >= i32::MAX as u32) {
        return Err(Error::invalid_params("`buckets` must be from 1 to 2147483646"));
    }
    if hashed && grouped {
        return Err(Error::invalid_params("`min_frequency` and `max_categories` do not go with the method `hash`"));
    }
    Ok(())
}

impl Transform for Encode {
    const NAME: &'static str = "encode";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "turns categories into numbers";
    const PASSES: Passes = Passes::between(0, 1);
    type Params = Params;

    fn plan(params: &Params, selection: &Selection) -> Result<Plan> {
        check(params)?;
        let features = selection.features()?;
        let classes = KeyClass::of_all(features.iter().copied())?;
        let mut plan = Plan::default();
        if params.method != Method::Hash {
            plan = plan.passes(Passes::ONE).partials(Counts::tables(&classes));
            for table in model_tables(&classes) {
                plan = plan.model(table);
            }
        }
        for field in features {
            let ignored = (params.nulls == Nulls::Ignore && field.is_nullable()) || params.unseen == Unseen::Ignore;
            let with_type = |data_type| Field::new(field.name(), data_type, ignored);
            plan = plan.read(field, true);
            plan = match params.method {
                Method::Onehot => {
                    let most =
                        params.max_categories.map_or(MOST_COLUMNS, |most| most.saturating_add(2)).min(MOST_COLUMNS);
                    plan.drop(field).add_family(field, &format!("{}_", field.name()), DataType::UInt8, most)
                }
                Method::Ordinal | Method::Hash => plan.replace(field, with_type(DataType::Int32)),
                Method::Frequency => plan.replace(field, with_type(params.output.data_type())),
            };
        }
        Ok(plan)
    }

    fn open(task: Task<Params>) -> Result<Self> {
        let classes = KeyClass::of_all(task.input.fields())?;
        let columns = task.input.fields().map(|field| Codes::new(field, &task.params)).collect::<Result<_>>()?;
        Ok(Self { task, classes, columns })
    }

    fn load(&mut self, table: usize, rows: &Batch) -> Result<()> {
        if table == columns_table() {
            return load_columns(rows, &mut self.columns);
        }
        let class = table.checked_sub(columns_table() + 1).and_then(|index| self.classes.get(index));
        let class = class.ok_or_else(|| Error::invalid_model("a table of no known class"))?;
        load_categories(*class, rows, &mut self.columns)
    }

    fn outputs(&mut self, planned: &[Field]) -> Result<Vec<Vec<Field>>> {
        let mut outputs = Vec::new();
        let mut known = BTreeSet::new();
        for ((codes, field), planned) in self.columns.iter_mut().zip(self.task.input.fields()).zip(planned) {
            codes.complete(&self.task.params)?;
            match self.task.params.method {
                Method::Onehot => {
                    let names = column_names(field, codes, &self.task.params)?;
                    if names.len() as u64 > u64::from(MOST_COLUMNS) {
                        let message =
                            format!("its {} categories would make more than {MOST_COLUMNS} columns", names.len());
                        return Err(Error::invalid_data(message)
                            .column(field.name())
                            .hint("set `max_categories` or `min_frequency`, or use the method `ordinal`"));
                    }
                    // Of another column's family too: `a` with `b_c`, and `a_b` with `c`.
                    if let Some(name) = names.iter().find(|name| !known.insert((*name).clone())) {
                        return Err(Error::invalid_data(format!("two categories would make a column `{name}`"))
                            .column(field.name())
                            .hint("use the method `ordinal`, encode the columns in two steps, or rename the value"));
                    }
                    outputs.push(names.into_iter().map(|name| Field::new(name, DataType::UInt8, false)).collect());
                }
                _ => outputs.push(vec![planned.clone()]),
            }
        }
        Ok(outputs)
    }

    fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()> {
        for ((column, field), codes) in batch.columns().iter().zip(batch.fields()).zip(&self.columns) {
            let encoded = codes.encode(column, field)?;
            match self.task.params.method {
                Method::Onehot => write_onehot(&encoded, codes, &self.task.params, output)?,
                Method::Ordinal | Method::Hash => {
                    let nulls = nothing(&encoded);
                    output.values(nulls.as_ref(), &encoded)?;
                }
                Method::Frequency => write_frequency(&encoded, codes, output)?,
            }
        }
        Ok(())
    }
}

/// Which rows have no code.
fn nothing(encoded: &[i32]) -> Option<NullBuffer> {
    encoded.contains(&NOTHING).then(|| NullBuffer::from_iter(encoded.iter().map(|code| *code != NOTHING)))
}

/// Codes of a block, which differ in a byte; one more byte is for the codes of other blocks.
const BLOCK: i32 = 255;

fn write_onehot(encoded: &[i32], codes: &Codes, params: &Params, output: &mut Output<'_>) -> Result<()> {
    // Bytes are compared sixteen at a time.
    let (mut bytes, mut block) = (Vec::new(), None);
    for wanted in codes.one_hot_codes(params) {
        let start = wanted.div_euclid(BLOCK) * BLOCK;
        if block != Some(start) {
            block = Some(start);
            bytes.clear();
            bytes.extend(encoded.iter().map(|code| code.wrapping_sub(start).cast_unsigned().min(BLOCK as u32) as u8));
        }
        let wanted = (wanted - start) as u8;
        let target = output.primitive::<u8>(None)?;
        target.iter_mut().zip(&bytes).for_each(|(slot, byte)| *slot = u8::from(*byte == wanted));
    }
    Ok(())
}

fn write_frequency(encoded: &[i32], codes: &Codes, output: &mut Output<'_>) -> Result<()> {
    output.floats(nothing(encoded).as_ref(), encoded.iter().map(|code| codes.share(*code)))
}

impl Fit for Encode {
    type Fitter = Counts;
    type Finisher = learn::Finish;
}

#[cfg(test)]
mod tests;
