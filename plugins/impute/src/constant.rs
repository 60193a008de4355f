//! Constants from a pipeline file, by the type of the column that they fill.

use crate::fill::Fill;
use wafermill_sdk::serde_json::Value;
use wafermill_sdk::stats::{Category, KeyClass};
use wafermill_sdk::{DataType, Error, Field, Result, instant, integer_fits};

/// The filling that `value` means in a column.
///
/// # Errors
/// Where the column's type has no such value.
pub(crate) fn parse(value: &Value, field: &Field) -> Result<Fill> {
    let data_type = field.data_type();
    let category = match KeyClass::of(data_type) {
        Some(KeyClass::Text) => value.as_str().map(|text| Category::Text(text.to_owned())),
        Some(KeyClass::Binary) => value.as_str().map(|text| Category::Binary(text.as_bytes().to_vec())),
        Some(KeyClass::Float) => value.as_f64().filter(|value| float_fits(*value, data_type)).map(Category::Float),
        Some(KeyClass::Unsigned) => value.as_u64().map(Category::Unsigned),
        Some(KeyClass::Signed) => {
            signed(value, data_type).filter(|value| integer_fits(*value, data_type)).map(Category::Signed)
        }
        None => None,
    };
    category.map(Fill::from).ok_or_else(|| {
        Error::invalid_params(format!("`value` is {value}, which a column of type {data_type} cannot hold"))
            .column(field.name())
            .hint("give a value of the column's type, or select other columns")
    })
}

fn signed(value: &Value, data_type: &DataType) -> Option<i64> {
    match data_type {
        DataType::Boolean => value.as_bool().map(i64::from),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => instant(value.as_str()?, data_type),
        _ => value.as_i64(),
    }
}

fn float_fits(value: f64, data_type: &DataType) -> bool {
    *data_type != DataType::Float32 || (value as f32).is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wafermill_sdk::serde_json::json;

    #[test]
    fn constants_must_fit_the_column() {
        let parse = |value, data_type| parse(&value, &Field::new("x", data_type, true));
        assert!(parse(json!(300), DataType::Int16).is_ok());
        assert!(parse(json!(300), DataType::UInt8).is_err());
        assert!(parse(json!("a"), DataType::Float64).is_err());
        assert!(parse(json!(1), DataType::Utf8).is_err());
        assert!(parse(json!(1.5), DataType::Int64).is_err());
        assert!(parse(json!(1e300), DataType::Float32).is_err());
    }
}
