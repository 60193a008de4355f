//! Batches that a guest returns.

use super::{check_batch, choice};
use crate::ipc::{BatchEncoder, decode_batch};
use arrow_buffer::Buffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::{Arc, LazyLock};

/// What a plan may have announced.
pub(super) static SCHEMAS: LazyLock<Vec<SchemaRef>> = LazyLock::new(schemas);

fn schemas() -> Vec<SchemaRef> {
    use DataType as T;
    let words = T::Dictionary(Box::new(T::Int32), Box::new(T::Utf8));
    let limbs = |nullable| T::FixedSizeList(Arc::new(Field::new("item", T::Int64, nullable)), 2);
    let types = [
        vec![],
        vec![T::Float64],
        vec![T::Utf8],
        vec![T::Boolean, T::Int8, T::UInt16, T::Int32],
        vec![T::LargeUtf8, T::Binary, T::LargeBinary],
        vec![words.clone()],
        vec![limbs(true)],
        vec![limbs(false)],
        vec![words.clone(), T::Int64, words],
        vec![
            T::Decimal128(20, 3),
            T::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            T::Time32(TimeUnit::Second),
        ],
        vec![T::Float32, T::Date64, T::Duration(TimeUnit::Nanosecond), T::UInt64],
    ];
    let mut schemas = Vec::new();
    for nullable in [true, false] {
        for types in &types {
            let fields = types.iter().enumerate();
            let fields = fields.map(|(at, data_type)| Field::new(format!("c{at}"), data_type.clone(), nullable));
            schemas.push(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
        }
    }
    schemas
}

/// The number of an announced schema, and a message that is to be a batch of it.
pub(super) fn batch(input: &[u8]) {
    let Some((choice, message)) = choice(input) else { return };
    let schema = &SCHEMAS[choice % SCHEMAS.len()];
    let Ok(batch) = decode_batch(schema, Buffer::from(message)) else { return };
    assert_eq!(batch.schema_ref(), schema);
    check_batch(&batch);
    // It goes on to the next plugin, as the same rows.
    let again = BatchEncoder::default().encode(&batch).expect("what was decoded can be encoded").clone();
    let again = decode_batch(schema, Buffer::from_vec(again)).expect("what was encoded can be decoded");
    assert_eq!(again, batch);
}
