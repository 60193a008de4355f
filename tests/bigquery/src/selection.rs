//! The selected fields of a table, down into structs and lists of them, in the order of the table.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::Status;

/// Some fields by their positions, each whole or with some of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Selection(BTreeMap<usize, Option<Selection>>);

impl Selection {
    /// The fields with these names, such as `a` or `a.b`; all, if there are no names.
    pub(crate) fn new(names: &[String], schema: &Schema) -> Result<Self, Status> {
        if names.is_empty() {
            return Ok(Self((0..schema.fields().len()).map(|position| (position, None)).collect()));
        }
        let mut selection = Self::default();
        let unknown: Vec<&str> =
            names.iter().filter(|name| !selection.add(name, schema.fields())).map(String::as_str).collect();
        if unknown.is_empty() {
            return Ok(selection);
        }
        let message = "The following selected fields do not exist in the table schema:";
        Err(Status::invalid_argument(format!("request failed: {message} {}", unknown.join(", "))))
    }

    /// Adds a field, if there is one with this name.
    fn add(&mut self, name: &str, fields: &Fields) -> bool {
        let (name, rest) = name.split_once('.').map_or((name, None), |(name, rest)| (name, Some(rest)));
        let Some((position, field)) = fields.find(name) else {
            return false;
        };
        let Some(rest) = rest else {
            self.0.insert(position, None);
            return true;
        };
        let Some(fields) = inner(field.data_type()) else {
            return false;
        };
        // A field that was added whole stays so, but what else is asked of it must be there.
        let mut nothing = Self::default();
        match self.0.entry(position).or_insert_with(|| Some(Self::default())) {
            Some(selection) => selection.add(rest, fields),
            None => nothing.add(rest, fields),
        }
    }

    pub(crate) fn schema(&self, schema: &Schema) -> SchemaRef {
        Arc::new(Schema::new(self.fields(schema.fields())))
    }

    fn fields(&self, fields: &Fields) -> Fields {
        self.0.iter().map(|(position, inner)| field(&fields[*position], inner.as_ref())).collect()
    }

    /// The selected fields of a batch, as `schema`, which [`Self::schema`] gave.
    pub(crate) fn batch(&self, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let columns = self.columns(batch.columns())?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(schema.clone(), columns, &options)
    }

    fn columns(&self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, ArrowError> {
        self.0.iter().map(|(position, inner)| pruned(&columns[*position], inner.as_ref())).collect()
    }
}

/// The fields of a struct, or of a list's structs.
fn inner(data_type: &DataType) -> Option<&Fields> {
    match data_type {
        DataType::Struct(fields) => Some(fields),
        DataType::List(item) => inner(item.data_type()),
        _ => None,
    }
}

fn field(given: &FieldRef, selection: Option<&Selection>) -> FieldRef {
    let Some(selection) = selection else {
        return given.clone();
    };
    let data_type = match given.data_type() {
        DataType::Struct(fields) => DataType::Struct(selection.fields(fields)),
        DataType::List(item) => DataType::List(field(item, Some(selection))),
        other => other.clone(),
    };
    Arc::new(Field::clone(given).with_data_type(data_type))
}

fn pruned(array: &ArrayRef, selection: Option<&Selection>) -> Result<ArrayRef, ArrowError> {
    let Some(selection) = selection else {
        return Ok(array.clone());
    };
    Ok(match array.data_type() {
        DataType::Struct(fields) => {
            let (fields, columns) = (selection.fields(fields), selection.columns(array.as_struct().columns())?);
            let nulls = array.nulls().cloned();
            Arc::new(StructArray::try_new_with_length(fields, columns, nulls, array.len())?)
        }
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = pruned(list.values(), Some(selection))?;
            let item = field(item, Some(selection));
            Arc::new(ListArray::try_new(item, list.offsets().clone(), values, list.nulls().cloned())?)
        }
        _ => array.clone(),
    })
}
