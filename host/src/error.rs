//! The one error type of the host: what failed, where, and what to do next.

use std::fmt;
use std::path::{Path, PathBuf};

/// Result of everything in the host that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The stage that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command line or the pipeline file is wrong.
    Usage,
    /// A source cannot be read or holds what its format forbids.
    Source,
    /// The plugin refused its parameters, its columns or its data.
    Plugin,
    /// The plugin trapped, broke a limit or returned what it had not announced.
    Sandbox,
    /// A saved model cannot be read or does not fit.
    Model,
    /// A result cannot be written.
    Output,
    /// The user asked to stop.
    Interrupted,
    /// The host broke one of its own rules.
    Internal,
}

/// Where it failed; every part is optional, and those known are printed in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, with a one-based line and column where they are known.
    pub file: Option<PathBuf>,
    /// One-based line and column in `file`.
    pub position: Option<(usize, usize)>,
    /// The place in the pipeline file, as a JSON pointer such as `/steps/1/columns`; it becomes `file` and `position`.
    pub pointer: Option<String>,
    /// The pipeline step, by its name.
    pub step: Option<String>,
    /// The plugin, by its name.
    pub plugin: Option<String>,
    /// The digest of the plugin's component.
    pub digest: Option<String>,
    /// The function of the contract that was called, such as `transformer.apply`.
    pub call: Option<String>,
    /// The column of the table.
    pub column: Option<String>,
    /// The fragment of the input manifest.
    pub fragment: Option<usize>,
    /// Rows from the start of the fragment.
    pub rows: Vec<u64>,
    /// The row of the fragment with which the batch began.
    pub batch: Option<u64>,
}

/// An error with its place, its cause and a hint.
///
/// The message is lower case, quotes literals in backticks and has no full stop.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    place: Place,
    hint: Option<String>,
    log: Option<String>,
    backtrace: Option<String>,
    dump: Option<Result<PathBuf, String>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            place: Place::default(),
            hint: None,
            log: None,
            backtrace: None,
            dump: None,
            source: None,
        }))
    }

    /// The command line or the pipeline file is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// A source cannot be read.
    pub fn source(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Source, message)
    }

    /// A plugin refused its parameters, its columns or its data.
    pub fn plugin(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Plugin, message)
    }

    /// A plugin broke the contract or a limit.
    pub fn sandbox(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Sandbox, message)
    }

    /// A saved model cannot be used.
    pub fn model(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Model, message)
    }

    /// A result cannot be written.
    pub fn output(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Output, message)
    }

    /// The host broke one of its own rules.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The user asked to stop.
    pub fn interrupted() -> Self {
        Self::new(ErrorKind::Interrupted, "interrupted")
    }

    /// With the error that caused it.
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// With what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// With the last lines that the plugin logged.
    pub fn log(mut self, log: impl Into<String>) -> Self {
        self.0.log = Some(log.into());
        self
    }

    /// With the functions of the plugin that were being called, the innermost first, one a line.
    pub fn backtrace(mut self, functions: impl Into<String>) -> Self {
        self.0.backtrace = Some(functions.into());
        self
    }

    /// With the folder that has what is needed to make the plugin's call again.
    pub fn dumped(mut self, folder: impl Into<PathBuf>) -> Self {
        self.0.dump = Some(Ok(folder.into()));
        self
    }

    /// With the folder to which that cannot be written, and why.
    pub fn not_dumped(mut self, reason: impl Into<String>) -> Self {
        self.0.dump = Some(Err(reason.into()));
        self
    }

    /// In `file`.
    pub fn file(mut self, file: impl AsRef<Path>) -> Self {
        self.0.place.file.get_or_insert_with(|| file.as_ref().to_owned());
        self
    }

    /// At a one-based line and column of the file.
    pub fn position(mut self, line: usize, column: usize) -> Self {
        self.0.place.position.get_or_insert((line, column));
        self
    }

    /// At a value of the pipeline file, by its JSON pointer.
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.0.place.pointer.get_or_insert_with(|| pointer.into());
        self
    }

    /// In a step of the pipeline; the innermost place that is known wins.
    pub fn step(mut self, step: impl Into<String>) -> Self {
        self.0.place.step.get_or_insert_with(|| step.into());
        self
    }

    /// In a plugin.
    pub fn in_plugin(mut self, plugin: impl Into<String>) -> Self {
        self.0.place.plugin.get_or_insert_with(|| plugin.into());
        self
    }

    /// In a plugin with this digest.
    pub fn digest(mut self, digest: impl Into<String>) -> Self {
        self.0.place.digest.get_or_insert_with(|| digest.into());
        self
    }

    /// In a call of this function of the contract.
    pub fn call(mut self, export: impl Into<String>) -> Self {
        self.0.place.call.get_or_insert_with(|| export.into());
        self
    }

    /// In a batch that begins with this row of the fragment.
    pub fn batch(mut self, start: u64) -> Self {
        self.0.place.batch.get_or_insert(start);
        self
    }

    /// In a column of the table.
    pub fn column(mut self, column: impl Into<String>) -> Self {
        self.0.place.column.get_or_insert_with(|| column.into());
        self
    }

    /// In a fragment of the source.
    pub fn fragment(mut self, fragment: usize) -> Self {
        self.0.place.fragment.get_or_insert(fragment);
        self
    }

    /// At `rows`, counted from the start of the fragment; the first ones given win.
    pub fn rows(mut self, rows: impl IntoIterator<Item = u64>) -> Self {
        if self.0.place.rows.is_empty() {
            self.0.place.rows = rows.into_iter().collect();
        }
        self
    }

    /// Turns rows of a batch into rows of its fragment.
    pub fn offset_rows(self, offset: u64) -> Self {
        self.map_rows(|row| row.saturating_add(offset))
    }

    /// Counts its rows in another way.
    pub fn map_rows(mut self, map: impl Fn(u64) -> u64) -> Self {
        self.0.place.rows.iter_mut().for_each(|row| *row = map(*row));
        self
    }

    /// The stage that failed.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where it failed.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// What it says, without place, cause and hint.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do next.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// What the plugin logged last.
    pub fn log_text(&self) -> Option<&str> {
        self.0.log.as_deref()
    }

    /// Where the plugin's call was written down, or why it could not be.
    pub fn dump(&self) -> Option<&Result<PathBuf, String>> {
        self.0.dump.as_ref()
    }

    /// The functions of the plugin that were being called, the innermost first.
    pub fn backtrace_text(&self) -> Option<&str> {
        self.0.backtrace.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("place", &self.0.place)
            .field("hint", &self.0.hint)
            .field("log", &self.0.log)
            .field("backtrace", &self.0.backtrace)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
