//! Bins of equal width, as numpy's `histogram` makes them.

/// The bins between the least and the largest number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bins {
    /// One more than there are bins.
    edges: Vec<f64>,
}

impl Bins {
    /// So many bins from `low` to `high`, which are finite. Where the two are one, the bins reach half as far as 1 to either side.
    pub(crate) fn between(low: f64, high: f64, bins: u32) -> Self {
        let (low, high) = if low == high { (low - 0.5, high + 0.5) } else { (low, high) };
        let count = f64::from(bins);
        let step = (high - low) / count;
        let edge = |bin: u32| match step.is_finite() {
            true => f64::from(bin) * step + low,
            // The distance is past the largest double, the edges are not.
            false => low * (1.0 - f64::from(bin) / count) + high * (f64::from(bin) / count),
        };
        let mut edges: Vec<f64> = (0..=bins).map(edge).collect();
        if let Some(last) = edges.last_mut() {
            *last = high;
        }
        Self { edges }
    }

    /// The bin of a number between the ends: each begins at its lower edge, and the last one has its upper edge too.
    pub(crate) fn of(&self, number: f64) -> usize {
        let inner = &self.edges[1..self.edges.len() - 1];
        inner.partition_point(|edge| *edge <= number)
    }

    /// The two edges of each bin.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (f64, f64)> {
        self.edges.windows(2).map(|pair| (pair[0], pair[1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_on_an_edge_belongs_to_the_bin_that_begins_there() {
        let bins = Bins::between(0.0, 10.0, 5);
        assert_eq!([0.0, 1.9, 2.0, 9.9, 10.0].map(|number| bins.of(number)), [0, 0, 1, 4, 4]);
        assert_eq!(bins.edges().last(), Some((8.0, 10.0)));
    }

    #[test]
    fn ranges_of_one_number_and_of_all_numbers_have_bins() {
        let one = Bins::between(3.0, 3.0, 4);
        assert_eq!((one.of(3.0), one.edges().next(), one.edges().last()), (2, Some((2.5, 2.75)), Some((3.25, 3.5))));
        let all = Bins::between(f64::MIN, f64::MAX, 4);
        assert!(all.edges().all(|(low, high)| low < high && low.is_finite() && high.is_finite()));
        assert_eq!((all.of(f64::MIN), all.of(-1.0), all.of(0.0), all.of(f64::MAX)), (0, 1, 2, 3));
        assert_eq!(Bins::between(0.0, 5e-324, 3).of(5e-324), 2);
    }
}
