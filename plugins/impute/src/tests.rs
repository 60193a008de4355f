//! What is missing is filled by what the training rows show.

use super::*;
use wafermill_sdk::harness::Harness;
use wafermill_sdk::{NullBuffer, Values};

const NUMBERS: [Option<f64>; 6] = [Some(4.0), None, Some(1.0), Some(f64::NAN), Some(1.0), Some(10.0)];
const WORDS: [Option<&str>; 5] = [Some("b"), None, Some("a"), Some("a"), Some("b")];

fn numbers(params: &str, rows: &[Option<f64>]) -> Result<(u32, Batch)> {
    let mut harness = Harness::<Impute>::new(params, [Field::new("x", DataType::Float64, true)])?;
    let batch = |rows: &[Option<f64>]| harness.batch(rows.len(), |output| output.primitives(rows.iter().copied()));
    let (left, right) = rows.split_at(rows.len() / 2);
    let (halves, all) = ([batch(left)?, batch(right)?], batch(rows)?);
    let passes = harness.fit(&halves)?;
    Ok((passes, harness.apply(&all)?))
}

fn assert_filled(params: &str, passes: u32, wanted: [f64; 6]) {
    let (learned, filled) = numbers(params, &NUMBERS).unwrap();
    assert_eq!((learned, filled.column(0).null_count()), (passes, 0));
    assert_eq!(filled.column(0).to_f64().unwrap().to_vec(), wanted, "{params}");
}

#[test]
fn nulls_and_nan_are_filled_by_every_strategy() {
    assert_filled(r#"{"strategy": "mean"}"#, 1, [4.0, 4.0, 1.0, 4.0, 1.0, 10.0]);
    assert_filled("{}", 2, [4.0, 2.5, 1.0, 2.5, 1.0, 10.0]);
    assert_filled(r#"{"strategy": "most_frequent"}"#, 1, [4.0, 1.0, 1.0, 1.0, 1.0, 10.0]);
    assert_filled(r#"{"strategy": "constant", "value": -1}"#, 0, [4.0, -1.0, 1.0, -1.0, 1.0, 10.0]);
}

#[test]
fn nan_is_kept_where_it_is_a_value() {
    let (_, filled) = numbers(r#"{"nan": "keep", "indicator": true}"#, &NUMBERS).unwrap();
    let values = filled.column(0).to_f64().unwrap();
    assert!(values[3].is_nan());
    assert_eq!(values[1], 2.5);
    assert_eq!(filled.column(1).to_i64().unwrap().to_vec(), [0, 1, 0, 0, 0, 0]);
}

#[test]
fn strings_are_filled_behind_dictionaries_and_without() {
    for params in [r#"{"strategy": "most_frequent"}"#, r#"{"strategy": "constant", "value": "a"}"#] {
        for data_type in [DataType::Utf8, DataType::LargeUtf8] {
            let mut harness = Harness::<Impute>::new(params, [Field::new("city", data_type, true)]).unwrap();
            let batch = harness.batch(5, |output| output.strings(WORDS)).unwrap();
            harness.fit(std::slice::from_ref(&batch)).unwrap();
            let filled = harness.apply(&batch).unwrap();
            let words = filled.column(0).bytes().unwrap();
            assert_eq!([0, 1, 2, 3, 4].map(|row| words.text(row)), ["b", "a", "a", "a", "b"]);
        }
    }
}

#[test]
fn a_filling_joins_the_dictionary_where_it_is_new() {
    for (value, keys, words) in [("a", [1, 0, 0], 2), ("c", [1, 2, 0], 3)] {
        let params = format!(r#"{{"strategy": "constant", "value": "{value}"}}"#);
        let harness = Harness::<Impute>::new(&params, [Field::new("city", DataType::Utf8, true)]).unwrap();
        let harness = harness.with_dictionaries().unwrap();
        let nulls = NullBuffer::from(vec![true, false, true]);
        let write = |output: &mut Output<'_>| {
            output.dictionary(Some(&nulls), [b"a".as_slice(), b"b"])?.copy_from_slice(&[1, 99, 0]);
            Ok(())
        };
        let filled = harness.apply(&harness.batch(3, write).unwrap()).unwrap();
        let Values::Dictionary(dictionary) = filled.column(0).values() else { panic!("{filled:?}") };
        assert_eq!((dictionary.keys(), dictionary.values().len()), (keys.as_slice(), words));
        assert_eq!(filled.column(0).null_count(), 0);
    }
}

#[test]
fn dates_and_booleans_take_the_most_frequent_value() {
    let fields = [Field::new("day", DataType::Date32, true), Field::new("flag", DataType::Boolean, true)];
    let mut harness = Harness::<Impute>::new(r#"{"strategy": "most_frequent"}"#, fields).unwrap();
    let nulls = NullBuffer::from(vec![true, true, false]);
    let write = |output: &mut Output<'_>| {
        output.primitives([Some(5_i32), None, Some(5)])?;
        output.booleans(Some(&nulls), |row| row < 2)
    };
    let batch = harness.batch(3, write).unwrap();
    harness.fit(std::slice::from_ref(&batch)).unwrap();
    let filled = harness.apply(&batch).unwrap();
    assert_eq!(filled.column(0).to_i64().unwrap().to_vec(), [5, 5, 5]);
    let Values::Boolean(flags) = filled.column(1).values() else { panic!("{filled:?}") };
    assert!(flags.iter().all(|flag| flag));
}

#[test]
fn columns_that_cannot_be_filled_are_named() {
    let error = |params, rows: &[Option<f64>]| numbers(params, rows).unwrap_err().to_string();
    for params in ["{}", r#"{"strategy": "mean"}"#, r#"{"strategy": "most_frequent"}"#] {
        let nothing = "the column has no values among the training rows (column `x`)";
        assert_eq!(error(params, &[None, Some(f64::NAN)]), nothing);
    }
    let infinite = "the training rows hold infinities, so that the filling is not finite (column `x`)";
    assert_eq!(error(r#"{"strategy": "mean"}"#, &[Some(f64::INFINITY)]), infinite);
}

#[test]
fn plans_refuse_what_makes_no_sense_for_a_column() {
    let plan = |params, data_type| Harness::<Impute>::new(params, [Field::new("c", data_type, true)]);
    let error = |params, data_type| plan(params, data_type).unwrap_err().to_string();
    let decimal = "the strategies `mean` and `median` take numbers, not Decimal128(10, 2) (column `c`)";
    assert_eq!(error("{}", DataType::Decimal128(10, 2)), decimal);
    let constant = "`value` is \"x\", which a column of type Int8 cannot hold (column `c`)";
    assert_eq!(error(r#"{"strategy": "constant", "value": "x"}"#, DataType::Int8), constant);
    let fields = ["x", "x_missing"].map(|name| Field::new(name, DataType::Int8, true));
    let indicator = Harness::<Impute>::new(r#"{"indicator": true}"#, fields).unwrap_err();
    assert_eq!(indicator.to_string(), "the indicator `x_missing` would replace the column of that name (column `x`)");
}
