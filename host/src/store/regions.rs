//! Which bytes of a Parquet file are fetched, and how: all at once where memory allows it, or a window of each column at a time.

use super::object::{LEAST, Object, Region, Regions, Rolling, Whole};
use std::ops::Range;

/// Bytes that are fetched though nobody wants them, rather than ask twice: they take about as long as a request.
const GAP: u64 = 512 << 10;

impl Regions {
    /// Of the columns of a row group. Half of the read-ahead is for the next one.
    pub(crate) fn of_columns(object: &Object, columns: Vec<Range<u64>>) -> Self {
        let columns = sorted(columns, object.bytes);
        let together = coalesced(&columns);
        let total: u64 = together.iter().map(|range| range.end - range.start).sum();
        let regions: Vec<Region> = match total <= object.read_ahead / 2 {
            true => together.into_iter().map(|range| Region::Whole(Whole::begin(object, range))).collect(),
            false => {
                let memory = object.read_ahead / columns.len().max(1) as u64;
                columns.into_iter().map(|range| Region::Rolling(Rolling::new(object, range, memory))).collect()
            }
        };
        Self::new(regions)
    }

    /// Of a whole file, of whose end something is wanted for sure.
    pub(crate) fn of_footer(object: &Object) -> Self {
        let tail = object.bytes.saturating_sub(LEAST);
        let mut regions = Vec::new();
        if tail > 0 {
            regions.push(Region::Rolling(Rolling::new(object, 0..tail, object.read_ahead)));
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
