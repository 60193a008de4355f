//! The batches of a pass, remembered or read.

use super::{Input, Remembered};
use crate::Result;
use crate::source::Cut;

/// The batches of a pass: those that are remembered, and behind them those that are read.
pub(in crate::run) struct Inputs<'a, R> {
    remembered: &'a Remembered,
    /// Reads the source from a row on.
    read: R,
    /// Once it is read.
    batches: Option<Cut<'a>>,
    /// Batches so far, and their rows.
    number: usize,
    rows: u64,
}

impl<'a, R: FnMut(u64) -> Result<Cut<'a>>> Inputs<'a, R> {
    /// With what `read` reads of the source from a row on, whose training rows are remembered.
    pub(in crate::run) fn new(remembered: &'a Remembered, read: R) -> Self {
        Self { remembered, read, batches: None, number: 0, rows: 0 }
    }

    fn next_input(&mut self) -> Result<Option<Input>> {
        let batches = match &mut self.batches {
            Some(batches) => batches,
            None => match self.remembered.recall(self.number) {
                Some(None) => return Ok(None),
                Some(Some(recalled)) => {
                    self.number += 1;
                    self.rows += recalled.of as u64;
                    return Ok(Some(Input::Recalled(recalled)));
                }
                None => self.batches.insert((self.read)(self.rows)?),
            },
        };
        let Some(batch) = batches.next().transpose()? else {
            self.remembered.end(self.number);
            return Ok(None);
        };
        let admitted = self.remembered.admit(self.number, &batch.batch);
        self.number += 1;
        Ok(Some(Input::Read(batch, admitted)))
    }
}

impl<'a, R: FnMut(u64) -> Result<Cut<'a>>> Iterator for Inputs<'a, R> {
    type Item = Result<Input>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_input().transpose()
    }
}
