//! Who is told how far a run has come.

/// Is told how far a run has come.
pub trait Progress: Sync {
    /// A pass over so many rows begins, where it is known how many.
    fn begin(&self, stage: &str, rows: Option<u64>);

    /// So many more rows are done.
    fn advance(&self, rows: u64);

    /// The pass is over.
    fn end(&self);
}

/// Tells nobody.
impl Progress for () {
    fn begin(&self, _: &str, _: Option<u64>) {}

    fn advance(&self, _: u64) {}

    fn end(&self) {}
}
