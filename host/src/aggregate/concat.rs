//! The aggregator `concat`: one directory of files per part.

use super::encode::Encoders;
use super::part::{Format, Part};
use super::route::{Routed, Router};
use super::spill::next_to_spill;
use super::{Aggregate, PartSummary, Summary};
use crate::contract::check_part_names;
use crate::{Error, Result, Stop};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a dataset is written.
#[derive(Clone, Debug)]
pub struct ConcatOptions {
    /// The files and their layout.
    pub format: Format,
    /// Rows of a file.
    pub file_rows: usize,
    /// Threads that encode.
    pub threads: usize,
    /// Bytes of memory past which parts spill.
    pub memory: usize,
    /// The directory of spill files.
    pub scratch: PathBuf,
}

impl ConcatOptions {
    /// The defaults, with spill files in `scratch` and no bound on memory.
    pub fn new(scratch: impl Into<PathBuf>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = (cores / 2).max(1);
        Self { format: Format::default(), file_rows: 8_388_608, threads, memory: usize::MAX, scratch: scratch.into() }
    }

    fn check(&self) -> Result<()> {
        let group_rows = match &self.format {
            Format::Parquet(options) => options.row_group_rows,
            Format::Arrow => 1,
        };
        for (name, rows) in [("file_rows", self.file_rows), ("row_group_rows", group_rows)] {
            if rows == 0 {
                return Err(Error::usage(format!("`{name}` is 0")).hint("give at least 1 row"));
            }
        }
        Ok(())
    }
}

/// Writes one directory of files per part.
pub struct Concat {
    router: Router,
    parts: Vec<Part>,
    encoders: Encoders,
    memory: usize,
    scratch: PathBuf,
    /// What was written of parts that have ended.
    written: Vec<Option<PartSummary>>,
    spilled_bytes: u64,
    peak_memory: usize,
}

impl Concat {
    /// Creates a directory in `dataset` for each of the parts, whose position is their id, for rows of the logical `schema`.
    ///
    /// # Errors
    /// Where a part cannot have its name, an option is out of bounds, or a file cannot be created.
    pub fn create(dataset: &Path, schema: &SchemaRef, parts: &[String], options: &ConcatOptions) -> Result<Self> {
        options.check()?;
        options.format.check(schema)?;
        check_part_names(parts)?;
        let create = |(id, name): (usize, &String)| {
            Part::create(id, name, dataset, Arc::clone(schema), &options.format, options.file_rows)
        };
        let threads = if matches!(options.format, Format::Arrow) { 0 } else { options.threads.max(1) };
        Ok(Self {
            router: Router::new(Arc::clone(schema), parts.len()),
            parts: parts.iter().enumerate().map(create).collect::<Result<_>>()?,
            encoders: Encoders::start(threads)?,
            memory: options.memory,
            scratch: options.scratch.clone(),
            written: vec![None; parts.len()],
            spilled_bytes: 0,
            peak_memory: 0,
        })
    }

    /// The logical schema of the rows.
    pub(super) fn schema(&self) -> &SchemaRef {
        self.router.schema()
    }

    /// How many parts there are.
    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Takes the next rows of a part, where the parts come one after the other: none has to wait on disk for another.
    pub(super) fn append(&mut self, part: usize, batch: RecordBatch) -> Result<()> {
        self.parts[part].push(batch, &mut self.encoders)
    }

    /// Writes what is left of a part and frees its memory.
    pub(super) fn end(&mut self, part: usize, stop: &Stop) -> Result<()> {
        if self.written[part].is_none() {
            let (written, spilled) = self.parts[part].finish(&mut self.encoders, stop)?;
            self.written[part] = Some(written);
            self.spilled_bytes += spilled;
        }
        Ok(())
    }

    /// Sees to it that the parts stay near the budget.
    fn govern(&mut self) -> Result<()> {
        if self.measure() <= self.memory || self.next_to_spill().is_none() {
            return Ok(());
        }
        for part in &mut self.parts {
            part.drain(&mut self.encoders)?;
        }
        match self.next_to_spill() {
            Some(part) if self.measure() > self.memory => self.parts[part].spill(&self.scratch),
            _ => Ok(()),
        }
    }

    /// Bytes in memory.
    pub(super) fn measure(&mut self) -> usize {
        let memory = self.parts.iter().map(Part::memory).sum();
        self.peak_memory = self.peak_memory.max(memory);
        memory
    }

    fn next_to_spill(&self) -> Option<usize> {
        next_to_spill(self.parts.iter().map(|part| (part.memory(), part.spills())))
    }
}

impl Aggregate for Concat {
    type Prepare = Router;

    fn preparation(&self) -> Router {
        self.router.clone()
    }

    fn push(&mut self, Routed(rows): Routed) -> Result<()> {
        for (part, batch) in rows {
            self.parts[part].push(batch, &mut self.encoders)?;
            self.govern()?;
        }
        Ok(())
    }

    fn finish(mut self, stop: &Stop) -> Result<Summary> {
        // parts that did not spill first: their memory is free when the others come back
        let mut order: Vec<usize> = (0..self.parts.len()).collect();
        order.sort_by_key(|&part| self.parts[part].spills());
        for part in order {
            self.end(part, stop)?;
        }
        let parts = self.written.into_iter().flatten().collect();
        Ok(Summary { parts, spilled_bytes: self.spilled_bytes, peak_memory: self.peak_memory })
    }
}
