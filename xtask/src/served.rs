//! A served table: the test server of BigQuery, for as long as it is needed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A running server, which ends when this is dropped.
pub(crate) struct Server {
    process: Child,
    /// Where it is, such as `http://127.0.0.1:1234`.
    pub(crate) address: String,
}

impl Server {
    /// Serves a file as a table, `PROJECT.DATASET.TABLE`; the options are those of `test-bigquery --help`.
    pub(crate) fn start(program: &Path, table: &str, file: &Path, options: &[&str]) -> Result<Self> {
        let table = format!("{table}={}", file.display());
        let mut command = Command::new(program);
        command.args(["--table", &table]).args(options).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("the test server of BigQuery does not start")?;
        let output = process.stdout.take().context("the server's output is not ours")?;
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address)?;
        let server = Self { process, address: address.trim().to_owned() };
        ensure!(!server.address.is_empty(), "the test server of BigQuery does not say where it is");
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends with its standard input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
