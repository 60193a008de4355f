//! The statistics as fitters of their own, for plans whose only partials are theirs.

use super::{Counts, Moments, Quantiles};
use crate::{Batch, Field, Fitter, Pass, Result, Rows, Task};

impl<P> Fitter<P> for Moments {
    fn open(task: Task<P>, _: Pass) -> Result<Self> {
        Ok(Self::new(task.input.len()))
    }

    fn update(&mut self, batch: &Batch) -> Result<()> {
        self.update(batch)
    }

    fn drain(&mut self) -> Result<Option<Rows>> {
        self.drain(0)
    }
}

impl<P> Fitter<P> for Quantiles {
    fn open(task: Task<P>, pass: Pass) -> Result<Self> {
        Self::open(task.input.len(), pass.carry.as_deref())
    }

    fn update(&mut self, batch: &Batch) -> Result<()> {
        self.update(batch)
    }

    fn drain(&mut self) -> Result<Option<Rows>> {
        self.drain(0)
    }
}

impl<P> Fitter<P> for Counts {
    fn open(task: Task<P>, _: Pass) -> Result<Self> {
        let fields: Vec<&Field> = task.input.fields().collect();
        Self::new(fields)
    }

    fn update(&mut self, batch: &Batch) -> Result<()> {
        self.update(batch)
    }

    fn drain(&mut self) -> Result<Option<Rows>> {
        self.drain(0)
    }
}
