//! Combines the values of equal keys: typed loops over a column that is sorted by key.

use super::{Operator, PartialTable};
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, FixedSizeListArray, Int64Array, PrimitiveArray, UInt32Array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{DataType, Field};
use std::ops::Range;
use std::sync::Arc;

/// One value for each group of rows; `starts` are the groups' first rows. Nulls count as nothing, and what lies under nulls
/// in the result is zero.
pub(super) fn reduce(
    table: &PartialTable,
    field: &Field,
    operator: Operator,
    column: &ArrayRef,
    starts: &[u32],
) -> Result<ArrayRef> {
    let groups = Groups { starts, rows: column.len() };
    match operator {
        Operator::Sum => sum(column, groups).ok_or_else(|| table.overflow(field)),
        Operator::Min | Operator::Max if *column.data_type() == DataType::Utf8 => {
            let chosen = extreme_strings(column, groups, operator == Operator::Min);
            arrow_select::take::take(column, &chosen, None).map_err(|error| table.broken(error))
        }
        Operator::Min | Operator::Max => extreme(column, groups, operator == Operator::Min)
            .ok_or_else(|| Error::internal(format!("no `{}` of {}", operator.name(), column.data_type()))),
        Operator::Key => Err(Error::internal("keys are not reduced")),
    }
}

/// Adjacent rows with equal keys.
#[derive(Clone, Copy)]
struct Groups<'a> {
    starts: &'a [u32],
    rows: usize,
}

impl<'a> Groups<'a> {
    fn ranges(self) -> impl Iterator<Item = Range<usize>> + 'a {
        let ends = self.starts.iter().skip(1).map(|end| *end as usize).chain([self.rows]);
        self.starts.iter().zip(ends).map(|(start, end)| *start as usize..end)
    }

    fn len(self) -> usize {
        self.starts.len()
    }
}

/// The sums, or none where one overflows.
fn sum(column: &ArrayRef, groups: Groups<'_>) -> Option<ArrayRef> {
    match column.data_type() {
        DataType::Int64 => primitive::<Int64Type>(column, groups, i64::checked_add),
        DataType::UInt64 => primitive::<UInt64Type>(column, groups, u64::checked_add),
        DataType::Decimal128(..) => primitive::<Decimal128Type>(column, groups, i128::checked_add),
        DataType::FixedSizeList(..) => list(column.as_fixed_size_list(), groups, i64::checked_add),
        _ => None,
    }
}

/// The minima or maxima, or none where the type has none.
fn extreme(column: &ArrayRef, groups: Groups<'_>, least: bool) -> Option<ArrayRef> {
    fn pick<T: PartialOrd>(least: bool) -> impl Fn(T, T) -> Option<T> {
        move |a, b| Some(if (a <= b) == least { a } else { b })
    }
    match column.data_type() {
        DataType::Int8 => primitive::<Int8Type>(column, groups, pick(least)),
        DataType::Int16 => primitive::<Int16Type>(column, groups, pick(least)),
        DataType::Int32 => primitive::<Int32Type>(column, groups, pick(least)),
        DataType::Int64 => primitive::<Int64Type>(column, groups, pick(least)),
        DataType::UInt8 => primitive::<UInt8Type>(column, groups, pick(least)),
        DataType::UInt16 => primitive::<UInt16Type>(column, groups, pick(least)),
        DataType::UInt32 => primitive::<UInt32Type>(column, groups, pick(least)),
        DataType::UInt64 => primitive::<UInt64Type>(column, groups, pick(least)),
        DataType::Float64 => primitive::<Float64Type>(column, groups, |a: f64, b: f64| {
            Some(if a.total_cmp(&b).is_le() == least { a } else { b })
        }),
        DataType::FixedSizeList(..) => list(column.as_fixed_size_list(), groups, pick(least)),
        _ => None,
    }
}

/// The rows that hold the least or greatest string of each group.
fn extreme_strings(column: &ArrayRef, groups: Groups<'_>, least: bool) -> UInt32Array {
    let strings = column.as_string::<i32>();
    let best = |group: Range<usize>| {
        let valid = group.filter(|row| strings.is_valid(*row));
        let best = valid.reduce(|a, b| if (strings.value(a) <= strings.value(b)) == least { a } else { b });
        best.map(|row| row as u32)
    };
    groups.ranges().map(best).collect()
}

fn primitive<T: ArrowPrimitiveType>(
    column: &ArrayRef,
    groups: Groups<'_>,
    combine: impl Fn(T::Native, T::Native) -> Option<T::Native>,
) -> Option<ArrayRef> {
    let column = column.as_primitive::<T>();
    let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
    let values = combine_values(column.values(), 1, nulls, groups, combine)?;
    let reduced = PrimitiveArray::<T>::new(values.into(), any_valid(nulls, 1, groups));
    Some(Arc::new(reduced.with_data_type(column.data_type().clone())))
}

fn list(
    column: &FixedSizeListArray,
    groups: Groups<'_>,
    combine: impl Fn(i64, i64) -> Option<i64>,
) -> Option<ArrayRef> {
    let DataType::FixedSizeList(item, size) = column.data_type() else { return None };
    let width = *size as usize;
    let items = column.values().slice(column.value_offset_at(0), column.len() * width);
    let items = items.as_primitive::<Int64Type>();

    let list_nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
    let inherited = list_nulls.map(|nulls| nulls.expand(width));
    let item_nulls = NullBuffer::union(inherited.as_ref(), items.nulls()).filter(|nulls| nulls.null_count() > 0);

    let values = combine_values(items.values(), width, item_nulls.as_ref(), groups, combine)?;
    let valid_items = item_nulls.filter(|_| item.is_nullable());
    let reduced = Int64Array::new(values.into(), any_valid(valid_items.as_ref(), width, groups));
    let valid_lists = any_valid(list_nulls, 1, groups);
    let reduced =
        FixedSizeListArray::try_new_with_length(item.clone(), *size, Arc::new(reduced), valid_lists, groups.len());
    Some(Arc::new(reduced.ok()?))
}

/// Combines `width` values per row by position; stops where `combine` has no result.
fn combine_values<N: Copy + Default>(
    values: &[N],
    width: usize,
    nulls: Option<&NullBuffer>,
    groups: Groups<'_>,
    combine: impl Fn(N, N) -> Option<N>,
) -> Option<Vec<N>> {
    let mut combined = Vec::with_capacity(groups.len() * width);
    let Some(nulls) = nulls else {
        for group in groups.ranges() {
            let (first, others) = values[group.start * width..group.end * width].split_at(width);
            let begin = combined.len();
            combined.extend_from_slice(first);
            for row in others.chunks_exact(width) {
                for (total, value) in combined[begin..].iter_mut().zip(row) {
                    *total = combine(*total, *value)?;
                }
            }
        }
        return Some(combined);
    };
    for group in groups.ranges() {
        for position in 0..width {
            let slots = group.clone().map(|row| row * width + position);
            let mut valid = slots.filter(|slot| nulls.is_valid(*slot)).map(|slot| values[slot]);
            let first = valid.next();
            let total = match first {
                Some(first) => valid.try_fold(first, &combine)?,
                None => N::default(),
            };
            combined.push(total);
        }
    }
    Some(combined)
}

/// Which of the combined values have any valid value in their group; none where all have.
fn any_valid(nulls: Option<&NullBuffer>, width: usize, groups: Groups<'_>) -> Option<NullBuffer> {
    let nulls = nulls?;
    let any = |group: Range<usize>, position| group.map(|row| row * width + position).any(|slot| nulls.is_valid(slot));
    let valid: BooleanBuffer =
        groups.ranges().flat_map(|group| (0..width).map(move |position| any(group.clone(), position))).collect();
    Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0)
}
