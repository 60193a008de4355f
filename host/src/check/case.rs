//! One case: a plugin with parameters, and a table of the columns that its plan reads.

use super::random::Random;
use super::refusal::settle;
use super::report::TableName;
use super::setting::Setting;
use super::values::column;
use crate::contract::{ColumnRole, Context, Read, Role, Selection, StepPlan};
use crate::sandbox::{Plugin, Task};
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions, StringArray, UInt8Array,
    UInt32Array, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use arrow_select::take::take;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Linear memory that an instance may have at most.
const MOST_MEMORY: usize = 4 << 30;

/// Spaces behind parameters that take up memory and say nothing.
const SPACES: usize = 5_000;

/// A table for a plugin.
#[derive(Clone)]
pub(super) struct Case<'a> {
    pub(super) plugin: &'a Plugin,
    pub(super) parsed: &'a Value,
    pub(super) selection: Selection,
    pub(super) plan: Arc<StepPlan>,
    /// What its fitters learn from.
    pub(super) input: RecordBatch,
    /// Other rows of the same types.
    pub(super) other: RecordBatch,
    pub(super) name: TableName,
}

/// What an instance may not look at: the host is free in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground {
    /// Whether it may have twice the memory.
    pub(super) roomy: bool,
    /// Whether its parameters end with spaces, so that what follows lies elsewhere in its memory.
    pub(super) spaced: bool,
    /// In how many pieces a model, or partials, come.
    pub(super) pieces: usize,
}

impl Ground {
    /// As it is in a run.
    pub(super) const PLAIN: Self = Self { roomy: false, spaced: false, pieces: 1 };
    /// Another one in every way.
    pub(super) const OTHER: Self = Self { roomy: true, spaced: true, pieces: 3 };
}

impl<'a> Case<'a> {
    /// A generated table of columns of these types, planned.
    ///
    /// # Errors
    /// Where the plugin refuses to plan it.
    pub(super) fn new(plugin: &'a Plugin, parsed: &'a Value, name: TableName) -> Result<Self> {
        let selection = select(&name);
        let plan = Arc::new(plugin.plan(&parsed.to_string(), &selection)?);
        let parts = match plugin.description().role {
            // It learns from the rows of all parts.
            Role::Aggregate => [PartIds::Several, PartIds::None],
            _ => [PartIds::Training, PartIds::None],
        };
        let input = table(&selection, &plan, &name, name.rows, (0, parts[0]))?;
        let other = table(&selection, &plan, &name, name.rows / 2, (1, parts[1]))?;
        Ok(Self { plugin, parsed, selection, plan, input, other, name })
    }

    /// The same rows without all columns but these. Nothing where the plugin does not plan that, or wants to read what is not there.
    ///
    /// # Errors
    /// Where the plugin breaks the contract.
    pub(super) fn of_columns(&self, columns: &[usize]) -> Result<Option<Self>> {
        let schema = Arc::new(self.selection.schema.project(columns).map_err(unmade)?);
        let roles = columns.iter().map(|column| self.selection.roles[*column]).collect();
        let selection = Selection { schema, roles };
        let Ok(plan) = settle(self.plugin.plan(&self.parsed.to_string(), &selection))? else { return Ok(None) };
        let project = |batch: &RecordBatch| {
            let fields = plan.input(&selection);
            let columns = fields.fields().iter().map(|field| batch.column_by_name(field.name()).cloned());
            let columns: Option<Vec<_>> = columns.collect();
            let fields = fields.fields().iter().map(|field| field.as_ref().clone()).collect();
            columns.map(|columns| record_batch(fields, columns, batch.num_rows())).transpose()
        };
        let (Some(input), Some(other)) = (project(&self.input)?, project(&self.other)?) else { return Ok(None) };
        Ok(Some(Self { selection, plan: Arc::new(plan), input, other, ..self.clone() }))
    }

    /// The same columns with these rows only.
    pub(super) fn of_rows(&self, input: &[u32], other: &[u32]) -> Result<Self> {
        let (input, other) = (rows_of(&self.input, input)?, rows_of(&self.other, other)?);
        Ok(Self { input, other, ..self.clone() })
    }

    /// The plugin, and what instances for such a batch are opened with.
    pub(super) fn task(&self, batch: &RecordBatch, ground: Ground) -> Result<(Plugin, Task)> {
        let limits = self.plugin.limits().clone();
        let plugin = match ground.roomy {
            true => {
                let memory = limits.memory.saturating_mul(2).min(MOST_MEMORY);
                self.plugin.with_limits(&limits.memory(memory))?
            }
            false => self.plugin.clone(),
        };
        let spaces = if ground.spaced { SPACES } else { 0 };
        let task = Task {
            params: self.parsed.to_string() + &" ".repeat(spaces),
            selection: self.selection.clone(),
            plan: self.plan.clone(),
            input: batch.schema(),
        };
        Ok((plugin, task))
    }

    /// The same rows with strings behind dictionaries, where the plan allows it for any.
    pub(super) fn encoded(&self, batch: &RecordBatch, random: &mut Random) -> Result<Option<RecordBatch>> {
        let mut fields = Vec::new();
        let mut columns = Vec::new();
        let mut any = false;
        for ((read, field), column) in self.plan.reads.iter().zip(batch.schema_ref().fields()).zip(batch.columns()) {
            let encoded = match read {
                Read::Column { dictionary: true, .. } if *field.data_type() == DataType::Utf8 => {
                    encode(column, random).map_err(unmade)?
                }
                _ => column.clone(),
            };
            any |= encoded.data_type() != column.data_type();
            fields.push(Field::new(field.name(), encoded.data_type().clone(), field.is_nullable()));
            columns.push(encoded);
        }
        if any { record_batch(fields, columns, batch.num_rows()).map(Some) } else { Ok(None) }
    }
}

/// The columns of a table with their roles.
pub(super) fn select(name: &TableName) -> Selection {
    let Setting { role, beside } = name.setting;
    let nullable = name.flavour.is_nullable();
    let field = |data_type: &DataType| Field::new(column_name(data_type), data_type.clone(), nullable);
    let mut fields: Vec<_> = name.columns.iter().map(field).collect();
    let mut roles = vec![role; fields.len()];
    if let Some(beside) = beside {
        let (name, data_type) = match beside {
            ColumnRole::Feature => ("feature", DataType::Float64),
            ColumnRole::Target => ("target", DataType::Float64),
            ColumnRole::Key => ("key", DataType::Int64),
            ColumnRole::Weight => ("weight", DataType::Float64),
        };
        fields.push(Field::new(name, data_type, nullable));
        roles.push(beside);
    }
    Selection { schema: Arc::new(Schema::new(fields)), roles }
}

/// A name that tells the type.
pub(super) fn column_name(data_type: &DataType) -> String {
    data_type.to_string().to_lowercase().replace(", ", "-")
}

/// The parts of the rows of a table.
#[derive(Clone, Copy, Debug)]
enum PartIds {
    /// The training part.
    Training,
    /// Any of three.
    Several,
    /// None at all, as when a model is applied to another table.
    None,
}

fn table(
    selection: &Selection,
    plan: &StepPlan,
    name: &TableName,
    rows: usize,
    (salt, parts): (u64, PartIds),
) -> Result<RecordBatch> {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (position, read) in plan.reads.iter().enumerate() {
        let random = &mut Random::new(&[name.seed, name.flavour as u64, position as u64, salt]);
        let (field, made) = match read {
            Read::Context(context) => (context.field(), computed(*context, rows, parts, random)),
            Read::Column { position, .. } => {
                let field = selection.schema.field(*position).clone();
                let made = column(field.data_type(), name.flavour, rows, random).map_err(unmade)?;
                (field, made)
            }
        };
        fields.push(field);
        columns.push(made);
    }
    record_batch(fields, columns, rows)
}

/// Hashes are as good as random.
fn computed(context: Context, rows: usize, parts: PartIds, random: &mut Random) -> ArrayRef {
    match context {
        Context::KeyHash | Context::RowHash => {
            Arc::new(UInt64Array::from_iter_values((0..rows).map(|_| random.bits())))
        }
        Context::Part => Arc::new(UInt8Array::from_iter((0..rows).map(|_| match parts {
            PartIds::Training => Some(0),
            PartIds::Several => Some(random.below(3) as u8),
            PartIds::None => None,
        }))),
        Context::Fold => Arc::new(UInt8Array::from_iter_values((0..rows).map(|_| random.below(5) as u8))),
    }
}

/// A dictionary that holds every value twice, in any order, with some that no row has; nulls point beyond it.
fn encode(column: &ArrayRef, random: &mut Random) -> Result<ArrayRef, ArrowError> {
    let strings = column.as_string::<i32>();
    let mut values: Vec<&str> = strings.iter().flatten().collect();
    values.sort_unstable();
    values.dedup();
    values.extend(values.clone());
    values.extend(["unused", "", "unused too"]);
    random.shuffle(&mut values);
    let mut places: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (place, value) in (0..).zip(&values) {
        places.entry(value).or_default().push(place);
    }
    let mut key = |value: Option<&str>| value.map_or(i32::MAX, |value| *random.pick(&places[value]));
    let keys = Int32Array::new(strings.iter().map(&mut key).collect(), strings.nulls().cloned());
    Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(StringArray::from(values)))?))
}

fn record_batch(fields: Vec<Field>, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(unmade)
}

/// Rows of a batch, by their positions.
pub(super) fn rows_of(batch: &RecordBatch, rows: &[u32]) -> Result<RecordBatch> {
    let positions = UInt32Array::from(rows.to_vec());
    let columns = batch.columns().iter().map(|column| take(column, &positions, None)).collect::<Result<Vec<_>, _>>();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(batch.schema(), columns.map_err(unmade)?, &options).map_err(unmade)
}

pub(super) fn unmade(error: ArrowError) -> Error {
    Error::internal("a table cannot be made").because(error)
}
