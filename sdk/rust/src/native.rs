//! Rust's types that are laid out as Arrow's.

use arrow_schema::DataType;
use bytemuck::Pod;

/// A type of fixed width that columns can have.
pub trait Native: Pod + sealed::Sealed {
    /// Whether a column of this Arrow type is laid out as values of this type.
    fn matches(data_type: &DataType) -> bool;
}

mod sealed {
    /// Types are added by the SDK only.
    pub trait Sealed {}
}

macro_rules! native {
    ($($native:ty => $data_type:pat,)*) => {$(
        impl sealed::Sealed for $native {}
        impl Native for $native {
            fn matches(data_type: &DataType) -> bool {
                matches!(data_type, $data_type)
            }
        }
    )*};
}

native! {
    i8 => DataType::Int8,
    i16 => DataType::Int16,
    i32 => DataType::Int32 | DataType::Date32 | DataType::Time32(_),
    i64 => DataType::Int64 | DataType::Date64 | DataType::Time64(_) | DataType::Timestamp(_, _) | DataType::Duration(_),
    i128 => DataType::Decimal128(_, _),
    u8 => DataType::UInt8,
    u16 => DataType::UInt16,
    u32 => DataType::UInt32,
    u64 => DataType::UInt64,
    f32 => DataType::Float32,
    f64 => DataType::Float64,
}
