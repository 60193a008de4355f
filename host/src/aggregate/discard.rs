//! The aggregator that keeps no rows, for passes in which they are only learned from.

use super::{Aggregate, Prepare, Rows, Summary};
use crate::{Result, Stop};

/// Keeps nothing.
#[derive(Clone, Copy, Debug)]
pub struct Discard;

impl Prepare for Discard {
    type Item = ();

    fn prepare(&self, _: Rows) -> Result<()> {
        Ok(())
    }

    fn weigh((): &()) -> usize {
        0
    }
}

impl Aggregate for Discard {
    type Prepare = Self;

    fn preparation(&self) -> Self {
        *self
    }

    fn push(&mut self, (): ()) -> Result<()> {
        Ok(())
    }

    fn finish(self, _: &Stop) -> Result<Summary> {
        Ok(Summary::default())
    }
}
