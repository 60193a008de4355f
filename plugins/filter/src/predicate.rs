//! What one column must be for a row to be kept.

use crate::order::{self, float, unsigned};
use crate::{Nan, Params};
use std::borrow::Borrow;
use std::ops::RangeInclusive;
use wafermill_sdk::serde_json::Value;
use wafermill_sdk::stats::KeyClass;
use wafermill_sdk::{Column, DataType, Error, Field, Result, Values};

/// The tests of one column.
#[derive(Debug)]
pub(crate) struct Predicate {
    keeps_nulls: bool,
    keeps_nan: bool,
    test: Test,
}

/// What values must be, those that are missing or NaN apart.
#[derive(Debug)]
enum Test {
    /// Anything.
    Any,
    /// As integers of the same order.
    Number { range: RangeInclusive<i64>, sets: Sets<i64> },
    /// By their bytes.
    Text(Sets<Vec<u8>>),
}

/// The values that are kept, and those that are not; in ascending order.
#[derive(Debug)]
struct Sets<T> {
    within: Option<Vec<T>>,
    without: Vec<T>,
}

impl<T: Ord> Sets<T> {
    fn new(params: &Params, field: &Field, member: impl Fn(&Value) -> Option<T>) -> Result<Self> {
        let set = |name: &str, values: &[Value]| -> Result<Vec<T>> {
            let member = |value: &Value| member(value).ok_or_else(|| unfit(name, value, field));
            let mut members = values.iter().map(member).collect::<Result<Vec<T>>>()?;
            members.sort_unstable();
            Ok(members)
        };
        let within = params.within.as_deref().map(|values| set("in", values)).transpose()?;
        Ok(Self { within, without: set("not_in", params.not_in.as_deref().unwrap_or_default())? })
    }

    fn admit<Q: Ord + ?Sized>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        let has = |set: &[T]| set.binary_search_by(|it| it.borrow().cmp(value)).is_ok();
        self.within.as_deref().is_none_or(has) && !has(&self.without)
    }
}

impl Predicate {
    /// The tests that parameters mean for a column.
    ///
    /// # Errors
    /// Where its values cannot be compared, or have nothing in common with what they are compared with.
    pub(crate) fn new(params: &Params, field: &Field) -> Result<Self> {
        let keeps_nan = match params.nan {
            Nan::Keep => true,
            Nan::Drop => false,
            Nan::Compare => !params.has_bounds() && params.within.is_none(),
        };
        Ok(Self { keeps_nulls: !params.drop_nulls, keeps_nan, test: Test::new(params, field)? })
    }

    /// Clears `keep` for the rows that do not pass.
    ///
    /// # Errors
    /// Where the column is not of the type that it was planned for.
    pub(crate) fn narrow(&self, column: &Column, keep: &mut [bool]) -> Result<()> {
        match (&self.test, column.values()) {
            // Of all tests only this one must look at floats for what is no number.
            (_, Values::Float32(values)) => self.each(column, keep, |row| self.keeps_float(values[row].into())),
            (_, Values::Float64(values)) => self.each(column, keep, |row| self.keeps_float(values[row])),
            (Test::Any, _) => self.each(column, keep, |_| true),
            (Test::Number { range, sets }, values) => {
                let passes = |value: i64| range.contains(&value) && sets.admit(&value);
                match (values, column.to_i64()) {
                    (Values::Boolean(bits), _) => self.each(column, keep, |row| passes(bits.value(row).into())),
                    (Values::UInt64(values), _) => self.each(column, keep, |row| passes(unsigned(values[row]))),
                    (_, Some(integers)) => self.each(column, keep, |row| passes(integers[row])),
                    _ => return Err(unplanned()),
                }
            }
            (Test::Text(sets), Values::Bytes(strings)) => self.each(column, keep, |row| sets.admit(strings.get(row))),
            (Test::Text(sets), Values::Dictionary(dictionary)) => {
                let words = dictionary.values().bytes().ok_or_else(unplanned)?;
                let admitted: Vec<_> = (0..words.len()).map(|word| sets.admit(words.get(word))).collect();
                self.each(column, keep, |row| admitted[dictionary.keys()[row] as usize]);
            }
            (Test::Text(_), _) => return Err(unplanned()),
        }
        Ok(())
    }

    /// Asks `passes` about the rows that are not missing.
    fn each(&self, column: &Column, keep: &mut [bool], passes: impl Fn(usize) -> bool) {
        match column.nulls() {
            None => keep.iter_mut().enumerate().for_each(|(row, keep)| *keep &= passes(row)),
            Some(nulls) => keep.iter_mut().enumerate().for_each(|(row, keep)| {
                *keep &= if nulls.is_null(row) { self.keeps_nulls } else { passes(row) };
            }),
        }
    }

    fn keeps_float(&self, value: f64) -> bool {
        match &self.test {
            _ if value.is_nan() => self.keeps_nan,
            Test::Number { range, sets } => {
                let value = float(value);
                range.contains(&value) && sets.admit(&value)
            }
            Test::Any | Test::Text(_) => true,
        }
    }
}

impl Test {
    fn new(params: &Params, field: &Field) -> Result<Self> {
        if !params.has_bounds() && !params.has_sets() {
            return Ok(Self::Any);
        }
        let data_type = field.data_type();
        let class = KeyClass::of(data_type).filter(|class| *class != KeyClass::Binary);
        if params.has_bounds() && (class.is_none_or(|class| class == KeyClass::Text) || *data_type == DataType::Boolean)
        {
            return Err(incomparable("`min` and `max` take numbers, dates and times", field));
        }
        match class {
            None => Err(incomparable("`in` and `not_in` take numbers, strings, Booleans, dates and times", field)),
            Some(KeyClass::Text) => {
                let text = |value: &Value| value.as_str().map(|text| text.as_bytes().to_vec());
                Ok(Self::Text(Sets::new(params, field, text)?))
            }
            Some(_) => {
                let range = bounds(params, field)?;
                let sets = Sets::new(params, field, |value| order::member(value, data_type))?;
                Ok(Self::Number { range, sets })
            }
        }
    }
}

fn bounds(params: &Params, field: &Field) -> Result<RangeInclusive<i64>> {
    if !params.has_bounds() {
        return Ok(i64::MIN..=i64::MAX);
    }
    let (min, max) = (params.min.as_ref(), params.max.as_ref());
    let range = order::range(min, max, field.data_type()).map_err(|value| {
        let name = if min.is_some_and(|min| std::ptr::eq(min, value)) { "min" } else { "max" };
        unfit(name, value, field)
    })?;
    range.ok_or_else(|| {
        let message = format!("no value of type {} is from `min` to `max`", field.data_type());
        Error::invalid_params(message).column(field.name()).hint("`min` must not be above `max`")
    })
}

fn incomparable(takes: &str, field: &Field) -> Error {
    Error::unsupported_type(format!("{takes}, not {}", field.data_type()))
        .column(field.name())
        .hint("select other columns, or use another test for this one")
}

fn unfit(name: &str, value: &Value, field: &Field) -> Error {
    let message = format!("`{name}` has {value}, which a column of type {} cannot hold", field.data_type());
    Error::invalid_params(message)
        .column(field.name())
        .hint("give values of the column's type, or select other columns; dates are written as \"2024-01-31\"")
}

fn unplanned() -> Error {
    Error::internal("a column is not of the type that it was planned for")
}
