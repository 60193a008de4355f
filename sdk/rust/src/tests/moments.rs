//! Moments are exact and the same for all cuts.

use super::arrow::batch;
use super::numbers::{Random, columns, cut, gather, merge};
use crate::Batch;
use crate::stats::{ColumnMoments, Moments, MomentsReader};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use num_bigint::BigInt;
use std::sync::Arc;

fn learn(random: &mut Random, columns: &[Vec<Option<f64>>]) -> Vec<ColumnMoments> {
    let batches = cut(random, columns);
    learn_from(random, &batches, columns.len())
}

fn learn_from(random: &mut Random, batches: &[Batch], columns: usize) -> Vec<ColumnMoments> {
    let fitters = (0..1 + random.below(4)).map(|_| Moments::new(columns)).collect();
    let partials = gather(random, batches, fitters, Moments::update, |it| it.drain(0));
    let mut reader = MomentsReader::new(columns);
    for (index, table) in Moments::tables().iter().enumerate() {
        let of_table: Vec<_> = partials.iter().filter(|rows| rows.table == index).cloned().collect();
        merge(table, &of_table).iter().for_each(|rows| reader.push(index, rows).unwrap());
    }
    reader.finish()
}

/// A finite double times 2^1074.
fn integer(value: f64) -> BigInt {
    let (bits, sign) = (value.abs().to_bits(), if value < 0.0 { -1 } else { 1 });
    let (exponent, fraction) = (bits >> 52, bits & ((1 << 52) - 1));
    let mantissa = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    (BigInt::from(mantissa) * sign) << exponent.saturating_sub(1) as usize
}

/// Asserts that `rounded` is the double nearest to `numerator / denominator` · 2^-1074: twice the distance to it is no more than
/// that from it to either neighbour.
fn assert_nearest(rounded: f64, numerator: &BigInt, denominator: &BigInt) {
    assert!(rounded.is_finite());
    let exact = numerator * 2;
    let [below, at, above] = [rounded.next_down(), rounded, rounded.next_up()].map(|it| {
        let clamped = it.clamp(f64::MIN, f64::MAX);
        integer(clamped) * denominator
    });
    assert!(&at + &below <= exact && exact <= &at + &above, "{rounded:?}");
}

#[test]
fn moments_are_exact_whatever_the_cut() {
    let mut random = Random(1);
    for round in 0..42 {
        // The last ones are more than a chunk.
        let rows = [0, 1, 2, 10, 500, 513, 1_500][round % 7];
        let columns = columns(&mut random, rows, round % 2 == 0);
        let learned = learn(&mut random, &columns);
        let again = learn(&mut random, &columns);
        assert_eq!(format!("{learned:?}"), format!("{again:?}"));
        for (column, moments) in columns.iter().zip(&learned) {
            check(column, moments);
        }
    }
}

#[test]
fn integers_that_doubles_lack_are_summed_as_they_are_whatever_stands_beside_them() {
    let values = [1, -7, i64::MAX, i64::MIN, (1 << 53) + 1, 0, 1 << 53, -(1 << 53) - 1];
    let batches = |size: usize| -> Vec<Batch> {
        let column = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
        let table = |values| RecordBatch::try_from_iter([("x", column(values))]).unwrap();
        values.chunks(size).map(|values| batch(&table(values))).collect()
    };
    let mut random = Random(7);
    let mut learned = [1, 2, 3, 8].map(|size| learn_from(&mut random, &batches(size), 1));
    let told = format!("{:?}", learned[0]);
    assert!(learned.iter().all(|it| format!("{it:?}") == told));
    let [moments] = &mut learned[0][..] else { panic!("one column") };
    let sum: BigInt = values.iter().map(|value| BigInt::from(*value)).sum();
    assert_nearest(moments.mean().unwrap(), &(sum << 1074), &BigInt::from(values.len()));
    assert_eq!((moments.min, moments.max), (Some(i64::MIN as f64), Some(i64::MAX as f64)));
}

#[test]
fn counts_and_sums_that_no_rows_have_are_refused() {
    let x: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let mut honest = Moments::new(1);
    honest.update(&batch(&RecordBatch::try_from_iter([("x", x)]).unwrap())).unwrap();
    let counts = honest.drain(0).unwrap().unwrap();
    let read = |count: i64, min: f64| {
        let schema = &Moments::tables()[0].schema;
        let rows = crate::Rows::new(0, schema, 1, |output| {
            output.primitives([Some(0_u32)])?;
            output.primitives([Some(count)])?;
            (0..3).try_for_each(|_| output.primitives([Some(0_i64)]))?;
            output.primitives([Some(min)])?;
            output.primitives([Some(2.0)])
        });
        let tables = merge(&Moments::tables()[0], &[rows.unwrap()]);
        tables.iter().try_for_each(|rows| MomentsReader::new(1).push(0, rows)).is_ok()
    };
    assert_eq!(counts.table, 0);
    assert_eq!([read(2, 1.0), read(-2, 1.0), read(2, f64::NAN)], [true, false, false]);
}

fn check(column: &[Option<f64>], moments: &ColumnMoments) {
    let numbers: Vec<f64> = column.iter().flatten().copied().filter(|it| !it.is_nan()).collect();
    let finite: Vec<BigInt> = numbers.iter().filter(|it| it.is_finite()).map(|it| integer(*it)).collect();
    assert_eq!(moments.nulls as usize, column.iter().filter(|it| it.is_none()).count());
    assert_eq!(moments.nans as usize, column.iter().flatten().filter(|it| it.is_nan()).count());
    assert_eq!(moments.infinities as usize, numbers.iter().filter(|it| it.is_infinite()).count());
    assert_eq!(moments.count as usize, finite.len());
    assert_eq!(moments.min, numbers.iter().copied().reduce(f64::min));
    assert_eq!(moments.max, numbers.iter().copied().reduce(f64::max));
    let Some(mean) = moments.mean() else { return assert!(finite.is_empty()) };
    let count = BigInt::from(finite.len());
    let sum: BigInt = finite.iter().sum();
    assert_nearest(mean, &sum, &count);
    let squares: BigInt = finite.iter().map(|it| it * it).sum();
    // Times 2^2148, and the count twice.
    let variance = &count * squares - &sum * &sum;
    let (Some(rounded), Some(deviation)) = (moments.variance(), moments.standard_deviation()) else {
        panic!("{moments:?}")
    };
    if rounded.is_finite() {
        assert_nearest(rounded, &variance, &((&count * &count) << 1074));
    }
    // The root lies between the middles to its neighbours: compare squares.
    let middle = |other: f64| {
        let middle = integer(deviation) + integer(other);
        &middle * &middle * &count * &count
    };
    let exact: BigInt = variance * 4;
    assert!(exact <= middle(deviation.next_up()), "{deviation:?}");
    assert!(deviation == 0.0 || middle(deviation.next_down()) <= exact, "{deviation:?}");
}
