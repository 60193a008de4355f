//! Training rows that stay in memory between passes: nothing that is learned depends on how many there are.

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use parquet::arrow::ArrowWriter;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use wafermill::memory::{Pressure, Shares};
use wafermill::model::ModelStore;
use wafermill::pipeline::{Document, Plan, Plugins, StepDefinition};
use wafermill::run::{Run, RunOptions, Timing};
use wafermill::sandbox::{Limits, Sandbox};
use wafermill::source::{self, BatchReader, CsvOptions, Fragment, Source};
use wafermill::{Result, Stop};
use wafermill_tests::folder;
use wafermill_tests::program::Program;

const ROWS: u64 = 3_000;

const PIPELINE: &str = r#"
source = { path = "table.parquet" }
split = { key = ["id"] }
steps = [
    { name = "fill", plugin = "impute", columns = ["x", "y"], params = { strategy = "median" } },
    { name = "words", plugin = "impute", columns = ["word"], params = { strategy = "most_frequent" } },
    { name = "scale", plugin = "scale", columns = ["x", "y", "z"] },
    { name = "encode", plugin = "encode", columns = ["word"] },
]
"#;

/// A source that notes from which rows on it is read.
struct Noted {
    source: Box<dyn Source>,
    starts: Mutex<Vec<u64>>,
}

impl Source for Noted {
    fn schema(&self) -> &arrow_schema::SchemaRef {
        self.source.schema()
    }

    fn inner(&self) -> Option<&dyn Source> {
        Some(&*self.source)
    }

    fn fragments(&self) -> &[Fragment] {
        self.source.fragments()
    }

    fn read(&self, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        self.read_from(0, columns, batch_rows)
    }

    fn read_from(&self, start: u64, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        self.starts.lock().unwrap().push(start);
        self.source.read_from(start, columns, batch_rows)
    }
}

/// Fits the pipeline with so many bytes for rows that are remembered: the model's files, and from which rows on the table was read.
fn fit(home: &Path, plugins: &Plugins, remembered: usize) -> (BTreeMap<PathBuf, Option<Vec<u8>>>, Vec<u64>) {
    let document = Document::parse(PIPELINE.to_owned(), &home.join("pipeline.toml")).unwrap();
    let source = source::open(home.join("table.parquet").to_str().unwrap(), None, &CsvOptions::default()).unwrap();
    let source = Noted { source, starts: Mutex::default() };
    let definitions = StepDefinition::of(&document, plugins).unwrap();
    let mut plan = Plan::new(source.schema().clone(), definitions).unwrap();
    let folder = TempDir::new_in(home).unwrap();
    let store = ModelStore::new(folder.path().join("model"));
    let options = RunOptions {
        workers: 2,
        batch_rows: 64,
        shares: Shares { remembered, ..Shares::of(256 << 20) },
        pressure: Pressure::default(),
        scratch: folder.path().to_owned(),
        folds: 5,
        stop: Stop::default(),
        dump: None,
    };
    let timing = Timing::new(plan.steps().len());
    let run = Run { source: &source, store: &store, options: &options, timing: &timing, progress: &() };
    run.fit(&mut plan, None, |_| Ok(())).unwrap();
    let files = folder::contents(store.root()).into_iter();
    let files = files.map(|(path, bytes)| (path.strip_prefix(store.root()).unwrap().to_owned(), bytes)).collect();
    (files, source.starts.into_inner().unwrap())
}

/// Writes numbers, some of which are missing, and words.
fn write(path: &Path) {
    let noise: Vec<u64> = (0..ROWS).map(|row| row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).collect();
    let x = noise.iter().map(|noise| (noise % 10 != 0).then_some(*noise as f64));
    let y = noise.iter().map(|noise| (noise % 7 != 3).then_some((noise % 1_000) as f64 + 0.5));
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(UInt64Array::from_iter_values(0..ROWS))),
        ("x", Arc::new(Float64Array::from_iter(x))),
        ("y", Arc::new(Float64Array::from_iter(y))),
        ("z", Arc::new(UInt64Array::from_iter_values(noise.iter().map(|noise| noise % 13)))),
        ("word", Arc::new(StringArray::from_iter_values(noise.iter().map(|noise| format!("w{}", noise % 5))))),
    ];
    let table = columns.into_iter().map(|(name, column)| (name, column, true));
    let table = RecordBatch::try_from_iter_with_nullable(table).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), table.schema(), None).unwrap();
    writer.write(&table).unwrap();
    writer.close().unwrap();
}

#[test]
fn a_model_does_not_depend_on_how_many_rows_are_remembered() {
    let home = TempDir::new().unwrap();
    write(&home.path().join("table.parquet"));
    let sandbox = Sandbox::with_cache(None).unwrap();
    let plugins = Plugins::new(sandbox, Some(&Program::find().plugins), Limits::default());

    let (model, starts) = fit(home.path(), &plugins, 0);
    assert_eq!(starts, [0; 3]);
    assert!(model.len() > 4, "{:?}", model.keys());
    let mut begun = Vec::new();
    for remembered in [20_000, 60_000, 1 << 30] {
        let (again, starts) = fit(home.path(), &plugins, remembered);
        assert!(again == model, "{remembered}");
        begun.push(starts);
    }
    let [few, more, all] = begun.as_slice() else { unreachable!("there are three of them") };
    // `z` is looked at by the last pass only, which finds it where all rows are remembered.
    assert!(0 < few[1] && few[1] < more[1] && more[1] < ROWS && [few[2], more[2]] == [0; 2], "{begun:?}");
    assert_eq!(all, &[0]);
}
