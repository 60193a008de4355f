//! The command line: each command in a file of its own.

mod apply;
mod arguments;
mod check;
mod clean;
mod destination;
mod doctor;
mod execute;
mod inspect;
mod interrupt;
mod model;
mod plan;
mod plugin;
mod prepare;
mod print;
mod progress;
mod resume;
mod run;
mod summary;

use arguments::{Arguments, Command, ModelCommand, PluginCommand};
use clap::Parser;
use std::process::ExitCode;
use wafermill::{Error, ErrorKind, Result};

/// What a shell says of a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// Runs the command that the user asked for.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    quiet_panics();
    let result = std::panic::catch_unwind(|| run(arguments.command));
    let result = result.unwrap_or_else(|_| {
        Err(Error::internal("wafermill panicked")
            .hint("this is a bug: run again with RUST_BACKTRACE=1 and report what it prints"))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error);
            ExitCode::from(if error.kind() == ErrorKind::Interrupted { INTERRUPTED } else { 1 })
        }
    }
}

/// Readers of hostile files catch panics of their decoders and say so themselves; a backtrace is for those who ask for it.
fn quiet_panics() {
    if std::env::var_os("RUST_BACKTRACE").is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Fit(arguments) => run::fit(&arguments),
        Command::Resume(arguments) => resume::resume(&arguments),
        Command::Clean(arguments) => clean::clean(&arguments),
        Command::Apply(arguments) => apply::apply(&arguments),
        Command::Plan(arguments) => plan::plan(&arguments),
        Command::Inspect(arguments) => inspect::inspect(&arguments),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Model(ModelCommand::Show(arguments)) => model::show(&arguments),
        Command::Plugin(PluginCommand::List(arguments)) => plugin::list(&arguments),
        Command::Plugin(PluginCommand::Info(arguments)) => plugin::info(&arguments),
        Command::Plugin(PluginCommand::Check(arguments)) => check::check(&arguments),
    }
}
