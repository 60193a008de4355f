//! The outside judge: Python tests that compare the program's results with exact arithmetic and with scikit-learn, and read
//! the test server with Google's own client.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, wafermill: &Path, plugins: &Path, bigquery: &Path) -> Result<()> {
    let tests = workspace.root.join("tests/judge");
    process::run(
        Command::new(interpreter(workspace)?)
            // Many tests wait more than they work. A file's tests stay together, for they share what they made.
            .args(["-m", "pytest", "-p", "no:cacheprovider", "-n", "3", "--dist", "loadfile"])
            .arg(&tests)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("WAFERMILL", wafermill)
            .env("WAFERMILL_PLUGINS", plugins)
            .env("WAFERMILL_TEST_BIGQUERY", bigquery),
    )
}

/// The Python that has what the judge requires.
pub(crate) fn interpreter(workspace: &Workspace) -> Result<PathBuf> {
    environment(&workspace.target.join("judge"), &workspace.root.join("tests/judge/requirements.txt"))
}

/// Makes a virtual environment with what is required, unless there is one already, and returns its interpreter.
pub(crate) fn environment(folder: &Path, requirements: &Path) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    let installed = folder.join("installed.txt");
    let required = fs::read(requirements).with_context(|| format!("cannot read `{}`", requirements.display()))?;
    // Written last, so that an environment half made is made again.
    if fs::read(&installed).is_ok_and(|installed| installed == required) {
        return Ok(python);
    }
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder)).context(
        "the tests need Python 3.11 or newer with its module `venv`; on Debian, `apt-get install python3-venv`",
    )?;
    process::run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements))?;
    fs::write(&installed, required)?;
    Ok(python)
}
