//! Rows of any length: what is held and what is given stays small.

use super::super::cut::Bounds;
use super::super::keys::KeyCodec;
use super::super::merge::Merge;
use super::super::reduce::OutOfRange;
use super::super::run::Run;
use super::*;

const LONGEST: usize = 40_000;

/// Keys of which most are short and the last ones are long, each with a count of one.
fn skewed(rows: usize, long: usize) -> (Arc<PartialTable>, RecordBatch) {
    let table = table(&[(DataType::Utf8, Operator::Key), (DataType::Int64, Operator::Sum)]);
    let key = |row: usize| {
        let long = if row >= rows - long { LONGEST - row % 1_000 } else { 0 };
        format!("{row:08}{}", "x".repeat(long))
    };
    let keys = StringArray::from_iter_values((0..rows).map(key));
    let counts = Int64Array::from(vec![1; rows]);
    let batch = RecordBatch::try_new(table.schema().clone(), vec![Arc::new(keys), Arc::new(counts)]).unwrap();
    (table, batch)
}

/// Bytes of the keys and counts of a batch.
fn size(batch: &RecordBatch) -> usize {
    batch.column(0).as_string::<i32>().iter().flatten().map(|key| key.len() + 8).sum()
}

#[test]
fn batches_of_long_keys_end_by_their_bytes_at_the_same_rows() {
    let (table, batch) = skewed(20_000, 400);
    let scratch = tempfile::tempdir().unwrap();
    let mut random = Random(11);
    let whole = combine(&table, std::slice::from_ref(&batch), usize::MAX, scratch.path()).unwrap();
    // 16,384 short keys, then all but the last end with the row by which they come to the bytes.
    assert_eq!(whole[0].num_rows(), Combined::ROWS);
    assert!(whole.len() > 4, "{}", whole.len());
    for batch in &whole[1..whole.len() - 1] {
        let last = batch.slice(batch.num_rows() - 1, 1);
        assert!(size(batch) as u64 >= Combined::BYTES && ((size(batch) - size(&last)) as u64) < Combined::BYTES);
    }
    for memory in [0, 1 << 20, usize::MAX] {
        let cut = combine(&table, &shuffled(&batch, &mut random), memory, scratch.path()).unwrap();
        assert_eq!(bytes(table.schema(), &cut), bytes(table.schema(), &whole), "{memory}");
    }
}

#[test]
fn no_merged_batch_is_larger_than_its_bytes_and_a_row() {
    let (table, batch) = skewed(20_000, 400);
    let codec = Arc::new(KeyCodec::new(table.clone()).unwrap());
    let mut random = Random(12);
    let pushed = shuffled(&batch, &mut random);
    let runs = pushed.chunks(100).map(|batches| {
        let batch = arrow_select::concat::concat_batches(table.schema(), batches).unwrap();
        Run::sort(&table, &codec, &batch).unwrap()
    });
    let merge = Merge::new(table.clone(), codec.clone(), runs.collect(), OutOfRange::Keep).unwrap();
    let merged: Vec<_> = merge.map(Result::unwrap).collect();
    assert_eq!(merged.iter().map(RecordBatch::num_rows).sum::<usize>(), batch.num_rows());
    for batch in merged {
        assert!(size(&batch) < Bounds::PIECE.bytes as usize + LONGEST + 16, "{}", size(&batch));
    }
}

#[test]
fn batches_are_cut_after_the_row_that_reaches_their_bytes() {
    let (table, batch) = skewed(100, 5);
    let cut = |rows, bytes| -> Vec<usize> {
        Bounds { rows, bytes }.cut(&table, &batch).iter().map(RecordBatch::num_rows).collect()
    };
    // Each of the first 95 rows has 16 bytes, and each of the others about 40,000.
    assert_eq!(cut(100, u64::MAX), [100]);
    assert_eq!(cut(40, u64::MAX), [40, 40, 20]);
    assert_eq!(cut(100, 95 * 16), [95, 1, 1, 1, 1, 1]);
    assert_eq!(cut(100, 95 * 16 + 1), [96, 1, 1, 1, 1]);
    assert_eq!(cut(90, 60_000), [90, 7, 2, 1]);
}
