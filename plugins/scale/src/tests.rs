//! Scalings are those of the training rows, and refuse what they cannot be learned from.

use super::*;
use wafermill_sdk::harness::Harness;

#[test]
fn a_scale_of_zero_becomes_one() {
    assert_eq!(learn::from_quantiles(&[2.0, 2.0, 2.0]), Some(Scaling { center: 2.0, scale: 1.0, offset: 0.0 }));
}

#[test]
fn ranges_and_percentiles_must_ascend() {
    let params = |json: &str| wafermill_sdk::serde_json::from_str::<Params>(json).unwrap();
    assert!(check(&params("{}")).is_ok());
    for bad in [r#"{"range": [1, 0]}"#, r#"{"percentiles": [75, 25]}"#, r#"{"percentiles": [-1, 25]}"#] {
        assert!(check(&params(bad)).is_err(), "{bad}");
    }
}

const ROWS: [Option<f64>; 6] = [Some(1.0), None, Some(2.0), Some(f64::NAN), Some(3.0), Some(6.0)];

/// Fits on two halves of `rows` and transforms them all.
fn scale(params: &str, rows: &[Option<f64>]) -> Result<(u32, Vec<Option<f64>>)> {
    let mut harness = Harness::<Scale>::new(params, [Field::new("x", DataType::Float64, true)])?;
    let batch = |rows: &[Option<f64>]| harness.batch(rows.len(), |output| output.primitives(rows.iter().copied()));
    let (left, right) = rows.split_at(rows.len() / 2);
    let (halves, all) = ([batch(left)?, batch(right)?], batch(rows)?);
    let passes = harness.fit(&halves)?;
    let scaled = harness.apply(&all)?;
    let column = scaled.column(0);
    let values = column.to_f64().unwrap();
    Ok((passes, (0..rows.len()).map(|row| (!column.is_null(row)).then(|| values[row])).collect()))
}

fn assert_scaled(params: &str, passes: u32, wanted: [f64; 4]) {
    let (learned, scaled) = scale(params, &ROWS).unwrap();
    assert_eq!(learned, passes);
    assert_eq!(scaled[1], None);
    assert!(scaled[3].unwrap().is_nan());
    assert_eq!([scaled[0], scaled[2], scaled[4], scaled[5]], wanted.map(Some), "{params}");
}

#[test]
fn every_method_scales_by_what_the_rows_show() {
    let deviation = 3.5_f64.sqrt();
    assert_scaled("{}", 1, [-2.0, -1.0, 0.0, 3.0].map(|it| it / deviation));
    assert_scaled(r#"{"method": "minmax"}"#, 1, [0.0, 0.2, 0.4, 1.0]);
    assert_scaled(r#"{"method": "minmax", "range": [-1, 1]}"#, 1, [-1.0, 1.0 / 2.5 - 1.0, 2.0 / 2.5 - 1.0, 1.0]);
    assert_scaled(r#"{"method": "maxabs"}"#, 1, [1.0 / 6.0, 2.0 / 6.0, 0.5, 1.0]);
    assert_scaled(r#"{"method": "robust"}"#, 2, [-1.5, -0.5, 0.5, 3.5].map(|it| it / 2.0));
    let sixths = [1.0 / 6.0, 2.0 / 6.0, 0.5, 1.0].map(|it| f64::from(it as f32));
    assert_scaled(r#"{"method": "maxabs", "output": "float32"}"#, 1, sixths);
}

#[test]
fn columns_that_cannot_be_scaled_are_named() {
    let error = |params, rows: &[Option<f64>]| scale(params, rows).unwrap_err().to_string();
    let nothing = "the column has no numbers among the training rows (column `x`)";
    for params in ["{}", r#"{"method": "robust"}"#, r#"{"method": "minmax"}"#] {
        assert_eq!(error(params, &[None, Some(f64::NAN)]), nothing);
        assert_eq!(error(params, &[]), nothing);
    }
    let infinite = "the training rows hold infinities or numbers too large to scale by (column `x`)";
    assert_eq!(error("{}", &[Some(f64::INFINITY), Some(1.0)]), infinite);
    assert_eq!(error(r#"{"method": "minmax"}"#, &[Some(f64::MAX), Some(f64::MIN)]), infinite);
    let text = Harness::<Scale>::new("{}", [Field::new("city", DataType::Utf8, true)]).unwrap_err();
    assert_eq!(text.to_string(), "`scale` takes integers and floats, not Utf8 (column `city`)");
}

#[test]
fn a_column_of_one_value_is_only_moved() {
    for params in ["{}", r#"{"method": "robust"}"#, r#"{"method": "minmax"}"#] {
        assert_eq!(scale(params, &[Some(7.0), Some(7.0)]).unwrap().1, [Some(0.0); 2]);
    }
    let least = f64::from_bits(1);
    let wide = r#"{"method": "minmax", "range": [0, 10]}"#;
    assert_eq!(scale(wide, &[Some(0.0), Some(least)]).unwrap().1[0], Some(0.0));
}
