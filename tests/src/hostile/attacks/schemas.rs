//! Schemas: of a plan, where each of them may stand.

use crate::hostile::message::{encoded_schema, repeated_field, schema};
use crate::hostile::{Attack, by_guest};
use arrow_schema::{DataType, Field, Schema, UnionFields, UnionMode};
use std::sync::Arc;

pub(super) fn all() -> Vec<Attack> {
    let planned = |what: &str, make: fn() -> Vec<u8>| by_guest(what, move |guest| guest.planned = make());
    vec![
        planned("plans no message", Vec::new),
        planned("plans a schema that is random bytes", || (0..999_u32).map(|byte| (byte * 31 % 251) as u8).collect()),
        planned("plans a batch in place of a schema", || crate::hostile::guest::numbers(2)),
        planned("plans a schema that is cut short", || {
            let mut whole = schema(&[("y", DataType::Float64)]);
            whole.truncate(whole.len() - 16);
            whole
        }),
        planned("plans a schema whose length is a lie", || {
            let mut lying = schema(&[("y", DataType::Float64)]);
            lying[4..8].copy_from_slice(&0x7fff_fff8_u32.to_le_bytes());
            lying
        }),
        planned("plans a column whose name is no UTF-8", || {
            let mut message = schema(&[("yyyyyyyy", DataType::Float64)]);
            let at = message.windows(8).position(|window| window == b"yyyyyyyy").expect("it has the name");
            message[at] = 0xff;
            message
        }),
        planned("plans a column with a name of 100 KiB", || schema(&[(&"y".repeat(100 << 10), DataType::Float64)])),
        planned("plans a column with metadata of 100 KiB", || {
            let pair = ("wafermill:parts".to_owned(), "x".repeat(100 << 10));
            let field = Field::new("y", DataType::Float64, true).with_metadata(std::collections::HashMap::from([pair]));
            encoded_schema(&Schema::new(vec![field]))
        }),
        planned("plans a column of lists", || {
            let item = Arc::new(Field::new("item", DataType::Int64, true));
            schema(&[("y", DataType::List(item))])
        }),
        planned("plans a column of unions", || {
            let fields = UnionFields::from_fields([Field::new("a", DataType::Int8, true)]);
            schema(&[("y", DataType::Union(fields, UnionMode::Dense))])
        }),
        planned("plans a column nested 30 times", || schema(&[("y", nested(30))])),
        planned("plans a column nested 1,000 times", || schema(&[("y", nested(1_000))])),
        planned("plans a column of lists of 2,000,000,000 numbers", || {
            let item = Arc::new(Field::new("item", DataType::Int64, true));
            schema(&[("y", DataType::FixedSizeList(item, 2_000_000_000))])
        }),
        by_guest("learns lists of 2,000,000,000 numbers", |guest| {
            let item = Arc::new(Field::new("item", DataType::Int64, true));
            let list = DataType::FixedSizeList(item, 2_000_000_000);
            guest.partials = schema(&[("key", DataType::Int64), ("count", list)]);
        }),
        planned("plans 20,000 columns, each of them given", || {
            let names: Vec<String> = (0..20_000).map(|column| format!("c{column}")).collect();
            schema(&names.iter().map(|name| (name.as_str(), DataType::Int8)).collect::<Vec<_>>())
        }),
        planned("plans one column 200,000 times", || repeated_field(200_000, 1, false)),
        planned("plans one column with a name of 60 KiB 16,000 times", || repeated_field(16_000, 60 << 10, false)),
        planned("plans one column with metadata of 40 KiB 16,000 times", || repeated_field(16_000, 20 << 10, true)),
        planned("plans one column 3,000,000 times", || repeated_field(3_000_000, 1, false)),
        by_guest("has a model of no columns", |guest| guest.model = schema(&[])),
        by_guest("has a model of dictionaries", |guest| {
            let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            guest.model = schema(&[("m", dictionary)]);
        }),
    ]
}

fn nested(times: usize) -> DataType {
    (0..times).fold(DataType::Int64, |inner, _| DataType::Struct(vec![Field::new("a", inner, true)].into()))
}
