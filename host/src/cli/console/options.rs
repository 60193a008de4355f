//! How it is told what a run is doing.

use clap::{Args, ValueEnum};
use std::io::IsTerminal;
use std::path::PathBuf;

/// What is told while a run is under way. None of it changes what is written.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ConsoleArguments {
    /// How progress is shown on standard error: auto (a bar on a terminal), bar (elsewhere lines), json (a line for each event) or none
    #[arg(long, value_enum, value_name = "HOW", default_value_t, hide_possible_values = true)]
    pub(crate) progress: ProgressKind,
    /// Show no progress, no notes and no summary; errors and warnings stay
    #[arg(long, short, conflicts_with = "progress")]
    pub(crate) quiet: bool,
    /// Keep metrics of the run in this file, in the text format of Prometheus
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics: Option<PathBuf>,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressKind {
    /// A bar on a terminal, else nothing
    #[default]
    Auto,
    /// A bar on a terminal, else a line every ten seconds
    Bar,
    /// A line of JSON for each event, in the place of everything else on standard error
    Json,
    /// Not at all
    None,
}

/// What is done with progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Lines that are written anew all the time.
    Bar,
    /// Lines that stay.
    Lines,
    Json,
    None,
}

impl ConsoleArguments {
    pub(super) fn mode(&self) -> Mode {
        let is_terminal =
            || std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        match self.progress {
            _ if self.quiet => Mode::None,
            ProgressKind::None => Mode::None,
            ProgressKind::Json => Mode::Json,
            _ if is_terminal() => Mode::Bar,
            ProgressKind::Bar => Mode::Lines,
            ProgressKind::Auto => Mode::None,
        }
    }
}

/// Whether a command line asks for events, as far as one that is wrong can tell.
pub(in crate::cli) fn asks_for_events(mut arguments: impl Iterator<Item = String>) -> bool {
    let mut before = String::new();
    arguments.any(|argument| {
        let asks = argument == "--progress=json" || (before == "--progress" && argument == "json");
        before = argument;
        asks
    })
}
