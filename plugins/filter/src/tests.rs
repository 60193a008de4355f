//! Rows are kept where all that is selected passes.

use super::*;
use wafermill_sdk::harness::Harness;
use wafermill_sdk::{DataType, NullBuffer, TimeUnit};

type Write = fn(&mut Output<'_>) -> Result<()>;

/// Which of `rows` rows of one column are kept, `1` for yes.
fn kept(params: &str, data_type: DataType, rows: usize, write: Write) -> String {
    let harness = Harness::<Filter>::new(params, [Field::new("x", data_type, true)]).unwrap();
    let kept = harness.kept(&harness.batch(rows, write).unwrap()).unwrap();
    kept.into_iter().map(|keep| if keep { '1' } else { '0' }).collect()
}

fn refused(params: &str, data_type: DataType) -> String {
    Harness::<Filter>::new(params, [Field::new("x", data_type, true)]).unwrap_err().to_string()
}

fn floats(output: &mut Output<'_>) -> Result<()> {
    output.primitives([Some(1.0), None, Some(f64::NAN), Some(-0.0), Some(f64::INFINITY), Some(2.0)])
}

#[test]
fn nulls_and_nan_pass_unless_it_is_said_that_they_do_not() {
    for (params, wanted) in [
        (r#"{"drop_nulls": true}"#, "101111"),
        (r#"{"nan": "drop"}"#, "110111"),
        (r#"{"drop_nulls": true, "nan": "drop"}"#, "100111"),
        (r#"{"min": 0}"#, "110111"),
        (r#"{"min": 0, "nan": "keep"}"#, "111111"),
        (r#"{"min": 0, "max": 1}"#, "110100"),
        (r#"{"max": 1.5, "drop_nulls": true}"#, "100100"),
        (r#"{"in": [0, 2]}"#, "010101"),
        (r#"{"not_in": [0, 2]}"#, "111010"),
        (r#"{"in": [0, 2], "not_in": [2], "nan": "keep"}"#, "011100"),
    ] {
        assert_eq!(kept(params, DataType::Float64, 6, floats), wanted, "{params}");
    }
}

#[test]
fn integers_are_compared_exactly() {
    fn past(output: &mut Output<'_>) -> Result<()> {
        output.primitives([0, 1, 2].map(|more| Some((1_i64 << 53) + more)))
    }
    assert_eq!(kept(r#"{"min": 9007199254740993}"#, DataType::Int64, 3, past), "011");
    assert_eq!(kept(r#"{"max": 9007199254740993}"#, DataType::Int64, 3, past), "110");
    assert_eq!(kept(r#"{"in": [9007199254740993]}"#, DataType::Int64, 3, past), "010");
    fn large(output: &mut Output<'_>) -> Result<()> {
        output.primitives([Some(u64::MAX), Some(u64::MAX - 1), Some(0)])
    }
    assert_eq!(kept(r#"{"max": 18446744073709551614}"#, DataType::UInt64, 3, large), "011");
    assert_eq!(kept(r#"{"not_in": [18446744073709551615]}"#, DataType::UInt64, 3, large), "011");
    assert_eq!(kept(r#"{"max": -1}"#, DataType::UInt64, 3, large), "000");
}

#[test]
fn bounds_of_narrow_floats_are_what_such_a_float_can_be() {
    fn tenth(output: &mut Output<'_>) -> Result<()> {
        output.primitives([Some(0.1_f32), Some(0.1_f32.next_up())])
    }
    assert_eq!(kept(r#"{"max": 0.1}"#, DataType::Float32, 2, tenth), "10");
    assert_eq!(kept(r#"{"in": [0.1]}"#, DataType::Float32, 2, tenth), "10");
}

#[test]
fn strings_are_found_behind_dictionaries_and_without() {
    fn words(output: &mut Output<'_>) -> Result<()> {
        output.strings([Some("a"), None, Some("b"), Some("")])
    }
    for data_type in [DataType::Utf8, DataType::LargeUtf8] {
        assert_eq!(kept(r#"{"in": ["a", "c"]}"#, data_type.clone(), 4, words), "1100");
        assert_eq!(kept(r#"{"not_in": ["", "b"], "drop_nulls": true}"#, data_type, 4, words), "1000");
    }
    let harness = Harness::<Filter>::new(r#"{"in": ["a"]}"#, [Field::new("x", DataType::Utf8, true)]).unwrap();
    let harness = harness.with_dictionaries().unwrap();
    let nulls = NullBuffer::from(vec![true, false, true]);
    let write = |output: &mut Output<'_>| {
        output.dictionary(Some(&nulls), [b"a".as_slice(), b"b"])?.copy_from_slice(&[1, 99, 0]);
        Ok(())
    };
    let batch = harness.batch(3, write).unwrap();
    assert_eq!(harness.kept(&batch).unwrap(), [false, true, true]);
}

#[test]
fn dates_and_timestamps_are_compared_with_what_people_write() {
    fn days(output: &mut Output<'_>) -> Result<()> {
        output.primitives([Some(-1_i32), Some(0), Some(1), None])
    }
    assert_eq!(kept(r#"{"min": "1970-01-01", "drop_nulls": true}"#, DataType::Date32, 4, days), "0110");
    fn times(output: &mut Output<'_>) -> Result<()> {
        output.primitives([Some(999_999_i64), Some(1_000_000), Some(1_000_001)])
    }
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(kept(r#"{"max": "1970-01-01T00:00:01"}"#, micros.clone(), 3, times), "110");
    assert_eq!(kept(r#"{"in": ["1970-01-01T00:00:01"]}"#, micros, 3, times), "010");
    assert_eq!(kept(r#"{"max": 1000000}"#, DataType::Duration(TimeUnit::Microsecond), 3, times), "110");
}

#[test]
fn rows_are_kept_where_all_columns_pass() {
    let fields = [Field::new("x", DataType::Int8, true), Field::new("flag", DataType::Boolean, true)];
    let harness = Harness::<Filter>::new(r#"{"drop_nulls": true}"#, fields).unwrap();
    let nulls = NullBuffer::from(vec![true, false, true]);
    let write = |output: &mut Output<'_>| {
        output.primitives([Some(1_i8), Some(2), None])?;
        output.booleans(Some(&nulls), |row| row == 0)
    };
    assert_eq!(harness.kept(&harness.batch(3, write).unwrap()).unwrap(), [true, false, false]);
    let flag = |params: &str| kept(params, DataType::Boolean, 2, |output| output.booleans(None, |row| row == 0));
    assert_eq!((flag(r#"{"in": [true]}"#), flag(r#"{"not_in": [true]}"#)), ("10".to_owned(), "01".to_owned()));
}

#[test]
fn what_cannot_be_compared_is_refused_with_its_column() {
    assert_eq!(refused("{}", DataType::Int8), "the filter tests nothing");
    assert_eq!(refused(r#"{"nan": "keep"}"#, DataType::Float64), "the filter tests nothing");
    let strings = "`min` and `max` take numbers, dates and times, not Utf8 (column `x`)";
    assert_eq!(refused(r#"{"min": "a"}"#, DataType::Utf8), strings);
    let decimals =
        "`in` and `not_in` take numbers, strings, Booleans, dates and times, not Decimal128(9, 2) (column `x`)";
    assert_eq!(refused(r#"{"in": [1]}"#, DataType::Decimal128(9, 2)), decimals);
    let word = "`in` has \"a\", which a column of type Int8 cannot hold (column `x`)";
    assert_eq!(refused(r#"{"in": [1, "a"]}"#, DataType::Int8), word);
    let number = "`max` has 7, which a column of type Date32 cannot hold (column `x`)";
    assert_eq!(refused(r#"{"min": "2024-01-31", "max": 7}"#, DataType::Date32), number);
    let none = "no value of type Int8 is from `min` to `max` (column `x`)";
    assert_eq!(refused(r#"{"min": 2, "max": 1}"#, DataType::Int8), none);
}

#[test]
fn nulls_of_any_type_can_be_dropped() {
    fn write(output: &mut Output<'_>) -> Result<()> {
        output.primitives([Some(1_i128), None])
    }
    assert_eq!(kept(r#"{"drop_nulls": true}"#, DataType::Decimal128(9, 2), 2, write), "10");
}
