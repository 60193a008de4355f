//! Batches as those of the benchmark's table: the same columns, with the same share of nulls and as many distinct values.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::{DataType, Field};

/// Rows of a batch.
pub const ROWS: usize = 8_192;

/// Numbers that look random and are the same in every run (SplitMix64; Steele, Lea and Flood 2014).
fn noise(seed: u64, row: usize) -> u64 {
    let mut mixed = (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed << 32);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// From 0 to 1.
fn uniform(seed: u64, row: usize) -> f64 {
    (noise(seed, row) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Near a bell: the sum of four.
fn number(column: u64, row: usize) -> f64 {
    (0..4).map(|part| uniform(column * 4 + part, row)).sum::<f64>() * (1.0 + column as f64) - 2.0
}

fn table(columns: impl Iterator<Item = (String, ArrayRef)>) -> Result<RecordBatch> {
    let columns = columns.map(|(name, column)| (name, column, true));
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

/// The fields of a batch as a plugin plans with them: words are texts, whether they come behind a dictionary or not.
pub fn logical_fields(batch: &RecordBatch) -> Vec<Field> {
    let logical = |field: &Field| match field.data_type() {
        DataType::Dictionary(_, words) => field.clone().with_data_type(words.as_ref().clone()),
        _ => field.clone(),
    };
    batch.schema().fields().iter().map(|field| logical(field)).collect()
}

/// Ten floats, a tenth of them null, and three counts, a twentieth of them null.
///
/// # Errors
/// Where the columns are no table.
pub fn numbers() -> Result<RecordBatch> {
    numbers_of(ROWS)
}

/// The same in a batch of so many rows.
///
/// # Errors
/// Where the columns are no table.
pub fn numbers_of(rows: usize) -> Result<RecordBatch> {
    let float = |column: u64| -> ArrayRef {
        let rows = (0..rows).map(|row| (uniform(100 + column, row) > 0.1).then(|| number(column, row)));
        Arc::new(Float64Array::from_iter(rows))
    };
    let count = |column: u64| -> ArrayRef {
        let most = [10, 30, 90][column as usize] as f64;
        let rows =
            (0..rows).map(|row| (uniform(200 + column, row) > 0.05).then(|| (uniform(column, row) * most) as i64));
        Arc::new(Int64Array::from_iter(rows))
    };
    let floats = (0..10).map(|column| (format!("f{column}"), float(column)));
    table(floats.chain((0..3).map(|column| (format!("i{column}"), count(column)))))
}

/// Thirteen floats without nulls.
///
/// # Errors
/// Where the columns are no table.
pub fn filled_numbers() -> Result<RecordBatch> {
    let float = |column: u64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| number(column, row))))
    };
    table((0..13).map(|column| (format!("f{column}"), float(column))))
}

/// Words behind a dictionary, the frequent ones by far more frequent; a share of them null.
fn words(count: usize, nulls: f64) -> ArrayRef {
    let word = |row: usize| {
        format!("c{count}_{:06}", ((1.0 / uniform(7, row).max(1e-9)).powf(1.0 / 0.3) as usize - 1).min(count - 1))
    };
    let rows = (0..ROWS).map(|row| (uniform(8, row) >= nulls).then(|| word(row)));
    let words: StringArray = rows.collect();
    Arc::new(words.iter().collect::<DictionaryArray<Int32Type>>())
}

/// The benchmark's four columns of categories.
///
/// # Errors
/// Where the columns are no table.
pub fn categories() -> Result<RecordBatch> {
    table([5, 50, 1_000, 100_000].into_iter().map(|count| (format!("c{count}"), words(count, 0.05))))
}

/// Those that get a column for each category.
///
/// # Errors
/// Where the columns are no table.
pub fn few_categories() -> Result<RecordBatch> {
    table([5, 50].into_iter().map(|count| (format!("c{count}"), words(count, 0.0))))
}

/// Those that get codes.
///
/// # Errors
/// Where the columns are no table.
pub fn many_categories() -> Result<RecordBatch> {
    table([1_000, 100_000].into_iter().map(|count| (format!("c{count}"), words(count, 0.0))))
}

/// A batch as it crosses: its dictionaries, then its rows.
///
/// # Errors
/// Where it cannot cross.
pub fn message(batch: &RecordBatch) -> Result<Vec<u8>> {
    let stream = StreamEncoder::try_new(batch.schema_ref())?.encode(batch)?;
    let stream: Vec<u8> = stream.iter().flat_map(|piece| piece.iter().copied()).collect();
    // The message of the schema has no body.
    let length = stream.get(4..8).and_then(|length| length.try_into().ok()).context("a stream has no schema")?;
    Ok(stream[8 + u32::from_le_bytes(length) as usize..].to_vec())
}
