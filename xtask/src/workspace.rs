//! Where things are, and how cargo is called.

use std::env::{self, consts::EXE_SUFFIX};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The clone that this program was built from.
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where everything that is built goes.
    pub(crate) target: PathBuf,
}

/// How the names of variables begin that hold of the crate which cargo runs.
const OF_THIS_CRATE: [&str; 2] = ["CARGO_MANIFEST_", "CARGO_PKG_"];

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask is not in a workspace")?.to_owned();
        // Cargo put this program in `TARGET/debug`, whatever the user's configuration calls TARGET.
        let program = env::current_exe()?;
        let target = program.ancestors().nth(2).context("xtask was not built by cargo")?.to_owned();
        Ok(Self { root, target })
    }

    /// A cargo command in the workspace.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target).args([subcommand, "--locked"]);
        // What cargo tells this program of itself; the build script of ring looks at it, and all that uses ring would be compiled once more
        // than by a cargo that nobody runs.
        let told =
            |name: &OsString| name.to_str().is_some_and(|name| OF_THIS_CRATE.iter().any(|own| name.starts_with(own)));
        env::vars_os().map(|(name, _)| name).filter(told).for_each(|name| {
            command.env_remove(name);
        });
        command
    }

    /// Builds a program, such as `wafermill`, and returns its path.
    ///
    /// Selects the whole workspace, as the tests do: cargo unites the features of what is selected, and other features
    /// would have all dependencies compiled once more.
    pub(crate) fn build_program(&self, name: &str) -> Result<PathBuf> {
        process::run(self.cargo("build").args(["--workspace", "--bin", name]))?;
        Ok(self.target.join("debug").join(format!("{name}{EXE_SUFFIX}")))
    }

    /// Builds programs to be measured.
    pub(crate) fn build_release<const N: usize>(&self, names: [&str; N]) -> Result<[PathBuf; N]> {
        let mut command = self.cargo("build");
        command.args(["--release", "--workspace"]);
        names.iter().for_each(|name| {
            command.args(["--bin", name]);
        });
        process::run(&mut command)?;
        Ok(names.map(|name| self.target.join("release").join(format!("{name}{EXE_SUFFIX}"))))
    }
}
