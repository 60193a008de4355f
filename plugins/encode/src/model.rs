//! The model's tables: what is known of each column, and its categories.

use crate::codes::Codes;
use wafermill_sdk::stats::{Category, KeyClass, read_category, write_categories};
use wafermill_sdk::{Batch, DataType, Error, Field, Result, Rows, Table};

/// Where the table of columns stands; a table of categories for each class follows.
pub(crate) const fn columns_table() -> usize {
    0
}

/// What was learned of one column beside its categories.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    /// Training rows.
    pub(crate) rows: i64,
    /// Training rows with a null.
    pub(crate) nulls: i64,
    /// Categories of their own.
    pub(crate) categories: i64,
    /// Training rows with a value that is too rare; nothing where none is.
    pub(crate) infrequent: Option<i64>,
}

/// A category with its code and how many training rows have it.
#[derive(Debug)]
pub(crate) struct Coded {
    pub(crate) column: String,
    pub(crate) value: Category,
    pub(crate) code: i32,
    pub(crate) count: i64,
}

fn columns_fields() -> [Field; 5] {
    let number = |name, nullable| Field::new(name, DataType::Int64, nullable);
    [
        Field::new("column", DataType::Utf8, false),
        number("rows", false),
        number("nulls", false),
        number("categories", false),
        number("infrequent", true),
    ]
}

fn categories_fields(class: KeyClass) -> [Field; 4] {
    [
        Field::new("column", DataType::Utf8, false),
        Field::new("value", class.data_type(), false),
        Field::new("code", DataType::Int32, false),
        Field::new("count", DataType::Int64, false),
    ]
}

/// `columns`, and `categories-CLASS` for each class.
pub(crate) fn model_tables(classes: &[KeyClass]) -> Vec<Table> {
    let categories =
        |class: &KeyClass| Table::model(&format!("categories-{}", class.name()), categories_fields(*class));
    let columns = Table::model("columns", columns_fields());
    std::iter::once(columns).chain(classes.iter().map(categories)).collect()
}

/// Rows of the table of columns.
pub(crate) fn write_columns<'f>(fields: impl Iterator<Item = &'f Field>, summaries: &[Summary]) -> Result<Rows> {
    let schema = wafermill_sdk::Schema::new(columns_fields().to_vec());
    Rows::new(columns_table(), &schema, summaries.len(), |output| {
        output.strings(fields.map(|field| Some(field.name().as_str())))?;
        output.primitives(summaries.iter().map(|it| Some(it.rows)))?;
        output.primitives(summaries.iter().map(|it| Some(it.nulls)))?;
        output.primitives(summaries.iter().map(|it| Some(it.categories)))?;
        output.primitives(summaries.iter().map(|it| it.infrequent))
    })
}

/// Rows of the table of categories of a class, which is the `index`th of the plan.
pub(crate) fn write_coded(index: usize, class: KeyClass, rows: &[Coded]) -> Result<Rows> {
    let schema = wafermill_sdk::Schema::new(categories_fields(class).to_vec());
    Rows::new(columns_table() + 1 + index, &schema, rows.len(), |output| {
        output.strings(rows.iter().map(|row| Some(row.column.as_str())))?;
        write_categories(output, class, rows.iter().map(|row| Some(&row.value)))?;
        output.primitives(rows.iter().map(|row| Some(row.code)))?;
        output.primitives(rows.iter().map(|row| Some(row.count)))
    })
}

fn malformed(table: &str) -> Error {
    Error::invalid_model(format!("the table `{table}` is not one that `encode` wrote for these columns"))
}

/// Loads rows of the table of columns.
pub(crate) fn load_columns(rows: &Batch, columns: &mut [Codes]) -> Result<()> {
    let malformed = || malformed("columns");
    let names = rows.column(0).bytes().ok_or_else(malformed)?;
    let number = |index: usize| rows.column(index).to_i64().ok_or_else(malformed);
    let (counts, nulls, categories, infrequent) = (number(1)?, number(2)?, number(3)?, number(4)?);
    for row in 0..rows.rows() {
        let codes =
            columns.iter_mut().find(|codes| codes.column().as_bytes() == names.get(row)).ok_or_else(malformed)?;
        codes.summarize(Summary {
            rows: counts[row],
            nulls: nulls[row],
            categories: categories[row],
            infrequent: (!rows.column(4).is_null(row)).then(|| infrequent[row]),
        });
    }
    Ok(())
}

/// Loads rows of the table of categories of a class.
pub(crate) fn load_categories(class: KeyClass, rows: &Batch, columns: &mut [Codes]) -> Result<()> {
    let malformed = || malformed("categories");
    let names = rows.column(0).bytes().ok_or_else(malformed)?;
    let codes = rows.column(2).to_i64().ok_or_else(malformed)?;
    let counts = rows.column(3).to_i64().ok_or_else(malformed)?;
    let mut last = 0;
    for row in 0..rows.rows() {
        let name = names.get(row);
        if columns.get(last).is_none_or(|it| it.column().as_bytes() != name) {
            last = columns.iter().position(|it| it.column().as_bytes() == name).ok_or_else(malformed)?;
        }
        let value = read_category(class, rows.column(1), row).ok_or_else(malformed)?;
        columns[last].add(value, codes[row], counts[row]).ok_or_else(malformed)?;
    }
    Ok(())
}
