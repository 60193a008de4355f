//! Who is told how far a run has come.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Is told how far a run has come.
pub trait Progress: Send + Sync {
    /// A stage begins, of so many rows, where it is known how many. One that is under way goes on when it has ended.
    fn begin(&self, stage: &str, rows: Option<u64>);

    /// So many more rows are done.
    fn advance(&self, rows: u64);

    /// The stage that began last is over.
    fn end(&self);

    /// As [`Self::begin`], of which more is known.
    fn enter(&self, stage: &Stage, rows: Option<u64>) {
        self.begin(&stage.to_string(), rows);
    }

    /// So many rows had been done by an earlier run.
    fn skip(&self, rows: u64) {
        self.advance(rows);
    }

    /// So many more bytes of rows went through the stage, as they lie in memory.
    fn bytes(&self, _bytes: u64) {}

    /// What the run counts is at so much.
    fn count(&self, _what: Count, _total: u64) {}
}

/// Tells nobody.
impl Progress for () {
    fn begin(&self, _: &str, _: Option<u64>) {}

    fn advance(&self, _: u64) {}

    fn end(&self) {}
}

/// A stage of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// What is done, in words or in one.
    pub name: String,
    /// The number of the pass over the source, from 1 on, where it is one that fits.
    pub pass: Option<usize>,
    /// The steps that are fitted.
    pub steps: Vec<String>,
    /// The part of the dataset that is written.
    pub part: Option<String>,
}

impl Stage {
    /// A stage of which no more is known.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// Such as `fit 1: impute, scale`.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(pass) = self.pass {
            write!(f, " {pass}")?;
        }
        let what = self.steps.iter().chain(&self.part).map(String::as_str).collect::<Vec<_>>();
        if what.is_empty() { Ok(()) } else { write!(f, ": {}", what.join(", ")) }
    }
}

/// What a run counts beside rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Bytes of partial results that were spilled in this stage.
    SpilledPartials,
    /// Bytes of rows that were spilled in this run.
    SpilledRows,
    /// How often a stream of the source was opened again in this run.
    Restarts,
}

/// A stage that is under way, until this value goes away.
pub(crate) struct Running<'a>(&'a dyn Progress);

impl<'a> Running<'a> {
    pub(crate) fn begin(progress: &'a dyn Progress, stage: &Stage, rows: Option<u64>) -> Self {
        progress.enter(stage, rows);
        Self(progress)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Somebody who is told, shared by all that work on one run; nobody by default.
#[derive(Clone)]
pub struct Watcher(Arc<dyn Progress>);

impl Watcher {
    /// Tells somebody.
    pub fn new(progress: Arc<dyn Progress>) -> Self {
        Self(progress)
    }
}

impl Default for Watcher {
    fn default() -> Self {
        Self(Arc::new(()))
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher")
    }
}

impl Deref for Watcher {
    type Target = dyn Progress;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Keeps what it is told.
    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl Progress for Kept {
        fn begin(&self, stage: &str, rows: Option<u64>) {
            self.0.lock().unwrap().push(format!("{stage} {rows:?}"));
        }

        fn advance(&self, rows: u64) {
            self.0.lock().unwrap().push(rows.to_string());
        }

        fn end(&self) {
            self.0.lock().unwrap().push("end".to_owned());
        }
    }

    fn fails(progress: &dyn Progress) -> crate::Result<()> {
        let steps = ["fill", "scale"].map(str::to_owned).to_vec();
        let _outer = Running::begin(progress, &Stage { pass: Some(2), steps, ..Stage::named("fit") }, Some(7));
        progress.skip(3);
        let _inner = Running::begin(progress, &Stage { part: Some("val".to_owned()), ..Stage::named("write") }, None);
        Err(crate::Error::interrupted())
    }

    #[test]
    fn who_knows_no_stages_is_told_their_names_and_each_ends() {
        let kept = Kept::default();
        assert!(fails(&kept).is_err());
        let told = ["fit 2: fill, scale Some(7)", "3", "write: val None", "end", "end"];
        assert_eq!(*kept.0.lock().unwrap(), told);
    }
}
