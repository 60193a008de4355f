//! The pieces of a run, one at a time: crossing to a plugin and back by the rows of a batch, reading Parquet, spooling, decoding what was
//! saved, writing Parquet, and ordering rows by their hash.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::{ArrayRef, RecordBatch, UInt8Array};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use tempfile::TempDir;
use wafermill::Stop;
use wafermill::aggregate::{Aggregate, Concat, ConcatOptions, Prepare, Rows, Shuffle, ShuffleOptions};
use wafermill::ipc::{TableWriter, open_table};
use wafermill::source::{CsvOptions, Source, open};
use wafermill::spool::{Spool, SpoolCompression, SpoolOptions};
use wafermill_yardstick::batches::{self, ROWS};
use wafermill_yardstick::sandboxed::Sandboxed;

/// Batches of the table that is read and written.
const BATCHES: usize = 16;

/// Bytes in which rows are ordered: they do not hold the table, so that it is spilled and merged.
const MEMORY: usize = 4 << 20;

fn main() -> Result<()> {
    let plugins = env::var_os("WAFERMILL_PLUGINS").context("`cargo xtask micro` tells where the plugins are")?;
    let mut criterion = Criterion::default().configure_from_args();
    crossing(&mut criterion, &PathBuf::from(plugins))?;
    tables(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

/// A batch of numbers is encoded, copied in, filled, copied out, checked and decoded.
fn crossing(criterion: &mut Criterion, plugins: &Path) -> Result<()> {
    let mut group = criterion.benchmark_group("crossing");
    for rows in [512, 2_048, 8_192, 32_768, 131_072] {
        let mut step = Sandboxed::open(plugins, "impute", "{}", &batches::numbers_of(rows)?)?;
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::from_parameter(rows), |bencher| bencher.iter(|| succeed(step.apply())));
    }
    group.finish();
    Ok(())
}

fn tables(criterion: &mut Criterion) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let batch = table()?;
    let parquet = write(&folder.path().join("data"), &batch, |concat| concat)?;
    let source = || open(&parquet, None, &CsvOptions::default());
    let columns: Vec<usize> = (0..batch.num_columns()).collect();
    let saved = folder.path().join("saved.arrow");
    let numbers = batches::numbers()?;
    let mut writer = TableWriter::create(&saved, &numbers.schema())?;
    (0..BATCHES).try_for_each(|_| writer.write(&numbers))?;
    writer.finish()?;

    let mut group = criterion.benchmark_group("table");
    group.throughput(Throughput::Elements((BATCHES * ROWS) as u64)).sample_size(20);
    let parquet = source()?;
    group.bench_function("read Parquet", |bencher| bencher.iter(|| succeed(drain(&*parquet, &columns))));
    let spool = |folder: &TempDir| {
        let options = SpoolOptions { folder: folder.path().join("spool"), compression: SpoolCompression::None };
        Ok(Spool::open(source()?, columns.clone(), options)?)
    };
    let empty = || succeed(tempfile::tempdir().map_err(Into::into));
    group.bench_function("spool Parquet", |bencher| {
        let fill = |folder: &mut TempDir| succeed(spool(folder).and_then(|spool| drain(&spool, &columns)));
        bencher.iter_batched_ref(empty, fill, BatchSize::PerIteration);
    });
    let spooled = spool(&folder)?;
    drain(&spooled, &columns)?;
    group.bench_function("read a spool", |bencher| bencher.iter(|| succeed(drain(&spooled, &columns))));
    group.bench_function("decode and check saved numbers", |bencher| {
        bencher.iter(|| {
            let rows = open_table(&saved, None)
                .and_then(|mut table| table.try_fold(0, |rows, batch| batch.map(|batch| rows + batch.num_rows())));
            assert_eq!(succeed(rows.map_err(Into::into)), BATCHES * ROWS);
        });
    });
    group.bench_function("write Parquet", |bencher| {
        let write = |folder: &mut TempDir| succeed(write(&folder.path().join("data"), &batch, |concat| concat));
        bencher.iter_batched_ref(empty, write, BatchSize::PerIteration);
    });
    group.bench_function("write Parquet, ordered by hash", |bencher| {
        let shuffle = |folder: &mut TempDir| {
            let options = ShuffleOptions::within(MEMORY, batch.num_columns(), folder.path());
            let shuffled = |concat| Shuffle::new(concat, options, Stop::default());
            succeed(write(&folder.path().join("data"), &batch, shuffled))
        };
        bencher.iter_batched_ref(empty, shuffle, BatchSize::PerIteration);
    });
    group.finish();
    Ok(())
}

/// Numbers and categories, as in the benchmark's table.
fn table() -> Result<RecordBatch> {
    let (numbers, categories) = (batches::numbers()?, batches::categories()?);
    let names = [&numbers, &categories].map(|batch| batch.schema());
    let names = names.iter().flat_map(|schema| schema.fields().iter().map(|field| field.name().clone()));
    let columns: Vec<ArrayRef> = numbers.columns().iter().chain(categories.columns()).cloned().collect();
    Ok(RecordBatch::try_from_iter_with_nullable(names.zip(columns).map(|(name, column)| (name, column, true)))?)
}

/// Writes the batch as often as the table has it, to two parts, and returns the pattern of their files.
fn write<A: Aggregate>(folder: &Path, batch: &RecordBatch, aggregate: impl FnOnce(Concat) -> A) -> Result<String> {
    let parts = ["train".to_owned(), "test".to_owned()];
    let logical = Arc::new(arrow_schema::Schema::new(batches::logical_fields(batch)));
    let scratch = folder.parent().context("a folder has a parent")?;
    let mut aggregate = aggregate(Concat::create(folder, &logical, &parts, &ConcatOptions::new(scratch))?);
    let preparation = aggregate.preparation();
    let ids: UInt8Array = (0..batch.num_rows()).map(|row| Some(u8::from(row % 5 == 4))).collect();
    for _ in 0..BATCHES {
        let (rows, parts) = (batch.clone(), Some(ids.clone()));
        let rows = Rows { source: rows.clone(), of: rows.num_rows() as u64, batch: rows, parts, origin: None };
        aggregate.push(preparation.prepare(rows)?)?;
    }
    aggregate.finish(&Stop::default())?;
    folder.join("*/*.parquet").into_os_string().into_string().ok().context("a path is no text")
}

/// Reads all rows of a source.
fn drain(source: &dyn Source, columns: &[usize]) -> Result<()> {
    let mut rows = 0;
    for read in source.read(columns, ROWS)? {
        rows += read?.batch.num_rows();
    }
    assert_eq!(rows, BATCHES * ROWS);
    Ok(())
}

/// A benchmark that fails measures nothing.
fn succeed<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error:#}"))
}
