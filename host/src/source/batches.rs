//! What the readers of all formats share: batches are cut, converted and counted, and a failure says where it arose.

use super::normalize::{conform, conforms};
use crate::dictionary::without_unused;
use crate::guard::guard;
use crate::memory::BATCH;
use crate::value_bytes::rows_within;
use crate::{Error, Result};
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};

/// The batches of a file as its format's reader gives them.
pub(super) type Decoder = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// The batches of one fragment, from a decoder that reads exactly the columns of `schema`.
pub(super) struct Batches {
    decoder: Option<Decoder>,
    schema: SchemaRef,
    batch_rows: usize,
    /// What is left of a batch longer than `batch_rows`, as the decoder gave it.
    rest: Option<RecordBatch>,
    /// How many rows were given.
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

    /// The next rows as the decoder gives them.
    fn decode(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if let Some(rest) = self.rest.take() {
            return Ok(Some(rest));
        }
        let Some(decoder) = &mut self.decoder else { return Ok(None) };
        let decoded = guard(|| decoder.find(|batch| !matches!(batch, Ok(batch) if batch.num_rows() == 0)))?;
        match (decoded.transpose()?, self.expected) {
            (None, Some(expected)) if expected != self.rows => {
                let message = format!("{expected} rows are announced, {} are there", self.rows);
                Err(ArrowError::InvalidArgumentError(message))
            }
            (decoded, _) => Ok(decoded),
        }
    }

    /// The next rows in their form, as many as fit.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let Some(decoded) = self.decode()? else { return Ok(None) };
        let all = decoded.num_rows();
        // Cut before it is converted: run-end encoding can hold two billion rows in a few bytes.
        let mut batch = decoded.slice(0, all.min(self.batch_rows));
        if !conforms(&batch, &self.schema) {
            batch = batch.slice(0, guard(|| rows_within(&batch, BATCH))?);
            // Dictionaries are converted whole.
            let rows = batch.num_rows();
            batch = guard(|| without_unused(&batch, |dictionary| dictionary.values().len() > rows)).flatten()?;
        }
        let rows = batch.num_rows();
        if rows < all {
            self.rest = Some(decoded.slice(rows, all - rows));
        }
        let batch = guard(|| conform(batch, &self.schema)).flatten()?;
        self.rows += batch.num_rows() as u64;
        Ok(Some(batch))
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch();
        if !matches!(next, Ok(Some(_))) {
            self.decoder = None;
            self.rest = None;
        }
        next.map_err(|error| (self.explain)(error, self.rows)).transpose()
    }
}
