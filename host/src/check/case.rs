//! One case: a plugin with parameters, and a generated table of the columns that its plan reads.

use super::random::Random;
use super::report::TableName;
use super::values::column;
use crate::contract::{ColumnRole, Context, Read, Role, Selection, StepPlan};
use crate::sandbox::{Plugin, Task};
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions, StringArray, UInt8Array, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A table for a plugin.
pub(super) struct Case<'a> {
    pub(super) plugin: &'a Plugin,
    pub(super) parsed: &'a Value,
    pub(super) params: &'a str,
    pub(super) selection: Selection,
    pub(super) plan: Arc<StepPlan>,
    /// What its fitters learn from.
    pub(super) input: RecordBatch,
    /// Other rows of the same types.
    pub(super) other: RecordBatch,
    pub(super) name: TableName,
}

impl<'a> Case<'a> {
    /// A table of columns of these types, planned.
    ///
    /// # Errors
    /// Where the plugin refuses to plan it.
    pub(super) fn new(plugin: &'a Plugin, parsed: &'a Value, params: &'a str, name: TableName) -> Result<Self> {
        let role = if plugin.description().role == Role::Split { ColumnRole::Key } else { ColumnRole::Feature };
        let field =
            |data_type: &DataType| Field::new(column_name(data_type), data_type.clone(), name.flavour.is_nullable());
        let schema = Schema::new(name.columns.iter().map(field).collect::<Vec<_>>());
        let roles = vec![role; schema.fields().len()];
        let selection = Selection { schema: Arc::new(schema), roles };
        let plan = Arc::new(plugin.plan(params, &selection)?);
        let parts = match plugin.description().role {
            // It learns from the rows of all parts.
            Role::Aggregate => [PartIds::Several, PartIds::None],
            _ => [PartIds::Training, PartIds::None],
        };
        let input = table(&selection, &plan, &name, name.rows, (0, parts[0]))?;
        let other = table(&selection, &plan, &name, name.rows / 2, (1, parts[1]))?;
        Ok(Self { plugin, parsed, params, selection, plan, input, other, name })
    }

    /// What instances for such a batch are opened with.
    pub(super) fn task(&self, batch: &RecordBatch) -> Task {
        Task {
            params: self.params.to_owned(),
            selection: self.selection.clone(),
            plan: self.plan.clone(),
            input: batch.schema(),
        }
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

pub(super) fn unmade(error: ArrowError) -> Error {
    Error::internal("a table cannot be made").because(error)
}
