//! Categories get the codes that the training rows give them.

use super::*;
use wafermill_sdk::harness::Harness;

/// Three times `a`, twice `b` and a null, once `c` and `d`.
const TRAIN: [Option<&str>; 9] =
    [Some("b"), Some("a"), None, Some("a"), Some("c"), Some("b"), Some("a"), None, Some("d")];

/// Fits on two parts of `TRAIN` and transforms `rows`.
fn encode(params: &str, rows: &[Option<&str>]) -> Result<Batch> {
    let mut harness = Harness::<Encode>::new(params, [Field::new("city", DataType::Utf8, true)])?;
    let batch = |rows: &[Option<&str>]| harness.batch(rows.len(), |output| output.strings(rows.iter().copied()));
    let (train, all) = ([batch(&TRAIN[..4])?, batch(&TRAIN[4..])?], batch(rows)?);
    harness.fit(&train)?;
    harness.apply(&all)
}

fn column(batch: &Batch, index: usize) -> Vec<Option<f64>> {
    let column = batch.column(index);
    let values = column.to_f64().unwrap();
    (0..batch.rows()).map(|row| (!column.is_null(row)).then(|| values[row])).collect()
}

fn assert_codes(params: &str, rows: &[Option<&str>], wanted: &[Option<f64>]) {
    assert_eq!(column(&encode(params, rows).unwrap(), 0), wanted, "{params}");
}

#[test]
fn one_hot_makes_a_column_for_each_category() {
    let batch = encode(r#"{"unseen": "code"}"#, &[Some("c"), None, Some("x")]).unwrap();
    let names: Vec<&str> = batch.fields().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["city_a", "city_b", "city_c", "city_d", "city__null", "city__unseen"]);
    let one = |index| column(&batch, index).iter().position(|it| *it == Some(1.0));
    assert_eq!([0, 1, 2, 3, 4, 5].map(one), [None, None, Some(0), None, Some(1), Some(2)]);
}

#[test]
fn more_categories_than_a_byte_tells_apart_have_a_column_each() {
    let words: Vec<String> = (0..600).map(|word| format!("{word:03}")).collect();
    let train: Vec<Option<&str>> = words.iter().map(|word| Some(word.as_str())).collect();
    let mut harness =
        Harness::<Encode>::new(r#"{"unseen": "code", "nulls": "ignore"}"#, [Field::new("city", DataType::Utf8, true)])
            .unwrap();
    let rows: Vec<Option<&str>> = [None, Some("x")].into_iter().chain(train.iter().copied()).collect();
    let batch = |rows: &[Option<&str>]| harness.batch(rows.len(), |output| output.strings(rows.iter().copied()));
    let (train, all) = (batch(&train).unwrap(), batch(&rows).unwrap());
    harness.fit(std::slice::from_ref(&train)).unwrap();
    let encoded = harness.apply(&all).unwrap();
    assert_eq!(encoded.fields().len(), 601);
    for index in 0..601 {
        // The last column is that of unseen values, which the second row has.
        let row = if index == 600 { 1 } else { index + 2 };
        let values = column(&encoded, index);
        let ones: Vec<usize> = (0..rows.len()).filter(|row| values[*row] == Some(1.0)).collect();
        assert_eq!(ones, [row], "{index}");
    }
}

#[test]
fn rare_categories_share_a_code_with_unseen_ones() {
    let rows = [Some("a"), Some("b"), Some("c"), Some("d"), Some("x"), None];
    let shared = [0.0, 1.0, 2.0, 2.0, 2.0, 3.0].map(Some);
    assert_codes(r#"{"method": "ordinal", "min_frequency": 2}"#, &rows, &shared);
    assert_codes(r#"{"method": "ordinal", "max_categories": 3}"#, &rows, &shared);
    let shares = [3.0, 2.0, 2.0, 2.0, 2.0, 2.0].map(|it| Some(it / 9.0));
    assert_codes(r#"{"method": "frequency", "max_categories": 3}"#, &rows, &shares);
    let all = [0.0, 1.0, 2.0, 3.0].map(Some);
    assert_codes(r#"{"method": "ordinal", "max_categories": 4}"#, &rows[..4], &all);
}

#[test]
fn unseen_values_and_nulls_do_as_they_are_told() {
    let rows = [Some("x"), None, Some("a")];
    let unseen = |policy: &str| format!(r#"{{"method": "ordinal", "unseen": "{policy}"}}"#);
    assert_codes(&unseen("ignore"), &rows, &[None, Some(4.0), Some(0.0)]);
    assert_codes(&unseen("code"), &rows, &[Some(-1.0), Some(4.0), Some(0.0)]);
    let ignore = r#"{"method": "frequency", "unseen": "code", "nulls": "ignore"}"#;
    assert_codes(ignore, &rows, &[Some(0.0), None, Some(3.0 / 9.0)]);
    let error = encode(&unseen("error"), &[Some("a"), Some("x"), None, Some("y")]).unwrap_err();
    assert_eq!(error.to_string(), "the rows hold values that no training row has (column `city`)");
    assert_eq!(error.named_rows(), [1, 3]);
}

#[test]
fn hashes_stay_below_the_buckets_and_nulls_get_one_of_their_own() {
    let batch = encode(r#"{"method": "hash", "buckets": 4}"#, &TRAIN).unwrap();
    let codes = column(&batch, 0);
    assert!(codes.iter().zip(TRAIN).all(|(code, word)| (*code == Some(4.0)) == word.is_none()));
    assert!(encode(r#"{"method": "hash", "buckets": 0}"#, &TRAIN).is_err());
}

#[test]
fn floats_are_counted_as_one_zero_and_one_nan() {
    let mut harness = Harness::<Encode>::new("{}", [Field::new("x", DataType::Float32, true)]).unwrap();
    let values = [0.0, -0.0, f32::NAN, -f32::NAN, 0.1].map(Some);
    let batch = harness.batch(5, |output| output.primitives(values)).unwrap();
    harness.fit(std::slice::from_ref(&batch)).unwrap();
    let encoded = harness.apply(&batch).unwrap();
    let names: Vec<&str> = encoded.fields().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["x_0", "x_0.1", "x_NaN"]);
    assert_eq!(column(&encoded, 0), [1.0, 1.0, 0.0, 0.0, 0.0].map(Some));
}

#[test]
fn codes_do_not_depend_on_how_the_strings_come() {
    let plain = encode(r#"{"method": "ordinal"}"#, &TRAIN).unwrap();
    let field = Field::new("city", DataType::Utf8, true);
    let harness = Harness::<Encode>::new(r#"{"method": "ordinal"}"#, [field]).unwrap();
    let mut harness = harness.with_dictionaries().unwrap();
    let words = ["d", "c", "unused", "b", "a"];
    let nulls = NullBuffer::from_iter(TRAIN.iter().map(Option::is_some));
    let write = |output: &mut Output<'_>| {
        let keys = output.dictionary(Some(&nulls), words.map(str::as_bytes))?;
        for (key, word) in keys.iter_mut().zip(TRAIN) {
            *key = words.iter().position(|it| Some(*it) == word).map_or(-7, |at| at as i32);
        }
        Ok(())
    };
    let batch = harness.batch(TRAIN.len(), write).unwrap();
    harness.fit(std::slice::from_ref(&batch)).unwrap();
    assert_eq!(column(&harness.apply(&batch).unwrap(), 0), column(&plain, 0));
}
