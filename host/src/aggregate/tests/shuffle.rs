//! The promise of a shuffle: the bytes depend on the rows as a multiset only.

use super::*;
use crate::ErrorKind;
use arrow_array::UInt32Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_select::take::{take, take_record_batch};

/// What is pushed, and how.
struct Push {
    rows: RecordBatch,
    parts: UInt8Array,
    size: usize,
    strings: Strings,
}

impl Push {
    /// The rows of the table, chosen and ordered by `choose`.
    fn of(choose: impl Fn(u32) -> u32, size: usize, strings: Strings) -> Self {
        let order = UInt32Array::from_iter_values((0..ROWS as u32).map(choose));
        let rows = take_record_batch(&table(), &order).unwrap();
        let parts = take(&parts(), &order, None).unwrap().as_primitive().clone();
        Self { rows, parts, size, strings }
    }

    fn into(self, mut sink: Shuffle) -> Result<Summary> {
        let preparation = sink.preparation();
        for (turn, start) in (0..self.rows.num_rows()).step_by(self.size).enumerate() {
            let count = self.size.min(self.rows.num_rows() - start);
            let batch = physical(&self.rows.slice(start, count), self.strings, turn);
            sink.push(preparation.prepare(rows(batch, self.parts.slice(start, count)))?)?;
        }
        sink.finish(&Stop::default())
    }
}

fn shuffle(home: &Path, schema: &SchemaRef, format: Format, options: &ShuffleOptions, stop: Stop) -> Shuffle {
    let mut concat = ConcatOptions::new(home);
    (concat.format, concat.file_rows, concat.threads) = (format, 40_000, 2);
    let concat = Concat::create(&home.join("data"), schema, &names(), &concat).unwrap();
    Shuffle::new(concat, ShuffleOptions { scratch: home.to_owned(), ..options.clone() }, stop)
}

fn run(push: Push, format: Format, options: &ShuffleOptions) -> Run {
    let home = tempfile::tempdir().unwrap();
    let sink = shuffle(home.path(), &push.rows.schema(), format, options, Stop::default());
    let summary = push.into(sink).unwrap();
    Run { files: files(&home.path().join("data")), summary }
}

fn parquet() -> Format {
    Format::Parquet(ParquetOptions { row_group_rows: 20_000, ..ParquetOptions::default() })
}

fn roomy() -> ShuffleOptions {
    ShuffleOptions::within(usize::MAX, 8, "")
}

/// Dozens of runs, which take several levels of merges.
fn tight(fan_in: usize) -> ShuffleOptions {
    ShuffleOptions { buffer: 400_000, merge: usize::MAX, piece: 5_000, fan_in, ..roomy() }
}

/// All rows, in an order that is neither that of the table nor of a sort.
fn jumbled(row: u32) -> u32 {
    (u64::from(row) * 7_919 % ROWS as u64) as u32
}

#[test]
fn bytes_depend_on_the_set_of_rows_only() {
    for format in [parquet(), Format::Arrow] {
        let expected = run(Push::of(|row| row, 8_192, Strings::Plain), format.clone(), &roomy());
        assert_eq!(expected.summary.spilled_bytes, 0);
        for (push, options) in [
            (Push::of(jumbled, 100_000, Strings::Mixed), roomy()),
            (Push::of(|row| ROWS as u32 - 1 - row, 777, Strings::Mixed), tight(2)),
            (Push::of(jumbled, 1_000, Strings::Dictionaries), tight(3)),
            (Push::of(jumbled, 5_000, Strings::Plain), ShuffleOptions { buffer: 1 << 20, ..tight(64) }),
            (Push::of(jumbled, 3_000, Strings::Mixed), ShuffleOptions { merge: 1, ..tight(64) }),
        ] {
            let what = format!("batches of {}, {options:?}", push.size);
            let other = run(push, format.clone(), &options);
            assert_eq!(other.summary.spilled_bytes > 0, options.buffer < 1 << 21, "{what}");
            assert_same(&expected, &other, &what);
        }
    }
}

#[test]
fn more_runs_than_can_be_merged_at_once_are_merged_in_levels() {
    let spilled =
        |fan_in| run(Push::of(jumbled, 2_000, Strings::Plain), parquet(), &tight(fan_in)).summary.spilled_bytes;
    let (once, twice, often) = (spilled(1_000), spilled(16), spilled(2));
    assert!(once < twice && twice < 3 * once, "{once} {twice}");
    assert!(3 * once < often, "{once} {often}");
}

#[test]
fn each_part_has_the_rows_of_a_stream_in_another_order() {
    let home = tempfile::tempdir().unwrap();
    let ids = |run: &Run, part: &str| -> Vec<i64> {
        let files = run.files.iter().filter(|(name, _)| name.starts_with(&format!("{part}/")));
        let read = |(_, bytes): (&String, &Vec<u8>)| {
            let path = home.path().join("file");
            fs::write(&path, bytes).unwrap();
            read_parquet(&path).1.column(0).as_primitive::<Int64Type>().values().to_vec()
        };
        files.flat_map(read).collect()
    };
    let shuffled = run(Push::of(|row| row, 8_192, Strings::Plain), parquet(), &tight(4));
    let stream = super::run(ROWS, 8_192, Strings::Plain, |_| {});
    for part in ["train", "val", "test"] {
        let (mut found, expected) = (ids(&shuffled, part), ids(&stream, part));
        let ascending = found.windows(2).filter(|pair| pair[0] < pair[1]).count() as f64 / found.len() as f64;
        assert!((0.48..0.52).contains(&ascending), "{part}: {ascending}");
        let half: i64 = found[..found.len() / 2].iter().sum::<i64>() / (found.len() as i64 / 2);
        assert!((half - ROWS as i64 / 2).abs() < ROWS as i64 / 50, "{part}: {half}");
        found.sort_unstable();
        assert!(found == expected, "{part}");
    }
}

#[test]
fn rows_that_are_equal_are_all_kept_and_stand_side_by_side() {
    let few = |jump: u32| move |row: u32| row * jump % 1_000;
    let expected = run(Push::of(few(1), 8_192, Strings::Plain), parquet(), &roomy());
    assert_same(&expected, &run(Push::of(few(7), 500, Strings::Mixed), parquet(), &tight(2)), "spilled");
    assert_eq!(expected.summary.parts.iter().map(|part| part.rows).sum::<u64>(), ROWS as u64);
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("file"), &expected.files["val/part-00000.parquet"]).unwrap();
    let (_, rows) = read_parquet(&home.path().join("file"));
    let ids = rows.column(0).as_primitive::<Int64Type>().values();
    assert_eq!(ids.chunk_by(|one, next| one == next).map(<[i64]>::len).collect::<Vec<_>>(), vec![60; ids.len() / 60]);
}

#[test]
fn rows_that_are_larger_than_a_piece_take_no_more_memory_than_a_few_of_them() {
    const ROW: usize = 1 << 20;
    let texts: Vec<String> = (0..60).map(|row| row.to_string().repeat(ROW / 2)).collect();
    let rows = |indices: Vec<usize>| {
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(indices.iter().map(|index| &texts[*index])));
        let parts = UInt8Array::from_iter_values(indices.iter().map(|index| (index % 3) as u8));
        Push { rows: RecordBatch::try_from_iter([("t", texts)]).unwrap(), parts, size: 1, strings: Strings::Plain }
    };
    let options = ShuffleOptions { buffer: 3 * ROW, merge: 8 * ROW, piece: 10_000, ..roomy() };
    let expected = run(rows((0..60).collect()), Format::Arrow, &roomy());
    let spilled = run(rows((0..60).rev().collect()), Format::Arrow, &options);
    assert_same(&expected, &spilled, "spilled");
    assert!(expected.summary.peak_buffered > 54 * ROW, "all rows are in memory at once");
    assert!(spilled.summary.peak_buffered < 30 * ROW, "{}", spilled.summary.peak_buffered / ROW);
}

#[test]
fn a_shuffle_of_no_rows_has_a_file_for_each_part() {
    let push = Push { rows: table().slice(0, 0), parts: parts().slice(0, 0), size: 1, strings: Strings::Plain };
    assert_eq!(run(push, parquet(), &roomy()).files.len(), names().len());
}

#[test]
fn a_shuffle_that_is_asked_to_stop_says_so() {
    for (options, at) in [(tight(2), "while it sorts"), (roomy(), "while it writes")] {
        let (home, stop) = (tempfile::tempdir().unwrap(), Stop::default());
        stop.set();
        let sink = shuffle(home.path(), &table().schema(), parquet(), &options, stop);
        let error = Push::of(|row| row, 8_192, Strings::Plain).into(sink).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{at}");
    }
}

#[test]
fn a_scratch_folder_that_cannot_be_written_is_named() {
    let home = tempfile::tempdir().unwrap();
    let concat =
        Concat::create(&home.path().join("data"), &table().schema(), &names(), &ConcatOptions::new("")).unwrap();
    let options = ShuffleOptions { scratch: home.path().join("nowhere"), ..tight(2) };
    let sink = Shuffle::new(concat, options, Stop::default());
    let error = Push::of(|row| row, 8_192, Strings::Plain).into(sink).unwrap_err();
    assert_eq!(error.place().file.as_deref(), Some(home.path().join("nowhere").as_path()));
    assert!(error.hint_text().unwrap().contains("--memory"));
}
