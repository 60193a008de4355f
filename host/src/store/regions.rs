//! Which bytes of a Parquet file are fetched, and how: all at once where memory allows it, else a window of each column at a time, or by
//! way of the disk where windows would be small.

use super::object::{Failure, LEAST, Object};
use super::staged::Staged;
use super::windows::{Rolling, Whole};
use crate::Result;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Bytes that are fetched though nobody wants them, rather than ask twice: they take about as long as a request.
const GAP: u64 = 512 << 10;

/// How some bytes of an object are read.
enum Region {
    Whole(Whole),
    Rolling(Rolling),
    Staged(Staged),
}

impl Region {
    fn range(&self) -> Range<u64> {
        match self {
            Self::Whole(whole) => whole.range.clone(),
            Self::Rolling(rolling) => rolling.limits.clone(),
            Self::Staged(staged) => staged.range(),
        }
    }

    fn read(&mut self, position: u64, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Whole(whole) => whole.read(position, buffer),
            Self::Rolling(rolling) => rolling.read(position, buffer),
            Self::Staged(staged) => staged.read(position, buffer),
        }
    }
}

/// Parts of an object, each of which is read in its own way, by turns.
pub(crate) struct Regions {
    /// In ascending order.
    regions: Vec<Mutex<Region>>,
    starts: Vec<u64>,
    rolling: bool,
    failure: Failure,
}

impl Regions {
    fn new(regions: Vec<Region>) -> Self {
        let starts = regions.iter().map(|region| region.range().start).collect();
        let rolling = regions.iter().any(|region| matches!(region, Region::Rolling(_)));
        let regions = regions.into_iter().map(Mutex::new).collect();
        Self { regions, starts, rolling, failure: Failure::default() }
    }

    /// What decoders are not told.
    pub(crate) fn failure(&self) -> Failure {
        self.failure.clone()
    }

    /// Whether all of them are fetched at once.
    pub(crate) fn are_whole(&self) -> bool {
        !self.rolling
    }

    /// Reads bytes at a position: as many as there are in one go, and none where nothing was to be read.
    pub(crate) fn read(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let index = self.starts.partition_point(|start| *start <= position);
        let Some(region) = index.checked_sub(1).and_then(|index| self.regions.get(index)) else { return Ok(0) };
        let mut region = region.lock().unwrap_or_else(PoisonError::into_inner);
        if !region.range().contains(&position) {
            return Ok(0);
        }
        region.read(position, buffer).map_err(|error| self.failure.put(error))
    }
}

impl Regions {
    /// Of the columns of a row group. Half of the read-ahead is for the next one.
    ///
    /// # Errors
    /// Where they are to lie on disk and cannot.
    pub(crate) fn of_columns(object: &Object, columns: Vec<Range<u64>>) -> Result<Self> {
        let columns = sorted(columns, object.bytes);
        let together = coalesced(&columns);
        let total: u64 = together.iter().map(|range| range.end - range.start).sum();
        let memory = object.means.read_ahead / columns.len().max(1) as u64;
        if total <= object.means.read_ahead / 2 {
            return Ok(Self::new(
                together.into_iter().map(|range| Region::Whole(Whole::begin(object, range))).collect(),
            ));
        }
        Ok(Self::new(match object.means.scratch() {
            // a request for each window of each column would take longer than all of the bytes
            Some(folder) if memory / 2 < GAP => vec![Region::Staged(Staged::begin(object, &together, folder)?)],
            _ => columns.into_iter().map(|range| Region::Rolling(Rolling::new(object, range, memory))).collect(),
        }))
    }

    /// Of a whole file, of whose end something is wanted for sure.
    pub(crate) fn of_footer(object: &Object) -> Self {
        let tail = object.bytes.saturating_sub(LEAST);
        let mut regions = Vec::new();
        if tail > 0 {
            regions.push(Region::Rolling(Rolling::new(object, 0..tail, object.means.read_ahead)));
        }
        regions.push(Region::Whole(Whole::begin(object, tail..object.bytes)));
        Self::new(regions)
    }
}

/// In order, without what overlaps or lies beyond the end: a footer may say anything.
fn sorted(mut ranges: Vec<Range<u64>>, end: u64) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut sorted: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        let range = range.start..range.end.min(end);
        match sorted.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ if range.is_empty() => {}
            _ => sorted.push(range),
        }
    }
    sorted
}

fn coalesced(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut together: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match together.last_mut() {
            Some(last) if range.start - last.end <= GAP => last.end = range.end,
            _ => together.push(range.clone()),
        }
    }
    together
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_lie_close_together_are_fetched_as_one() {
        let far = 2 * GAP;
        assert_eq!(coalesced(&[0..10, 20..30, far..far + 1]), [0..30, far..far + 1]);
    }

    #[test]
    fn ranges_of_a_footer_that_lies_are_within_the_file_and_do_not_overlap() {
        assert_eq!(sorted(vec![50..60, 0..10, 5..20, 90..200, 300..400], 100), [0..20, 50..60, 90..100]);
    }
}
