//! Columns of awkward numbers, cut at random and learned from by several fitters.

use super::arrow::{batch, read};
use crate::message::encode_schema;
use crate::plan::Table;
use crate::{Batch, Input, Result, Rows, harness};
use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use std::sync::Arc;

/// Numbers that look random and are the same on every run: SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Columns with nulls, NaN, zeros of both signs, subnormals, duplicates, and infinities where they are wanted.
pub(super) fn columns(random: &mut Random, rows: usize, infinite: bool) -> Vec<Vec<Option<f64>>> {
    let mut column = |kind: usize| {
        let mut value = || match random.below(12) {
            0 => None,
            1 => Some(f64::NAN),
            2 => Some([0.0, -0.0][random.below(2)]),
            3 => Some(f64::from_bits(random.next() >> 14)),
            4 if infinite => Some([f64::INFINITY, f64::NEG_INFINITY][random.below(2)]),
            _ => Some(match kind {
                0 => random.below(5) as f64,
                1 => (random.next() as i64) as f64 / 1e3,
                2 => f64::from_bits(random.next() & !(1 << 62)),
                _ => Some(f64::from_bits(random.next())).filter(|it| it.is_finite()).unwrap_or(f64::MAX),
            }),
        };
        (0..rows).map(|_| value()).collect()
    };
    (0..4).map(&mut column).collect()
}

/// The rows in batches of random lengths, some of them empty, in random order.
pub(super) fn cut(random: &mut Random, columns: &[Vec<Option<f64>>]) -> Vec<Batch> {
    let named = columns.iter().enumerate().map(|(index, column)| {
        let column: ArrayRef = Arc::new(Float64Array::from(column.clone()));
        (index.to_string(), column)
    });
    let table = RecordBatch::try_from_iter_with_nullable(named.map(|(name, column)| (name, column, true))).unwrap();
    let most = 1 + random.below(table.num_rows() + 1);
    let mut batches = Vec::new();
    let mut start = 0;
    while start < table.num_rows() {
        let length = random.below(most + 1).min(table.num_rows() - start);
        batches.push(batch(&table.slice(start, length)));
        start += length;
    }
    for index in (1..batches.len()).rev() {
        batches.swap(index, random.below(index + 1));
    }
    batches
}

/// One pass: several fitters, each of which sees some of the batches and is drained at random.
pub(super) fn gather<F>(
    random: &mut Random,
    batches: &[Batch],
    mut fitters: Vec<F>,
    update: impl Fn(&mut F, &Batch) -> Result<()>,
    drain: impl Fn(&mut F) -> Result<Option<Rows>>,
) -> Vec<Rows> {
    let mut partials = Vec::new();
    for batch in batches {
        let count = fitters.len();
        let fitter = &mut fitters[random.below(count)];
        update(fitter, batch).unwrap();
        while random.below(3) == 0 {
            partials.extend(drain(fitter).unwrap());
        }
    }
    for fitter in &mut fitters {
        while let Some(rows) = drain(fitter).unwrap() {
            partials.push(rows);
        }
    }
    partials
}

/// What the host does with partials: combines those of equal keys, and orders them by key.
pub(super) fn merge(table: &Table, partials: &[Rows]) -> Vec<Batch> {
    let input = Input::decode(&encode_schema(&table.schema).unwrap()).unwrap();
    for rows in partials {
        read(&table.schema, &rows.message).unwrap();
    }
    let merged = harness::merge(table, partials.iter().map(|rows| rows.message.clone())).unwrap();
    merged.into_iter().map(|message| input.batch(message).unwrap()).collect()
}
