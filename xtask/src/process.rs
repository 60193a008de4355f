//! Child processes that must succeed.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Shows a command and runs it; what it prints is the user's to see.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command.status().with_context(|| format!("cannot start `{}`", line(command)))?;
    ensure!(status.success(), "`{}` failed with {status}", line(command));
    Ok(())
}

/// As [`run`], but stops the command when it takes too long.
pub(crate) fn run_within(limit: Duration, command: &mut Command) -> Result<()> {
    announce(command);
    let mut child = command.spawn().with_context(|| format!("cannot start `{}`", line(command)))?;
    let start = Instant::now();
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("`{}` failed with {status}", line(command)),
            None if start.elapsed() < limit => sleep(Duration::from_millis(100)),
            None => {
                child.kill()?;
                child.wait()?;
                bail!("`{}` took more than {} s", line(command), limit.as_secs());
            }
        }
    }
}

/// Runs a command and returns what it printed, without the last line's end.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } =
        command.output().with_context(|| format!("cannot start `{}`", line(command)))?;
    ensure!(status.success(), "`{}` failed with {status}\n{}", line(command), String::from_utf8_lossy(&stderr).trim());
    Ok(String::from_utf8(stdout)?.trim_end().to_owned())
}

fn announce(command: &Command) {
    eprintln!("$ {}", line(command));
}

/// The command as one would type it: programs without their folders.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words: Vec<_> = std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}
