//! What reading costs.

use std::fmt;

/// Dollars for a TiB that is read over the Storage API, by Google's list of prices for regions in the US in November 2026; other regions are
/// dearer, contracts and the free tier cheaper.
const DOLLARS_PER_TIB: f64 = 1.1;

/// Dollars for a TiB that a query reads, by the same list.
const DOLLARS_PER_TIB_OF_QUERY: f64 = 6.25;

/// What reading costs at most.
#[derive(Clone, Copy, Debug)]
pub struct Price {
    /// By the list of prices.
    pub dollars: f64,
    per_tib: f64,
    what: &'static str,
}

impl Price {
    /// Of a pass over so many bytes.
    pub(super) fn of(bytes: u64) -> Self {
        Self::new(bytes, DOLLARS_PER_TIB, "each pass over these columns")
    }

    /// Of a query that reads so many bytes.
    pub(super) fn of_query(bytes: u64) -> Self {
        Self::new(bytes, DOLLARS_PER_TIB_OF_QUERY, "the query, which is run once")
    }

    fn new(bytes: u64, per_tib: f64, what: &'static str) -> Self {
        const TIB: f64 = (1_u64 << 40) as f64;
        Self { dollars: bytes as f64 / TIB * per_tib, per_tib, what }
    }
}

/// What a query costs beside what it is there in place of.
pub(super) fn instead() -> String {
    format!("${DOLLARS_PER_TIB_OF_QUERY:.2} per TiB instead of ${DOLLARS_PER_TIB:.2}")
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "about ${:.2} for {}, at ${:.2} per TiB", self.dollars, self.what, self.per_tib)
    }
}
