//! What reading costs.

use std::fmt;

/// Dollars for a TiB that is read over the Storage API, by Google's list of prices for regions in the US in November 2026; other regions are
/// dearer, contracts and the free tier cheaper.
const DOLLARS_PER_TIB: f64 = 1.1;

/// What a pass over all columns costs at most.
#[derive(Clone, Copy, Debug)]
pub struct Price {
    /// By the list of prices.
    pub dollars: f64,
}

impl Price {
    /// Of so many bytes.
    pub(super) fn of(bytes: u64) -> Self {
        const TIB: f64 = (1_u64 << 40) as f64;
        Self { dollars: bytes as f64 / TIB * DOLLARS_PER_TIB }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "about ${:.2} for each pass over all columns, at ${DOLLARS_PER_TIB:.2} per TiB", self.dollars)
    }
}
