//! The promise of `concat` and `list`: the bytes depend on the rows only.

mod shuffle;

use super::*;
use crate::Error;
use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

const ROWS: usize = 60_000;

/// How strings come.
#[derive(Clone, Copy)]
enum Strings {
    Plain,
    Dictionaries,
    Mixed,
}

fn names() -> Vec<String> {
    ["train", "val", "test", "none"].map(str::to_owned).to_vec()
}

/// A number that looks random and depends on the row only.
fn noise(row: usize) -> u64 {
    let mut state = (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state ^= state >> 29;
    state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state ^ (state >> 32)
}

/// A table with nulls, NaNs of all kinds, short and long strings, few and many distinct ones, and lists.
fn table() -> RecordBatch {
    let rows = || (0..ROWS).map(noise);
    let float = rows().map(|bits| match bits % 10 {
        0 => None,
        1 => Some(f64::from_bits(0x7ff8_0000_0000_0000 | (bits % 7))),
        _ => Some((bits % 1_000_003) as f64 / 7.0),
    });
    let city = rows().map(|bits| (bits % 11 != 0).then(|| format!("city {}", bits % 40)));
    let text = rows().map(|bits| Some(format!("{bits:x}").repeat(1 + (bits % 13) as usize)));
    let rare = (0..ROWS).map(|row| (row >= 40_000 && noise(row).is_multiple_of(3)).then_some(row as i64));
    let mut lists = ListBuilder::new(Int64Builder::new());
    for bits in rows() {
        (0..bits % 4).for_each(|value| lists.values().append_option((value != 2).then_some((bits % 100) as i64)));
        lists.append(bits % 5 != 0);
    }
    let columns: [(&str, ArrayRef); 8] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..ROWS as i64))),
        ("float", Arc::new(Float64Array::from_iter(float))),
        ("city", Arc::new(StringArray::from_iter(city))),
        ("text", Arc::new(StringArray::from_iter(text))),
        ("rare", Arc::new(Int64Array::from_iter(rare))),
        ("flag", Arc::new(BooleanArray::from_iter(rows().map(|bits| (bits % 3 != 0).then_some(bits % 2 == 0))))),
        ("time", Arc::new(TimestampMicrosecondArray::from_iter_values(rows().map(|bits| (bits >> 20) as i64)))),
        ("lists", Arc::new(lists.finish())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, name != "id"))).unwrap()
}

fn parts() -> UInt8Array {
    (0..ROWS).map(|row| Some([0, 0, 0, 1, 0, 2, 0, 0][(noise(row) >> 40) as usize % 8])).collect()
}

/// The same rows as they may come from a reader.
fn physical(batch: &RecordBatch, strings: Strings, turn: usize) -> RecordBatch {
    let packed = match strings {
        Strings::Plain => false,
        Strings::Dictionaries => true,
        Strings::Mixed => turn.is_multiple_of(2),
    };
    let columns = batch.columns().iter().map(|column| match column.as_any().downcast_ref::<StringArray>() {
        Some(strings) if packed => Arc::new(strings.iter().collect::<DictionaryArray<Int32Type>>()) as ArrayRef,
        _ => Arc::clone(column),
    });
    let columns: Vec<ArrayRef> = columns.collect();
    let fields = batch
        .schema()
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()))
        .collect::<Vec<_>>();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Rows none of which was dropped.
fn rows(batch: RecordBatch, parts: UInt8Array) -> Rows {
    Rows { source: batch.clone(), of: batch.num_rows() as u64, origin: None, parts: Some(parts), batch }
}

/// The first `number` rows, pushed in batches of `size`.
fn push_all<A: Aggregate>(mut sink: A, number: usize, size: usize, strings: Strings) -> Result<Summary> {
    let (table, parts) = (table(), parts());
    let preparation = sink.preparation();
    for (turn, start) in (0..number).step_by(size).enumerate() {
        let count = size.min(number - start);
        let batch = physical(&table.slice(start, count), strings, turn);
        sink.push(preparation.prepare(rows(batch, parts.slice(start, count)))?)?;
    }
    sink.finish(&Stop::default())
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for part in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        for file in fs::read_dir(&part).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
            found.insert(name, fs::read(&file).unwrap());
        }
    }
    found
}

struct Run {
    files: BTreeMap<String, Vec<u8>>,
    summary: Summary,
}

fn run(rows: usize, size: usize, strings: Strings, change: impl FnOnce(&mut ConcatOptions)) -> Run {
    let home = tempfile::tempdir().unwrap();
    let mut options = ConcatOptions::new(home.path());
    options.file_rows = 40_000;
    options.format = Format::Parquet(ParquetOptions { row_group_rows: 20_000, ..ParquetOptions::default() });
    change(&mut options);
    let dataset = home.path().join("data");
    let sink = Concat::create(&dataset, &table().schema(), &names(), &options).unwrap();
    let summary = push_all(sink, rows, size, strings).unwrap();
    let files = files(&dataset);
    let listed: BTreeMap<_, _> =
        summary.parts.iter().flat_map(|part| &part.files).map(|file| (file.path.clone(), file.bytes)).collect();
    assert_eq!(listed, files.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect());
    Run { files, summary }
}

fn assert_same(expected: &Run, other: &Run, what: &str) {
    assert_eq!(expected.summary.parts, other.summary.parts, "{what}");
    let differing: Vec<_> =
        expected.files.iter().filter(|(name, bytes)| other.files.get(*name) != Some(bytes)).collect();
    assert!(differing.is_empty(), "{what}: {:?}", differing.iter().map(|(name, _)| name).collect::<Vec<_>>());
}

#[test]
fn parquet_bytes_depend_on_the_rows_only() {
    let expected = run(ROWS, 8192, Strings::Plain, |options| options.threads = 1);
    assert!(expected.files.contains_key("train/part-00001.parquet"));
    for (size, strings, threads, memory) in [
        (1_000, Strings::Plain, 1, usize::MAX),
        (1_000, Strings::Dictionaries, 3, usize::MAX),
        (100_000, Strings::Dictionaries, 1, usize::MAX),
        (777, Strings::Mixed, 3, 1),
        (8192, Strings::Mixed, 2, 1 << 20),
        (100_000, Strings::Plain, 3, 1),
    ] {
        let other = run(ROWS, size, strings, |options| (options.threads, options.memory) = (threads, memory));
        assert_same(&expected, &other, &format!("batches of {size}, {threads} threads, {memory} bytes"));
    }
}

#[test]
fn row_groups_that_end_by_their_bytes_end_at_the_same_rows() {
    let bytes = |row_group_bytes| {
        Format::Parquet(ParquetOptions { row_group_bytes, row_group_rows: 1 << 20, ..ParquetOptions::default() })
    };
    let expected = run(ROWS, 8192, Strings::Plain, |options| options.format = bytes(1 << 18));
    let whole = run(ROWS, 8192, Strings::Plain, |options| options.format = bytes(1 << 30));
    assert_ne!(expected.files, whole.files);
    for (size, threads, memory) in [(500, 3, usize::MAX), (100_000, 2, 1), (3_000, 1, 1 << 20)] {
        let other = run(ROWS, size, Strings::Mixed, |options| {
            (options.format, options.threads, options.memory) = (bytes(1 << 18), threads, memory);
        });
        assert_same(&expected, &other, &format!("batches of {size}, {threads} threads, {memory} bytes"));
    }
}

#[test]
fn single_rows_make_the_same_files() {
    let expected = run(9_000, 8192, Strings::Plain, |_| {});
    assert_same(&expected, &run(9_000, 1, Strings::Mixed, |_| {}), "batches of 1");
}

#[test]
fn arrow_bytes_depend_on_the_rows_only() {
    let arrow = |options: &mut ConcatOptions| options.format = Format::Arrow;
    let expected = run(ROWS, 8192, Strings::Plain, arrow);
    for (size, strings, memory) in [(777, Strings::Mixed, usize::MAX), (100_000, Strings::Dictionaries, 1)] {
        let other = run(ROWS, size, strings, |options| (options.format, options.memory) = (Format::Arrow, memory));
        assert_same(&expected, &other, &format!("batches of {size}"));
    }
}

#[test]
fn every_part_but_the_first_spills_under_a_tiny_budget() {
    let spilling = run(ROWS, 5_000, Strings::Plain, |options| options.memory = 1);
    let free = run(ROWS, 5_000, Strings::Plain, |_| {});
    assert!(spilling.summary.spilled_bytes > 0);
    assert_eq!(free.summary.spilled_bytes, 0);
    assert!(spilling.summary.peak_buffered > 0 && free.summary.peak_buffered > 0);
}

#[test]
fn a_part_without_room_for_a_row_group_waits_on_disk() {
    let halves = |memory: usize| {
        let (home, table) = (tempfile::tempdir().unwrap(), table());
        let options = ConcatOptions { memory, ..ConcatOptions::new(home.path()) };
        let mut sink = Concat::create(&home.path().join("data"), &table.schema(), &names()[..2], &options).unwrap();
        let preparation = sink.preparation();
        for start in (0..ROWS).step_by(5_000) {
            let parts = UInt8Array::from_iter_values((0..5_000).map(|row| (row % 2) as u8));
            sink.push(preparation.prepare(rows(table.slice(start, 5_000), parts)).unwrap()).unwrap();
        }
        let summary = sink.finish(&Stop::default()).unwrap();
        (summary, files(&home.path().join("data")))
    };
    // What all rows take fits, and what one row group may come to, but not two of them.
    let memory = 60 << 20;
    let (free, expected) = halves(usize::MAX);
    let (tight, found) = halves(memory);
    assert!(free.peak_buffered < memory && free.spilled_bytes == 0);
    assert!(tight.spilled_bytes > 0);
    assert!(found == expected, "other bytes");
}

#[test]
fn wide_tables_have_no_dictionaries_of_floats_and_the_same_bytes_from_any_batches() {
    let wide = |rows: usize| {
        let float = |column: usize| {
            Arc::new(Float64Array::from_iter_values((0..rows).map(|row| (row * column % 7) as f64))) as ArrayRef
        };
        let columns = (0..600).map(|column| (format!("x{column}"), float(column)));
        let text = Arc::new(StringArray::from_iter_values((0..rows).map(|row| (row % 3).to_string()))) as ArrayRef;
        RecordBatch::try_from_iter(columns.chain([("text".to_owned(), text)])).unwrap()
    };
    let rows_of = |size: usize| {
        let (home, table) = (tempfile::tempdir().unwrap(), wide(2_000));
        let mut sink =
            Concat::create(home.path(), &table.schema(), &["all".to_owned()], &ConcatOptions::new(home.path()))
                .unwrap();
        let preparation = sink.preparation();
        for start in (0..2_000).step_by(size) {
            let batch = table.slice(start, size);
            let rows = Rows { source: batch.clone(), of: size as u64, origin: None, parts: None, batch };
            sink.push(preparation.prepare(rows).unwrap()).unwrap();
        }
        sink.finish(&Stop::default()).unwrap();
        fs::read(home.path().join("all/part-00000.parquet")).unwrap()
    };
    let bytes = rows_of(2_000);
    assert_eq!(bytes, rows_of(50));
    let footer =
        parquet::file::metadata::ParquetMetaDataReader::new().parse_and_finish(&bytes::Bytes::from(bytes)).unwrap();
    let has_dictionary = |column: usize| footer.row_group(0).column(column).dictionary_page_offset().is_some();
    assert!(!has_dictionary(0) && has_dictionary(600));
}

/// Pushes the rows of a table from the first that a sink has not got yet, `until` a row, and drops the sink as a killed run would.
fn push_and_die(dataset: &Path, options: &ConcatOptions, size: usize, until: usize) {
    let mut sink = Concat::create(dataset, &table().schema(), &names(), options).unwrap();
    let (table, parts, preparation) = (table(), parts(), sink.preparation());
    let first = usize::try_from(sink.start()).unwrap();
    for start in (first..until).step_by(size) {
        let count = size.min(until - start);
        let batch = rows(table.slice(start, count), parts.slice(start, count));
        sink.push(preparation.prepare(batch).unwrap()).unwrap();
    }
}

#[test]
fn a_dataset_whose_run_was_killed_goes_on_to_the_same_bytes() {
    for format in
        [Format::Arrow, Format::Parquet(ParquetOptions { row_group_rows: 3_000, ..ParquetOptions::default() })]
    {
        let layout = |options: &mut ConcatOptions| {
            (options.file_rows, options.file_bytes) = (11_000, 1 << 20);
            options.format = format.clone();
        };
        let expected = run(ROWS, 8192, Strings::Plain, layout);
        assert!(expected.summary.parts[0].files.len() > 6);
        let home = tempfile::tempdir().unwrap();
        let mut options = ConcatOptions::new(home.path());
        layout(&mut options);
        options.log = Some(home.path().join("segments"));
        let dataset = home.path().join("data");
        for (size, until) in [(1_000, 5_000), (1_000, 24_000), (777, 24_500), (50_000, 51_000)] {
            push_and_die(&dataset, &options, size, until);
        }
        let mut sink = Concat::create(&dataset, &table().schema(), &names(), &options).unwrap();
        let first = usize::try_from(sink.start()).unwrap();
        assert!((30_000..51_000).contains(&first), "{first}");
        let (table, parts, preparation) = (table(), parts(), sink.preparation());
        let rest = rows(table.slice(first, ROWS - first), parts.slice(first, ROWS - first));
        sink.push(preparation.prepare(rest).unwrap()).unwrap();
        let summary = sink.finish(&Stop::default()).unwrap();
        assert_same(&expected, &Run { files: files(&dataset), summary }, "resumed");
    }
}

#[test]
fn a_recorded_file_that_has_changed_is_refused_and_named() {
    let home = tempfile::tempdir().unwrap();
    let mut options = ConcatOptions::new(home.path());
    (options.file_rows, options.log) = (2_000, Some(home.path().join("segments")));
    let dataset = home.path().join("data");
    push_and_die(&dataset, &options, 1_000, 5_000);
    let changed = dataset.join("train/part-00001.parquet");
    let mut bytes = fs::read(&changed).unwrap();
    bytes[100] ^= 1;
    fs::write(&changed, bytes).unwrap();
    let error = Concat::create(&dataset, &table().schema(), &names(), &options).err().unwrap();
    assert_eq!(error.place().file.as_deref(), Some(changed.as_path()));
}

#[test]
fn files_end_at_the_same_rows_for_any_batches() {
    let by_bytes = |options: &mut ConcatOptions| (options.file_rows, options.file_bytes) = (1 << 40, 500_000);
    let expected = run(ROWS, 8192, Strings::Plain, by_bytes);
    assert!(expected.summary.parts[0].files.len() > 5);
    for (size, strings) in [(1_000, Strings::Dictionaries), (100_000, Strings::Mixed), (61, Strings::Plain)] {
        assert_same(&expected, &run(ROWS, size, strings, by_bytes), &format!("batches of {size}"));
    }
}

fn read_parquet(path: &Path) -> (SchemaRef, RecordBatch) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    assert_eq!(reader.metadata().file_metadata().created_by(), Some("wafermill version 0.1.0"));
    let schema = Arc::clone(reader.schema());
    let batches: Vec<_> = reader.build().unwrap().map(|batch| batch.unwrap()).collect();
    (Arc::clone(&schema), concat_batches(&schema, &batches).unwrap())
}

#[test]
fn readers_find_each_part_with_its_rows_and_the_logical_schema() {
    let home = tempfile::tempdir().unwrap();
    let run = run(ROWS, 3_000, Strings::Dictionaries, |_| {});
    let (table, parts) = (table(), parts());
    for (id, name) in names().iter().enumerate() {
        let mut read = Vec::new();
        for file in &run.summary.parts[id].files {
            let path = home.path().join("file");
            fs::write(&path, &run.files[&file.path]).unwrap();
            let (schema, batch) = read_parquet(&path);
            assert_eq!((schema.as_ref(), batch.num_rows() as u64), (table.schema().as_ref(), file.rows));
            read.push(batch);
        }
        let mine = BooleanArray::from_iter(parts.iter().map(|part| Some(part == Some(id as u8))));
        let expected = arrow_select::filter::filter_record_batch(&table, &mine).unwrap();
        let read = concat_batches(&table.schema(), &read).unwrap();
        assert_eq!(run.summary.parts[id].rows, expected.num_rows() as u64);
        for (index, field) in table.schema().fields().iter().enumerate().filter(|(index, _)| *index != 1) {
            assert_eq!(read.column(index), expected.column(index), "{name}: {}", field.name());
        }
        let bits = |batch: &RecordBatch| -> Vec<Option<u64>> {
            let floats = batch.column(1).as_any().downcast_ref::<Float64Array>().unwrap();
            floats
                .iter()
                .map(|value| value.map(|value| if value.is_nan() { 0x7ff8 << 48 } else { value.to_bits() }))
                .collect()
        };
        let raw = read.column(1).as_any().downcast_ref::<Float64Array>().unwrap();
        assert_eq!(raw.iter().map(|value| value.map(f64::to_bits)).collect::<Vec<_>>(), bits(&expected));
    }
}

#[test]
fn a_part_without_rows_has_one_file_with_the_schema() {
    let run = run(100, 100, Strings::Plain, |_| {});
    assert_eq!(run.summary.parts[3].files.len(), 1);
    assert_eq!(run.summary.parts[3].files[0].rows, 0);
    assert!(run.files.contains_key("none/part-00000.parquet"));
}

#[test]
fn a_column_that_cannot_be_encoded_is_named() {
    let home = tempfile::tempdir().unwrap();
    let nullable = table();
    let fields: Vec<_> =
        nullable.schema().fields().iter().map(|field| field.as_ref().clone().with_nullable(false)).collect();
    let schema = Arc::new(Schema::new(fields));
    let sink = Concat::create(&home.path().join("data"), &schema, &names(), &ConcatOptions::new(home.path())).unwrap();
    let error: Error = push_all(sink, ROWS, 8192, Strings::Plain).unwrap_err();
    assert!(error.place().column.is_some(), "{error:?}");
}

#[test]
fn a_file_that_cannot_be_created_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Concat::create(&file, &table().schema(), &names(), &ConcatOptions::new(home.path())).err().unwrap();
    assert_eq!(error.place().file.as_deref(), Some(file.join("train").as_path()));
}

fn stream(size: usize, strings: Strings, split: bool) -> Vec<u8> {
    let path = tempfile::NamedTempFile::new().unwrap();
    let list = List::start(path.reopen().unwrap(), &table().schema(), &names(), split).unwrap();
    let summary = push_all(list, ROWS, size, strings).unwrap();
    assert_eq!(summary.parts.iter().map(|part| part.rows).sum::<u64>(), ROWS as u64);
    fs::read(path.path()).unwrap()
}

#[test]
fn a_stream_has_the_rows_in_order_with_the_names_of_their_parts() {
    let expected = stream(8192, Strings::Plain, true);
    assert_eq!(expected, stream(1_000, Strings::Mixed, true));
    assert_eq!(expected, stream(100_000, Strings::Dictionaries, true));
    let reader = arrow_ipc::reader::StreamReader::try_new(expected.as_slice(), None).unwrap();
    let batches: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
    assert_eq!(batches[0].num_rows(), 8192);
    let read = concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(read.column(3), table().column(3));
    let tags = read.column_by_name("part").unwrap().as_any().downcast_ref::<StringArray>().unwrap();
    let named = parts().iter().map(|part| names()[usize::from(part.unwrap())].clone()).collect::<Vec<_>>();
    assert!(tags.iter().flatten().eq(named.iter().map(String::as_str)));
}

#[test]
fn a_stream_without_a_split_has_the_columns_of_the_table() {
    let bytes = stream(1_000, Strings::Plain, false);
    let reader = arrow_ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
    assert_eq!(reader.schema(), table().schema());
}
