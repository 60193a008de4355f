//! The combiner against a plain map, over random tables, cuts and orders.

use super::*;
use crate::ipc::TableReader;
use crate::{ErrorKind, Result, Stop};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::NullBuffer;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

mod sizes;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    /// A column with nulls; what lies under them differs from row to row.
    fn column(&mut self, data_type: &DataType, rows: usize) -> ArrayRef {
        let nulls: NullBuffer = (0..rows).map(|_| self.below(5) > 0).collect();
        let mut number = |bound: u64| self.below(bound) as i64 - bound as i64 / 2;
        match data_type {
            DataType::Boolean => Arc::new(
                (0..rows).map(|_| [None, Some(false), Some(true)][self.below(3) as usize]).collect::<BooleanArray>(),
            ),
            DataType::Int8 => Arc::new(Int8Array::new((0..rows).map(|_| number(6) as i8).collect(), Some(nulls))),
            DataType::Int64 => Arc::new(Int64Array::new((0..rows).map(|_| number(9)).collect(), Some(nulls))),
            DataType::UInt64 => {
                Arc::new(UInt64Array::new((0..rows).map(|_| number(9) as u64 >> 8).collect(), Some(nulls)))
            }
            DataType::Date32 => Arc::new(Date32Array::new((0..rows).map(|_| number(4) as i32).collect(), Some(nulls))),
            DataType::Float64 => {
                let values = [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5, -1e300];
                Arc::new(Float64Array::new((0..rows).map(|_| values[(number(8) + 4) as usize]).collect(), Some(nulls)))
            }
            DataType::Decimal128(precision, scale) => {
                let array = Decimal128Array::new((0..rows).map(|_| i128::from(number(9))).collect(), Some(nulls));
                Arc::new(array.with_precision_and_scale(*precision, *scale).unwrap())
            }
            DataType::Utf8 => {
                let words = [
                    "",
                    "a",
                    "a\0",
                    "ab",
                    "ä",
                    "a longer word than sixteen bytes",
                    "a longer word than sixteen bytes!",
                ];
                let values = (0..rows).map(|_| words.get(self.below(8) as usize));
                Arc::new(values.collect::<StringArray>())
            }
            DataType::Binary => {
                let words: [&[u8]; 4] = [b"", b"\0", b"\0\0", b"\xff"];
                let values = (0..rows).map(|_| words.get(self.below(5) as usize));
                Arc::new(values.collect::<BinaryArray>())
            }
            DataType::FixedSizeList(item, size) => {
                let items = self.column(&DataType::Int64, rows * *size as usize);
                Arc::new(FixedSizeListArray::new(item.clone(), *size, items, Some(nulls)))
            }
            other => panic!("no random {other}"),
        }
    }
}

fn int64_list(size: i32) -> DataType {
    DataType::FixedSizeList(Arc::new(Field::new("item", DataType::Int64, true)), size)
}

fn table(columns: &[(DataType, Operator)]) -> Arc<PartialTable> {
    let named = |(position, (data_type, _)): (usize, &(DataType, Operator))| {
        Field::new(format!("c{position}"), data_type.clone(), true)
    };
    let fields: Vec<Field> = columns.iter().enumerate().map(named).collect();
    let operators = columns.iter().map(|(_, operator)| *operator).collect();
    Arc::new(PartialTable::new("counts", Arc::new(Schema::new(fields)), operators).unwrap())
}

fn random_batch(table: &PartialTable, rows: usize, random: &mut Random) -> RecordBatch {
    let fields = table.schema().fields().iter();
    let columns = fields.map(|field| random.column(field.data_type(), rows)).collect();
    RecordBatch::try_new(table.schema().clone(), columns).unwrap()
}

/// The rows in another order, in batches of random sizes.
fn shuffled(batch: &RecordBatch, random: &mut Random) -> Vec<RecordBatch> {
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    for position in (1..order.len()).rev() {
        order.swap(position, random.below(position as u64 + 1) as usize);
    }
    let batch = arrow_select::take::take_record_batch(batch, &UInt32Array::from(order)).unwrap();
    let mut cuts = Vec::new();
    let mut start = 0;
    while start < batch.num_rows() {
        let length = (random.below(40) as usize).min(batch.num_rows() - start);
        cuts.push(batch.slice(start, length));
        start += length;
    }
    cuts
}

fn combine(
    table: &Arc<PartialTable>,
    batches: &[RecordBatch],
    memory: usize,
    scratch: &Path,
) -> Result<Vec<RecordBatch>> {
    let combiner = Combiner::new(table.clone(), memory, scratch, Stop::default())?;
    for batch in batches {
        combiner.push(batch.clone())?;
    }
    combiner.finish()?.collect()
}

fn bytes(schema: &SchemaRef, batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), schema, IpcWriteOptions::default()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

/// What a cell holds, so that a map can combine it: the model that the combiner is held against.
#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Null,
    Number(i128),
    Float(f64),
    Text(String),
    List(Vec<Cell>),
}

fn cell(array: &dyn Array, row: usize) -> Cell {
    if array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Int8 => Cell::Number(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int64 => Cell::Number(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::UInt64 => Cell::Number(array.as_primitive::<UInt64Type>().value(row).into()),
        DataType::Decimal128(..) => Cell::Number(array.as_primitive::<Decimal128Type>().value(row)),
        DataType::Float64 => Cell::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::FixedSizeList(..) => {
            let items = array.as_fixed_size_list().value(row);
            Cell::List((0..items.len()).map(|item| cell(&items, item)).collect())
        }
        other => panic!("no cell of {other}"),
    }
}

fn combined(operator: Operator, a: Cell, b: Cell) -> Cell {
    match (a, b) {
        (Cell::Null, other) | (other, Cell::Null) => other,
        (Cell::List(a), Cell::List(b)) => {
            Cell::List(a.into_iter().zip(b).map(|(a, b)| combined(operator, a, b)).collect())
        }
        (Cell::Number(a), Cell::Number(b)) => Cell::Number(match operator {
            Operator::Sum => a + b,
            Operator::Min => a.min(b),
            _ => a.max(b),
        }),
        (Cell::Text(a), Cell::Text(b)) => Cell::Text(if operator == Operator::Min { a.min(b) } else { a.max(b) }),
        (Cell::Float(a), Cell::Float(b)) => {
            Cell::Float(if a.total_cmp(&b).is_le() == (operator == Operator::Min) { a } else { b })
        }
        (a, b) => panic!("{a:?} and {b:?}"),
    }
}

/// Rows by encoded key, values combined one by one.
fn modelled(table: &PartialTable, batch: &RecordBatch) -> Vec<(Vec<u8>, String)> {
    let fields =
        batch.schema().fields()[..table.keys()].iter().map(|f| SortField::new(f.data_type().clone())).collect();
    let keys = RowConverter::new(fields).unwrap().convert_columns(&batch.columns()[..table.keys()]).unwrap();
    let mut rows: BTreeMap<Vec<u8>, Vec<Cell>> = BTreeMap::new();
    for row in 0..batch.num_rows() {
        let values: Vec<Cell> = table.values().map(|(position, ..)| cell(batch.column(position), row)).collect();
        let old = rows.entry(keys.row(row).data().to_vec()).or_insert_with(|| vec![Cell::Null; values.len()]);
        for ((old, new), (_, _, operator)) in old.iter_mut().zip(values).zip(table.values()) {
            *old = combined(operator, old.clone(), new);
        }
    }
    rows.into_iter().map(|(key, values)| (key, format!("{values:?}"))).collect()
}

#[test]
fn the_result_is_a_plain_maps_whatever_the_order_the_cut_and_the_memory() {
    use DataType::*;
    use Operator::*;
    let tables = [
        table(&[(Boolean, Key), (Int64, Sum), (Int8, Min)]),
        table(&[(Int8, Key), (Utf8, Key), (UInt64, Sum), (Float64, Max), (Float64, Min)]),
        table(&[(Utf8, Key), (Decimal128(20, 2), Sum), (Utf8, Min), (Utf8, Max)]),
        table(&[(Binary, Key), (Date32, Key), (int64_list(3), Sum), (int64_list(2), Max)]),
        table(&[(Float64, Key), (Int64, Max), (int64_list(1), Min)]),
        table(&[(Decimal128(10, 1), Key), (Int64, Key), (Boolean, Key)]),
    ];
    let scratch = tempfile::tempdir().unwrap();
    for (seed, table) in tables.iter().enumerate() {
        let mut random = Random(seed as u64);
        let batch = random_batch(table, 2000, &mut random);
        let whole = combine(table, std::slice::from_ref(&batch), usize::MAX, scratch.path()).unwrap();
        let joined = arrow_select::concat::concat_batches(table.schema(), &whole).unwrap();
        assert_eq!(modelled(table, &joined), modelled(table, &batch), "{table:?}");
        assert_eq!(modelled(table, &joined).len(), joined.num_rows(), "a key comes twice");
        for memory in [0, 10_000, usize::MAX] {
            let cut = combine(table, &shuffled(&batch, &mut random), memory, scratch.path()).unwrap();
            assert_eq!(bytes(table.schema(), &cut), bytes(table.schema(), &whole), "{memory} {table:?}");
        }
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "spilled files are left");
    }
}

#[test]
fn threads_that_spill_many_runs_write_the_same_file() {
    let table = table(&[(DataType::Int64, Operator::Key), (DataType::Int64, Operator::Sum)]);
    let batch = |start: i64| {
        let keys = Int64Array::from_iter_values((0..1000).map(|row| (start * 1000 + row) * 7919 % 40_009));
        let counts = Int64Array::from_iter_values(std::iter::repeat_n(1, 1000));
        RecordBatch::try_new(table.schema().clone(), vec![Arc::new(keys), Arc::new(counts)]).unwrap()
    };
    let scratch = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for memory in [0, 100_000, usize::MAX] {
        let combiner = Combiner::new(table.clone(), memory, scratch.path(), Stop::default()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let combiner = &combiner;
                scope
                    .spawn(move || (0..100).filter(|i| i % 3 == thread).for_each(|i| combiner.push(batch(i)).unwrap()));
            }
        });
        let combined = combiner.finish().unwrap();
        assert_eq!(combined.statistics().rows, 100_000);
        assert_eq!(combined.statistics().spilled_runs > 0, memory < usize::MAX);
        let path = scratch.path().join("partials.arrow");
        assert_eq!(write(combined, &path, |_| Ok(())).unwrap().rows, 40_009);
        files.push(std::fs::read(&path).unwrap());

        let back: Vec<_> =
            TableReader::open(&path, table.schema(), None, &mut |_| Ok(())).unwrap().map(Result::unwrap).collect();
        assert_eq!(back.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [16_384, 16_384, 40_009 - 2 * 16_384]);
        let counts = back.iter().flat_map(|batch| batch.column(1).as_primitive::<Int64Type>().values());
        assert_eq!(counts.sum::<i64>(), 100_000);
        std::fs::remove_file(path).unwrap();
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "spilled files are left");
    }
    assert!(files[0] == files[1] && files[1] == files[2]);
}

#[test]
fn a_table_without_keys_has_one_row() {
    let table = table(&[(DataType::Int64, Operator::Sum), (int64_list(2), Operator::Max)]);
    let scratch = tempfile::tempdir().unwrap();
    let mut random = Random(1);
    let batch = random_batch(&table, 100, &mut random);
    for memory in [0, usize::MAX] {
        let combined = combine(&table, &shuffled(&batch, &mut random), memory, scratch.path()).unwrap();
        assert_eq!(combined.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
        let sum = batch.column(0).as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
        assert_eq!(combined[0].column(0).as_primitive::<Int64Type>().value(0), sum);
    }
    assert!(combine(&table, &[], 0, scratch.path()).unwrap().is_empty());
}

#[test]
fn a_sum_that_overflows_names_table_and_column() {
    let columns: [(DataType, ArrayRef); 4] = [
        (DataType::Int64, Arc::new(Int64Array::from(vec![i64::MAX, 1]))),
        (DataType::UInt64, Arc::new(UInt64Array::from(vec![u64::MAX, 1]))),
        (DataType::Decimal128(2, 0), {
            Arc::new(Decimal128Array::from(vec![60, 60]).with_precision_and_scale(2, 0).unwrap())
        }),
        (int64_list(1), {
            let list = FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(
                [Some([Some(i64::MIN)]), Some([Some(-1)])],
                1,
            );
            Arc::new(list)
        }),
    ];
    let scratch = tempfile::tempdir().unwrap();
    for (data_type, column) in columns {
        let table = table(&[(data_type, Operator::Sum)]);
        let batch = RecordBatch::try_new(table.schema().clone(), vec![column]).unwrap();
        for cut in [vec![batch.clone()], vec![batch.slice(0, 1), batch.slice(1, 1)]] {
            let error = combine(&table, &cut, 0, scratch.path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Plugin);
            let start = "the sum in column `c0` of partial table `counts` overflows ";
            assert!(error.message().starts_with(start), "{error}");
        }
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "spilled files are left");
    }
}

#[test]
fn sums_that_leave_their_range_and_come_back_are_the_same_in_any_order_and_cut() {
    let (least, most) = (i64::MIN, i64::MAX);
    let integers = [most, most, least, 5, least, most, -7, least, 2, 9];
    let decimals = [i128::MAX, 3, i128::MIN, i128::MAX, -12, i128::MIN, 4, 1, 0, 5];
    let lists = integers.map(|number| Some([Some(number), Some(1), Some(number / 2)]));
    let keys = [1, 1, 1, 1, 1, 1, 1, 1, 2, 2];
    let table = table(&[
        (DataType::Int64, Operator::Key),
        (DataType::Int64, Operator::Sum),
        (DataType::Decimal128(38, 0), Operator::Sum),
        (int64_list(3), Operator::Sum),
        (DataType::Int64, Operator::Max),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(keys.to_vec())),
        Arc::new(Int64Array::from(integers.to_vec())),
        Arc::new(Decimal128Array::from(decimals.to_vec()).with_precision_and_scale(38, 0).unwrap()),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(lists, 3)),
        Arc::new(Int64Array::from(integers.to_vec())),
    ];
    let batch = RecordBatch::try_new(table.schema().clone(), columns).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let mut random = Random(5);
    for _ in 0..200 {
        for memory in [0, usize::MAX] {
            let combined = combine(&table, &shuffled(&batch, &mut random), memory, scratch.path()).unwrap();
            let [rows] = combined.as_slice() else { panic!("{} batches", combined.len()) };
            assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[1, 2]);
            assert_eq!(rows.column(1).as_primitive::<Int64Type>().values(), &[-5, 11]);
            assert_eq!(rows.column(2).as_primitive::<Decimal128Type>().values(), &[-6, 5]);
            let lists = rows.column(3).as_fixed_size_list();
            assert_eq!(lists.values().as_primitive::<Int64Type>().values(), &[-5, 8, -4, 11, 2, 5]);
            assert_eq!(rows.column(4).as_primitive::<Int64Type>().values(), &[most, 9]);
        }
    }
}

#[test]
fn a_failed_push_leaves_no_result() {
    let table = table(&[(DataType::Int64, Operator::Sum)]);
    let combiner = Combiner::new(table, usize::MAX, Path::new("/nonexistent"), Stop::default()).unwrap();
    let other = record_batch!(("c0", Utf8, ["x"])).unwrap();
    assert_eq!(combiner.push(other).unwrap_err().kind(), ErrorKind::Sandbox);
    assert!(combiner.finish().is_err());
}

#[test]
fn a_scratch_directory_that_is_missing_is_named() {
    let table = table(&[(DataType::Int64, Operator::Sum)]);
    let combiner = Combiner::new(table, 0, Path::new("/nonexistent"), Stop::default()).unwrap();
    let error = combiner.push(record_batch!(("c0", Int64, [1])).unwrap()).unwrap_err();
    assert_eq!(error.place().file.as_deref(), Some(Path::new("/nonexistent")));
}

#[test]
fn damaged_files_are_refused_without_panic() {
    let table = table(&[(DataType::Utf8, Operator::Key), (int64_list(2), Operator::Sum)]);
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("partials.arrow");
    let combiner = Combiner::new(table.clone(), usize::MAX, scratch.path(), Stop::default()).unwrap();
    combiner.push(random_batch(&table, 50, &mut Random(3))).unwrap();
    write(combiner.finish().unwrap(), &path, |_| Ok(())).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let read = || TableReader::open(&path, table.schema(), None, &mut |_| Ok(()))?.collect::<Result<Vec<_>>>();
    assert_eq!(read().unwrap().len(), 1);
    for position in 0..whole.len() {
        for value in [0, 0x7f, 0xff] {
            let mut damaged = whole.clone();
            damaged[position] = value;
            std::fs::write(&path, &damaged).unwrap();
            if let Err(error) = read() {
                assert_eq!(error.kind(), ErrorKind::Model);
            }
        }
        std::fs::write(&path, &whole[..position]).unwrap();
        assert_eq!(read().unwrap_err().kind(), ErrorKind::Model);
    }
}

#[test]
fn a_file_of_another_table_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("partials.arrow");
    let combiner =
        Combiner::new(table(&[(DataType::Int64, Operator::Sum)]), 0, scratch.path(), Stop::default()).unwrap();
    write(combiner.finish().unwrap(), &path, |_| Ok(())).unwrap();
    let error = TableReader::open(&path, table(&[(DataType::UInt64, Operator::Sum)]).schema(), None, &mut |_| Ok(()));
    let error = error.err().unwrap();
    assert_eq!(error.message(), "the saved table has other columns than the plugin announces");
}

/// `cargo test --release -p wafermill --lib twenty_million -- --ignored --nocapture`
#[test]
#[ignore = "a measurement: seconds in release, 300 MB of scratch space"]
fn twenty_million_distinct_keys_combine_in_a_quarter_of_a_gibibyte() {
    const BATCHES: u64 = 306;
    const ROWS: u64 = 1 << 16;
    let fields = vec![
        Field::new("column", DataType::UInt32, false),
        Field::new("value", DataType::Int64, true),
        Field::new("count", DataType::Int64, false),
    ];
    let operators = vec![Operator::Key, Operator::Key, Operator::Sum];
    let table = Arc::new(PartialTable::new("counts", Arc::new(Schema::new(fields)), operators).unwrap());
    let scratch = tempfile::tempdir().unwrap();
    let start = std::time::Instant::now();
    let combiner = Combiner::new(table.clone(), 256 << 20, scratch.path(), Stop::default()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (combiner, table) = (&combiner, &table);
            scope.spawn(move || {
                for batch in (0..BATCHES).filter(|batch| batch % 2 == thread) {
                    let rows = batch * ROWS..(batch + 1) * ROWS;
                    let keys = rows.map(|row| row.wrapping_mul(0x9E37_79B9_7F4A_7C15) as i64);
                    let columns: Vec<ArrayRef> = vec![
                        Arc::new(UInt32Array::from(vec![7; ROWS as usize])),
                        Arc::new(Int64Array::from_iter_values(keys)),
                        Arc::new(Int64Array::from(vec![1; ROWS as usize])),
                    ];
                    combiner.push(RecordBatch::try_new(table.schema().clone(), columns).unwrap()).unwrap();
                }
            });
        }
    });
    println!("pushed in {:?}: {:?}", start.elapsed(), combiner.statistics());
    let rows: usize = combiner.finish().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    println!("finished in {:?}", start.elapsed());
    assert_eq!(rows as u64, BATCHES * ROWS);
}
