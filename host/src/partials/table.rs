//! What a partial table looks like: its schema and how the values of equal keys are combined.

use crate::{Error, Result};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, DataType, Field, SchemaRef};
use std::collections::HashSet;

/// How the values of equal keys are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The column is part of the key.
    Key,
    /// The exact sum. It is an error where the whole of it is out of the type's range; on the way it may be.
    Sum,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
}

impl Operator {
    /// Its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    /// Whether a column of this type can be combined so.
    fn accepts(self, data_type: &DataType) -> bool {
        use DataType::*;
        match self {
            Self::Key => match data_type {
                Boolean | Float32 | Float64 | Utf8 | LargeUtf8 | Binary | LargeBinary | Decimal128(..) => true,
                Interval(_) => false,
                other => other.is_integer() || other.is_temporal(),
            },
            Self::Sum => matches!(data_type, Int64 | UInt64 | Decimal128(..)) || is_int64_list(data_type),
            Self::Min | Self::Max => {
                matches!(data_type, Float64 | Utf8) || data_type.is_integer() || is_int64_list(data_type)
            }
        }
    }
}

fn is_int64_list(data_type: &DataType) -> bool {
    matches!(data_type, DataType::FixedSizeList(item, size) if *item.data_type() == DataType::Int64 && *size > 0)
}

/// A keyed table of partial results, as a plugin's plan declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct PartialTable {
    name: String,
    schema: SchemaRef,
    operators: Vec<Operator>,
    keys: usize,
}

impl PartialTable {
    /// A table of `schema` with one operator for each field, keys first. A table without keys has one row.
    ///
    /// # Errors
    /// Where the schema is empty, names a column twice, or does not fit the operators. All of it comes from a plugin.
    pub fn new(name: impl Into<String>, schema: SchemaRef, operators: Vec<Operator>) -> Result<Self> {
        let name = name.into();
        let wrong = |what: String| {
            Error::sandbox(format!("partial table `{name}` {what}"))
                .hint("this is a mistake in the plugin's plan: report it to the plugin's author")
        };
        if schema.fields().is_empty() {
            return Err(wrong("has no columns".to_owned()));
        }
        if schema.fields().len() != operators.len() {
            return Err(wrong(format!("has {} columns but {} operators", schema.fields().len(), operators.len())));
        }
        let keys = operators.iter().take_while(|operator| **operator == Operator::Key).count();
        let mut names = HashSet::new();
        for (position, (field, operator)) in schema.fields().iter().zip(&operators).enumerate() {
            if !names.insert(field.name()) {
                return Err(wrong(format!("names column `{}` twice", field.name())));
            }
            if *operator == Operator::Key && position >= keys {
                return Err(wrong(format!("has key column `{}` behind a value column", field.name())));
            }
            if !operator.accepts(field.data_type()) {
                let (operator, data_type) = (operator.name(), field.data_type());
                return Err(wrong(format!("cannot use `{operator}` on column `{}` of type {data_type}", field.name())));
            }
        }
        Ok(Self { name, schema, operators, keys })
    }

    /// The table's name, unique in its plan.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The columns, keys first.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// One operator for each column.
    pub fn operators(&self) -> &[Operator] {
        &self.operators
    }

    /// How many columns make the key.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// The value columns with their positions and operators.
    pub(super) fn values(&self) -> impl Iterator<Item = (usize, &Field, Operator)> {
        let fields = self.schema.fields().iter().zip(&self.operators).enumerate().skip(self.keys);
        fields.map(|(position, (field, operator))| (position, field.as_ref(), *operator))
    }

    /// A batch of this table; refuses nulls where the schema has none.
    pub(super) fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options).map_err(|error| self.broken(error))
    }

    /// Arrow refused to work on what the plugin sent.
    pub(super) fn broken(&self, error: ArrowError) -> Error {
        Error::sandbox(format!("partial table `{}` cannot be combined", self.name)).because(error)
    }

    /// A sum left the range of its column.
    pub(super) fn overflow(&self, field: &Field) -> Error {
        let (name, table, data_type) = (field.name(), &self.name, field.data_type());
        Error::plugin(format!("the sum in column `{name}` of partial table `{table}` overflows {data_type}"))
            .hint("the values are too large to be added up exactly by this plugin: scale them down before this step")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::Schema;
    use std::sync::Arc;

    #[test]
    fn plans_that_make_no_sense_are_refused() {
        use DataType::*;
        use Operator::*;
        let int64_list = |size| FixedSizeList(Arc::new(Field::new("item", Int64, true)), size);
        let refused = |fields: Vec<Field>, operators: Vec<Operator>| {
            PartialTable::new("t", Arc::new(Schema::new(fields)), operators).unwrap_err().message().to_owned()
        };
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        assert_eq!(refused(vec![], vec![]), "partial table `t` has no columns");
        assert_eq!(refused(vec![field("a", Int64)], vec![]), "partial table `t` has 1 columns but 0 operators");
        assert_eq!(
            refused(vec![field("a", Int64), field("a", Int64)], vec![Key, Sum]),
            "partial table `t` names column `a` twice"
        );
        assert_eq!(
            refused(vec![field("a", Int64), field("b", Int64)], vec![Sum, Key]),
            "partial table `t` has key column `b` behind a value column"
        );
        assert_eq!(
            refused(vec![field("a", Float64)], vec![Sum]),
            "partial table `t` cannot use `sum` on column `a` of type Float64"
        );
        let dictionary = Dictionary(Box::new(Int32), Box::new(Utf8));
        for (data_type, operator) in [
            (int64_list(2), Key),
            (Null, Key),
            (dictionary.clone(), Key),
            (dictionary, Max),
            (Utf8View, Min),
            (Boolean, Max),
            (Int32, Sum),
            (int64_list(0), Sum),
            (FixedSizeList(Arc::new(field("item", Float64)), 2), Sum),
            (List(Arc::new(field("item", Int64))), Sum),
        ] {
            refused(vec![field("a", data_type)], vec![operator]);
        }
    }
}
