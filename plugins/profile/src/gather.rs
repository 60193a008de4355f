//! What the last pass learns of a group: counts, sums, the extremes, the bins of a histogram, and how often values occur.

use crate::Params;
use crate::bins::Bins;
use crate::carry::{Counting, GroupPlan};
use crate::keys::{Keys, hash};
use crate::kind::Kind;
use crate::partials::{BINS, EXTREMES, MOMENTS, VALUES, schema};
use std::fmt::Write as _;
use wafermill_sdk::stats::{Adder, ByteMap, ColumnMoments, Moments};
use wafermill_sdk::{Result, Rows};

/// Values that are given away together: a few megabytes, however long they are.
const VALUE_ROWS: usize = 16_384;

/// One group in the last pass.
#[derive(Debug)]
pub(crate) struct Gathered {
    moments: ColumnMoments,
    extremes: Option<(Vec<u8>, Vec<u8>)>,
    bins: Option<Bins>,
    /// Rows in each bin.
    filled: Vec<i64>,
    counting: Counting,
    values: ByteMap<i64>,
}

impl Gathered {
    pub(crate) fn new(kind: Kind, plan: &GroupPlan, params: &Params) -> Self {
        let bins = plan.bins(params).filter(|_| kind.is_spread());
        let filled = vec![0; if bins.is_some() { params.bins as usize } else { 0 }];
        let (counting, values) = (plan.counting.clone(), ByteMap::default());
        Self { moments: ColumnMoments::default(), extremes: None, bins, filled, counting, values }
    }

    /// Takes some rows of a column, none of them missing, and how many were.
    pub(crate) fn update(&mut self, keys: &Keys<'_>, kind: Kind, rows: &[u32], nulls: usize, adder: &mut Adder) {
        self.moments.nulls += nulls as i64;
        match keys.numbers() {
            None => self.moments.count += rows.len() as i64,
            Some(numbers) => {
                let rows = rows.iter().map(|row| *row as usize);
                let wide = |row: usize| keys.integer(kind, row).filter(|integer| ColumnMoments::is_wide(*integer));
                let others = rows.clone().filter(|row| wide(*row).is_none());
                self.moments.add_all(others.map(|row| numbers[row]), adder);
                rows.clone().filter_map(wide).for_each(|integer| self.moments.add_integer(integer));
                if let Some(bins) = &self.bins {
                    let finite = rows.map(|row| numbers[row]).filter(|number| number.is_finite());
                    finite.for_each(|number| self.filled[bins.of(number)] += 1);
                }
            }
        }
        if let Some((least, largest)) = keys.extremes(rows) {
            self.extremes = Some(match self.extremes.take() {
                None => (least, largest),
                Some((so_far_least, so_far_largest)) => (so_far_least.min(least), so_far_largest.max(largest)),
            });
        }
        if self.counting == Counting::Nothing {
            return;
        }
        let (all, mut scratch) = (self.counting == Counting::All, Vec::new());
        keys.each_value(rows, |row, count| {
            let key = keys.key(row, &mut scratch);
            if all || self.counting.counts(hash(key)) {
                *self.values.entry(key, i64::default) += i64::from(count);
            }
        });
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The partials of some groups.
pub(crate) fn rows(groups: &[(u32, Box<Gathered>)]) -> Result<Vec<Rows>> {
    let moments: Vec<(u32, &ColumnMoments)> = groups.iter().map(|(group, it)| (*group, &it.moments)).collect();
    let mut all = Moments::rows(MOMENTS.start, &moments)?;
    let extremes = groups.iter().filter_map(|(group, it)| Some((*group, it.extremes.as_ref()?)));
    let extremes = extremes.map(|(group, (least, largest))| (group, hexadecimal(least), hexadecimal(largest)));
    let extremes: Vec<(u32, String, String)> = extremes.collect();
    if !extremes.is_empty() {
        all.push(Rows::new(EXTREMES, &schema(EXTREMES), extremes.len(), |output| {
            output.primitives(extremes.iter().map(|(group, ..)| Some(*group)))?;
            output.strings(extremes.iter().map(|(_, least, _)| Some(least.as_str())))?;
            output.strings(extremes.iter().map(|(.., largest)| Some(largest.as_str())))
        })?);
    }
    let bins = groups.iter().flat_map(|(group, it)| (0_u32..).zip(&it.filled).map(|(bin, rows)| (*group, bin, *rows)));
    let bins: Vec<(u32, u32, i64)> = bins.filter(|(.., rows)| *rows > 0).collect();
    if !bins.is_empty() {
        all.push(Rows::new(BINS, &schema(BINS), bins.len(), |output| {
            output.primitives(bins.iter().map(|(group, ..)| Some(*group)))?;
            output.primitives(bins.iter().map(|(_, bin, _)| Some(*bin)))?;
            output.primitives(bins.iter().map(|(.., rows)| Some(*rows)))
        })?);
    }
    let values = groups.iter().flat_map(|(group, it)| it.values.iter().map(|(key, rows)| (*group, key, *rows)));
    let values: Vec<(u32, &[u8], i64)> = values.collect();
    for values in values.chunks(VALUE_ROWS) {
        all.push(Rows::new(VALUES, &schema(VALUES), values.len(), |output| {
            output.primitives(values.iter().map(|(group, ..)| Some(*group)))?;
            output.bytes(values.iter().map(|(_, key, _)| Some(*key)))?;
            output.primitives(values.iter().map(|(.., rows)| Some(*rows)))
        })?);
    }
    Ok(all)
}
