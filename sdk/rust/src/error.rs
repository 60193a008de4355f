//! Errors of a plugin, for people.

use crate::bindings::wafermill::plugin::types as wit;
use std::fmt;

pub use wit::ErrorCode;

/// Result of everything in a plugin that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed: a message in lower case without a full stop, and where it applies a column, rows and a hint.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    code: ErrorCode,
    message: String,
    column: Option<String>,
    rows: Vec<u64>,
    hint: Option<String>,
}

impl Error {
    /// An error with a code and a message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), column: None, rows: Vec::new(), hint: None }
    }

    /// The parameters make no sense for these columns.
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParams, message)
    }

    /// A column's type is not one that the plugin can work on.
    pub fn unsupported_type(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::UnsupportedType, message)
    }

    /// The rows hold what the plugin must refuse.
    pub fn invalid_data(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidData, message)
    }

    /// A model, a carry or partials are not what this plugin wrote.
    pub fn invalid_model(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidModel, message)
    }

    /// The plugin is wrong.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// Names the column.
    #[must_use]
    pub fn column(mut self, column: impl Into<String>) -> Self {
        self.column = Some(column.into());
        self
    }

    /// Names rows of the batch, counted from zero.
    #[must_use]
    pub fn rows(mut self, rows: impl IntoIterator<Item = usize>) -> Self {
        self.rows = rows.into_iter().map(|row| row as u64).collect();
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The rows that it names.
    pub fn named_rows(&self) -> &[u64] {
        &self.rows
    }

    /// What kind of error it is.
    pub fn code(&self) -> ErrorCode {
        self.code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.column {
            Some(column) => write!(f, " (column `{column}`)"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        let Error { code, message, column, rows, hint } = error;
        Self { code, message, column, rows, hint }
    }
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        let wit::Error { code, message, column, rows, hint } = error;
        Self { code, message, column, rows, hint }
    }
}
