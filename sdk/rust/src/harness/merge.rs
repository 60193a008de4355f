//! Combines partials by their keys, as the host does.

use crate::message::encode_schema;
use crate::{Column, Error, Input, Operator, Output, Result, Table, Values};
use arrow_schema::DataType;
use std::collections::BTreeMap;

/// Few, so that what is learned from one column comes in several batches.
const ROWS: usize = 7;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Null,
    Integer(i128),
    /// A double as an integer that orders as it does.
    Float(i64),
    Bytes(Vec<u8>),
    Limbs(Vec<i64>),
}

type Groups = BTreeMap<Vec<Cell>, Vec<Cell>>;

/// The messages of the combined rows of one table, ascending by key.
pub(crate) fn merge(table: &Table, messages: impl IntoIterator<Item = Vec<u8>>) -> Result<Vec<Vec<u8>>> {
    let input = Input::decode(&encode_schema(&table.schema)?)?;
    let keys = table.operators.iter().filter(|operator| **operator == Operator::Key).count();
    let mut groups = Groups::new();
    for message in messages {
        let batch = input.batch(message)?;
        for row in 0..batch.rows() {
            let mut key = batch.columns().iter().map(|column| cell(column, row)).collect::<Result<Vec<_>>>()?;
            let values = key.split_off(keys);
            match groups.get_mut(&key) {
                None => drop(groups.insert(key, values)),
                Some(group) => {
                    for ((cell, value), operator) in group.iter_mut().zip(values).zip(&table.operators[keys..]) {
                        combine(*operator, cell, value)?;
                    }
                }
            }
        }
    }
    let rows: Vec<Vec<Cell>> = groups.into_iter().map(|(key, values)| [key, values].concat()).collect();
    rows.chunks(ROWS).map(|rows| write(table, rows)).collect()
}

fn flip(bits: i64) -> i64 {
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

fn cell(column: &Column, row: usize) -> Result<Cell> {
    if column.is_null(row) {
        return Ok(Cell::Null);
    }
    Ok(match column.values() {
        Values::Float64(values) => Cell::Float(flip(values[row].to_bits() as i64)),
        Values::UInt64(values) => Cell::Integer(values[row].into()),
        Values::Decimal128(values) => Cell::Integer(values[row]),
        Values::Bytes(bytes) => Cell::Bytes(bytes.get(row).to_vec()),
        Values::List(length, limbs) => {
            let limbs = limbs.to_i64().ok_or_else(unsupported)?;
            Cell::Limbs(limbs[row * length..(row + 1) * length].to_vec())
        }
        _ => Cell::Integer(column.to_i64().ok_or_else(unsupported)?[row].into()),
    })
}

fn unsupported() -> Error {
    Error::unsupported_type("partials cannot have columns of this type")
}

fn combine(operator: Operator, left: &mut Cell, right: Cell) -> Result<()> {
    let overflow = || Error::internal("a sum of partials overflows");
    match (operator, &mut *left, right) {
        (_, _, Cell::Null) => {}
        (_, left @ Cell::Null, right) => *left = right,
        (Operator::Sum, Cell::Integer(left), Cell::Integer(right)) => {
            *left = left.checked_add(right).ok_or_else(overflow)?;
        }
        (Operator::Sum, Cell::Limbs(left), Cell::Limbs(right)) => {
            for (left, right) in left.iter_mut().zip(right) {
                *left = left.checked_add(right).ok_or_else(overflow)?;
            }
        }
        (Operator::Min | Operator::Max, Cell::Limbs(left), Cell::Limbs(right)) => {
            for (left, right) in left.iter_mut().zip(right) {
                *left = if operator == Operator::Min { right.min(*left) } else { right.max(*left) };
            }
        }
        (Operator::Min, left, right) if right < *left => *left = right,
        (Operator::Max, left, right) if right > *left => *left = right,
        (Operator::Min | Operator::Max, _, _) => {}
        (Operator::Sum | Operator::Key, _, _) => return Err(unsupported()),
    }
    Ok(())
}

fn write(table: &Table, rows: &[Vec<Cell>]) -> Result<Vec<u8>> {
    let mut output = Output::new(&table.schema, rows.len());
    for (index, field) in table.schema.fields().iter().enumerate() {
        let cells = || rows.iter().map(|row| &row[index]);
        let integers = || {
            cells().map(|cell| match cell {
                Cell::Integer(value) => Some(*value),
                _ => None,
            })
        };
        match field.data_type() {
            DataType::UInt8 => output.primitives(integers().map(|it| it.map(|it| it as u8)))?,
            DataType::UInt32 => output.primitives(integers().map(|it| it.map(|it| it as u32)))?,
            DataType::Int32 => output.primitives(integers().map(|it| it.map(|it| it as i32)))?,
            DataType::UInt64 => output.primitives(integers().map(|it| it.map(|it| it as u64)))?,
            DataType::Int64 => output.primitives(integers().map(|it| it.map(|it| it as i64)))?,
            DataType::Decimal128(_, _) => output.primitives(integers())?,
            DataType::Float64 => output.primitives(cells().map(|cell| match cell {
                Cell::Float(value) => Some(f64::from_bits(flip(*value) as u64)),
                _ => None,
            }))?,
            DataType::FixedSizeList(_, _) => {
                let limbs = cells().flat_map(|cell| match cell {
                    Cell::Limbs(limbs) => limbs.as_slice(),
                    _ => &[],
                });
                output.lists::<i64>()?.iter_mut().zip(limbs).for_each(|(slot, limb)| *slot = *limb);
            }
            _ => output.bytes(cells().map(|cell| match cell {
                Cell::Bytes(bytes) => Some(bytes.as_slice()),
                _ => None,
            }))?,
        }
    }
    output.finish()
}
