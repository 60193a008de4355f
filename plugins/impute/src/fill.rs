//! Fillings: how the model keeps them, and how columns get them.

use crate::{Nan, Strategy};
use wafermill_sdk::stats::{Category, KeyClass, read_category, write_categories};
use wafermill_sdk::{Batch, BooleanBuffer, Dictionary};
use wafermill_sdk::{Bytes, Column, DataType, Error, Field, Native, Output, Result, Rows, Table, Values};

/// What missing values of one column become.
#[derive(Clone, Debug)]
pub(crate) struct Fill(Category);

impl From<Category> for Fill {
    fn from(value: Category) -> Self {
        Self(value)
    }
}

/// The classes that a strategy's fillings have, for columns of these classes.
pub(crate) fn fill_classes(strategy: Strategy, classes: &[KeyClass]) -> Vec<KeyClass> {
    match strategy {
        Strategy::Mean | Strategy::Median => vec![KeyClass::Float],
        Strategy::MostFrequent => classes.to_vec(),
        Strategy::Constant => Vec::new(),
    }
}

/// The model: a table for each class of values, with a row for each column.
pub(crate) fn model_tables(strategy: Strategy, classes: &[KeyClass]) -> Vec<Table> {
    let table = |class: KeyClass| {
        let column = Field::new("column", DataType::Utf8, false);
        Table::model(&format!("fill-{}", class.name()), [column, Field::new("value", class.data_type(), false)])
    };
    fill_classes(strategy, classes).into_iter().map(table).collect()
}

/// The rows of one of the model's tables.
pub(crate) fn write_fills(table: usize, class: KeyClass, fills: &[(String, Category)]) -> Result<Rows> {
    let column = Field::new("column", DataType::Utf8, false);
    let schema = wafermill_sdk::Schema::new(vec![column, Field::new("value", class.data_type(), false)]);
    Rows::new(table, &schema, fills.len(), |output| {
        output.strings(fills.iter().map(|(column, _)| Some(column.as_str())))?;
        write_categories(output, class, fills.iter().map(|(_, value)| Some(value)))
    })
}

/// Reads the rows of the table with this name.
pub(crate) fn read_fills(table: &str, rows: &Batch) -> Result<Vec<(String, Fill)>> {
    let malformed = || Error::invalid_model(format!("the table `{table}` is no table of fillings"));
    let class = KeyClass::ALL.into_iter().find(|class| table.strip_prefix("fill-") == Some(class.name()));
    let (class, [columns, values]) = (class.ok_or_else(malformed)?, rows.columns()) else { return Err(malformed()) };
    let columns = columns.bytes().ok_or_else(malformed)?;
    let fill = |row| {
        let value = read_category(class, values, row).ok_or_else(malformed)?;
        Ok((columns.text(row).to_owned(), Fill(value)))
    };
    (0..rows.rows()).map(fill).collect()
}

/// The rows of a column that are to be filled; nothing where there are none.
pub(crate) fn missing(column: &Column, nan: Nan) -> Option<BooleanBuffer> {
    let nans = match column.values() {
        Values::Float64(values) if nan == Nan::Missing => nans(values, |value| value.is_nan()),
        Values::Float32(values) if nan == Nan::Missing => nans(values, |value| value.is_nan()),
        _ => None,
    };
    let nulls = column.nulls().map(|nulls| !nulls.inner());
    let missing: BooleanBuffer = match (nulls, nans) {
        (Some(nulls), Some(nans)) => &nulls | &nans,
        (Some(it), None) | (None, Some(it)) => it,
        (None, None) => return None,
    };
    (missing.count_set_bits() > 0).then_some(missing)
}

/// The rows with NaN; nothing where there are none.
fn nans<T: Copy>(values: &[T], is_nan: impl Fn(T) -> bool) -> Option<BooleanBuffer> {
    // All are looked at, so that many are at once.
    let any = values.iter().fold(false, |any, value| any | is_nan(*value));
    any.then(|| values.iter().map(|value| is_nan(*value)).collect())
}

/// Writes a column with its missing rows filled.
pub(crate) fn fill_column(
    column: &Column,
    missing: Option<&BooleanBuffer>,
    Fill(fill): &Fill,
    output: &mut Output<'_>,
) -> Result<()> {
    let wrong = || Error::internal("a filling of another type than its column");
    let target = output.field().map(|field| field.data_type().clone());
    match (fill, column.values()) {
        (Category::Text(fill), Values::Dictionary(dictionary)) => {
            fill_dictionary(column, dictionary, missing, fill.as_bytes(), output)
        }
        (Category::Text(fill), Values::Bytes(values)) => fill_bytes(values, missing, fill.as_bytes(), output),
        (Category::Binary(fill), Values::Bytes(values)) => fill_bytes(values, missing, fill, output),
        (Category::Signed(fill), Values::Boolean(values)) => {
            output.booleans(None, |row| if is_set(missing, row) { *fill != 0 } else { values.value(row) })
        }
        (Category::Float(fill), _) => {
            let values = column.to_f64().ok_or_else(wrong)?;
            match target {
                Some(DataType::Float32) => {
                    let values: Vec<f32> = values.iter().map(|it| *it as f32).collect();
                    fill_values(&values, missing, *fill as f32, output)
                }
                _ => fill_values(&values, missing, *fill, output),
            }
        }
        (Category::Unsigned(fill), Values::UInt64(values)) => fill_values(values, missing, *fill, output),
        (Category::Signed(fill), values) => match values {
            Values::Int8(values) => fill_values(values, missing, *fill as i8, output),
            Values::Int16(values) => fill_values(values, missing, *fill as i16, output),
            Values::Int32(values) => fill_values(values, missing, *fill as i32, output),
            Values::Int64(values) => fill_values(values, missing, *fill, output),
            Values::UInt8(values) => fill_values(values, missing, *fill as u8, output),
            Values::UInt16(values) => fill_values(values, missing, *fill as u16, output),
            Values::UInt32(values) => fill_values(values, missing, *fill as u32, output),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

fn is_set(missing: Option<&BooleanBuffer>, row: usize) -> bool {
    missing.is_some_and(|missing| missing.value(row))
}

fn fill_values<T: Native>(
    values: &[T],
    missing: Option<&BooleanBuffer>,
    fill: T,
    output: &mut Output<'_>,
) -> Result<()> {
    let target = output.values(None, values)?;
    if let Some(missing) = missing {
        missing.set_indices().for_each(|row| target[row] = fill);
    }
    Ok(())
}

fn fill_bytes(values: &Bytes, missing: Option<&BooleanBuffer>, fill: &[u8], output: &mut Output<'_>) -> Result<()> {
    output.bytes((0..output.rows()).map(|row| Some(if is_set(missing, row) { fill } else { values.get(row) })))
}

/// A missing row points to the filling, which is added to the dictionary where it is not in it.
fn fill_dictionary(
    column: &Column,
    dictionary: &Dictionary,
    missing: Option<&BooleanBuffer>,
    fill: &[u8],
    output: &mut Output<'_>,
) -> Result<()> {
    let Some(missing) = missing else { return output.column(column) };
    let words = dictionary.values().bytes().ok_or_else(|| Error::internal("a dictionary without strings"))?;
    let known = (0..words.len()).find(|word| words.get(*word) == fill);
    let key = known.unwrap_or(words.len()) as i32;
    let target = output.extended(None, dictionary, known.is_none().then_some(fill))?;
    missing.set_indices().for_each(|row| target[row] = key);
    Ok(())
}
