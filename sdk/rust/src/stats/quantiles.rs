//! Quantiles without error: order statistics found by refining a histogram over passes.
//!
//! Doubles map to 64-bit codes that keep their order. The first pass counts the upper 16 bits of all codes; each further pass
//! looks only into the buckets that hold a wanted rank. A bucket of few rows is resolved to single values at once, so that two
//! passes suffice unless more than a million rows share 16 bits.

use super::DRAIN_ROWS;
use super::dense::{chunks_of, dense_chunks};
use super::histogram::{Histogram, upper};
use super::order::decode;
use super::progress::{Progress, Rank, STEP, read_carry, write_carry};
use crate::plan::{Operator, Table};
use crate::plugin::Rows;
use crate::rational::Rational;
use crate::{Batch, Error, Result, Values};
use arrow_schema::{DataType, Field};

/// A bucket with no more rows than this is resolved to single values by the next pass.
const FEW_ROWS: u64 = 1 << 20;

/// Gathers the histograms of some columns.
#[derive(Debug)]
pub struct Quantiles {
    columns: Vec<Histogram>,
    is_last_pass: bool,
    /// The first columns, which were drained since the last batch.
    drained: usize,
}

impl Quantiles {
    /// The table of partials that histograms are drained to.
    pub fn table() -> Table {
        Table::partials(
            "histogram",
            [
                (Field::new("column", DataType::UInt32, false), Operator::Key),
                (Field::new("bucket", DataType::UInt64, false), Operator::Key),
                (Field::new("count", DataType::Int64, false), Operator::Sum),
            ],
        )
    }

    /// For so many columns, in the pass after the one that gave `carry`.
    ///
    /// # Errors
    /// Where the carry is not one of [`QuantilesReader`].
    pub fn open(columns: usize, carry: Option<&[u8]>) -> Result<Self> {
        let progress = read_carry(columns, carry)?;
        let resolved = |progress: &Progress| progress.known > 0 && (progress.next == 64 || progress.done());
        Ok(Self {
            columns: progress.iter().map(Histogram::of).collect(),
            is_last_pass: progress.iter().all(resolved),
            drained: 0,
        })
    }

    /// Makes room for more columns, where it is not known beforehand how many there are. In the first pass only.
    pub fn grow(&mut self, columns: usize) {
        if columns > self.columns.len() {
            self.columns.resize_with(columns, Histogram::first);
            self.is_last_pass = false;
        }
    }

    /// Whether every wanted value is known when this pass ends. Before the first one nothing tells.
    pub fn is_last_pass(&self) -> bool {
        self.is_last_pass
    }

    /// Takes numbers of a column. NaNs are left out.
    pub fn add(&mut self, column: usize, numbers: impl Iterator<Item = f64>) {
        self.drained = 0;
        let Some(histogram) = self.columns.get_mut(column) else { return };
        chunks_of(numbers, |numbers| histogram.add(numbers));
    }

    /// Takes the first columns of a batch. Nulls and NaNs are left out.
    ///
    /// # Errors
    /// Where one holds no numbers.
    pub fn update(&mut self, batch: &Batch) -> Result<()> {
        self.drained = 0;
        for ((histogram, column), field) in self.columns.iter_mut().zip(batch.columns()).zip(batch.fields()) {
            if matches!(histogram, Histogram::Known) {
                continue;
            }
            let values = column.to_f64().ok_or_else(|| super::moments::not_numeric(field))?;
            dense_chunks(&values, column.nulls(), |numbers| histogram.add(numbers));
        }
        Ok(())
    }

    /// Gives away some of what was gathered, as rows of the plan's partial table `table`.
    ///
    /// # Errors
    /// Where it cannot be laid out.
    pub fn drain(&mut self, table: usize) -> Result<Option<Rows>> {
        let mut taken: Vec<(u32, u64, i64)> = Vec::new();
        while taken.len() < DRAIN_ROWS
            && let Some(histogram) = self.columns.get_mut(self.drained)
        {
            let column = self.drained as u32;
            let buckets = histogram.take(DRAIN_ROWS - taken.len());
            if buckets.is_empty() {
                self.drained += 1;
            }
            taken.extend(buckets.into_iter().map(|(bucket, count)| (column, bucket, count)));
        }
        if taken.is_empty() {
            return Ok(None);
        }
        let rows = Rows::new(table, &Self::table().schema, taken.len(), |output| {
            output.primitives(taken.iter().map(|(column, ..)| Some(*column)))?;
            output.primitives(taken.iter().map(|(_, bucket, _)| Some(*bucket)))?;
            output.primitives(taken.iter().map(|(.., count)| Some(*count)))
        });
        rows.map(Some)
    }
}

/// Reads the combined partials of [`Quantiles`].
#[derive(Debug)]
pub struct QuantilesReader {
    percentiles: Vec<f64>,
    few_rows: u64,
    first: bool,
    columns: Vec<Progress>,
    /// Of the first pass: the buckets of each column, since its ranks are known only when all rows were counted.
    buckets: Vec<Vec<(u64, u64)>>,
    /// Of later passes: for each column the known bucket that the rows at hand fall into, and how many of it came so far.
    walked: Vec<(u64, u64)>,
    /// Of later passes: for each column its ranks in their finer buckets, once they came.
    narrowed: Vec<Vec<Option<Rank>>>,
}

/// How a pass ended.
#[derive(Debug)]
pub enum Refined {
    /// Another pass is needed, with this carry.
    Again(Vec<u8>),
    /// For each column its quantiles.
    Done(Vec<ColumnQuantiles>),
}

/// The quantiles of one column.
#[derive(Clone, Debug)]
pub struct ColumnQuantiles {
    /// Rows with a number.
    pub count: u64,
    /// One for each percentile asked for; none where there are no rows.
    pub values: Vec<f64>,
}

impl QuantilesReader {
    /// For so many columns and these percentiles, 0 to 100, in the pass after the one that gave `carry`.
    ///
    /// # Errors
    /// Where the carry is not one of this reader.
    pub fn open(columns: usize, percentiles: &[f64], carry: Option<&[u8]>) -> Result<Self> {
        let progress = read_carry(columns, carry)?;
        Ok(Self {
            percentiles: percentiles.to_vec(),
            few_rows: FEW_ROWS,
            first: carry.is_none(),
            buckets: vec![Vec::new(); columns],
            walked: vec![(0, 0); columns],
            narrowed: progress.iter().map(|it| vec![None; it.ranks.len()]).collect(),
            columns: progress,
        })
    }

    #[cfg(test)]
    pub(crate) fn with_few_rows(self, few_rows: u64) -> Self {
        Self { few_rows, ..self }
    }

    /// Makes room for more columns, where it is not known beforehand how many there are. In the first pass only.
    pub fn grow(&mut self, columns: usize) {
        let more = columns.saturating_sub(self.columns.len());
        let fresh = Progress { next: STEP, ..Progress::default() };
        self.columns.extend((0..more).map(|_| fresh.clone()));
        self.buckets.resize(self.columns.len(), Vec::new());
        self.walked.resize(self.columns.len(), (0, 0));
        self.narrowed.resize(self.columns.len(), Vec::new());
    }

    /// Takes rows of the partial table.
    ///
    /// # Errors
    /// Where they are not what [`Quantiles::drain`] gave.
    pub fn push(&mut self, rows: &Batch) -> Result<()> {
        self.read(rows).ok_or_else(|| Error::invalid_model("these partials are no histograms"))
    }

    fn read(&mut self, rows: &Batch) -> Option<()> {
        let [columns, buckets, counts] = rows.columns() else { return None };
        let Values::UInt64(buckets) = buckets.values() else { return None };
        let (columns, counts) = (columns.to_i64()?, counts.to_i64()?);
        for row in 0..rows.rows() {
            let column = usize::try_from(columns[row]).ok()?;
            let count = u64::try_from(counts[row]).ok()?;
            if self.first {
                self.buckets.get_mut(column)?.push((buckets[row], count));
            } else {
                self.walk(column, buckets[row], count)?;
            }
        }
        Some(())
    }

    /// Narrows the ranks that fall into one of the finer buckets.
    fn walk(&mut self, column: usize, bucket: u64, count: u64) -> Option<()> {
        let progress = self.columns.get_mut(column)?;
        let walked = self.walked.get_mut(column)?;
        let before = upper(bucket, progress.known);
        if walked.0 != before {
            *walked = (before, 0);
        }
        for (rank, narrowed) in progress.ranks.iter().zip(self.narrowed.get_mut(column)?) {
            let below = rank.below + walked.1;
            if rank.bucket == before && (below..below + count).contains(&rank.rank) {
                *narrowed = Some(Rank { rank: rank.rank, bucket, below, rows: count });
            }
        }
        walked.1 += count;
        Some(())
    }

    /// Ends the pass.
    ///
    /// # Errors
    /// Where the partials lack rows.
    pub fn finish(mut self) -> Result<Refined> {
        let lacking = || Error::invalid_model("the histogram lacks rows");
        for (column, progress) in self.columns.iter_mut().enumerate() {
            if self.first {
                *progress = first_pass(&self.buckets[column], &self.percentiles, self.few_rows);
            } else if !progress.done() {
                progress.ranks = self.narrowed[column].iter().copied().collect::<Option<_>>().ok_or_else(lacking)?;
                progress.known = progress.next;
                progress.next = next_bits(progress.known, &progress.ranks, self.few_rows);
            }
        }
        if self.columns.iter().any(|progress| !progress.done()) {
            return Ok(Refined::Again(write_carry(&self.columns)));
        }
        let columns = self.columns.iter().map(|progress| interpolate(progress, &self.percentiles).ok_or_else(lacking));
        Ok(Refined::Done(columns.collect::<Result<_>>()?))
    }
}

/// Places every wanted rank in its bucket of 16 bits.
fn first_pass(buckets: &[(u64, u64)], percentiles: &[f64], few_rows: u64) -> Progress {
    let count: u64 = buckets.iter().map(|(_, count)| count).sum();
    let mut ranks: Vec<u64> = percentiles
        .iter()
        .flat_map(|percentile| {
            let (rank, _) = position(count, *percentile);
            [rank, (rank + 1).min(count.saturating_sub(1))]
        })
        .collect();
    ranks.sort_unstable();
    ranks.dedup();
    let mut below = 0;
    let mut ranks = ranks.into_iter().peekable();
    let mut placed = Vec::new();
    for (bucket, rows) in buckets {
        while let Some(rank) = ranks.next_if(|rank| *rank < below + rows) {
            placed.push(Rank { rank, bucket: *bucket, below, rows: *rows });
        }
        below += rows;
    }
    Progress { count, known: STEP, next: next_bits(STEP, &placed, few_rows), ranks: placed }
}

fn next_bits(known: u32, ranks: &[Rank], few_rows: u64) -> u32 {
    if ranks.iter().all(|rank| rank.rows <= few_rows) { 64 } else { (known + STEP).min(64) }
}

/// Where a percentile lies among `count` ordered values: a rank, and how far it is to the next one. As numpy's `linear`.
fn position(count: u64, percentile: f64) -> (u64, Rational) {
    let position = Rational::from_f64(percentile).times(&Rational::integer(count.saturating_sub(1))).over(100);
    let rank = position.floor();
    (rank, position.minus(&Rational::integer(rank)))
}

/// The quantiles from the order statistics, each rounded once.
fn interpolate(progress: &Progress, percentiles: &[f64]) -> Option<ColumnQuantiles> {
    if progress.count == 0 {
        return Some(ColumnQuantiles { count: 0, values: Vec::new() });
    }
    let value_at = |rank: u64| progress.ranks.iter().find(|it| it.rank == rank).map(|it| decode(it.bucket));
    let quantile = |percentile: &f64| {
        let (rank, fraction) = position(progress.count, *percentile);
        let (low, high) = (value_at(rank)?, value_at((rank + 1).min(progress.count - 1))?);
        if low == high {
            return Some(low);
        }
        if !low.is_finite() || !high.is_finite() {
            return Some(if fraction.to_f64() == 0.0 { low } else { low + high });
        }
        let (low, high) = (Rational::from_f64(low), Rational::from_f64(high));
        Some(low.plus(&high.minus(&low).times(&fraction)).to_f64())
    };
    Some(ColumnQuantiles { count: progress.count, values: percentiles.iter().map(quantile).collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::order::encode;

    #[test]
    fn codes_order_as_numbers_do() {
        let numbers = [f64::NEG_INFINITY, f64::MIN, -1.5, -5e-324, 0.0, 5e-324, 1.0, 1.5, f64::MAX, f64::INFINITY];
        assert!(numbers.windows(2).all(|pair| encode(pair[0]) < encode(pair[1])));
        assert!(numbers.iter().all(|number| decode(encode(*number)) == *number));
        assert_eq!(encode(-0.0), encode(0.0));
    }

    #[test]
    fn positions_are_those_of_numpy() {
        assert_eq!(position(5, 50.0).0, 2);
        assert_eq!(position(4, 25.0).0, 0);
        assert_eq!(position(4, 25.0).1.to_f64(), 0.75);
        assert_eq!(position(1, 75.0).0, 0);
        assert_eq!(position(0, 75.0).0, 0);
        assert_eq!(position(10, 100.0).0, 9);
    }
}
