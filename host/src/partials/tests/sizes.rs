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
    let (piece, mut random) = (Bounds::piece(0), Random(12));
    let pushed = shuffled(&batch, &mut random);
    let runs = pushed.chunks(100).map(|batches| {
        let batch = arrow_select::concat::concat_batches(table.schema(), batches).unwrap();
        Run::sort(&table, &codec, &batch, piece).unwrap()
    });
    let merge = Merge::new(table.clone(), codec.clone(), runs.collect(), piece, OutOfRange::Keep).unwrap();
    let merged: Vec<_> = merge.map(Result::unwrap).collect();
    assert_eq!(merged.iter().map(RecordBatch::num_rows).sum::<usize>(), batch.num_rows());
    for batch in merged {
        assert!(size(&batch) < piece.bytes as usize + LONGEST + 16, "{}", size(&batch));
    }
}

/// Many runs, all of one key, each with the least and the greatest of some long texts, and a number that is added.
fn runs_of_one_key(runs: usize, length: usize) -> (Arc<PartialTable>, Vec<RecordBatch>) {
    let types = [(DataType::Utf8, Operator::Min), (DataType::Utf8, Operator::Max), (DataType::Int64, Operator::Sum)];
    let table = table(&types);
    let batch = |run: usize| {
        let text: ArrayRef = Arc::new(StringArray::from(vec![format!("{run:03}{}", "x".repeat(length))]));
        // On the way the sums leave the range, and come back.
        let number = if run < runs / 2 { i64::MAX } else { -i64::MAX };
        let columns = vec![text.clone(), text, Arc::new(Int64Array::from(vec![number])) as ArrayRef];
        RecordBatch::try_new(table.schema().clone(), columns).unwrap()
    };
    let batches = (0..runs).map(batch).collect();
    (table, batches)
}

#[test]
fn rows_of_one_key_are_combined_before_all_of_them_are_there() {
    let (table, batches) = runs_of_one_key(60, LONGEST);
    let codec = Arc::new(KeyCodec::new(table.clone()).unwrap());
    let piece = Bounds { rows: 16_384, bytes: 2 * LONGEST as u64 };
    let runs = batches.iter().map(|batch| Run::sort(&table, &codec, batch, piece).unwrap()).collect();
    let mut merge = Merge::new(table, codec, runs, piece, OutOfRange::Refuse).unwrap();
    let merged = merge.next().unwrap().unwrap();
    let text = |column: usize| merged.column(column).as_string::<i32>().value(0)[..3].to_owned();
    let sum = merged.column(2).as_primitive::<Int64Type>().value(0);
    assert_eq!((merged.num_rows(), text(0), text(1), sum), (1, "000".to_owned(), "059".to_owned(), 0));
    assert!(merge.next().is_none());
}

/// What is asked for at once would not fit into one array of texts.
#[test]
fn the_least_of_many_huge_texts_is_found() {
    const LENGTH: usize = 16 << 20;
    let table = table(&[(DataType::Utf8, Operator::Min)]);
    let codec = Arc::new(KeyCodec::new(table.clone()).unwrap());
    let batch = |text: String| {
        let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
        RecordBatch::try_new(table.schema().clone(), vec![text]).unwrap()
    };
    let huge = batch("x".repeat(LENGTH));
    let few = std::iter::repeat_n(huge, i32::MAX as usize / LENGTH + 2).chain([batch("w".to_owned())]);
    let runs = few.map(|batch| Run::collect([Ok(batch)].into_iter()).unwrap()).collect();
    let piece = Bounds { rows: 16_384, bytes: 128 << 20 };
    let merge = Merge::new(table.clone(), codec, runs, piece, OutOfRange::Refuse).unwrap();
    let merged: Vec<_> = merge.map(Result::unwrap).collect();
    assert_eq!((merged.len(), merged[0].column(0).as_string::<i32>().value(0)), (1, "w"));
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

#[test]
fn few_runs_of_large_rows_are_open_at_once_and_many_of_small_ones() {
    let table = table(&[(DataType::Utf8, Operator::Key), (DataType::Int64, Operator::Sum)]);
    let scratch = tempfile::tempdir().unwrap();
    for (length, least, most) in [(3, 100, 110), (1 << 20, 130, 200)] {
        // Each push is a run, of a row.
        let combiner = Combiner::new(table.clone(), 0, scratch.path(), Stop::default()).unwrap();
        for row in 0..100 {
            let keys: ArrayRef = Arc::new(StringArray::from(vec![format!("{row:03}{}", "x".repeat(length))]));
            let columns = vec![keys, Arc::new(Int64Array::from(vec![1])) as ArrayRef];
            combiner.push(RecordBatch::try_new(table.schema().clone(), columns).unwrap()).unwrap();
        }
        let combined = combiner.finish().unwrap();
        // Beside the runs that were pushed those that came of merging some.
        let runs = combined.statistics().spilled_runs;
        assert!((least..most).contains(&runs), "{length}: {runs}");
        let rows: usize = combined.map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(rows, 100);
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "spilled files are left");
    }
}

#[test]
fn who_takes_no_more_batches_leaves_no_files_behind() {
    let (table, batch) = skewed(20_000, 400);
    let scratch = tempfile::tempdir().unwrap();
    let combiner = Combiner::new(table, 1 << 20, scratch.path(), Stop::default()).unwrap();
    shuffled(&batch, &mut Random(13)).into_iter().for_each(|batch| combiner.push(batch).unwrap());
    let mut combined = combiner.finish().unwrap();
    assert!(combined.statistics().spilled_runs > 1);
    combined.next().unwrap().unwrap();
    assert!(std::fs::read_dir(scratch.path()).unwrap().count() > 0);
    drop(combined);
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "spilled files are left");
}
