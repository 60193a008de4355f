//! Reads a served table and drops its rows, and says how fast: by wafermill's source, or by a bare client on the official crate that only
//! decodes what comes.

mod bare;
mod source;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use serde_json::json;
use std::time::Instant;

/// Reads a table from a test server and drops its rows.
#[derive(Debug, Parser)]
struct Arguments {
    /// Who reads
    who: Who,
    /// The server, such as `http://127.0.0.1:1234`
    address: String,
    /// The table: PROJECT.DATASET.TABLE
    table: String,
    /// Streams of the session
    #[arg(long, default_value_t = 16)]
    streams: u16,
    /// Bytes that are fetched before they are asked for; the bare client drops what it has decoded at once
    #[arg(long, default_value_t = 256 << 20)]
    read_ahead: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Who {
    /// wafermill's source
    Wafermill,
    /// A client that only decodes
    Bare,
}

/// The project in which the test server lets sessions be created.
const BILLING: &str = "billing";

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let start = Instant::now();
    let rows = match arguments.who {
        Who::Wafermill => source::drain(&arguments)?,
        Who::Bare => bare::drain(&arguments)?,
    };
    let seconds = start.elapsed().as_secs_f64();
    println!("{}", json!({ "rows": rows, "seconds": seconds, "peak_bytes": peak_bytes() }));
    Ok(())
}

/// The most memory that this process had, as Linux counts it.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kibibytes << 10)
}
