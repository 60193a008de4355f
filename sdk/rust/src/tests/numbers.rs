//! Columns of awkward numbers, cut at random and learned from by several fitters.

use super::arrow::{batch, read};
use crate::plan::{Operator, Table};
use crate::{Batch, Input, Result, Rows};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float64Array, RecordBatch};
use arrow_schema::DataType;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Numbers that look random and are the same on every run: SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Columns with nulls, NaN, zeros of both signs, subnormals, duplicates, and infinities where they are wanted.
pub(super) fn columns(random: &mut Random, rows: usize, infinite: bool) -> Vec<Vec<Option<f64>>> {
    let mut column = |kind: usize| {
        let mut value = || match random.below(12) {
            0 => None,
            1 => Some(f64::NAN),
            2 => Some([0.0, -0.0][random.below(2)]),
            3 => Some(f64::from_bits(random.next() >> 14)),
            4 if infinite => Some([f64::INFINITY, f64::NEG_INFINITY][random.below(2)]),
            _ => Some(match kind {
                0 => random.below(5) as f64,
                1 => (random.next() as i64) as f64 / 1e3,
                2 => f64::from_bits(random.next() & !(1 << 62)),
                _ => Some(f64::from_bits(random.next())).filter(|it| it.is_finite()).unwrap_or(f64::MAX),
            }),
        };
        (0..rows).map(|_| value()).collect()
    };
    (0..4).map(&mut column).collect()
}

/// The rows in batches of random lengths, some of them empty, in random order.
pub(super) fn cut(random: &mut Random, columns: &[Vec<Option<f64>>]) -> Vec<Batch> {
    let named = columns.iter().enumerate().map(|(index, column)| {
        let column: ArrayRef = Arc::new(Float64Array::from(column.clone()));
        (index.to_string(), column)
    });
    let table = RecordBatch::try_from_iter_with_nullable(named.map(|(name, column)| (name, column, true))).unwrap();
    let most = 1 + random.below(table.num_rows() + 1);
    let mut batches = Vec::new();
    let mut start = 0;
    while start < table.num_rows() {
        let length = random.below(most + 1).min(table.num_rows() - start);
        batches.push(batch(&table.slice(start, length)));
        start += length;
    }
    for index in (1..batches.len()).rev() {
        batches.swap(index, random.below(index + 1));
    }
    batches
}

/// One pass: several fitters, each of which sees some of the batches and is drained at random.
pub(super) fn gather<F>(
    random: &mut Random,
    batches: &[Batch],
    mut fitters: Vec<F>,
    update: impl Fn(&mut F, &Batch) -> Result<()>,
    drain: impl Fn(&mut F) -> Result<Option<Rows>>,
) -> Vec<Rows> {
    let mut partials = Vec::new();
    for batch in batches {
        let count = fitters.len();
        let fitter = &mut fitters[random.below(count)];
        update(fitter, batch).unwrap();
        while random.below(3) == 0 {
            partials.extend(drain(fitter).unwrap());
        }
    }
    for fitter in &mut fitters {
        while let Some(rows) = drain(fitter).unwrap() {
            partials.push(rows);
        }
    }
    partials
}

type Keys = Vec<u64>;
type Cells = Vec<Option<Vec<i128>>>;

fn cell(column: &ArrayRef, row: usize) -> Option<Vec<i128>> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::UInt32 => vec![column.as_primitive::<UInt32Type>().value(row).into()],
        DataType::UInt64 => vec![column.as_primitive::<UInt64Type>().value(row).into()],
        DataType::Int64 => vec![column.as_primitive::<Int64Type>().value(row).into()],
        DataType::Float64 => vec![ordered(column.as_primitive::<Float64Type>().value(row)).into()],
        DataType::FixedSizeList(_, _) => {
            let lists: &FixedSizeListArray = column.as_fixed_size_list();
            let limbs = lists.value(row);
            limbs.as_primitive::<Int64Type>().values().iter().map(|limb| i128::from(*limb)).collect()
        }
        other => panic!("{other}"),
    })
}

/// A double as an integer that orders as it does; its own inverse but for the type.
fn ordered(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

fn combine(operator: Operator, left: &mut Option<Vec<i128>>, right: Option<Vec<i128>>) {
    let (Some(some), Some(other)) = (left.as_mut(), right.as_ref()) else {
        *left = left.take().or(right);
        return;
    };
    for (left, right) in some.iter_mut().zip(other) {
        *left = match operator {
            Operator::Sum => *left + right,
            Operator::Min => (*left).min(*right),
            Operator::Max => (*left).max(*right),
            Operator::Key => unreachable!("keys are not combined"),
        };
    }
}

/// What the host does with partials: combines those of equal keys, and orders them by key.
pub(super) fn merge(table: &Table, partials: &[Rows]) -> Batch {
    let keys = table.operators.iter().filter(|it| **it == Operator::Key).count();
    let mut merged: BTreeMap<Keys, Cells> = BTreeMap::new();
    for rows in partials {
        let rows = read(&table.schema, &rows.message).unwrap();
        for row in 0..rows.num_rows() {
            let mut cells: Cells = rows.columns().iter().map(|column| cell(column, row)).collect();
            let values = cells.split_off(keys);
            let key = cells.into_iter().map(|cell| cell.unwrap()[0] as u64).collect();
            match merged.entry(key) {
                std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(values)),
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    let operators = &table.operators[keys..];
                    for ((left, right), operator) in entry.get_mut().iter_mut().zip(values).zip(operators) {
                        combine(*operator, left, right);
                    }
                }
            }
        }
    }
    write_merged(table, keys, &merged)
}

fn write_merged(table: &Table, keys: usize, merged: &BTreeMap<Keys, Cells>) -> Batch {
    let rows = Rows::new(0, &table.schema, merged.len(), |output| {
        for (index, field) in table.schema.fields().iter().enumerate() {
            let cell = |(key, values): (&Keys, &Cells)| match index.checked_sub(keys) {
                None => Some(vec![i128::from(key[index])]),
                Some(value) => values[value].clone(),
            };
            let cells: Cells = merged.iter().map(cell).collect();
            let numbers = || cells.iter().map(|cell| cell.as_ref().map(|numbers| numbers[0]));
            match field.data_type() {
                DataType::UInt32 => output.primitives(numbers().map(|it| it.map(|it| it as u32)))?,
                DataType::UInt64 => output.primitives(numbers().map(|it| it.map(|it| it as u64)))?,
                DataType::Int64 => output.primitives(numbers().map(|it| it.map(|it| it as i64)))?,
                DataType::Float64 => {
                    let number = |it: i128| f64::from_bits(ordered(f64::from_bits(it as u64)) as u64);
                    output.primitives(numbers().map(|it| it.map(number)))?;
                }
                _ => {
                    let limbs = cells.iter().flatten().flatten().map(|limb| *limb as i64);
                    output.lists::<i64>()?.iter_mut().zip(limbs).for_each(|(slot, limb)| *slot = limb);
                }
            }
        }
        Ok(())
    });
    let input = Input::decode(&crate::message::encode_schema(&table.schema).unwrap()).unwrap();
    input.batch(rows.unwrap().message).unwrap()
}
