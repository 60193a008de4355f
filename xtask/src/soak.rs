//! `cargo xtask soak`: what takes too long for every change; it prints what it measured.

use std::process::Command;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{judge, plugins, process};

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let plugins = plugins::build(workspace)?;
    let wafermill = workspace.build_program("wafermill")?;
    process::run(
        Command::new(judge::interpreter(workspace)?)
            .arg(workspace.root.join("tests/soak/distinct_keys.py"))
            .env("WAFERMILL", &wafermill)
            .env("WAFERMILL_PLUGINS", &plugins),
    )
}
