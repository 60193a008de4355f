//! Ways to hand the rows of a table to fitters.

use super::case::rows_of;
use super::random::Random;
use crate::Result;
use arrow_array::RecordBatch;
use std::ops::Range;

/// Fitters that share the rows at most.
const FITTERS: usize = 4;

/// Rows of a table of which each is named.
const NAMED: usize = 12;

/// A way to cut a table, to order its rows, and to share them out.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    /// Positions of rows, in the order in which they are seen; as they are where there are none.
    order: Option<Vec<u32>>,
    /// Where batches end.
    cuts: Vec<usize>,
    /// For each batch its fitter.
    pub(super) fitters: Vec<usize>,
    /// For each batch what follows it.
    pub(super) drains: Vec<Drain>,
}

/// What follows a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    /// Nothing.
    Not,
    /// The fitter is drained and goes on.
    GoOn,
    /// The fitter is drained, and a new one takes its place.
    Replace,
}

impl Partition {
    /// One batch for one fitter.
    pub(super) fn whole(rows: usize) -> Self {
        Self { order: None, cuts: vec![rows], fitters: vec![0], drains: vec![Drain::Not] }
    }

    pub(super) fn random(rows: usize, random: &mut Random) -> Self {
        let order = (!random.once_in(4)).then(|| {
            let mut order: Vec<u32> = (0..rows as u32).collect();
            random.shuffle(&mut order);
            order
        });
        let batches = 1 + random.below(12);
        // Equal cuts make empty batches.
        let mut cuts: Vec<_> = (1..batches).map(|_| random.below(rows + 1)).collect();
        cuts.push(rows);
        cuts.sort_unstable();
        let count = 1 + random.below(FITTERS);
        let fitters = cuts.iter().map(|_| random.below(count)).collect();
        let drain = |random: &mut Random| match random.below(6) {
            0 => Drain::GoOn,
            1 => Drain::Replace,
            _ => Drain::Not,
        };
        let drains = cuts.iter().map(|_| drain(random)).collect();
        Self { order, cuts, fitters, drains }
    }

    /// The batches, in the order in which they are seen.
    pub(super) fn batches(&self, table: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let ordered = match &self.order {
            Some(order) => rows_of(table, order)?,
            None => table.clone(),
        };
        let starts = [0].iter().chain(&self.cuts);
        Ok(starts.zip(&self.cuts).map(|(start, end)| ordered.slice(*start, end - start)).collect())
    }

    /// For people: what each fitter gets of a small table, and of a large one how it is cut.
    pub(super) fn describe(&self) -> String {
        let rows = self.cuts.last().copied().unwrap_or(0);
        if rows > NAMED {
            let fitters = self.fitters.iter().max().map_or(0, |most| most + 1);
            let drains = self.drains.iter().filter(|drain| **drain != Drain::Not).count();
            let order = if self.order.is_some() { ", rows shuffled" } else { "" };
            return format!("{} batches, {fitters} fitters, {drains} drains in between{order}", self.cuts.len());
        }
        let position = |row: usize| self.order.as_ref().map_or(row as u32, |order| order[row]).to_string();
        let starts = [0].iter().chain(&self.cuts);
        let batches = starts.zip(&self.cuts).zip(&self.fitters).zip(&self.drains);
        let batch = |(((start, end), fitter), drain): (((&usize, &usize), &usize), &Drain)| {
            let rows: Vec<_> = (*start..*end).map(position).collect();
            let what = match rows.as_slice() {
                [] => "no rows".to_owned(),
                [row] => format!("row {row}"),
                rows => format!("rows {}", rows.join(" ")),
            };
            let then = match drain {
                Drain::Not => "",
                Drain::GoOn => " and is drained",
                Drain::Replace => " and is drained and replaced",
            };
            format!("fitter {fitter} gets {what}{then}")
        };
        batches.map(batch).collect::<Vec<_>>().join(", ")
    }
}

/// Cuts `rows` rows into so many ranges of about the same size; one that is empty where there are no rows.
pub(super) fn ranges(rows: usize, pieces: usize) -> impl Iterator<Item = Range<usize>> {
    let step = rows.div_ceil(pieces).max(1);
    (0..rows.max(1)).step_by(step).map(move |start| start..(start + step).min(rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int32Type;
    use arrow_array::{ArrayRef, Int32Array};
    use std::sync::Arc;

    #[test]
    fn a_partition_holds_every_row_once() {
        let column: ArrayRef = Arc::new(Int32Array::from_iter_values(0..100));
        let table = RecordBatch::try_from_iter([("row", column)]).unwrap();
        for seed in 0..50 {
            let partition = Partition::random(100, &mut Random::new(&[seed]));
            let batches = partition.batches(&table).unwrap();
            assert_eq!((batches.len(), batches.len()), (partition.fitters.len(), partition.drains.len()));
            let mut rows: Vec<_> = batches
                .iter()
                .flat_map(|batch| batch.column(0).as_primitive::<Int32Type>().values().to_vec())
                .collect();
            rows.sort_unstable();
            assert_eq!(rows, (0..100).collect::<Vec<_>>());
        }
    }
}
