//! Intervals as structs, for Parquet: its own interval has milliseconds only.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, IntervalMonthDayNanoType};
use arrow_array::{Array, ArrayRef, PrimitiveArray, StructArray, make_array};
use arrow_schema::{ArrowError, DataType, Field, Fields, IntervalUnit};
use std::sync::Arc;

/// What stands for an interval of months, days and nanoseconds.
pub(super) fn fields() -> Fields {
    Fields::from(vec![
        Field::new("months", DataType::Int32, false),
        Field::new("days", DataType::Int32, false),
        Field::new("nanoseconds", DataType::Int64, false),
    ])
}

fn holds_intervals(data_type: &DataType) -> bool {
    match data_type {
        DataType::Interval(IntervalUnit::MonthDayNano) => true,
        DataType::Struct(fields) => fields.iter().any(|field| holds_intervals(field.data_type())),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => holds_intervals(item.data_type()),
        _ => false,
    }
}

/// Replaces intervals by structs of their parts, down to the leaves.
pub(super) fn into_structs(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !holds_intervals(array.data_type()) {
        return Ok(Arc::clone(array));
    }
    if *array.data_type() == DataType::Interval(IntervalUnit::MonthDayNano) {
        let intervals = array.as_primitive::<IntervalMonthDayNanoType>();
        let months = intervals.values().iter().map(|interval| interval.months);
        let days = intervals.values().iter().map(|interval| interval.days);
        let nanoseconds = intervals.values().iter().map(|interval| interval.nanoseconds);
        let parts: Vec<ArrayRef> = vec![
            Arc::new(PrimitiveArray::<Int32Type>::from_iter_values(months)),
            Arc::new(PrimitiveArray::<Int32Type>::from_iter_values(days)),
            Arc::new(PrimitiveArray::<Int64Type>::from_iter_values(nanoseconds)),
        ];
        return Ok(Arc::new(StructArray::try_new(fields(), parts, intervals.nulls().cloned())?));
    }
    let data = array.to_data();
    let children = data.child_data().iter().map(|child| into_structs(&make_array(child.clone())));
    let children = children.collect::<Result<Vec<_>, _>>()?;
    let mut types = children.iter().map(|child| child.data_type().clone());
    let mut retyped = |field: &Arc<Field>| {
        let data_type = types.next().unwrap_or_else(|| field.data_type().clone());
        Arc::new(Field::clone(field).with_data_type(data_type))
    };
    let data_type = match data.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(retyped).collect()),
        DataType::List(item) => DataType::List(retyped(item)),
        DataType::LargeList(item) => DataType::LargeList(retyped(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(retyped(item), *size),
        DataType::Map(entries, sorted) => DataType::Map(retyped(entries), *sorted),
        other => other.clone(),
    };
    let children = children.iter().map(Array::to_data).collect();
    Ok(make_array(data.into_builder().data_type(data_type).child_data(children).build()?))
}
