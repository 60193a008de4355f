//! Conditions over batches, with unknown (null) as a third truth value.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, Scalar, StringArray};
use arrow_cast::CastOptions;
use arrow_ord::cmp;
use arrow_schema::{ArrowError, DataType, TimeUnit};
use std::sync::Arc;

/// A condition on a table's columns, by their positions.
pub(super) enum Predicate {
    Any(Vec<Predicate>),
    All(Vec<Predicate>),
    Not(Box<Predicate>),
    IsNull(usize),
    Truth(usize),
    /// With a value of the column's type.
    Compare(usize, Comparison, Scalar<ArrayRef>),
    /// As numbers of 64 bits with IEEE 754's rules, by which a NaN is equal to nothing.
    CompareFloat(usize, Comparison, f64),
}

#[derive(Clone, Copy)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
}

pub(super) enum Literal {
    /// As it is written.
    Number(String),
    Text(String),
    Truth(bool),
}

impl Predicate {
    /// Compares a column with a literal, if BigQuery would.
    pub(super) fn compare(
        column: usize,
        data_type: &DataType,
        comparison: Comparison,
        literal: Literal,
    ) -> Result<Self, String> {
        use DataType as T;
        let text = match (&literal, data_type) {
            (Literal::Number(number), T::Float64) => return float(column, comparison, number),
            (Literal::Number(number), T::Int64) if number.contains(['.', 'e', 'E']) => {
                return float(column, comparison, number);
            }
            (Literal::Number(number), T::Int64 | T::Decimal128(..) | T::Decimal256(..)) => number.clone(),
            (
                Literal::Text(text),
                T::Utf8 | T::Date32 | T::Time64(_) | T::Timestamp(..) | T::Decimal128(..) | T::Decimal256(..),
            ) => text.clone(),
            (Literal::Truth(truth), T::Boolean) => truth.to_string(),
            _ => {
                let literal = match literal {
                    Literal::Number(number) if number.contains(['.', 'e', 'E']) => "FLOAT64",
                    Literal::Number(_) => "INT64",
                    Literal::Text(_) => "STRING",
                    Literal::Truth(_) => "BOOL",
                };
                return Err(format!("No matching signature for operator for argument types: {data_type}, {literal}"));
            }
        };
        let value =
            value(&text, data_type).map_err(|_| format!("Could not cast literal \"{text}\" to type {data_type}"))?;
        Ok(Self::Compare(column, comparison, Scalar::new(value)))
    }

    /// A column as a condition by itself.
    pub(super) fn truth(column: usize, data_type: &DataType) -> Result<Self, String> {
        match data_type {
            DataType::Boolean => Ok(Self::Truth(column)),
            _ => Err(format!("WHERE clause should return type BOOL, but returns {data_type}")),
        }
    }

    pub(super) fn negated_if(self, negated: bool) -> Self {
        if negated { Self::Not(Box::new(self)) } else { self }
    }

    pub(super) fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        match self {
            Self::Any(terms) => combine(terms, batch, true),
            Self::All(terms) => combine(terms, batch, false),
            Self::Not(term) => Ok(term.evaluate(batch)?.iter().map(|truth| truth.map(|truth| !truth)).collect()),
            Self::IsNull(column) => {
                let column = batch.column(*column);
                Ok((0..column.len()).map(|row| Some(column.is_null(row))).collect())
            }
            Self::Truth(column) => Ok(batch.column(*column).as_boolean().clone()),
            Self::Compare(column, comparison, value) => {
                let column = batch.column(*column);
                match comparison {
                    Comparison::Equal => cmp::eq(column, value),
                    Comparison::NotEqual => cmp::neq(column, value),
                    Comparison::Less => cmp::lt(column, value),
                    Comparison::AtMost => cmp::lt_eq(column, value),
                    Comparison::More => cmp::gt(column, value),
                    Comparison::AtLeast => cmp::gt_eq(column, value),
                }
            }
            Self::CompareFloat(column, comparison, value) => {
                let column = arrow_cast::cast(batch.column(*column), &DataType::Float64)?;
                let column = column.as_primitive::<Float64Type>();
                Ok(BooleanArray::from_unary(column, |given| match comparison {
                    Comparison::Equal => given == *value,
                    Comparison::NotEqual => given != *value,
                    Comparison::Less => given < *value,
                    Comparison::AtMost => given <= *value,
                    Comparison::More => given > *value,
                    Comparison::AtLeast => given >= *value,
                }))
            }
        }
    }
}

/// The value that a literal stands for.
fn value(text: &str, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let text = StringArray::from(vec![text]);
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) = data_type else {
        return arrow_cast::cast_with_options(&text, data_type, &options);
    };
    // Without a table of zones, arrow does not know the name `UTC`; a time without a zone it takes for one of UTC.
    let time = arrow_cast::cast_with_options(&text, &DataType::Timestamp(TimeUnit::Microsecond, None), &options)?;
    Ok(Arc::new(time.as_primitive::<TimestampMicrosecondType>().clone().with_timezone(zone.clone())))
}

fn float(column: usize, comparison: Comparison, number: &str) -> Result<Predicate, String> {
    let value = number.parse().map_err(|_| format!("Syntax error: Invalid floating point literal: {number}"))?;
    Ok(Predicate::CompareFloat(column, comparison, value))
}

/// Combines truth values by a rule in which `decisive` outweighs the unknown: true for OR, false for AND.
fn combine(terms: &[Predicate], batch: &RecordBatch, decisive: bool) -> Result<BooleanArray, ArrowError> {
    let mut found = vec![Some(!decisive); batch.num_rows()];
    for term in terms {
        for (found, truth) in found.iter_mut().zip(&term.evaluate(batch)?) {
            *found = match (*found, truth) {
                (Some(truth), _) | (_, Some(truth)) if truth == decisive => Some(decisive),
                (Some(_), truth) => truth,
                (None, _) => None,
            };
        }
    }
    Ok(found.into())
}
