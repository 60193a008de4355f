//! Who is told how far an upload has come.

/// Is told how far an upload has come.
pub trait Progress: Send + Sync {
    /// So many bytes are to be uploaded.
    fn begin(&self, bytes: u64);
    /// So many more were.
    fn advance(&self, bytes: u64);
    /// It ended, well or not.
    fn end(&self);
}

/// Is told and does nothing.
pub(super) struct Nobody;

impl Progress for Nobody {
    fn begin(&self, _: u64) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}
