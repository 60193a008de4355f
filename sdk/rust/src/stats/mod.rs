//! Statistics of columns that are exact and do not depend on how rows were divided: the building blocks of fitted plugins.
//!
//! Each comes in two halves: one gathers rows in a fitter and drains them as partials, the other reads the combined partials in
//! a finisher.

mod byte_map;
mod counts;
mod dense;
mod fitters;
mod histogram;
mod moments;
mod order;
mod progress;
mod quantiles;

pub use crate::exact::Adder;
pub use byte_map::ByteMap;
pub use counts::{Category, Counts, CountsReader, KeyClass, float_bits, read_category, write_categories};
pub use moments::{ColumnMoments, Moments, MomentsReader};
pub use quantiles::{ColumnQuantiles, Quantiles, QuantilesReader, Refined};

/// Rows in one batch of partials.
const DRAIN_ROWS: usize = 16_384;
