//! Profiles are those of the rows, however they are cut.

use super::*;
use wafermill_sdk::harness::Harness;
use wafermill_sdk::{Batch, Column, DataType, Field, TimeUnit, Values};

/// A value of a result, as text.
fn cell(column: &Column, row: usize) -> String {
    if column.is_null(row) {
        return "null".to_owned();
    }
    match column.values() {
        Values::Boolean(bits) => bits.value(row).to_string(),
        Values::Float64(numbers) => format!("{:?}", numbers[row]),
        Values::Bytes(bytes) => bytes.text(row).to_owned(),
        _ => column.to_i64().unwrap()[row].to_string(),
    }
}

/// The rows of a table, as text.
fn rows(batches: &[Batch]) -> Vec<Vec<String>> {
    let of_batch = |batch: &Batch| {
        let row = |row: usize| batch.columns().iter().map(|column| cell(column, row)).collect();
        (0..batch.rows()).map(row).collect::<Vec<Vec<String>>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

/// The tables that describe rows of one column, of parts, cut in so many batches.
fn described<T: wafermill_sdk::Native>(
    params: &str,
    data_type: DataType,
    values: &[(Option<u8>, Option<T>)],
    batches: usize,
) -> [Vec<Vec<String>>; 4] {
    let mut harness = Harness::<Profile>::new(params, [Field::new("x", data_type, true)]).unwrap();
    let batch = |values: &[(Option<u8>, Option<T>)]| {
        harness.batch(values.len(), |output| {
            output.primitives(values.iter().map(|(_, value)| *value))?;
            output.primitives(values.iter().map(|(part, _)| *part))
        })
    };
    let batches: Vec<_> =
        values.chunks(values.len().div_ceil(batches).max(1)).map(|values| batch(values).unwrap()).collect();
    harness.fit(&batches).unwrap();
    ["profile", "quantiles", "histogram", "top"].map(|table| rows(&harness.model(table).unwrap()))
}

fn words(values: &[Option<&str>], dictionaries: bool) -> [Vec<Vec<String>>; 2] {
    let mut harness = Harness::<Profile>::new(r#"{"top": 2}"#, [Field::new("w", DataType::Utf8, true)]).unwrap();
    if dictionaries {
        harness = harness.with_dictionaries().unwrap();
    }
    let nulls: wafermill_sdk::NullBuffer = values.iter().map(Option::is_some).collect();
    let batch = harness.batch(values.len(), |output| {
        if dictionaries {
            let dictionary: Vec<&[u8]> = values.iter().map(|value| value.unwrap_or("none").as_bytes()).collect();
            let keys = output.dictionary(Some(&nulls), dictionary)?;
            keys.iter_mut().zip(0..).for_each(|(slot, key)| *slot = key);
        } else {
            output.strings(values.iter().copied())?;
        }
        output.primitives(values.iter().map(|_| None::<u8>))
    });
    harness.fit(&[batch.unwrap()]).unwrap();
    ["profile", "top"].map(|table| rows(&harness.model(table).unwrap()))
}

#[test]
fn parts_are_described_apart() {
    let values = [
        (Some(1), Some(1.0)),
        (Some(0), None),
        (Some(1), Some(4.0)),
        (Some(1), Some(f64::NAN)),
        (Some(0), Some(-0.0)),
        (Some(1), Some(1.0)),
        (Some(1), None),
    ];
    for batches in [1, 2, 7] {
        let params = r#"{"quantiles": [0, 0.5], "bins": 2, "top": 1}"#;
        let [profile, quantiles, histogram, top] = described(params, DataType::Float64, &values, batches);
        let zero = ["0", "x", "Float64", "2", "1", "0", "1", "true", "0.0", "0.0", "0.0", "0.0", "0.0", "0.0"];
        let one = ["1", "x", "Float64", "5", "1", "1", "2", "true", "1.0", "4.0", "1.0", "4.0", "2.0", "2.0"];
        assert_eq!(profile, [zero, one]);
        let wanted =
            [["0", "x", "0.0", "0.0"], ["0", "x", "0.5", "0.0"], ["1", "x", "0.0", "1.0"], ["1", "x", "0.5", "1.0"]];
        assert_eq!(quantiles, wanted);
        assert_eq!(histogram[2..], [["1", "x", "0", "1.0", "2.5", "2"], ["1", "x", "1", "2.5", "4.0", "1"]]);
        assert_eq!(top, [["0", "x", "1", "0.0", "0.0", "1"], ["1", "x", "1", "1.0", "1.0", "2"]]);
    }
}

#[test]
fn large_integers_are_exact_as_text() {
    let large = (1_i64 << 53) + 1;
    let values = [(None, Some(large)), (None, Some(i64::MIN)), (None, Some(large))];
    let [profile, _, _, top] = described("{}", DataType::Int64, &values, 2);
    assert_eq!(profile[0][10..12], [i64::MIN.to_string(), large.to_string()]);
    assert_eq!(top[0][3..], [large.to_string(), "9007199254740992.0".to_owned(), "2".to_owned()]);
    let values = [(None, Some(u64::MAX)), (None, Some(0))];
    assert_eq!(described("{}", DataType::UInt64, &values, 1)[0][0][10..12], ["0".to_owned(), u64::MAX.to_string()]);
    let values = [(None, Some(-1_234_567_890_123_456_789_012_345_i128)), (None, Some(5))];
    let [profile, ..] = described("{}", DataType::Decimal128(38, 2), &values, 1);
    assert_eq!(profile[0][10..12], ["-12345678901234567890123.45", "0.05"]);
}

#[test]
fn infinities_are_the_mean_and_no_part_of_a_histogram() {
    let values = [(None, Some(f64::INFINITY)), (None, Some(1.0)), (None, Some(3.0))];
    let [profile, quantiles, histogram, _] =
        described(r#"{"quantiles": [0.5, 1], "bins": 1}"#, DataType::Float64, &values, 1);
    assert_eq!(profile[0][8..], ["1.0", "inf", "1.0", "inf", "inf", "NaN"]);
    assert_eq!(quantiles, [["null", "x", "0.5", "3.0"], ["null", "x", "1.0", "inf"]]);
    assert_eq!(histogram, [["null", "x", "0", "1.0", "3.0", "2"]]);
}

#[test]
fn columns_without_values_have_a_row() {
    let [profile, quantiles, histogram, top] =
        described("{}", DataType::Float64, &[(None, None::<f64>), (None, None)], 1);
    let null = ["null"; 6];
    assert_eq!(profile[0], [&["null", "x", "Float64", "2", "2", "0", "0", "true"][..], &null].concat());
    assert!(quantiles.is_empty() && histogram.is_empty() && top.is_empty());
    let nothing: [(Option<u8>, Option<f64>); 0] = [];
    assert!(described("{}", DataType::Float64, &nothing, 1).iter().all(Vec::is_empty));
}

#[test]
fn times_are_numbers_in_their_unit_and_text() {
    let values = [(None, Some(86_400_000_i64)), (None, Some(0)), (None, Some(0))];
    let [profile, quantiles, _, top] =
        described(r#"{"quantiles": [1]}"#, DataType::Timestamp(TimeUnit::Millisecond, None), &values, 1);
    assert_eq!(profile[0][8..12], ["0.0", "86400000.0", "1970-01-01T00:00:00", "1970-01-02T00:00:00"]);
    assert_eq!(quantiles, [["null", "x", "1.0", "86400000.0"]]);
    assert_eq!(top[0][3..], ["1970-01-01T00:00:00", "0.0", "2"]);
}

#[test]
fn strings_are_described_with_and_without_dictionaries() {
    let long = "y".repeat(300);
    let values = [Some("b"), None, Some("a"), Some("b"), Some(long.as_str()), Some(long.as_str()), Some("")];
    for dictionaries in [false, true] {
        let [profile, top] = words(&values, dictionaries);
        let cut = format!("{}…", "y".repeat(256));
        assert_eq!(profile[0][..8], ["null", "w", "Utf8", "7", "1", "0", "4", "true"]);
        assert_eq!(profile[0][8..], ["null", "null", "", cut.as_str(), "null", "null"]);
        assert_eq!(top, [["null", "w", "1", "b", "null", "2"], ["null", "w", "2", cut.as_str(), "null", "2"]]);
    }
}

#[test]
fn frequent_values_are_found_among_more_than_can_be_counted() {
    let values: Vec<(Option<u8>, Option<i64>)> =
        (0..60_000).map(|row| (None, Some(if row % 3 == 0 { 7 } else { row * 31 }))).collect();
    let params = r#"{"distinct_limit": 1000, "top": 3, "quantiles": [], "bins": 0}"#;
    let [profile, _, _, top] = described(params, DataType::Int64, &values, 3);
    assert_eq!(top, [["null", "x", "1", "7", "7.0", "20000"]]);
    assert_eq!(profile[0][7], "false");
    let (found, wanted) = (profile[0][6].parse::<f64>().unwrap(), 40_001.0);
    assert!((found - wanted).abs() < 4.0 * sketch::ERROR * wanted, "{found}");
}

#[test]
fn quantiles_mean_what_is_written() {
    let params: Params = wafermill_sdk::serde_json::from_str(r#"{"quantiles": [0.07, 0.29, 1]}"#).unwrap();
    assert_eq!(params.percentiles(), [7.0, 29.0, 100.0]);
    for bad in [r#"{"quantiles": [1.5]}"#, r#"{"quantiles": [-0.1]}"#] {
        let error = Harness::<Profile>::new(bad, [Field::new("x", DataType::Int8, true)]).unwrap_err();
        assert!(error.to_string().contains("is no quantile"), "{error}");
    }
}
