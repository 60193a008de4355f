//! `cargo xtask price`: what checking batches and limiting guests cost, beside doing without.

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{plugins, process};

/// Dependencies are optimised in the profile of tests already; this has the workspace's own code optimised as well.
const OPTIMISED: &str = "profile.dev.opt-level=3";

/// Runs both measurements, one after the other.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let plugins = plugins::build(workspace)?;
    let mut test = workspace.cargo("test");
    test.args([
        "--workspace",
        "--lib",
        "--config",
        OPTIMISED,
        "--",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
        "the_price_of",
    ]);
    process::run(test.env("WAFERMILL_PLUGINS", plugins))
}
