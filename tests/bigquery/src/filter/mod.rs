//! Row restrictions: the small part of GoogleSQL's conditions that tests need.
//!
//! A column compared with a literal, `IS [NOT] NULL`, `[NOT] IN (…)`, a column of truth values, AND, OR, NOT and parentheses.

mod parse;
mod predicate;
mod token;

use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::{ArrowError, Schema};
use arrow_select::filter::prep_null_mask_filter;
use predicate::Predicate;
use tonic::Status;

/// Google's limit.
const LONGEST: usize = 1 << 20;

/// What is wrong with a condition, and at which byte of it.
struct Error {
    message: String,
    place: usize,
}

/// A condition that fits a table.
pub(crate) struct Filter(Predicate);

impl Filter {
    /// Parses a restriction; an empty one restricts nothing.
    pub(crate) fn new(text: &str, schema: &Schema) -> Result<Option<Self>, Status> {
        if text.is_empty() {
            return Ok(None);
        }
        if text.len() > LONGEST {
            return Err(Status::invalid_argument(format!(
                "read_session.read_options.row_restriction exceeded maximum allowed length. Maximum bytes allowed: {LONGEST}"
            )));
        }
        let predicate = token::tokens(text).and_then(|tokens| parse::condition(tokens, schema));
        match predicate {
            Ok(predicate) => Ok(Some(Self(predicate))),
            Err(Error { message, place }) => {
                let before = &text[..place];
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                let message = format!("request failed: Query error: {message} at [{line}:{column}]");
                Err(Status::invalid_argument(message))
            }
        }
    }

    /// Which rows fit; a row for which the condition is unknown does not.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let fitting = self.0.evaluate(batch)?;
        Ok(if fitting.null_count() > 0 { prep_null_mask_filter(&fitting) } else { fitting })
    }
}
