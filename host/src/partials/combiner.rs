//! Takes partials from any number of threads and combines them within a budget of memory.

use super::cut::Bounds;
use super::keys::KeyCodec;
use super::merge::Merge;
use super::reduce::OutOfRange;
use super::run::Run;
use super::{Combined, PartialTable};
use crate::{Error, Result, Stop};
use arrow_array::RecordBatch;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Runs of one level that are merged to a run of the next.
const LEVEL_RUNS: usize = 8;

/// Spilled runs that are read at once where memory allows it.
const OPEN_RUNS: usize = 64;

/// Pieces that an open run holds at most: the one that it is read from, its keys once more, and the one before until its rows are copied.
const HELD_PIECES: usize = 4;

/// Bytes that open runs may hold together however little memory there is: less would write all rows again and again.
const LEAST_MERGE: usize = 16 << 20;

/// What a combiner did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Rows pushed.
    pub rows: u64,
    /// Runs written to the scratch directory.
    pub spilled_runs: u64,
    /// Bytes written to the scratch directory.
    pub spilled_bytes: u64,
}

/// Combines batches of one partial table by key.
pub struct Combiner {
    table: Arc<PartialTable>,
    codec: Arc<KeyCodec>,
    /// Bytes that may be held. One half fills while the other is written.
    memory: usize,
    scratch: PathBuf,
    stop: Stop,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    /// Runs in memory; a run of level n came of about `LEVEL_RUNS`ⁿ pushes.
    levels: Vec<Vec<Run>>,
    /// Bytes in `levels`.
    resident: usize,
    /// Bytes that threads are merging or writing now.
    busy: usize,
    spilled: Vec<Run>,
    statistics: Statistics,
    failed: bool,
}

/// Work that a push found to be due.
enum Job {
    Merge { level: usize, runs: Vec<Run> },
    Spill { runs: Vec<Run> },
}

impl State {
    fn add(&mut self, level: usize, run: Run) {
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        self.resident += run.bytes;
        self.levels[level].push(run);
    }

    fn add_spilled(&mut self, run: Run) {
        self.statistics.spilled_runs += 1;
        self.statistics.spilled_bytes += run.bytes as u64;
        self.spilled.push(run);
    }

    fn due(&mut self, memory: usize) -> Option<Job> {
        if self.resident > memory / 2 {
            return Some(Job::Spill { runs: self.levels.drain(..).flatten().collect() });
        }
        let level = self.levels.iter().position(|runs| runs.len() >= LEVEL_RUNS)?;
        Some(Job::Merge { level, runs: std::mem::take(&mut self.levels[level]) })
    }
}

/// Bytes that a thread works on; freed when it is done, also by an error.
struct Busy<'a> {
    combiner: &'a Combiner,
    bytes: usize,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.combiner.lock().busy -= self.bytes;
        self.combiner.freed.notify_all();
    }
}

impl Combiner {
    /// Combines partials of `table` in at most about `memory` bytes, and otherwise in files in the directory `scratch`.
    ///
    /// # Errors
    /// Where the table's keys cannot be compared.
    pub fn new(table: Arc<PartialTable>, memory: usize, scratch: &Path, stop: Stop) -> Result<Self> {
        let codec = Arc::new(KeyCodec::new(table.clone())?);
        let (scratch, state, freed) = (scratch.to_owned(), Mutex::default(), Condvar::new());
        Ok(Self { table, codec, memory, scratch, stop, state, freed })
    }

    /// The table that is combined.
    pub fn table(&self) -> &Arc<PartialTable> {
        &self.table
    }

    /// What was done so far.
    pub fn statistics(&self) -> Statistics {
        self.lock().statistics
    }

    /// Takes partials whose keys may be in any order and may repeat. Blocks while other threads free memory.
    ///
    /// # Errors
    /// Where the batch is not of this table, or the scratch directory cannot be written.
    pub fn push(&self, batch: RecordBatch) -> Result<()> {
        let pushed = self.combine(batch);
        if pushed.is_err() {
            self.lock().failed = true;
        }
        pushed
    }

    /// Ends the combining.
    ///
    /// # Errors
    /// Where a push failed, or the scratch directory cannot be used.
    pub fn finish(self) -> Result<Combined> {
        let mut state = std::mem::take(&mut *self.lock());
        if state.failed {
            return Err(Error::internal(format!("partial table `{}` lost rows", self.table.name())));
        }
        loop {
            state.spilled.sort_by_key(|run| run.bytes);
            let most = self.mergeable(&state.spilled);
            let surplus = state.spilled.len().saturating_sub(most);
            if surplus == 0 {
                break;
            }
            self.stop.check()?;
            // No more than it takes to have few enough in the end: each merge writes all of its rows again.
            let smallest = state.spilled.drain(..most.min(surplus + 1)).collect();
            state.add_spilled(self.spill(smallest)?);
        }
        let mut runs = state.spilled;
        runs.extend(state.levels.into_iter().flatten());
        let merged = self.merge(runs, OutOfRange::Refuse)?;
        Combined::start(self.table.clone(), merged, state.statistics)
    }

    fn combine(&self, batch: RecordBatch) -> Result<()> {
        let types = self.table.schema().fields().iter().map(|field| field.data_type());
        if !types.eq(batch.columns().iter().map(|column| column.data_type())) {
            return Err(Error::sandbox(format!("a batch is not of partial table `{}`", self.table.name()))
                .hint("this is a mistake in the plugin: report it to the plugin's author"));
        }
        Bounds::SORTED.cut(&self.table, &batch).iter().try_for_each(|piece| self.add(piece))
    }

    fn add(&self, batch: &RecordBatch) -> Result<()> {
        self.wait_for_memory();
        let run = Run::sort(&self.table, &self.codec, batch, Bounds::piece(self.memory))?;
        let mut state = self.lock();
        state.statistics.rows += batch.num_rows() as u64;
        state.add(0, run);
        while let Some(job) = state.due(self.memory) {
            let (Job::Merge { runs, .. } | Job::Spill { runs }) = &job;
            let busy = Busy { combiner: self, bytes: runs.iter().map(|run| run.bytes).sum() };
            state.resident -= busy.bytes;
            state.busy += busy.bytes;
            drop(state);
            self.work(job)?;
            drop(busy);
            state = self.lock();
        }
        Ok(())
    }

    fn work(&self, job: Job) -> Result<()> {
        match job {
            Job::Merge { level, runs } => {
                let run = Run::collect(self.merge(runs, OutOfRange::Keep)?)?;
                self.lock().add(level + 1, run);
            }
            Job::Spill { runs } => {
                let run = self.spill(runs)?;
                self.lock().add_spilled(run);
            }
        }
        Ok(())
    }

    fn merge(&self, runs: Vec<Run>, out_of_range: OutOfRange) -> Result<Merge> {
        let piece = Bounds::piece(self.memory);
        Merge::new(self.table.clone(), self.codec.clone(), runs, piece, out_of_range)
    }

    /// How many of the first runs can be merged at once: two at least.
    fn mergeable(&self, runs: &[Run]) -> usize {
        let memory = self.memory.max(LEAST_MERGE);
        let mut held = 0_usize;
        let fits = |run: &&Run| {
            held = held.saturating_add(HELD_PIECES.saturating_mul(run.largest));
            held <= memory
        };
        runs.iter().take(OPEN_RUNS).take_while(fits).count().max(2)
    }

    fn spill(&self, runs: Vec<Run>) -> Result<Run> {
        Run::spill(&self.table, &self.scratch, self.merge(runs, OutOfRange::Keep)?)
    }

    fn wait_for_memory(&self) {
        let full = |state: &mut State| state.busy > 0 && state.resident + state.busy > self.memory;
        drop(self.freed.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner));
    }

    /// A thread that panicked leaves the state whole: it is only changed in steps that cannot fail.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
