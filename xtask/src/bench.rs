//! `cargo xtask bench`: wafermill and its peers side by side, on the same table, in one run.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{judge, plugins, process};

/// What shows that the benchmark runs and that all engines do the same, in seconds; its figures mean nothing.
const SMOKE: [&str; 4] = ["--rows", "20000", "--runs", "1"];

/// With arguments for the script, which tells them with `--help`.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let plugins = plugins::build(workspace)?;
    let [wafermill] = workspace.build_release(["wafermill"])?;
    measure(workspace, &wafermill, &plugins, arguments)
}

/// What the sandbox adds to each call, beside the same plugins linked natively.
pub(crate) fn yardstick(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let plugins = plugins::build(workspace)?;
    let [yardstick] = workspace.build_release(["yardstick"])?;
    process::run(Command::new(yardstick).arg(plugins).args(arguments))
}

/// The pieces of a run, one at a time; with arguments for criterion, which tells them with `--help`.
pub(crate) fn micro(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let plugins = plugins::build(workspace)?;
    let mut cargo = workspace.cargo("bench");
    cargo.args(["--workspace", "--bench", "pieces", "--"]).args(arguments);
    process::run(cargo.env("WAFERMILL_PLUGINS", plugins))
}

/// With the program as tests use it.
pub(crate) fn smoke(workspace: &Workspace) -> Result<()> {
    let plugins = plugins::build(workspace)?;
    let wafermill = workspace.build_program("wafermill")?;
    measure(workspace, &wafermill, &plugins, &SMOKE)
}

fn measure(workspace: &Workspace, wafermill: &Path, plugins: &Path, arguments: &[&str]) -> Result<()> {
    let folder = workspace.target.join("bench");
    let scripts = workspace.root.join("benches");
    let python = judge::environment(&folder.join("python"), &scripts.join("requirements.txt"))?;
    process::run(
        Command::new(python)
            .arg(scripts.join("bench.py"))
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("WAFERMILL", wafermill)
            .env("WAFERMILL_PLUGINS", plugins)
            .env("WAFERMILL_BENCH", folder),
    )
}
