//! The type of computed numbers.

use arrow_schema::DataType;
use schemars::JsonSchema;
use serde::Deserialize;

/// A type of floating-point numbers, as a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Float {
    /// 32 bits.
    Float32,
    /// 64 bits.
    #[default]
    Float64,
}

impl Float {
    /// As the type of a column.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
        }
    }
}
