//! The hashes against the vectors of `docs/hash.md`, and the equalities that they promise.

use super::value::value_hashes;
use super::*;
use arrow_array::builder::{Int64Builder, MapBuilder, StringBuilder};
use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::{IntervalMonthDayNano, OffsetBuffer, i256};
use arrow_schema::{DataType, Field, Fields};
use std::sync::Arc;

/// The hash that the table in the docs states; a Python program computed it.
fn vector(name: &str) -> u64 {
    let start = format!("| {name} | `0x");
    let line = include_str!("../../../docs/hash.md").lines().find_map(|line| line.strip_prefix(&start)).expect(name);
    u64::from_str_radix(&line[..16], 16).unwrap()
}

/// The same of 128 bits.
fn wide_vector(name: &str) -> u128 {
    let start = format!("| 128 bits: {name} | `0x");
    let line = include_str!("../../../docs/hash.md").lines().find_map(|line| line.strip_prefix(&start)).expect(name);
    u128::from_str_radix(&line[..32], 16).unwrap()
}

fn wide_hash(array: impl Array + 'static) -> u128 {
    value_hashes(&(Arc::new(array) as ArrayRef)).unwrap()[0]
}

fn hashes(array: impl Array + 'static) -> Vec<u64> {
    value_hashes(&(Arc::new(array) as ArrayRef)).unwrap()
}

fn hash(array: impl Array + 'static) -> u64 {
    hashes(array)[0]
}

fn array(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

#[test]
fn integers_of_every_width_hash_alike() {
    let expected = vector("integer 42");
    assert_eq!(hash(Int8Array::from(vec![42])), expected);
    assert_eq!(hash(Int16Array::from(vec![42])), expected);
    assert_eq!(hash(Int32Array::from(vec![42])), expected);
    assert_eq!(hash(Int64Array::from(vec![42])), expected);
    assert_eq!(hash(UInt8Array::from(vec![42])), expected);
    assert_eq!(hash(UInt16Array::from(vec![42])), expected);
    assert_eq!(hash(UInt32Array::from(vec![42])), expected);
    assert_eq!(hash(UInt64Array::from(vec![42])), expected);
    assert_eq!(hash(Int64Array::from(vec![-1])), vector("integer -1"));
    assert_eq!(hash(UInt64Array::from(vec![u64::MAX])), vector("integer 2^64 - 1"));
}

#[test]
fn floats_of_equal_value_hash_alike() {
    assert_eq!(hash(Float32Array::from(vec![1.5])), vector("float 1.5"));
    assert_eq!(hash(Float64Array::from(vec![1.5])), vector("float 1.5"));
    assert_eq!(hashes(Float64Array::from(vec![0.0, -0.0])), [vector("float 0.0 and -0.0"); 2]);
    let nans = Float64Array::from(vec![f64::NAN, -f64::NAN, f64::from_bits(0x7ff0_0000_0000_0001)]);
    assert_eq!(hashes(nans), [vector("float NaN"); 3]);
    assert_eq!(hash(Float32Array::from(vec![f32::NAN])), vector("float NaN"));
}

#[test]
fn text_hashes_alike_plain_large_view_and_dictionary_encoded() {
    let long = "a".repeat(300);
    let values = [Some("żółw"), None, Some(""), Some(&long), Some("żółw")];
    let names = ["text `żółw`", "null", "text, empty", "text, 300 times `a`", "text `żółw`"];
    let expected = names.map(vector);
    assert_eq!(hashes(StringArray::from_iter(values)), expected);
    assert_eq!(hashes(LargeStringArray::from_iter(values)), expected);
    assert_eq!(hashes(StringViewArray::from_iter(values)), expected);
    let dictionary: DictionaryArray<Int32Type> = values.into_iter().collect();
    assert_eq!(hashes(dictionary.slice(1, 2)), expected[1..3], "a slice shorter than its dictionary");
    assert_eq!(hashes(dictionary), expected);
}

#[test]
fn nulls_in_keys_and_in_values_of_a_dictionary_hash_as_null() {
    let values = array(StringArray::from(vec![None, Some("żółw")]));
    let dictionary = DictionaryArray::new(Int8Array::from(vec![Some(0), None, Some(1)]), values);
    assert_eq!(hashes(dictionary), [vector("null"), vector("null"), vector("text `żółw`")]);
    let empty = DictionaryArray::new(Int8Array::from(vec![None, None]), array(StringArray::new_null(0)));
    assert_eq!(hashes(empty), [vector("null"); 2]);
}

#[test]
fn a_null_has_one_hash_whatever_its_type() {
    for data_type in [DataType::Null, DataType::Boolean, DataType::Int8, DataType::Utf8, DataType::Decimal256(40, 2)] {
        assert_eq!(value_hashes::<u64>(&new_null_array(&data_type, 1)).unwrap(), [vector("null")], "{data_type}");
    }
    assert_eq!(hashes(BooleanArray::from(vec![Some(true), None])), [vector("true"), vector("null")]);
}

#[test]
fn times_hash_alike_in_every_unit() {
    let seconds = 1_577_880_000;
    let utc = vector("timestamp 2020-01-01T12:00:00Z");
    assert_eq!(hash(TimestampSecondArray::from(vec![seconds]).with_timezone("UTC")), utc);
    assert_eq!(hash(TimestampMillisecondArray::from(vec![seconds * 1_000]).with_timezone("+02:00")), utc);
    let local = vector("timestamp 2020-01-01T12:00:00");
    assert_eq!(hash(TimestampMicrosecondArray::from(vec![seconds * 1_000_000])), local);
    assert_eq!(hash(TimestampNanosecondArray::from(vec![seconds * 1_000_000_000])), local);
    assert_eq!(hash(Date32Array::from(vec![18_262])), vector("date 2020-01-01"));
    assert_eq!(hash(Date64Array::from(vec![18_262 * 86_400_000])), vector("date 2020-01-01"));
    assert_eq!(hash(Time32SecondArray::from(vec![43_200])), vector("time 12:00:00"));
    assert_eq!(hash(Time64NanosecondArray::from(vec![43_200_000_000_000])), vector("time 12:00:00"));
    assert_eq!(hash(DurationMillisecondArray::from(vec![1])), vector("duration 1 ms"));
    assert_eq!(hash(DurationNanosecondArray::from(vec![1_000_000])), vector("duration 1 ms"));
    let interval = IntervalMonthDayNano::new(1, 2, 3);
    assert_eq!(hash(IntervalMonthDayNanoArray::from(vec![interval])), vector("interval 1 month 2 days 3 ns"));
}

#[test]
fn decimals_hash_alike_at_every_scale_and_width() {
    for (digits, scale) in [(123, 1), (1_230, 2), (12_300_000, 6)] {
        let decimal = Decimal128Array::from(vec![digits]).with_precision_and_scale(20, scale).unwrap();
        assert_eq!(hash(decimal), vector("decimal 12.3"));
        let wide = Decimal256Array::from(vec![i256::from_i128(digits)]).with_precision_and_scale(40, scale).unwrap();
        assert_eq!(hash(wide), vector("decimal 12.3"));
    }
    let five_hundred = Decimal128Array::from(vec![50_000]).with_precision_and_scale(20, 2).unwrap();
    assert_eq!(hash(five_hundred), vector("decimal 500"));
    assert_eq!(hash(Decimal128Array::from(vec![0]).with_precision_and_scale(20, 7).unwrap()), vector("decimal 0"));
    let huge = i256::from_i128(10).wrapping_pow(50).wrapping_add(i256::ONE);
    assert_eq!(hash(Decimal256Array::from(vec![huge])), {
        let scaled = huge.wrapping_mul(i256::from_i128(1_000));
        hash(Decimal256Array::from(vec![scaled]).with_precision_and_scale(76, DEFAULT_SCALE + 3).unwrap())
    });
    let whole = Decimal256Array::from(vec![huge]).with_precision_and_scale(76, 0).unwrap();
    assert_eq!(hash(whole), vector("decimal 10^50 + 1"));
}

/// The scale that `Decimal256Array::from` gives.
const DEFAULT_SCALE: i8 = 10;

#[test]
fn nested_values_hash_from_their_parts() {
    let binary = FixedSizeBinaryArray::try_from_iter([[0x00_u8, 0xff]].into_iter()).unwrap();
    assert_eq!(hash(binary), vector("binary 00 ff"));
    let rows = vec![None, Some(vec![Some(1), None]), Some(vec![])];
    let expected = [vector("null"), vector("list [1, null]"), vector("list, empty")];
    let list = ListArray::from_iter_primitive::<Int16Type, _, _>(rows.clone());
    assert_eq!(hashes(list.slice(1, 2)), expected[1..]);
    assert_eq!(hashes(list), expected);
    assert_eq!(hashes(LargeListArray::from_iter_primitive::<Int16Type, _, _>(rows)), expected);
    let pairs = FixedSizeListArray::from_iter_primitive::<UInt8Type, _, _>([None, Some([Some(1), None])], 2);
    assert_eq!(hashes(pairs.slice(1, 1)), expected[1..2]);

    let fields = Fields::from(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)]);
    let columns = vec![array(Int64Array::from(vec![1])), array(StringArray::from(vec!["x"]))];
    assert_eq!(hash(StructArray::new(fields, columns, None)), vector("struct {a: 1, b: `x`}"));

    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.append(true).unwrap();
    map.keys().append_value("k");
    map.values().append_value(1);
    map.append(true).unwrap();
    assert_eq!(hashes(map.finish().slice(1, 1)), [vector("map {`k`: 1}")]);
}

#[test]
fn a_key_takes_up_its_columns_in_order() {
    let (id, city, none) =
        (array(Int32Array::from(vec![42])), array(StringArray::from(vec!["x"])), array(NullArray::new(1)));
    assert_eq!(key_hash(std::slice::from_ref(&id)).unwrap().values()[..], [vector("key (42)")]);
    let ordered = key_hash(&[id.clone(), city.clone(), none.clone()]).unwrap();
    assert_eq!(ordered.values()[..], [vector("key (42, `x`, null)")]);
    assert_ne!(key_hash(&[city, id, none]).unwrap(), ordered);
}

#[test]
fn a_row_hashes_alike_in_any_order_of_its_columns_but_not_under_other_names() {
    let (id, city) = (array(UInt8Array::from(vec![42])), array(StringArray::from(vec!["Oslo"])));
    let row = row_hash(&[("id", id.clone()), ("city", city.clone())]).unwrap();
    assert_eq!(row.values()[..], [vector("row {id: 42, city: `Oslo`}")]);
    assert_eq!(row_hash(&[("city", city.clone()), ("id", id.clone())]).unwrap(), row);
    assert_ne!(row_hash(&[("city", id), ("id", city)]).unwrap(), row);
}

#[test]
fn hashes_of_128_bits_are_made_of_the_same_values() {
    assert_eq!(wide_hash(NullArray::new(1)), wide_vector("null"));
    assert_eq!(wide_hash(Int8Array::from(vec![42])), wide_vector("integer 42"));
    assert_eq!(wide_hash(UInt64Array::from(vec![42])), wide_vector("integer 42"));
    assert_eq!(wide_hash(Float32Array::from(vec![-f32::NAN])), wide_vector("float NaN"));
    assert_eq!(wide_hash(StringArray::from(vec!["żółw"])), wide_vector("text `żółw`"));
    assert_eq!(wide_hash(StringViewArray::from(vec!["a".repeat(300)])), wide_vector("text, 300 times `a`"));
    let dictionary: DictionaryArray<Int32Type> = ["żółw"].into_iter().collect();
    assert_eq!(wide_hash(dictionary), wide_vector("text `żółw`"));
    let decimal = Decimal128Array::from(vec![1_230]).with_precision_and_scale(20, 2).unwrap();
    assert_eq!(wide_hash(decimal), wide_vector("decimal 12.3"));
    let list = ListArray::from_iter_primitive::<Int16Type, _, _>([Some([Some(1), None])]);
    assert_eq!(wide_hash(list), wide_vector("list [1, null]"));
    let columns = vec![("a", array(Int64Array::from(vec![1]))), ("b", array(StringArray::from(vec!["x"])))];
    assert_eq!(wide_hash(StructArray::try_from(columns).unwrap()), wide_vector("struct {a: 1, b: `x`}"));
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1);
    map.append(true).unwrap();
    assert_eq!(wide_hash(map.finish()), wide_vector("map {`k`: 1}"));
}

#[test]
fn only_equal_rows_have_equal_order_keys() {
    assert_eq!(wide_hash(Float64Array::from(vec![0.0])), wide_vector("float 0.0"));
    assert_eq!(wide_hash(Float64Array::from(vec![-0.0])), wide_vector("float -0.0"));
    assert_eq!(wide_hash(Date32Array::from(vec![18_262])), wide_vector("date 2020-01-01"));
    assert_eq!(wide_hash(Date64Array::from(vec![18_262 * 86_400_000])), wide_vector("date 2020-01-01"));
    assert_ne!(wide_hash(Date64Array::from(vec![18_262 * 86_400_000 + 1])), wide_vector("date 2020-01-01"));
    let (id, city) = (array(UInt8Array::from(vec![42])), array(StringArray::from(vec!["Oslo"])));
    let keys = order_keys(&[("id", id.clone()), ("city", city.clone())], 1).unwrap();
    assert_eq!(keys, [wide_vector("row {id: 42, city: `Oslo`}")]);
    assert_eq!(order_keys(&[("city", city), ("id", id.clone())], 1).unwrap(), keys);
    assert_eq!(order_keys(&[], 3).unwrap(), [0; 3], "rows without columns are equal");
    assert!(order_keys(&[("id", id)], 2).is_err());
}

#[test]
fn what_cannot_be_hashed_is_a_clear_error() {
    assert!(key_hash(&[]).unwrap_err().hint_text().is_some());
    assert!(row_hash(&[]).is_err());
    let uneven = [array(NullArray::new(1)), array(NullArray::new(2))];
    assert_eq!(key_hash(&uneven).unwrap_err().message(), "columns of 1 and 2 rows cannot be hashed together");
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![2]), &StringArray::from(vec!["x"])).unwrap();
    let error = row_hash(&[("runs", array(runs))]).unwrap_err();
    assert!(error.message().contains("RunEndEncoded"), "{error}");
    assert_eq!(error.place().column.as_deref(), Some("runs"));
    let items = Arc::new(Field::new_list_field(DataType::Null, true));
    let empty = ListArray::new(items, OffsetBuffer::new_zeroed(0), array(NullArray::new(0)), None);
    assert!(hashes(empty).is_empty());
}
