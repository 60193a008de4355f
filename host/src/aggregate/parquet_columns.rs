//! How the columns of a Parquet file are encoded, and what memory that takes.

use super::chunk::{CHUNK_BYTES, CHUNK_ROWS, Chunk};
use super::parquet_file::{Compression, LAG, ParquetOptions};
use crate::Result;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, FieldRef, Schema};
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use xxhash_rust::xxh3::xxh3_64;

/// As the Parquet format asks for it; readers that cannot parse it distrust a file's statistics.
const CREATED_BY: &str = concat!("wafermill version ", env!("CARGO_PKG_VERSION"));

/// Columns from which on a table is wide: its row groups end by their bytes, long before a dictionary of numbers that hardly repeat
/// pays, and each open encoder counts.
const WIDE: usize = 512;

/// Bytes of an encoder with a dictionary, which has room for 4,096 values from the start.
const ENCODER: usize = 32 << 10;

/// Bytes of an encoder without one.
const PLAIN_ENCODER: usize = 4 << 10;

fn is_wide(schema: &Schema) -> bool {
    schema.fields().len() >= WIDE
}

/// Bytes of an open row group whose rows have so many: the encoders, what waits for them, and what they have encoded, twice since buffers grow
/// by doubling.
pub(super) fn claim(schema: &Schema, options: &ParquetOptions, bytes: usize) -> usize {
    // A column of bytes keeps the rows of a page, as many bytes as an encoder with a dictionary.
    let encoder = |field: &FieldRef| match field.data_type() {
        DataType::UInt8 => ENCODER,
        _ if is_wide(schema) => PLAIN_ENCODER,
        _ => ENCODER,
    };
    let encoders: usize = schema.fields().iter().map(|field| leaves(field.data_type()) * encoder(field)).sum();
    let waiting = (LAG + 1) * bytes.min(CHUNK_BYTES as usize);
    encoders + waiting + 2 * bytes.min(options.row_group_bytes.saturating_add(waiting))
}

/// Columns of a file that hold the values of one of this type.
pub(super) fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => leaves(item.data_type()),
        _ => 1,
    }
}

/// Values that must have been seen before it is known how they repeat.
const SAMPLE: usize = 1024;

/// Of so many values at least one is seen again where a dictionary pays: an index of 17 bits into a row group's dictionary saves nothing where
/// three quarters of the values are in it for the first and only time.
const SEEN_AGAIN: usize = 4;

/// The properties of a file for rows of a schema that begins with a chunk, if it has rows. They are a function of these rows alone.
pub(super) fn properties(schema: &Schema, compression: Compression, first: Option<&Chunk>) -> Result<WriterProperties> {
    let codec = match compression {
        Compression::Snappy => Codec::SNAPPY,
        Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
        Compression::None => Codec::UNCOMPRESSED,
    };
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(codec)
        // a chunk is one mini-batch, after which the writer looks whether a page is full
        .set_write_batch_size(CHUNK_ROWS);
    for (index, field) in schema.fields().iter().enumerate() {
        if !dictionary_pays(index, field, is_wide(schema), first)? {
            let column = ColumnPath::new(vec![field.name().clone()]);
            properties = properties.set_column_dictionary_enabled(column, false);
        }
    }
    Ok(properties.build())
}

/// Whether a column's values repeat so that they are worth looking up one by one.
fn dictionary_pays(index: usize, field: &FieldRef, is_wide: bool, first: Option<&Chunk>) -> Result<bool> {
    match first {
        _ if field.data_type().is_nested() => Ok(true),
        _ if is_wide && field.data_type().is_floating() => Ok(false),
        Some(chunk) if chunk.rows() >= SAMPLE => Ok(repeats(&chunk.column(index, field)?)),
        _ => Ok(true),
    }
}

fn repeats(values: &ArrayRef) -> bool {
    let rows = || (0..values.len()).filter(|row| values.is_valid(*row));
    match values.data_type() {
        DataType::Utf8 => repeat(rows().map(|row| xxh3_64(values.as_string::<i32>().value(row).as_bytes()))),
        DataType::LargeUtf8 => repeat(rows().map(|row| xxh3_64(values.as_string::<i64>().value(row).as_bytes()))),
        DataType::Binary => repeat(rows().map(|row| xxh3_64(values.as_binary::<i32>().value(row)))),
        DataType::LargeBinary => repeat(rows().map(|row| xxh3_64(values.as_binary::<i64>().value(row)))),
        other => match other.primitive_width() {
            Some(width) if width > 1 => {
                let data = values.to_data();
                let bytes = &data.buffers()[0].as_slice()[data.offset() * width..];
                repeat(rows().map(|row| xxh3_64(&bytes[row * width..][..width])))
            }
            _ => true,
        },
    }
}

fn repeat(hashes: impl Iterator<Item = u64>) -> bool {
    let mut hashes: Vec<u64> = hashes.collect();
    hashes.sort_unstable();
    let seen_once = hashes.chunk_by(|left, right| left == right).filter(|same| same.len() == 1).count();
    hashes.len() < SAMPLE || (hashes.len() - seen_once) * SEEN_AGAIN > hashes.len()
}

#[cfg(test)]
mod tests {
    use super::super::chunk::Pending;
    use super::*;
    use arrow_array::{Float64Array, Int64Array, RecordBatch, StringArray, UInt8Array};
    use std::sync::Arc;

    #[test]
    fn only_values_that_repeat_get_a_dictionary() {
        let rows = 0..8_192_i64;
        let few = |row: i64| row * 7_919 % 3_000;
        let columns: [(&str, ArrayRef); 8] = [
            ("numbers", Arc::new(Float64Array::from_iter_values(rows.clone().map(|row| row as f64 / 3.0)))),
            (
                "filled",
                Arc::new(Float64Array::from_iter_values(rows.clone().map(|row| (row % 9).min(1) as f64 * row as f64))),
            ),
            ("few numbers", Arc::new(Float64Array::from_iter_values(rows.clone().map(|row| few(row) as f64)))),
            ("ids", Arc::new(Int64Array::from_iter_values(rows.clone()))),
            ("mostly null", Arc::new(Int64Array::from_iter(rows.clone().map(|row| (row % 9 == 0).then_some(row))))),
            ("words", Arc::new(StringArray::from_iter_values(rows.clone().map(|row| format!("w{}", few(row)))))),
            ("texts", Arc::new(StringArray::from_iter_values(rows.clone().map(|row| row.to_string())))),
            ("bits", Arc::new(UInt8Array::from_iter_values(rows.map(|row| (row % 2) as u8)))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let dictionaries = |rows: usize| -> Vec<bool> {
            let mut pending = Pending::default();
            pending.push(batch.slice(0, rows));
            let properties = properties(&batch.schema(), Compression::Snappy, Some(&pending.take(rows))).unwrap();
            let of = |name: &String| properties.dictionary_enabled(&ColumnPath::new(vec![name.clone()]));
            batch.schema().fields().iter().map(|field| of(field.name())).collect()
        };
        assert_eq!(dictionaries(8_192), [false, false, true, false, true, true, false, true]);
        // Too few to tell.
        assert_eq!(dictionaries(1_000), [true; 8]);
        let unknown = properties(&batch.schema(), Compression::None, None).unwrap();
        assert!(unknown.dictionary_enabled(&ColumnPath::new(vec!["numbers".to_owned()])));
    }
}
