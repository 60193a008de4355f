//! The command line: each command in a file of its own.

mod add;
mod apply;
mod arguments;
mod check;
mod clean;
mod complete;
mod console;
mod destination;
mod doctor;
mod execute;
mod fit_arguments;
mod inspect;
mod interrupt;
mod model;
mod plan;
mod plugin;
mod plugin_arguments;
mod prepare;
mod print;
mod replay;
mod resume;
mod run;
mod summary;

use arguments::{Command, ModelCommand};
use console::{Console, asks_for_events, wrong_command_line};
use plugin_arguments::PluginCommand;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use wafermill::{Error, ErrorKind, Result};

/// What a shell says of a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// Runs the command that the user asked for.
pub(crate) fn main() -> ExitCode {
    let command = match fit_arguments::parse() {
        Ok(arguments) => arguments.command,
        Err(error) => return refuse(&error),
    };
    quiet_panics();
    let console = command.console();
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| run(command, &console)));
    let result = result.unwrap_or_else(|_| {
        Err(Error::internal("wafermill panicked")
            .hint("this is a bug: run again with RUST_BACKTRACE=1 and report what it prints"))
    });
    let status = match &result {
        Ok(()) => 0,
        Err(error) if error.kind() == ErrorKind::Interrupted => INTERRUPTED,
        Err(_) => 1,
    };
    console.close(&result, status);
    ExitCode::from(status)
}

/// Says what is wrong with a command line, or what was asked for with `--help`.
fn refuse(error: &clap::Error) -> ExitCode {
    let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let _ = match error.use_stderr() && asks_for_events(arguments) {
        true => {
            let event = wrong_command_line(error.to_string().trim_end(), error.exit_code());
            std::io::stderr().write_all(event.as_bytes())
        }
        false => error.print(),
    };
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
}

/// Readers of hostile files catch panics of their decoders and say so themselves; a backtrace is for those who ask for it.
fn quiet_panics() {
    if std::env::var_os("RUST_BACKTRACE").is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
}

impl Command {
    fn console(&self) -> Console {
        match self {
            Self::Run(arguments) => Console::of("run", &arguments.console),
            Self::Fit(arguments) => Console::of("fit", &arguments.console),
            Self::Resume(arguments) => Console::of("resume", &arguments.console),
            Self::Apply(arguments) => Console::of("apply", &arguments.console),
            _ => Console::plain(""),
        }
    }
}

fn run(command: Command, console: &Console) -> Result<()> {
    match command {
        Command::Run(arguments) => run::run(&arguments, console),
        Command::Fit(arguments) => match arguments.addition() {
            Some((model, out)) => add::add(&arguments, model, out, console),
            None => run::fit(&arguments.into_run(), console),
        },
        Command::Resume(arguments) => resume::resume(&arguments, console),
        Command::Clean(arguments) => clean::clean(&arguments, console),
        Command::Apply(arguments) => apply::apply(&arguments, console),
        Command::Plan(arguments) => plan::plan(&arguments, console),
        Command::Inspect(arguments) => inspect::inspect(&arguments, console),
        Command::Doctor(arguments) => doctor::doctor(&arguments, console),
        Command::Model(ModelCommand::Show(arguments)) => model::show(&arguments),
        Command::Plugin(PluginCommand::List(arguments)) => plugin::list(&arguments),
        Command::Plugin(PluginCommand::Info(arguments)) => plugin::info(&arguments),
        Command::Plugin(PluginCommand::Check(arguments)) => check::check(&arguments, console),
        Command::Plugin(PluginCommand::Replay(arguments)) => replay::replay(&arguments),
    }
}
