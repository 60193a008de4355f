//! Logical and physical types: what files hold beyond them is converted as it is read.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_cast::display::FormatOptions;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};
use std::sync::Arc;

/// The type that the planner sees: dictionaries and run-end encoding unpacked, views as `Utf8` and `Binary`.
pub(super) fn logical_type(source: &DataType) -> DataType {
    use DataType::*;
    match source {
        Utf8View => Utf8,
        BinaryView => Binary,
        // The offset width of a dictionary's values says nothing about the column.
        Dictionary(_, values) if is_text(values) => Utf8,
        Dictionary(_, values) => logical_type(values),
        RunEndEncoded(_, values) => logical_type(values.data_type()),
        List(item) => List(logical_field(item)),
        LargeList(item) => LargeList(logical_field(item)),
        FixedSizeList(item, length) => FixedSizeList(logical_field(item), *length),
        ListView(item) => List(logical_field(item)),
        LargeListView(item) => LargeList(logical_field(item)),
        Struct(fields) => Struct(fields.iter().map(logical_field).collect()),
        Map(entries, sorted) => Map(logical_field(entries), *sorted),
        other => other.clone(),
    }
}

/// The type in which a column comes in batches: dictionaries of text stay, with keys of one width.
pub(super) fn physical_type(source: &DataType) -> DataType {
    match source {
        DataType::Dictionary(_, values) if is_text(values) => text_dictionary(),
        other => logical_type(other),
    }
}

/// Text as distinct values and keys.
pub(super) fn text_dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// A schema with its types converted; the schema's own metadata is dropped, as it describes the file and not the table.
pub(super) fn convert(schema: &Schema, convert_type: impl Fn(&DataType) -> DataType) -> Schema {
    let fields = schema.fields().iter();
    Schema::new(fields.map(|field| retyped(field, convert_type(field.data_type()))).collect::<Vec<_>>())
}

/// The schema of batches that hold `columns` of a source: names and nullability as in its logical schema, types as they come.
pub(super) fn projected(logical: &Schema, physical: &[DataType], columns: &[usize]) -> SchemaRef {
    let field = |&column: &usize| retyped(logical.field(column), physical[column].clone());
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// Where a value does not fit it is an error, and no null.
const EXACT: CastOptions<'static> = CastOptions { safe: false, format_options: FormatOptions::new() };

/// Whether the columns of a batch have the types of a physical schema.
pub(super) fn conforms(batch: &RecordBatch, schema: &Schema) -> bool {
    batch.columns().iter().map(|column| column.data_type()).eq(schema.fields().iter().map(|field| field.data_type()))
}

/// Casts the columns of a batch to a physical schema; those that have its types already are only passed on.
pub(crate) fn conform(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            Ok(Arc::clone(column))
        } else {
            cast_with_options(column, field.data_type(), &EXACT)
        }
    });
    RecordBatch::try_new_with_options(Arc::clone(schema), columns.collect::<Result<_, _>>()?, &options)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn logical_field(field: &FieldRef) -> FieldRef {
    Arc::new(retyped(field, logical_type(field.data_type())))
}

fn retyped(field: &Field, data_type: DataType) -> Field {
    Field::new(field.name(), data_type, field.is_nullable()).with_metadata(field.metadata().clone())
}
