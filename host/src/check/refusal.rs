//! Plugins may refuse: what counts is that they do so in the same way.

use crate::{Error, ErrorKind, Result};

/// What a plugin said when it refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    message: String,
    column: Option<String>,
}

/// A result, or the plugin's own refusal.
pub(super) type Settled<T> = Result<T, Refusal>;

/// Tells refusals from errors that no plugin may cause.
pub(super) fn settle<T>(result: Result<T>) -> Result<Settled<T>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.kind() == ErrorKind::Plugin => Ok(Err(Refusal::new(&error))),
        Err(error) => Err(error),
    }
}

impl Refusal {
    fn new(error: &Error) -> Self {
        Self { message: error.message().to_owned(), column: error.place().column.clone() }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the refusal `{}`", self.message)?;
        self.column.iter().try_for_each(|column| write!(f, " (column `{column}`)"))
    }
}

/// Where two results differ.
pub(super) fn disagreement<T>(
    one: &Settled<T>,
    two: &Settled<T>,
    differ: impl FnOnce(&T, &T) -> Option<String>,
) -> Option<String> {
    match (one, two) {
        (Ok(one), Ok(two)) => differ(one, two),
        (Err(one), Err(two)) => (one != two).then(|| format!("{one} and {two}")),
        (Ok(_), Err(refusal)) | (Err(refusal), Ok(_)) => Some(format!("{refusal}, and none")),
    }
}
