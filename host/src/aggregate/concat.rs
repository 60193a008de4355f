//! The aggregator `concat`: one directory of files per part.

use super::encode::Encoders;
use super::part::{Format, Part};
use super::route::{Routed, Router};
use super::segment::{Segment, SegmentLog, remove_others};
use super::spill::next_to_spill;
use super::{Aggregate, Summary};
use crate::contract::check_part_names;
use crate::run::{Progress, Watcher};
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
    /// Rows of the source after which each part begins a new file.
    pub file_rows: u64,
    /// Bytes of their values after which each part begins a new file.
    pub file_bytes: u64,
    /// Threads that encode.
    pub threads: usize,
    /// Bytes of memory past which parts spill.
    pub memory: usize,
    /// The directory of spill files.
    pub scratch: PathBuf,
    /// Where it is recorded which files are complete, so that a run that is killed can go on behind them.
    pub log: Option<PathBuf>,
    /// Ends the writing early.
    pub stop: Stop,
    /// Is told how far what takes long has come.
    pub watcher: Watcher,
}

impl ConcatOptions {
    /// The defaults, with spill files in `scratch` and no bound on memory.
    pub fn new(scratch: impl Into<PathBuf>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            format: Format::default(),
            file_rows: 8 << 20,
            file_bytes: 1 << 30,
            threads: cores,
            memory: usize::MAX,
            scratch: scratch.into(),
            log: None,
            stop: Stop::default(),
            watcher: Watcher::default(),
        }
    }

    fn check(&self) -> Result<()> {
        let group_rows = match &self.format {
            Format::Parquet(options) => options.row_group_rows as u64,
            Format::Arrow => 1,
        };
        for (name, number) in
            [("file_rows", self.file_rows), ("file_bytes", self.file_bytes), ("row_group_rows", group_rows)]
        {
            if number == 0 {
                return Err(Error::usage(format!("`{name}` is 0")).hint("give at least 1"));
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
    options: ConcatOptions,
    log: Option<SegmentLog>,
    open: Open,
    /// Of segments that are complete.
    spilled_bytes: u64,
    peak_buffered: usize,
}

/// The open segment.
#[derive(Default)]
struct Open {
    /// Its first row, of the source.
    start: u64,
    /// Rows of the source.
    rows: u64,
    /// Of the values that are left.
    bytes: u64,
    /// The files that each part had before it.
    files: Vec<usize>,
}

impl Concat {
    /// Creates a directory in `dataset` for each of the parts, whose position is their id, for rows of the logical `schema`.
    ///
    /// # Errors
    /// As for [`Self::resume`].
    pub fn create(dataset: &Path, schema: &SchemaRef, parts: &[String], options: &ConcatOptions) -> Result<Self> {
        Self::resume(dataset, schema, parts, options, &())
    }

    /// As [`Self::create`], or goes on with the dataset that the log tells of, once its files are checked, which `progress` is told of.
    ///
    /// # Errors
    /// Where a part cannot have its name, an option is out of bounds, a file cannot be created, one that the log tells of has changed, or
    /// it is asked to stop.
    pub fn resume(
        dataset: &Path,
        schema: &SchemaRef,
        parts: &[String],
        options: &ConcatOptions,
        progress: &dyn Progress,
    ) -> Result<Self> {
        options.check()?;
        options.format.check(schema)?;
        check_part_names(parts)?;
        let (log, segments) = options.log.as_deref().map(SegmentLog::open).transpose()?.unzip();
        let segments: Vec<Segment> = segments.unwrap_or_default();
        if let Some(log) = &log {
            log.check(dataset, parts, &segments, &options.stop, progress)?;
        }
        remove_others(dataset, parts, &segments)?;
        let create = |(id, name): (usize, &String)| {
            let written = segments.iter().filter_map(|segment| segment.files.get(id)).flatten().cloned().collect();
            Part::create(id, name, dataset, Arc::clone(schema), &options.format, written, log.is_some())
        };
        let threads = if matches!(options.format, Format::Arrow) { 0 } else { options.threads.max(1) };
        let mut concat = Self {
            router: Router::new(Arc::clone(schema), parts.len()),
            parts: parts.iter().enumerate().map(create).collect::<Result<_>>()?,
            encoders: Encoders::start(threads)?,
            options: options.clone(),
            log,
            open: Open::default(),
            spilled_bytes: segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.spilled_bytes)),
            peak_buffered: 0,
        };
        concat.begin(segments.last().map_or(0, |segment| segment.rows.1));
        Ok(concat)
    }

    fn begin(&mut self, start: u64) {
        let files = self.parts.iter().map(|part| part.written().len()).collect();
        self.open = Open { start, files, ..Open::default() };
    }

    /// How many of the next rows of the source the open segment takes.
    fn room(&self, routed: &Routed) -> u64 {
        let rows = (self.options.file_rows - self.open.rows).min(routed.of);
        let bytes = self.options.file_bytes.saturating_sub(self.open.bytes);
        if routed.bytes < bytes { rows } else { rows.min(routed.rows_of(bytes)) }
    }

    fn write(&mut self, routed: Routed) -> Result<()> {
        self.open.rows += routed.of;
        self.open.bytes += routed.bytes;
        for (part, batch) in routed.parts {
            let room = self.room_for(part);
            self.parts[part].push(batch, &mut self.encoders, room, &self.options.scratch)?;
            self.govern()?;
        }
        if self.open.rows < self.options.file_rows && self.open.bytes < self.options.file_bytes {
            return Ok(());
        }
        self.end_segment(&self.options.stop.clone())
    }

    /// Completes the files of the open segment, records it, and begins the next one.
    pub(super) fn end_segment(&mut self, stop: &Stop) -> Result<()> {
        if self.open.rows == 0 {
            return Ok(());
        }
        // parts that did not spill first: their memory is free when the others come back
        let mut order: Vec<usize> = (0..self.parts.len()).collect();
        order.sort_by_key(|&part| self.parts[part].spills());
        let mut spilled_bytes = 0;
        for part in order {
            spilled_bytes += self.parts[part].end_segment(&mut self.encoders, stop, &*self.options.watcher)?;
        }
        self.spilled_bytes += spilled_bytes;
        let end = self.open.start + self.open.rows;
        if let Some(log) = &mut self.log {
            let new = self.parts.iter().zip(&self.open.files).map(|(part, before)| part.written()[*before..].to_vec());
            log.append(&Segment { rows: (self.open.start, end), files: new.collect(), spilled_bytes })?;
        }
        self.begin(end);
        Ok(())
    }

    /// The logical schema of the rows.
    pub(super) fn schema(&self) -> &SchemaRef {
        self.router.schema()
    }

    /// Who is told how far it has come.
    pub(super) fn watcher(&self) -> &Watcher {
        &self.options.watcher
    }

    /// How many parts there are.
    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Takes the next rows of a part, where the parts come one after the other: none has to wait on disk for another.
    pub(super) fn append(&mut self, part: usize, batch: RecordBatch) -> Result<()> {
        let memory = std::mem::replace(&mut self.options.memory, usize::MAX);
        let pushed = self.push(Routed::of_part(part, batch));
        self.options.memory = memory;
        pushed
    }

    /// Bytes that a row group of a part may take. The first part never waits on disk: see `spill`.
    fn room_for(&self, part: usize) -> usize {
        if part == 0 {
            return usize::MAX;
        }
        let others = self.parts.iter().enumerate().filter(|(other, _)| *other != part).map(|(_, other)| other.claim());
        self.options.memory.saturating_sub(others.sum())
    }

    /// Sees to it that the parts stay near the budget.
    fn govern(&mut self) -> Result<()> {
        if self.measure() <= self.options.memory || self.next_to_spill().is_none() {
            return Ok(());
        }
        for part in &mut self.parts {
            part.drain(&mut self.encoders)?;
        }
        match self.next_to_spill() {
            Some(part) if self.measure() > self.options.memory => self.parts[part].spill(&self.options.scratch),
            _ => Ok(()),
        }
    }

    /// Bytes in memory.
    pub(super) fn measure(&mut self) -> usize {
        let memory = self.parts.iter().map(Part::memory).sum();
        self.peak_buffered = self.peak_buffered.max(memory);
        memory
    }

    fn next_to_spill(&self) -> Option<usize> {
        next_to_spill(self.parts.iter().map(|part| (part.memory(), part.spills())))
    }
}

impl Aggregate for Concat {
    type Prepare = Router;

    fn start(&self) -> u64 {
        self.open.start
    }

    fn preparation(&self) -> Router {
        self.router.clone()
    }

    fn push(&mut self, mut routed: Routed) -> Result<()> {
        while routed.of > 0 {
            let rest = match self.room(&routed) {
                room if room < routed.of => routed.split_off(room),
                _ => return self.write(routed),
            };
            self.write(routed)?;
            routed = rest;
        }
        Ok(())
    }

    fn spilled_bytes(&self) -> u64 {
        self.spilled_bytes
    }

    fn finish(mut self, stop: &Stop) -> Result<Summary> {
        self.end_segment(stop)?;
        let (spilled_bytes, peak_buffered) = (self.spilled_bytes, self.peak_buffered);
        let parts = self.parts.into_iter().map(|part| part.finish(&mut self.encoders)).collect::<Result<_>>()?;
        Ok(Summary { parts, spilled_bytes, peak_buffered })
    }
}
