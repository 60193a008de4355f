//! The tables of partial results. Those of the first pass come first; quantiles use theirs in every pass.

use std::ops::Range;
use wafermill_sdk::stats::{Moments, Quantiles};
use wafermill_sdk::{DataType, Field, Operator, Schema, Table};

/// The least and the largest finite number of a group.
pub(crate) const RANGE: usize = 0;
/// The registers by which the distinct values are estimated.
pub(crate) const REGISTERS: usize = 1;
/// The buckets of quantiles.
pub(crate) const BUCKETS: usize = 2;
/// Counts and extremes of numbers, and behind them their sums.
pub(crate) const MOMENTS: Range<usize> = 3..5;
/// The least and the largest value, as hexadecimal digits of its key: so bytes are text, and order as before.
pub(crate) const EXTREMES: usize = 5;
/// The bins of histograms.
pub(crate) const BINS: usize = 6;
/// How often values occur, by their keys.
pub(crate) const VALUES: usize = 7;

fn key(name: &str, data_type: DataType) -> (Field, Operator) {
    (Field::new(name, data_type, false), Operator::Key)
}

fn value(name: &str, data_type: DataType, operator: Operator) -> (Field, Operator) {
    let nullable = operator != Operator::Sum;
    (Field::new(name, data_type, nullable), operator)
}

/// All of them, in their order.
pub(crate) fn tables() -> [Table; 8] {
    let group = || key("group", DataType::UInt32);
    let rows = || value("rows", DataType::Int64, Operator::Sum);
    let [moments, sums] = Moments::tables();
    [
        Table::partials(
            "range",
            [group(), value("min", DataType::Float64, Operator::Min), value("max", DataType::Float64, Operator::Max)],
        ),
        Table::partials(
            "registers",
            [group(), key("register", DataType::UInt32), value("rank", DataType::UInt8, Operator::Max), rows()],
        ),
        Quantiles::table(),
        moments,
        sums,
        Table::partials(
            "extremes",
            [group(), value("min", DataType::Utf8, Operator::Min), value("max", DataType::Utf8, Operator::Max)],
        ),
        Table::partials("bins", [group(), key("bin", DataType::UInt32), rows()]),
        Table::partials("values", [group(), key("value", DataType::Binary), rows()]),
    ]
}

/// The columns of one of them.
pub(crate) fn schema(table: usize) -> Schema {
    tables()[table].schema.clone()
}
