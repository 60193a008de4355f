//! Types that Parquet has no logical type for, and what stands for them in a file.

use crate::guard::guard;
use crate::{Error, Result};
use arrow_array::{RecordBatch, new_null_array};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, IntervalUnit, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use std::sync::Arc;

/// Checks that Parquet files can hold all columns of a logical schema.
///
/// # Errors
/// The first column of a type that they cannot hold.
pub(super) fn check(schema: &SchemaRef) -> Result<()> {
    // The types of almost all columns need no trial.
    let plain =
        |data_type: &DataType| data_type.is_numeric() || data_type.is_string() || *data_type == DataType::Boolean;
    for field in schema.fields().iter().filter(|field| !plain(field.data_type())) {
        // The writer itself knows best; on some types it panics.
        guard(|| try_out(field)).flatten().map_err(|error| {
            Error::output(format!("Parquet files cannot hold columns of type {}", field.data_type()))
                .column(field.name())
                .because(error)
                .hint("write Arrow files with `format = \"arrow\"`, or leave the column out of the source")
        })?;
    }
    Ok(())
}

/// Writes a null as a column of the type that stands for this one.
fn try_out(field: &FieldRef) -> Result<(), ArrowError> {
    let stored = data_type(field.data_type());
    let batch = RecordBatch::try_from_iter_with_nullable([("x", new_null_array(&stored, 1), true)])?;
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}

/// The schema of Parquet files for rows of a logical schema: without it, readers but those of Arrow would see bare integers.
pub(super) fn storable(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn field(field: &FieldRef) -> FieldRef {
    let stored = data_type(field.data_type());
    if stored == *field.data_type() {
        return Arc::clone(field);
    }
    Arc::new(Field::clone(field).with_data_type(stored))
}

/// Parquet counts time from milliseconds on, and its date has no room for the time of day that a `Date64` may hold.
fn data_type(logical: &DataType) -> DataType {
    match logical {
        DataType::Timestamp(TimeUnit::Second, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        DataType::Interval(IntervalUnit::MonthDayNano) => DataType::Struct(super::interval::fields()),
        DataType::Date64 => DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Time32(TimeUnit::Second) => DataType::Time32(TimeUnit::Millisecond),
        DataType::List(item) => DataType::List(field(item)),
        DataType::LargeList(item) => DataType::LargeList(field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Result;
    use crate::Stop;
    use crate::aggregate::{Aggregate, Concat, ConcatOptions, Prepare, Rows};
    use arrow_array::builder::{IntervalMonthDayNanoBuilder, ListBuilder, TimestampSecondBuilder};
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int32Type, Int64Type};
    use arrow_array::{
        Array, ArrayRef, Date64Array, IntervalMonthDayNanoArray, RecordBatch, Time32SecondArray, TimestampSecondArray,
    };
    use arrow_buffer::IntervalMonthDayNano;
    use arrow_schema::Fields;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use std::fs::File;
    use std::path::{Path, PathBuf};

    fn write(folder: &Path, batch: RecordBatch) -> Result<PathBuf> {
        let dataset = folder.join("data");
        let mut concat = Concat::create(&dataset, &batch.schema(), &["all".to_owned()], &ConcatOptions::new(folder))?;
        let rows = Rows { source: batch.clone(), of: batch.num_rows() as u64, parts: None, origin: None, batch };
        let item = concat.preparation().prepare(rows)?;
        concat.push(item)?;
        let summary = concat.finish(&Stop::default())?;
        Ok(dataset.join(&summary.parts[0].files[0].path))
    }

    #[test]
    fn times_in_seconds_and_dates_in_milliseconds_keep_their_meaning() {
        let mut lists = ListBuilder::new(TimestampSecondBuilder::new());
        lists.append_value([Some(-1), None]);
        lists.append_null();
        let columns: [(&str, ArrayRef); 4] = [
            ("stamp", Arc::new(TimestampSecondArray::from(vec![Some(-1), None]).with_timezone("UTC"))),
            ("date", Arc::new(Date64Array::from(vec![Some(86_400_001), None]))),
            ("time", Arc::new(Time32SecondArray::from(vec![Some(86_399), None]))),
            ("stamps", Arc::new(lists.finish())),
        ];
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
        let types = reader.parquet_schema().columns().iter().map(|column| format!("{:?}", column.logical_type_ref()));
        let types: Vec<_> = types.collect();
        assert!(types.iter().all(|logical| logical.contains("MILLIS")), "{types:?}");
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        let bare = |column: usize, integers: DataType| arrow_cast::cast(batch.column(column), &integers).unwrap();
        assert_eq!(bare(0, DataType::Int64).as_primitive::<Int64Type>().value(0), -1_000);
        assert_eq!(bare(1, DataType::Int64).as_primitive::<Int64Type>().value(0), 86_400_001);
        assert_eq!(bare(2, DataType::Int32).as_primitive::<Int32Type>().value(0), 86_399_000);
    }

    #[test]
    fn intervals_become_structs_of_their_parts_also_within_lists() {
        let intervals = [Some(IntervalMonthDayNano::new(1, -2, 3)), None];
        let mut lists = ListBuilder::new(IntervalMonthDayNanoBuilder::new());
        lists.append_value(intervals);
        lists.append_null();
        let columns: [(&str, ArrayRef); 2] = [
            ("one", Arc::new(IntervalMonthDayNanoArray::from(intervals.to_vec()))),
            ("many", Arc::new(lists.finish())),
        ];
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        let mut reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap().build().unwrap();
        let batch = reader.next().unwrap().unwrap();
        for parts in [batch.column(0), batch.column(1).as_list::<i32>().values()] {
            let parts = parts.as_struct();
            assert_eq!((parts.len(), parts.is_null(1)), (2, true));
            assert_eq!(parts.column(0).as_primitive::<Int32Type>().value(0), 1);
            assert_eq!(parts.column(1).as_primitive::<Int32Type>().value(0), -2);
            assert_eq!(parts.column(2).as_primitive::<Int64Type>().value(0), 3);
        }
    }

    #[test]
    fn columns_that_parquet_cannot_hold_are_refused_by_name() {
        let item = |data_type| Arc::new(Field::new("item", data_type, true));
        let schema = |data_type| Arc::new(Schema::new(vec![Field::new("x", data_type, true)]));
        for refused in [
            DataType::FixedSizeBinary(0),
            DataType::Struct(Fields::empty()),
            DataType::List(item(DataType::Struct(Fields::empty()))),
            DataType::Union(arrow_schema::UnionFields::empty(), arrow_schema::UnionMode::Sparse),
        ] {
            let error = check(&schema(refused.clone())).unwrap_err();
            assert_eq!(error.place().column.as_deref(), Some("x"), "{refused}");
        }
        for held in [
            DataType::Null,
            DataType::FixedSizeBinary(3),
            DataType::Decimal256(76, 38),
            DataType::Interval(IntervalUnit::MonthDayNano),
            DataType::Duration(TimeUnit::Second),
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            DataType::List(item(DataType::Time32(TimeUnit::Second))),
            DataType::Struct(Fields::from(vec![item(DataType::Utf8)])),
        ] {
            check(&schema(held)).unwrap();
        }
    }

    #[test]
    fn a_time_that_parquet_has_no_room_for_is_refused() {
        let column: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX]));
        let folder = tempfile::tempdir().unwrap();
        let error = write(folder.path(), RecordBatch::try_from_iter([("stamp", column)]).unwrap()).unwrap_err();
        assert_eq!(error.place().column.as_deref(), Some("stamp"));
    }
}
