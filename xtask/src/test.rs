//! `cargo xtask test`: everything that must pass before a change is merged, except for its style.

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{judge, plugins, process};

pub(crate) fn run(workspace: &Workspace, cargo_test_arguments: &[&str]) -> Result<()> {
    let [plugins, test_guests] = plugins::build_with_test_guests(workspace)?;
    let wafermill = workspace.build_program("wafermill")?;
    process::run(
        workspace
            .cargo("test")
            .arg("--workspace")
            .args(cargo_test_arguments)
            .env("WAFERMILL", &wafermill)
            .env("WAFERMILL_PLUGINS", &plugins)
            .env("WAFERMILL_TEST_GUESTS", &test_guests),
    )?;
    let bigquery = workspace.build_program("test-bigquery")?;
    judge::run(workspace, &wafermill, &plugins, &bigquery)
}
