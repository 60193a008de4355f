//! Batches are those of arrow-rs, in and out.

use super::arrow::{batch, read, write};
use crate::{Input, Output, Values};
use arrow_array::builder::{FixedSizeListBuilder, Int64Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, DictionaryArray, Int32Array, LargeBinaryArray,
    LargeStringArray, PrimitiveArray, RecordBatch, StringArray,
};
use arrow_ipc::CompressionType;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use std::sync::Arc;

/// Which rows are there: all, or two of three.
fn there(nulls: bool, row: usize) -> bool {
    !nulls || row % 3 != 1
}

fn primitive<T: ArrowPrimitiveType>(
    rows: usize,
    nulls: bool,
    data_type: DataType,
    value: fn(usize) -> T::Native,
) -> ArrayRef {
    let values = (0..rows).map(|row| there(nulls, row).then(|| value(row)));
    Arc::new(values.collect::<PrimitiveArray<T>>().with_data_type(data_type))
}

fn columns(rows: usize, nulls: bool) -> Vec<ArrayRef> {
    let text = |row: usize| "ä".repeat(row % 7);
    let texts: Vec<Option<String>> = (0..rows).map(|row| there(nulls, row).then(|| text(row))).collect();
    let bytes = || texts.iter().map(|it| it.as_ref().map(String::as_bytes));
    let keys: Int32Array = (0..rows).map(|row| there(nulls, row).then_some(row as i32 % 2)).collect();
    let words: ArrayRef = Arc::new(StringArray::from(vec!["", "word"]));
    let zone = Some("Europe/Rome".into());
    vec![
        Arc::new((0..rows).map(|row| there(nulls, row).then_some(row % 5 < 2)).collect::<BooleanArray>()),
        primitive::<Int8Type>(rows, nulls, DataType::Int8, |row| row as i8),
        primitive::<Int16Type>(rows, nulls, DataType::Int16, |row| -(row as i16)),
        primitive::<Int32Type>(rows, nulls, DataType::Int32, |row| -(row as i32)),
        primitive::<Int64Type>(rows, nulls, DataType::Int64, |row| i64::MIN + row as i64),
        primitive::<UInt8Type>(rows, nulls, DataType::UInt8, |row| row as u8),
        primitive::<UInt16Type>(rows, nulls, DataType::UInt16, |row| row as u16),
        primitive::<UInt32Type>(rows, nulls, DataType::UInt32, |row| row as u32),
        primitive::<UInt64Type>(rows, nulls, DataType::UInt64, |row| u64::MAX - row as u64),
        primitive::<Float32Type>(rows, nulls, DataType::Float32, |row| row as f32 / 3.0),
        primitive::<Float64Type>(rows, nulls, DataType::Float64, |row| row as f64 / 3.0),
        primitive::<Decimal128Type>(rows, nulls, DataType::Decimal128(30, -2), |row| i128::from(row as u64) << 64),
        primitive::<Date32Type>(rows, nulls, DataType::Date32, |row| row as i32),
        primitive::<Date64Type>(rows, nulls, DataType::Date64, |row| row as i64 * 86_400_000),
        primitive::<Time32SecondType>(rows, nulls, DataType::Time32(TimeUnit::Second), |row| row as i32),
        primitive::<Time64NanosecondType>(rows, nulls, DataType::Time64(TimeUnit::Nanosecond), |row| row as i64),
        primitive::<TimestampMicrosecondType>(rows, nulls, DataType::Timestamp(TimeUnit::Microsecond, zone), |row| {
            row as i64
        }),
        primitive::<TimestampSecondType>(rows, nulls, DataType::Timestamp(TimeUnit::Second, None), |row| row as i64),
        primitive::<DurationMillisecondType>(rows, nulls, DataType::Duration(TimeUnit::Millisecond), |row| row as i64),
        Arc::new(texts.iter().map(Option::as_ref).collect::<StringArray>()),
        Arc::new(texts.iter().map(Option::as_ref).collect::<LargeStringArray>()),
        Arc::new(bytes().collect::<BinaryArray>()),
        Arc::new(bytes().collect::<LargeBinaryArray>()),
        Arc::new(DictionaryArray::new(keys.clone(), words.clone())),
        Arc::new(DictionaryArray::new(keys, words)),
    ]
}

fn table(rows: usize, nulls: bool) -> RecordBatch {
    let columns = columns(rows, nulls);
    let field = |(index, column): (usize, &ArrayRef)| {
        let metadata = [("number".to_owned(), index.to_string())];
        Field::new(format!("column {index}"), column.data_type().clone(), nulls).with_metadata(metadata)
    };
    let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

/// Through the SDK and back to arrow-rs.
fn pass_on(input: &Input, messages: Vec<u8>) -> RecordBatch {
    let batch = input.batch(messages).unwrap();
    let mut output = Output::new(input.schema(), batch.rows());
    for column in batch.columns() {
        output.column(column).unwrap();
    }
    read(input.schema(), &output.finish().unwrap()).unwrap()
}

#[test]
fn columns_of_every_type_come_through_unchanged() {
    for rows in [0, 1, 7, 8, 64, 1_000] {
        for nulls in [false, true] {
            let table = table(rows, nulls);
            // With an alignment of 8 the decimals are not aligned, and are copied.
            for alignment in [8, 64] {
                let (schema, messages) = write(&table, alignment, None);
                let input = Input::decode(&schema).unwrap();
                assert_eq!(*input.schema(), *table.schema());
                assert_eq!(pass_on(&input, messages), table);
            }
        }
    }
}

#[test]
fn slices_are_the_rows_that_they_show() {
    let table = table(100, true).slice(3, 50);
    let (schema, messages) = write(&table, 64, None);
    assert_eq!(pass_on(&Input::decode(&schema).unwrap(), messages), table);
}

#[test]
fn types_that_only_pass_by_are_still_described() {
    let item = || Arc::new(Field::new("item", DataType::Float16, true));
    let entries = Field::new("key", DataType::Utf8, false);
    let entries = DataType::Struct(vec![entries, Field::new("value", DataType::Null, true)].into());
    let types = [
        DataType::List(item()),
        DataType::LargeList(item()),
        DataType::FixedSizeList(item(), 3),
        DataType::FixedSizeBinary(16),
        DataType::Map(Arc::new(Field::new("entries", entries.clone(), false)), true),
        entries,
        DataType::Interval(arrow_schema::IntervalUnit::MonthDayNano),
        DataType::Decimal256(50, 3),
    ];
    let fields = types.map(|it| Field::new(it.to_string(), it, true));
    let schema = Schema::new(fields.to_vec());
    let (message, _) = write(&RecordBatch::new_empty(Arc::new(schema.clone())), 64, None);
    assert_eq!(*Input::decode(&message).unwrap().schema(), schema);
    let ours = crate::message::encode_schema(&schema).unwrap();
    assert_eq!(*Input::decode(&ours).unwrap().schema(), schema);
}

#[test]
fn lists_of_a_fixed_size_are_written_row_by_row() {
    let mut builder =
        FixedSizeListBuilder::new(Int64Builder::new(), 3).with_field(Field::new("item", DataType::Int64, false));
    for row in 0..10 {
        builder.values().append_slice(&[row, row + 1, row + 2]);
        builder.append(true);
    }
    let table = RecordBatch::try_from_iter([("list", Arc::new(builder.finish()) as ArrayRef)]).unwrap();
    let batch = batch(&table);
    let Values::List(3, items) = batch.column(0).values() else { panic!("{batch:?}") };
    let items = items.to_i64().unwrap();
    let schema = table.schema();
    let mut output = Output::new(&schema, 10);
    output.lists::<i64>().unwrap().copy_from_slice(&items);
    assert_eq!(read(&schema, &output.finish().unwrap()).unwrap(), table);
}

#[test]
fn dictionaries_are_spelt_out_where_the_schema_says_so() {
    let table = table(50, true).project(&[23]).unwrap();
    let batch = batch(&table);
    let schema = Schema::new(vec![Field::new("text", DataType::Utf8, true)]);
    let mut output = Output::new(&schema, 50);
    output.column(batch.column(0)).unwrap();
    let text = read(&schema, &output.finish().unwrap()).unwrap();
    let wanted: StringArray = (0..50).map(|row| there(true, row).then_some(["", "word"][row % 2])).collect();
    assert_eq!(text.column(0).as_string::<i32>(), &wanted);
}

#[test]
fn what_is_cut_short_or_altered_is_refused_or_read_without_a_panic() {
    let (schema, messages) = write(&table(20, true), 64, None);
    let input = Input::decode(&schema).unwrap();
    for length in (0..messages.len()).step_by(61) {
        assert!(input.batch(messages[..length].to_vec()).is_err(), "{length}");
    }
    for message in [&schema, &messages] {
        for at in 0..message.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut altered = message.clone();
                altered[at] = value;
                match Input::decode(&altered) {
                    Ok(input) => drop(input.batch(messages.clone())),
                    Err(_) => drop(input.batch(altered)),
                }
            }
        }
    }
}

#[test]
fn compressed_bodies_are_refused() {
    let column: ArrayRef = Arc::new(Int32Array::from(vec![7; 1_000]));
    let table = RecordBatch::try_from_iter([("x", column)]).unwrap();
    let (schema, messages) = write(&table, 64, Some(CompressionType::LZ4_FRAME));
    let error = Input::decode(&schema).unwrap().batch(messages).unwrap_err();
    assert_eq!(error.to_string(), "malformed Arrow IPC message: the body is compressed");
}

#[test]
fn outputs_refuse_other_types_and_numbers_of_values() {
    let schema = Schema::new(vec![Field::new("x", DataType::Int64, true), Field::new("y", DataType::Utf8, true)]);
    let error =
        |write: fn(&mut Output<'_>) -> crate::Result<()>| write(&mut Output::new(&schema, 2)).unwrap_err().to_string();
    let wrong_type = "a value of another type was written to a column of type Int64 (column `x`)";
    assert_eq!(error(|it| it.primitive::<f64>(None).map(drop)), wrong_type);
    assert_eq!(error(|it| it.primitives([Some(1_i64)])), "a column has 1 values where the batch has 2 rows");
    assert_eq!(error(|it| it.primitives([Some(1_i64); 3])), "a column has 3 values where the batch has 2 rows");
    let too_many = |it: &mut Output<'_>| it.primitive::<i64>(None).map(drop).and_then(|()| it.strings([None; 3]));
    assert_eq!(error(too_many), "a column has 3 values where the batch has 2 rows");
    assert!(Output::new(&schema, 2).finish().is_err());
}
