//! Ways to hand the rows of a table to fitters.

use super::case::unmade;
use super::random::Random;
use crate::Result;
use arrow_array::{RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_select::take::take;

/// Fitters that share the rows at most.
const FITTERS: usize = 4;

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
            Some(order) => reorder(table, order)?,
            None => table.clone(),
        };
        let starts = [0].iter().chain(&self.cuts);
        Ok(starts.zip(&self.cuts).map(|(start, end)| ordered.slice(*start, end - start)).collect())
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        let fitters = self.fitters.iter().max().map_or(0, |most| most + 1);
        let drains = self.drains.iter().filter(|drain| **drain != Drain::Not).count();
        let order = if self.order.is_some() { ", rows shuffled" } else { "" };
        format!("{} batches, {fitters} fitters, {drains} drains in between{order}", self.cuts.len())
    }
}

fn reorder(table: &RecordBatch, order: &[u32]) -> Result<RecordBatch> {
    let order = UInt32Array::from(order.to_vec());
    let columns = table.columns().iter().map(|column| take(column, &order, None)).collect::<Result<Vec<_>, _>>();
    let options = RecordBatchOptions::new().with_row_count(Some(order.values().len()));
    RecordBatch::try_new_with_options(table.schema(), columns.map_err(unmade)?, &options).map_err(unmade)
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
