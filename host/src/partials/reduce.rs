//! Combines the values of equal keys: typed loops over columns that are sorted by key.

use super::{Operator, PartialTable};
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, FixedSizeListArray, Int64Array, PrimitiveArray, UInt32Array,
};
use arrow_buffer::{BooleanBuffer, NullBuffer, i256};
use arrow_schema::DataType;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// What happens to a key whose sum is out of its type's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutOfRange {
    /// Its rows stay apart: rows that come later may lead back into the range.
    Keep,
    /// It is an error: there are no later rows.
    Refuse,
}

/// The combined values of some keys.
pub(super) struct Reduced<'a> {
    /// The first row of each group that became one row.
    pub(super) starts: Cow<'a, [u32]>,
    /// The value columns.
    pub(super) values: Vec<ArrayRef>,
}

/// Combines the value columns of a table; `starts` are the first rows of the groups of equal keys. Nulls count as nothing, and what
/// lies under nulls in the result is zero.
pub(super) fn reduce<'a>(
    table: &PartialTable,
    columns: &[ArrayRef],
    starts: &'a [u32],
    out_of_range: OutOfRange,
) -> Result<Reduced<'a>> {
    let mut starts = Cow::Borrowed(starts);
    'again: loop {
        let mut values = Vec::with_capacity(columns.len());
        for ((_, field, operator), column) in table.values().zip(columns) {
            let groups = Groups { starts: &starts, rows: column.len() };
            match column_of(table, operator, column, groups) {
                Ok(value) => values.push(value),
                Err(Failure::Broken(error)) => return Err(error),
                Err(Failure::OutOfRange(_)) if out_of_range == OutOfRange::Refuse => return Err(table.overflow(field)),
                Err(Failure::OutOfRange(which)) => {
                    starts = Cow::Owned(apart(groups, &which));
                    continue 'again;
                }
            }
        }
        return Ok(Reduced { starts, values });
    }
}

/// Why a column cannot be combined.
enum Failure {
    /// The groups, ascending, whose sums are out of range.
    OutOfRange(Vec<usize>),
    Broken(Error),
}

/// The starts of the groups where each row of some groups is a group of its own.
fn apart(groups: Groups<'_>, which: &[usize]) -> Vec<u32> {
    let rows = groups.ranges().enumerate().flat_map(|(group, rows)| match which.binary_search(&group) {
        Ok(_) => rows,
        Err(_) => rows.start..rows.start + 1,
    });
    rows.map(|row| row as u32).collect()
}

fn column_of(
    table: &PartialTable,
    operator: Operator,
    column: &ArrayRef,
    groups: Groups<'_>,
) -> Result<ArrayRef, Failure> {
    match operator {
        Operator::Sum => sum(column, groups),
        Operator::Min | Operator::Max if *column.data_type() == DataType::Utf8 => {
            let chosen = extreme_strings(column, groups, operator == Operator::Min);
            let strings = arrow_select::take::take(column, &chosen, None);
            strings.map_err(|error| Failure::Broken(table.broken(error)))
        }
        Operator::Min | Operator::Max => extreme(column, groups, operator == Operator::Min),
        Operator::Key => Err(unknown(column)),
    }
}

/// Where a column has a type that its operator does not take, which a plan cannot have.
fn unknown(column: &dyn Array) -> Failure {
    Failure::Broken(Error::internal(format!("a column of type {} cannot be combined", column.data_type())))
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

/// How values become one.
trait Combine<N> {
    /// Two values as one; none where it is out of range.
    fn pair(&self, a: N, b: N) -> Option<N>;

    /// All values as one, even if those on the way are out of range.
    fn all(&self, values: impl Iterator<Item = N>) -> Option<N>;
}

struct Sum;

impl Combine<i64> for Sum {
    fn pair(&self, a: i64, b: i64) -> Option<i64> {
        a.checked_add(b)
    }

    fn all(&self, values: impl Iterator<Item = i64>) -> Option<i64> {
        values.map(i128::from).sum::<i128>().try_into().ok()
    }
}

impl Combine<u64> for Sum {
    fn pair(&self, a: u64, b: u64) -> Option<u64> {
        a.checked_add(b)
    }

    fn all(&self, values: impl Iterator<Item = u64>) -> Option<u64> {
        values.map(u128::from).sum::<u128>().try_into().ok()
    }
}

impl Combine<i128> for Sum {
    fn pair(&self, a: i128, b: i128) -> Option<i128> {
        a.checked_add(b)
    }

    fn all(&self, values: impl Iterator<Item = i128>) -> Option<i128> {
        values.fold(i256::ZERO, |total, value| total.wrapping_add(i256::from_i128(value))).to_i128()
    }
}

/// The least value, or the greatest.
struct Extreme {
    least: bool,
}

impl Extreme {
    fn of<N: ArrowNativeTypeOp>(&self, a: N, b: N) -> N {
        if a.is_le(b) == self.least { a } else { b }
    }
}

impl<N: ArrowNativeTypeOp> Combine<N> for Extreme {
    fn pair(&self, a: N, b: N) -> Option<N> {
        Some(self.of(a, b))
    }

    fn all(&self, values: impl Iterator<Item = N>) -> Option<N> {
        values.reduce(|a, b| self.of(a, b))
    }
}

fn sum(column: &ArrayRef, groups: Groups<'_>) -> Result<ArrayRef, Failure> {
    match column.data_type() {
        DataType::Int64 => primitive::<Int64Type>(column, groups, &Sum),
        DataType::UInt64 => primitive::<UInt64Type>(column, groups, &Sum),
        DataType::Decimal128(..) => primitive::<Decimal128Type>(column, groups, &Sum),
        DataType::FixedSizeList(..) => list(column.as_fixed_size_list(), groups, &Sum),
        _ => Err(unknown(column)),
    }
}

/// The minima or maxima. Floats are ordered totally, so that a NaN and a zero's sign count.
fn extreme(column: &ArrayRef, groups: Groups<'_>, least: bool) -> Result<ArrayRef, Failure> {
    let extreme = &Extreme { least };
    match column.data_type() {
        DataType::Int8 => primitive::<Int8Type>(column, groups, extreme),
        DataType::Int16 => primitive::<Int16Type>(column, groups, extreme),
        DataType::Int32 => primitive::<Int32Type>(column, groups, extreme),
        DataType::Int64 => primitive::<Int64Type>(column, groups, extreme),
        DataType::UInt8 => primitive::<UInt8Type>(column, groups, extreme),
        DataType::UInt16 => primitive::<UInt16Type>(column, groups, extreme),
        DataType::UInt32 => primitive::<UInt32Type>(column, groups, extreme),
        DataType::UInt64 => primitive::<UInt64Type>(column, groups, extreme),
        DataType::Float64 => primitive::<Float64Type>(column, groups, extreme),
        DataType::FixedSizeList(..) => list(column.as_fixed_size_list(), groups, extreme),
        _ => Err(unknown(column)),
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
    combine: &impl Combine<T::Native>,
) -> Result<ArrayRef, Failure> {
    let column = column.as_primitive::<T>();
    let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
    let values = combine_values(column.values(), 1, nulls, groups, combine)?;
    let reduced = PrimitiveArray::<T>::new(values.into(), any_valid(nulls, 1, groups));
    Ok(Arc::new(reduced.with_data_type(column.data_type().clone())))
}

/// Combines lists of `Int64` by position.
fn list(column: &FixedSizeListArray, groups: Groups<'_>, combine: &impl Combine<i64>) -> Result<ArrayRef, Failure> {
    let DataType::FixedSizeList(item, size) = column.data_type() else { return Err(unknown(column)) };
    let width = *size as usize;
    let items = column.values().slice(column.value_offset_at(0), column.len() * width);
    let items = items.as_primitive_opt::<Int64Type>().ok_or_else(|| unknown(column))?;

    let list_nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
    let inherited = list_nulls.map(|nulls| nulls.expand(width));
    let item_nulls = NullBuffer::union(inherited.as_ref(), items.nulls()).filter(|nulls| nulls.null_count() > 0);

    let values = combine_values(items.values(), width, item_nulls.as_ref(), groups, combine)?;
    let valid_items = item_nulls.filter(|_| item.is_nullable());
    let reduced = Int64Array::new(values.into(), any_valid(valid_items.as_ref(), width, groups));
    let valid_lists = any_valid(list_nulls, 1, groups);
    let reduced =
        FixedSizeListArray::try_new_with_length(item.clone(), *size, Arc::new(reduced), valid_lists, groups.len());
    reduced.map(|lists| Arc::new(lists) as ArrayRef).map_err(|_| unknown(column))
}

/// Combines `width` values per row by position.
fn combine_values<N: Copy + Default>(
    values: &[N],
    width: usize,
    nulls: Option<&NullBuffer>,
    groups: Groups<'_>,
    combine: &impl Combine<N>,
) -> Result<Vec<N>, Failure> {
    let mut combined = Vec::with_capacity(groups.len() * width);
    let mut out_of_range = Vec::new();
    for (index, group) in groups.ranges().enumerate() {
        let begin = combined.len();
        if nulls.is_none() && add_rows(&mut combined, &values[group.start * width..group.end * width], width, combine) {
            continue;
        }
        combined.truncate(begin);
        for position in 0..width {
            let slots = group.clone().map(|row| row * width + position);
            let valid = slots.filter(|slot| nulls.is_none_or(|nulls| nulls.is_valid(*slot)));
            let mut valid = valid.map(|slot| values[slot]).peekable();
            let total = if valid.peek().is_some() { combine.all(valid) } else { Some(N::default()) };
            if total.is_none() && out_of_range.last() != Some(&index) {
                out_of_range.push(index);
            }
            combined.push(total.unwrap_or_default());
        }
    }
    if out_of_range.is_empty() { Ok(combined) } else { Err(Failure::OutOfRange(out_of_range)) }
}

/// Appends the combined rows; tells whether all went well on the way.
fn add_rows<N: Copy>(combined: &mut Vec<N>, rows: &[N], width: usize, combine: &impl Combine<N>) -> bool {
    let (first, others) = rows.split_at(width);
    let begin = combined.len();
    combined.extend_from_slice(first);
    for row in others.chunks_exact(width) {
        for (total, value) in combined[begin..].iter_mut().zip(row) {
            match combine.pair(*total, *value) {
                Some(next) => *total = next,
                None => return false,
            }
        }
    }
    true
}

/// Which of the combined values have any valid value in their group; none where all have.
fn any_valid(nulls: Option<&NullBuffer>, width: usize, groups: Groups<'_>) -> Option<NullBuffer> {
    let nulls = nulls?;
    let any = |group: Range<usize>, position| group.map(|row| row * width + position).any(|slot| nulls.is_valid(slot));
    let valid: BooleanBuffer =
        groups.ranges().flat_map(|group| (0..width).map(move |position| any(group.clone(), position))).collect();
    Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0)
}
