//! From the contract's generated types to the host's, with what they hold checked.

use super::bindings::wafermill::plugin::types;
use super::limits::{DESCRIPTION, Limits};
use super::parameters;
use crate::contract::{
    ColumnRole, Context, Description, ModelTable, Passes, Read, Role, Selection, StepPlan, Write, is_name,
};
use crate::ipc::{Cause, decode_schema, encode_schema};
use crate::partials::{Operator, PartialTable};
use arrow_schema::{DataType, Schema, SchemaRef};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn description(description: types::Description) -> Result<Description, Cause> {
    let types::Description { name, version, summary, role, passes, params_schema } = description;
    if name.len() + version.len() + summary.len() + params_schema.len() > DESCRIPTION {
        return Err("the description is longer than 1 MiB".into());
    }
    if !is_name(&name) {
        return Err("the name is not made of 1 to 64 lower case letters, digits and hyphens".into());
    }
    if semver::Version::parse(&version).is_err() {
        return Err(format!("`{}` is no semantic version", version.escape_debug()).into());
    }
    if summary.chars().any(char::is_control) {
        return Err("the summary holds control characters".into());
    }
    let params_schema: serde_json::Value =
        serde_json::from_str(&params_schema).map_err(|error| format!("the schema of the parameters: {error}"))?;
    parameters::check(&params_schema).map_err(|error| format!("the schema of the parameters: {error}"))?;
    let role = match role {
        types::PluginRole::Transform => Role::Transform,
        types::PluginRole::Split => Role::Split,
        types::PluginRole::Filter => Role::Filter,
        types::PluginRole::Aggregate => Role::Aggregate,
    };
    Ok(Description { name, version, summary, role, passes: self::passes(passes), params_schema })
}

fn passes(passes: types::Passes) -> Passes {
    Passes { least: passes.least, most: passes.most }
}

pub(super) fn selection(selection: &Selection) -> Result<types::Selection, Cause> {
    let role = |role: &ColumnRole| match role {
        ColumnRole::Feature => types::ColumnRole::Feature,
        ColumnRole::Target => types::ColumnRole::Target,
        ColumnRole::Key => types::ColumnRole::Key,
        ColumnRole::Weight => types::ColumnRole::Weight,
    };
    Ok(types::Selection {
        schema: encode_schema(&selection.schema)?,
        roles: selection.roles.iter().map(role).collect(),
    })
}

pub(super) fn step_plan(plan: types::StepPlan, selection: &Selection, limits: &Limits) -> Result<StepPlan, Cause> {
    let outputs = schema(&plan.outputs, limits)?;
    if outputs.fields().len() != plan.writes.len() {
        return Err("it needs one output field for each write".into());
    }
    let writes = plan.writes.into_iter().zip(outputs.fields()).map(|(write, field)| Write {
        place: write.place,
        field: field.as_ref().clone(),
        family: match write.extent {
            types::Extent::One => None,
            types::Extent::Family(most) => Some(most),
        },
    });
    let fields = selection.schema.fields().iter().enumerate();
    let positions: HashMap<_, _> = fields.map(|(position, field)| (field.name(), position)).collect();
    let reads = plan.reads.iter().map(|read| match read {
        types::Read::Column(types::ColumnRead { name, dictionary }) => match positions.get(name) {
            Some(position) => Ok(Read::Column { position: *position, dictionary: *dictionary }),
            None => Err(format!("it reads `{name}`, which was not selected").into()),
        },
        types::Read::Context(context) => Ok(Read::Context(match context {
            types::ContextColumn::KeyHash => Context::KeyHash,
            types::ContextColumn::RowHash => Context::RowHash,
            types::ContextColumn::Part => Context::Part,
            types::ContextColumn::Fold => Context::Fold,
        })),
    });
    let reads = reads.collect::<Result<_, Cause>>()?;
    let model =
        plan.model.into_iter().map(|table| Ok(ModelTable { schema: schema(&table.schema, limits)?, name: table.name }));
    Ok(StepPlan {
        passes: passes(plan.passes),
        reads,
        drops: plan.drops,
        writes: writes.collect(),
        partials: plan.partials.into_iter().map(|table| partial_table(table, limits)).collect::<Result<_, Cause>>()?,
        model: model.collect::<Result<_, Cause>>()?,
    })
}

fn partial_table(table: types::PartialTable, limits: &Limits) -> Result<Arc<PartialTable>, Cause> {
    let operator = |operator: &types::Operator| match operator {
        types::Operator::Key => Operator::Key,
        types::Operator::Sum => Operator::Sum,
        types::Operator::Min => Operator::Min,
        types::Operator::Max => Operator::Max,
    };
    let operators = table.operators.iter().map(operator).collect();
    Ok(Arc::new(PartialTable::new(table.name, schema(&table.schema, limits)?, operators)?))
}

/// A schema from a plugin: of types that may cross, and of bounded size.
pub(crate) fn schema(message: &[u8], limits: &Limits) -> Result<SchemaRef, Cause> {
    let schema: Schema = decode_schema(message, limits.columns)?;
    for field in schema.fields() {
        let metadata: usize = field.metadata().iter().map(|(key, value)| key.len() + value.len()).sum();
        if field.name().len() + metadata > limits.text {
            return Err("a column's name and metadata are too long".into());
        }
        if !crosses(field.data_type()) {
            return Err(
                format!("column `{}` has the type {}, which cannot cross", field.name(), field.data_type()).into()
            );
        }
    }
    Ok(Arc::new(Schema::new(schema.fields().clone())))
}

/// Whether the contract allows columns of a type.
pub(crate) fn crosses(data_type: &DataType) -> bool {
    match data_type {
        DataType::FixedSizeList(item, size) => *item.data_type() == DataType::Int64 && *size > 0,
        DataType::Dictionary(key, value) => **key == DataType::Int32 && **value == DataType::Utf8,
        other => crosses_flat(other),
    }
}

/// Whether a selected column of a type can be passed to a plugin.
pub(crate) fn crosses_flat(data_type: &DataType) -> bool {
    use DataType as T;
    matches!(
        data_type,
        T::Boolean
            | T::Int8
            | T::Int16
            | T::Int32
            | T::Int64
            | T::UInt8
            | T::UInt16
            | T::UInt32
            | T::UInt64
            | T::Float32
            | T::Float64
            | T::Utf8
            | T::LargeUtf8
            | T::Binary
            | T::LargeBinary
            | T::Date32
            | T::Date64
            | T::Time32(_)
            | T::Time64(_)
            | T::Timestamp(_, _)
            | T::Duration(_)
            | T::Decimal128(_, _)
    )
}
