//! `cargo xtask soak`, `drain` and `memory`: what takes too long for every change; they print what they measured.

use std::process::Command;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{judge, plugins, process};

/// Many distinct keys, many schedules of faults, and many kills.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let plugins = plugins::build(workspace)?;
    let wafermill = workspace.build_program("wafermill")?;
    let bigquery = workspace.build_program("test-bigquery")?;
    for script in ["distinct_keys.py", "fault_schedules.py", "kill_runs.py"] {
        process::run(
            Command::new(judge::interpreter(workspace)?)
                .arg(workspace.root.join("tests/soak").join(script))
                .env("WAFERMILL", &wafermill)
                .env("WAFERMILL_PLUGINS", &plugins)
                .env("WAFERMILL_TEST_BIGQUERY", &bigquery),
        )?;
    }
    Ok(())
}

/// The rate at which tables of BigQuery are read, beside that of a bare client.
pub(crate) fn drain(workspace: &Workspace) -> Result<()> {
    let plugins = plugins::build(workspace)?;
    let [wafermill, drain, bigquery] = workspace.build_release(["wafermill", "drain", "test-bigquery"])?;
    process::run(
        Command::new(judge::interpreter(workspace)?)
            .arg(workspace.root.join("tests/soak/drain.py"))
            .env("WAFERMILL", &wafermill)
            .env("WAFERMILL_PLUGINS", &plugins)
            .env("WAFERMILL_DRAIN", &drain)
            .env("WAFERMILL_TEST_BIGQUERY", &bigquery),
    )
}

/// What whole pipelines take of memory, in a control group of 512 MiB.
pub(crate) fn memory(workspace: &Workspace) -> Result<()> {
    let plugins = plugins::build(workspace)?;
    let [wafermill, bigquery] = workspace.build_release(["wafermill", "test-bigquery"])?;
    process::run(
        Command::new(judge::interpreter(workspace)?)
            .arg(workspace.root.join("tests/soak/memory.py"))
            .env("WAFERMILL", &wafermill)
            .env("WAFERMILL_PLUGINS", &plugins)
            .env("WAFERMILL_TEST_BIGQUERY", &bigquery),
    )
}
