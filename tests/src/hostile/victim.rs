//! The host that is attacked: one sandbox in this process, through which plugins run whole pipelines.

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use wafermill::aggregate::Discard;
use wafermill::memory::{Pressure, Shares};
use wafermill::model::ModelStore;
use wafermill::pipeline::{Document, Plan, Plugins, StepDefinition};
use wafermill::run::{Aggregates, Run, RunOptions, Timing};
use wafermill::sandbox::{Limits, Sandbox};
use wafermill::source::{self, CsvOptions};
use wafermill::{Result, Stop};

/// Two batches of two rows. Plugins are given `x` only.
const TABLE: &str = "x,secret\n1,10\n2,20\n3,30\n4,40\n";

/// Letters of an error in the table.
const LONGEST: usize = 220;

/// Limits of guests that have little to do.
pub fn small_limits() -> Limits {
    Limits {
        call: Duration::from_millis(500),
        returned: 4 << 20,
        carry: 1 << 20,
        partials: 8 << 20,
        model: 8 << 20,
        ..Limits::with_memory(16 << 20)
    }
}

/// A host with a folder of its own.
pub struct Victim {
    home: TempDir,
    plugins: Plugins,
    runs: usize,
}

impl Victim {
    /// A host whose plugins have these limits.
    ///
    /// # Panics
    /// Where this machine cannot run WebAssembly.
    pub fn new(limits: Limits) -> Self {
        let home = TempDir::new().expect("a temporary folder can be made");
        let sandbox = Sandbox::with_cache(None).expect("this machine runs WebAssembly");
        let plugins = Plugins::new(sandbox, Some(home.path()), limits);
        fs::write(home.path().join("table.csv"), TABLE).expect("a table can be written");
        Self { home, plugins, runs: 0 }
    }

    /// Fits a pipeline with a component, and applies it to the rows.
    ///
    /// # Errors
    /// Where any of it fails.
    pub fn run(&mut self, component: &[u8]) -> Result<()> {
        self.run_limited(component, "")
    }

    /// The same, with limits of the step in the words of a pipeline file.
    ///
    /// # Errors
    /// Where any of it fails.
    ///
    /// # Panics
    /// Where the component cannot be written.
    pub fn run_limited(&mut self, component: &[u8], limits: &str) -> Result<()> {
        self.runs += 1;
        let path = self.home.path().join(format!("{}.wasm", self.runs));
        fs::write(&path, component).expect("a component can be written");
        let result = self.run_file(&path, limits);
        fs::remove_file(&path).expect("a component can be removed");
        result
    }

    fn run_file(&self, path: &Path, limits: &str) -> Result<()> {
        let text = format!(
            "[source]\npath = \"table.csv\"\n[[steps]]\nname = \"step\"\nplugin = \"{}\"\ncolumns = [\"x\"]\n\
             params = {{ text = \"{}!\" }}\n[steps.limits]\n{limits}\n",
            path.display(),
            "a".repeat(60)
        );
        let document = Document::parse(text, &self.home.path().join("pipeline.toml"))?;
        let table = self.home.path().join("table.csv");
        let source = source::open(table.to_str().expect("it is Unicode"), None, &CsvOptions::default())?;
        let mut plan = Plan::new(source.schema().clone(), StepDefinition::of(&document, &self.plugins)?)?;
        let scratch = TempDir::new_in(self.home.path()).expect("a temporary folder can be made");
        let store = ModelStore::new(scratch.path().join("model"));
        let options = RunOptions {
            workers: 1,
            batch_rows: super::guest::ROWS,
            shares: Shares::of(64 << 20),
            pressure: Pressure::default(),
            scratch: PathBuf::from(scratch.path()),
            folds: 5,
            stop: Stop::default(),
            dump: None,
        };
        let timing = Timing::new(1);
        let run = Run { source: source.as_ref(), store: &store, options: &options, timing: &timing, progress: &() };
        run.fit(&mut plan, None, |_| Ok(()))?;
        run.apply(&plan, Discard, &mut Aggregates::none(&plan)).map(drop)
    }
}

/// What a person reads of a run: the error but for places, as one line of a table.
pub fn outcome(result: Result<()>) -> String {
    let Err(error) = result else { return "no error".to_owned() };
    let mut causes = vec![error.message().to_owned()];
    let mut cause = error.source();
    while let Some(reason) = cause {
        causes.push(reason.to_string());
        cause = reason.source();
    }
    let words: Vec<_> = causes.iter().map(|cause| cause.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let line = words.join(": ").replace('|', "\\|");
    match line.char_indices().nth(LONGEST) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}
