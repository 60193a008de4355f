//! Numbers, dates and times as 64-bit integers of the same order, so that one exact comparison serves them all.

use std::ops::RangeInclusive;
use wafermill_sdk::serde_json::Value;
use wafermill_sdk::stats::KeyClass;
use wafermill_sdk::{DataType, instant, integer_fits};

/// No value is in it.
#[expect(clippy::reversed_empty_ranges, reason = "it is to be empty")]
const NONE: RangeInclusive<i64> = i64::MAX..=i64::MIN;

/// An unsigned integer in the order of signed ones.
pub(crate) fn unsigned(value: u64) -> i64 {
    (value ^ 1 << 63) as i64
}

/// A float that is no NaN in the order of integers; both zeros are one.
pub(crate) fn float(value: f64) -> i64 {
    let bits = (value + 0.0).to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// The integer of a value in a column of this type; nothing where there is no such value.
pub(crate) fn member(value: &Value, data_type: &DataType) -> Option<i64> {
    if *data_type == DataType::Boolean {
        return value.as_bool().map(i64::from);
    }
    match KeyClass::of(data_type)? {
        KeyClass::Signed => {
            let exact = wide(value, data_type, |number| if number.fract() == 0.0 { number } else { f64::NAN })?;
            i64::try_from(exact).ok().filter(|value| integer_fits(*value, data_type))
        }
        KeyClass::Unsigned => {
            let exact = wide(value, data_type, |number| if number.fract() == 0.0 { number } else { f64::NAN })?;
            u64::try_from(exact).ok().map(unsigned)
        }
        KeyClass::Float => rounded(value, data_type).map(float),
        KeyClass::Text | KeyClass::Binary => None,
    }
}

/// The integers of the values from `min` to `max` in a column of this type: an error with the one that is none there. Nothing where
/// there can be no value between the two.
pub(crate) fn range<'v>(
    min: Option<&'v Value>,
    max: Option<&'v Value>,
    data_type: &DataType,
) -> Result<Option<RangeInclusive<i64>>, &'v Value> {
    let unsigned = KeyClass::of(data_type) == Some(KeyClass::Unsigned);
    // What the column can hold: bounds beyond it are none, or let nothing pass.
    let (least, most) = if unsigned { (0, u64::MAX.into()) } else { (i64::MIN.into(), i64::MAX.into()) };
    let bound = |value: Option<&'v Value>, otherwise, round: fn(f64) -> f64| match value {
        None => Ok(otherwise),
        Some(value) => wide(value, data_type, round).ok_or(value),
    };
    let (low, high): (i128, i128) = (bound(min, least, f64::ceil)?, bound(max, most, f64::floor)?);
    if min.is_some() && max.is_some() && low > high {
        return Ok(None);
    }
    if low > most || high < least {
        return Ok(Some(NONE));
    }
    // Both are in the range of the type now, so that they fit into 64 bits.
    let key = |value: i128| if unsigned { self::unsigned(value as u64) } else { value as i64 };
    Ok(Some(key(low.max(least))..=key(high.min(most))))
}

/// A value of the pipeline file in the order of the column's values; integers that are not written as such are rounded by `round`.
fn wide(value: &Value, data_type: &DataType, round: fn(f64) -> f64) -> Option<i128> {
    match data_type {
        DataType::Boolean => None,
        DataType::Float32 | DataType::Float64 => rounded(value, data_type).map(|value| float(value).into()),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => {
            instant(value.as_str()?, data_type).map(i128::from)
        }
        _ => {
            let integer = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
            integer.or_else(|| value.as_f64().map(round).filter(|number| !number.is_nan()).map(|number| number as i128))
        }
    }
}

/// The nearest float of the column's type, as long as it is finite there.
fn rounded(value: &Value, data_type: &DataType) -> Option<f64> {
    let value = value.as_f64()?;
    let value = if *data_type == DataType::Float32 { f64::from(value as f32) } else { value };
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wafermill_sdk::serde_json::json;

    #[test]
    fn integers_stand_in_the_order_of_what_they_are_of() {
        let floats = [f64::NEG_INFINITY, -1e300, -1.0, -5e-324, 0.0, 5e-324, 1.0, 1e300, f64::INFINITY];
        assert!(floats.is_sorted_by(|one, next| float(*one) < float(*next)));
        assert_eq!(float(-0.0), float(0.0));
        assert!([0, 1, 1 << 63, u64::MAX].is_sorted_by(|one, next| unsigned(*one) < unsigned(*next)));
    }

    #[test]
    fn bounds_beyond_a_type_are_none_or_let_nothing_pass() {
        let range = |min, max, data_type| range(Some(&min), Some(&max), &data_type).unwrap();
        assert_eq!(range(json!(-5), json!(u64::MAX), DataType::Int64), Some(-5..=i64::MAX));
        assert_eq!(range(json!(-5), json!(3), DataType::UInt64), Some(unsigned(0)..=unsigned(3)));
        assert_eq!(range(json!(1e30), json!(1e40), DataType::Int64), Some(NONE));
        assert_eq!(range(json!(-9), json!(-1), DataType::UInt64), Some(NONE));
        assert_eq!(range(json!(0.5), json!(2.5), DataType::Int8), Some(1..=2));
        assert_eq!(range(json!(0.2), json!(0.8), DataType::Int8), None);
        assert_eq!(range(json!(2), json!(1), DataType::Float64), None);
    }

    #[test]
    fn members_are_values_that_the_column_can_hold() {
        let past = (1_i64 << 53) + 1;
        assert_eq!(member(&json!(past), &DataType::Int64), Some(past));
        assert_eq!(member(&json!(3.0), &DataType::Int64), Some(3));
        assert_eq!(member(&json!(0.1), &DataType::Float32), Some(float(f64::from(0.1_f32))));
        assert_eq!(member(&json!("1970-01-03"), &DataType::Date32), Some(2));
        for (value, data_type) in [
            (json!(3.5), DataType::Int64),
            (json!(300), DataType::UInt8),
            (json!(-1), DataType::UInt64),
            (json!(1e300), DataType::Float32),
            (json!(true), DataType::Int8),
            (json!(1), DataType::Boolean),
            (json!(1), DataType::Date32),
            (json!([1]), DataType::Int8),
        ] {
            assert_eq!(member(&value, &data_type), None, "{value} {data_type}");
        }
    }
}
