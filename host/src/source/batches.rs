//! What the readers of all formats share: batches are cut, converted and counted, and a failure says where it arose.

use super::normalize::conform;
use crate::{Error, Result};
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use std::panic::{AssertUnwindSafe, catch_unwind};

type Decoder = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// The batches of one fragment, from a decoder that reads exactly the columns of `schema`.
pub(super) struct Batches {
    decoder: Option<Decoder>,
    schema: SchemaRef,
    batch_rows: usize,
    /// What is left of a batch longer than `batch_rows`.
    rest: Option<RecordBatch>,
    /// How many rows the decoder has given.
    rows: u64,
    /// How many it must give, where that is known.
    expected: Option<u64>,
    /// Turns what the decoder reports after a number of rows into an error with place and hint.
    explain: Box<dyn Fn(ArrowError, u64) -> Error + Send>,
}

impl Batches {
    pub(super) fn new(
        decoder: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static,
        schema: SchemaRef,
        batch_rows: usize,
        expected: Option<u64>,
        explain: impl Fn(ArrowError, u64) -> Error + Send + 'static,
    ) -> Self {
        let batch_rows = batch_rows.max(1);
        Self {
            decoder: Some(Box::new(decoder)),
            schema,
            batch_rows,
            rest: None,
            rows: 0,
            expected,
            explain: Box::new(explain),
        }
    }

    /// The next batch that is not empty, as long as the decoder makes it.
    fn decode(&mut self) -> Option<Result<RecordBatch>> {
        let decoder = self.decoder.as_mut()?;
        let schema = &self.schema;
        let decoded = guard(|| {
            let batch = decoder.find(|batch| !matches!(batch, Ok(batch) if batch.num_rows() == 0))?;
            Some(batch.and_then(|batch| conform(batch, schema)))
        });
        let error = match decoded.transpose().map(Result::flatten) {
            Some(Ok(batch)) => {
                self.rows += batch.num_rows() as u64;
                return Some(Ok(batch));
            }
            Some(Err(error)) => error,
            None => {
                let expected = self.expected.filter(|expected| *expected != self.rows)?;
                ArrowError::InvalidArgumentError(format!("{expected} rows are announced, {} are there", self.rows))
            }
        };
        self.decoder = None;
        Some(Err((self.explain)(error, self.rows)))
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match self.decode()? {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            },
        };
        if batch.num_rows() <= self.batch_rows {
            return Some(Ok(batch));
        }
        self.rest = Some(batch.slice(self.batch_rows, batch.num_rows() - self.batch_rows));
        Some(Ok(batch.slice(0, self.batch_rows)))
    }
}

/// Runs a decoder on bytes that nobody vouches for: arrow-rs panics on some of them instead of reporting an error.
pub(super) fn guard<T>(decode: impl FnOnce() -> T) -> Result<T, ArrowError> {
    // After a panic the decoder is dropped, so nothing sees what state it was left in.
    catch_unwind(AssertUnwindSafe(decode)).map_err(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        ArrowError::InvalidArgumentError(format!("the decoder gave up: {}", message.unwrap_or("unknown reason")))
    })
}
