//! Quantiles are those of the sorted column, interpolated without error, and the same for all cuts.

use super::numbers::{Random, columns, cut, gather, merge};
use crate::rational::Rational;
use crate::stats::{ColumnQuantiles, Quantiles, QuantilesReader, Refined};

const PERCENTILES: [f64; 6] = [0.0, 25.0, 50.0, 75.0, 99.9, 100.0];

/// What is learned when buckets of more than `few` rows are refined further, and in how many passes.
fn learn(random: &mut Random, columns: &[Vec<Option<f64>>], few: u64) -> (Vec<ColumnQuantiles>, usize) {
    let mut carry: Option<Vec<u8>> = None;
    for pass in 1.. {
        let batches = cut(random, columns);
        let open = |_| Quantiles::open(columns.len(), carry.as_deref()).unwrap();
        let fitters = (0..1 + random.below(4)).map(open).collect();
        let partials = gather(random, &batches, fitters, Quantiles::update, |it| it.drain(0));
        let mut reader =
            QuantilesReader::open(columns.len(), &PERCENTILES, carry.as_deref()).unwrap().with_few_rows(few);
        for rows in merge(&Quantiles::table(), &partials) {
            reader.push(&rows).unwrap();
        }
        match reader.finish().unwrap() {
            Refined::Again(next) => carry = Some(next),
            Refined::Done(learned) => return (learned, pass),
        }
    }
    unreachable!("passes end")
}

/// By sorting. The interpolation is the formula of numpy's `linear`, in rational numbers.
fn naive(column: &[Option<f64>]) -> Vec<f64> {
    let mut numbers: Vec<f64> = column.iter().flatten().copied().filter(|it| !it.is_nan()).map(|it| it + 0.0).collect();
    numbers.sort_by(f64::total_cmp);
    let Some(last) = numbers.len().checked_sub(1) else { return Vec::new() };
    let quantile = |percentile: f64| {
        let position = Rational::from_f64(percentile).times(&Rational::integer(last as u64)).over(100);
        let rank = position.floor() as usize;
        let fraction = position.minus(&Rational::integer(rank as u64));
        let (low, high) = (numbers[rank], numbers[(rank + 1).min(last)]);
        if low == high || fraction.to_f64() == 0.0 {
            return low;
        }
        if !(low.is_finite() && high.is_finite()) {
            return low + high;
        }
        let (low, high) = (Rational::from_f64(low), Rational::from_f64(high));
        low.plus(&high.minus(&low).times(&fraction)).to_f64()
    };
    PERCENTILES.map(quantile).to_vec()
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }).collect()
}

#[test]
fn quantiles_are_those_of_the_sorted_column_whatever_the_cut_and_the_passes() {
    let mut random = Random(2);
    for round in 0..40 {
        let rows = [0, 1, 2, 10, 500][round % 5];
        let columns = columns(&mut random, rows, round % 2 == 0);
        for few in [0, 3, u64::MAX] {
            let (learned, passes) = learn(&mut random, &columns, few);
            assert!(passes <= 4, "{passes}");
            for (column, learned) in columns.iter().zip(learned) {
                assert_eq!(learned.count as usize, column.iter().flatten().filter(|it| !it.is_nan()).count());
                assert_eq!(bits(&learned.values), bits(&naive(column)), "{rows} rows, {few}");
            }
        }
    }
}

#[test]
fn buckets_of_many_rows_take_two_passes_more() {
    let mut random = Random(3);
    let same = vec![Some(1.25); 1_000];
    let near: Vec<_> = (0..1_000).map(|row| Some(1.0 + f64::from(row) * f64::EPSILON)).collect();
    let columns = [same, near];
    assert_eq!(learn(&mut random, &columns, u64::MAX).1, 2);
    let (learned, passes) = learn(&mut random, &columns, 10);
    assert_eq!(passes, 4);
    assert!(learned.iter().zip(&columns).all(|(learned, column)| bits(&learned.values) == bits(&naive(column))));
}

#[test]
fn carries_of_others_are_refused() {
    for carry in [&b"x"[..], &[0; 32], &[0xff; 32], &[1; 64]] {
        assert!(Quantiles::open(1, Some(carry)).is_err(), "{carry:?}");
    }
}
