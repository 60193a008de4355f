//! What can be said of a column, by its type.

use wafermill_sdk::DataType;
use wafermill_sdk::stats::KeyClass;

/// How the values of a column are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// False and true, as 0 and 1.
    Boolean,
    /// Integers that fit into 64 bits with a sign, and dates, times, timestamps and durations in their units.
    Signed,
    /// Integers of 64 bits without a sign.
    Unsigned,
    /// Floats.
    Float,
    /// Decimals of 128 bits, with so many digits behind the point.
    Decimal(i8),
    /// Strings.
    Text,
    /// Byte strings.
    Binary,
}

impl Kind {
    /// Of a type; nothing where its values cannot be described.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Decimal128(_, scale) => Self::Decimal(*scale),
            other => match KeyClass::of(other)? {
                KeyClass::Signed => Self::Signed,
                KeyClass::Unsigned => Self::Unsigned,
                KeyClass::Float => Self::Float,
                KeyClass::Text => Self::Text,
                KeyClass::Binary => Self::Binary,
            },
        })
    }

    /// Whether its values are numbers, or stand for some.
    pub(crate) fn is_number(self) -> bool {
        !matches!(self, Self::Text | Self::Binary)
    }

    /// Whether quantiles and a histogram say something of it.
    pub(crate) fn is_spread(self) -> bool {
        self.is_number() && self != Self::Boolean
    }
}
