//! What is known of a group behind the last pass.

use crate::Params;
use crate::carry::{Counting, GroupPlan};
use crate::kind::Kind;
use crate::text::{number, text};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use wafermill_sdk::DataType;
use wafermill_sdk::stats::ColumnMoments;

/// One group.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// What came of its counts and sums; a column without numbers has counts only.
    pub(crate) moments: ColumnMoments,
    pub(crate) rows: i64,
    pub(crate) nulls: i64,
    pub(crate) nans: i64,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) mean: Option<f64>,
    pub(crate) variance: Option<f64>,
    /// The keys of the least and the largest value.
    pub(crate) extremes: Option<(Vec<u8>, Vec<u8>)>,
    /// Rows in each bin of its histogram.
    pub(crate) bins: Vec<i64>,
    /// Values that were counted.
    counted: i64,
    /// The most frequent of them so far, the rarest on top; of equally frequent ones the largest.
    top: BinaryHeap<Ranked>,
}

/// Rows of a value, its position among all, and its key.
type Ranked = Reverse<(i64, Reverse<i64>, Vec<u8>)>;

/// A value that many rows have.
#[derive(Debug, PartialEq)]
pub(crate) struct Frequent {
    pub(crate) text: String,
    pub(crate) number: Option<f64>,
    pub(crate) rows: i64,
}

impl Summary {
    /// Tells what follows from the moments, once all of them came.
    pub(crate) fn settle(&mut self, kind: Kind) {
        let moments = &self.moments;
        let counts = [moments.count, moments.nulls, moments.nans, moments.infinities];
        self.rows = counts.into_iter().fold(0, i64::saturating_add);
        (self.nulls, self.nans) = (moments.nulls, moments.nans);
        if !kind.is_number() {
            return;
        }
        (self.min, self.max) = (moments.min, moments.max);
        (self.mean, self.variance) = match (moments.min, moments.max) {
            _ if moments.infinities == 0 => (moments.mean(), moments.variance()),
            (Some(f64::NEG_INFINITY), Some(f64::INFINITY)) => (Some(f64::NAN), Some(f64::NAN)),
            (Some(f64::NEG_INFINITY), _) => (Some(f64::NEG_INFINITY), Some(f64::NAN)),
            _ => (Some(f64::INFINITY), Some(f64::NAN)),
        };
    }

    /// Takes the next value, in ascending order.
    pub(crate) fn take_value(&mut self, key: &[u8], rows: i64, params: &Params) {
        self.counted += 1;
        let most = params.top as usize;
        let is_among = self.top.len() < most || self.top.peek().is_some_and(|Reverse((least, ..))| rows > *least);
        if most == 0 || !is_among {
            return;
        }
        if self.top.len() == most {
            self.top.pop();
        }
        self.top.push(Reverse((rows, Reverse(self.counted), key.to_vec())));
    }

    /// How many distinct values there are, and whether that is exact.
    pub(crate) fn distinct(&self, plan: &GroupPlan) -> (i64, bool) {
        match plan.counting {
            Counting::All => (self.counted, true),
            // There are no more values than rows that have one.
            _ => ((plan.distinct.round() as i64).min(self.rows - self.nulls - self.nans), false),
        }
    }

    /// The most frequent values, the first one first. Where not all were counted, those that no other value can have more rows than.
    pub(crate) fn frequent(&mut self, plan: &GroupPlan, kind: Kind, data_type: &DataType) -> Vec<Frequent> {
        let left_out = match plan.counting {
            Counting::Some { left_out, .. } => left_out as i64,
            _ => 0,
        };
        let mut top: Vec<_> = std::mem::take(&mut self.top).into_iter().map(|Reverse(it)| it).collect();
        top.sort_unstable_by(|one, two| two.cmp(one));
        let top = top.into_iter().filter(|(rows, ..)| *rows > left_out);
        let frequent = |(rows, _, key): (i64, _, Vec<u8>)| Frequent {
            text: text(&key, kind, data_type),
            number: number(&key, kind),
            rows,
        };
        top.map(frequent).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frequent(counts: &[(&str, i64)], counting: Counting) -> Vec<(String, i64)> {
        let params: Params = wafermill_sdk::serde_json::from_str(r#"{"top": 2}"#).unwrap();
        let mut summary = Summary::default();
        counts.iter().for_each(|(key, rows)| summary.take_value(key.as_bytes(), *rows, &params));
        let plan = GroupPlan { counting, ..GroupPlan::default() };
        let found = summary.frequent(&plan, Kind::Text, &DataType::Utf8);
        found.into_iter().map(|it| (it.text, it.rows)).collect()
    }

    #[test]
    fn of_equally_frequent_values_the_least_come_first() {
        let counts = [("a", 1), ("b", 3), ("c", 3), ("d", 1), ("e", 3)];
        assert_eq!(frequent(&counts, Counting::All), [("b".to_owned(), 3), ("c".to_owned(), 3)]);
    }

    #[test]
    fn values_that_another_may_exceed_are_not_told() {
        let some = |left_out| Counting::Some { left_out, registers: Box::new([0; 64]) };
        let counts = [("a", 10), ("b", 3), ("c", 5)];
        assert_eq!(frequent(&counts, some(4)), [("a".to_owned(), 10), ("c".to_owned(), 5)]);
        assert_eq!(frequent(&counts, some(5)), [("a".to_owned(), 10)]);
    }
}
