//! `cargo xtask plugins | demo | test | bench | yardstick | micro | fuzz | price | soak | drain | memory`: each does all that a fresh clone needs.

mod bench;
mod demo;
mod fuzz;
mod judge;
mod plugins;
mod price;
mod process;
mod served;
mod soak;
mod sysroot;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  plugins [--tests]    builds the plugins, to target/plugins, and with --tests those of the tests, to target/plugins-test
  demo                 builds everything and runs the example pipeline
  test [-- ARGUMENTS]  builds everything and runs all tests; the arguments are for `cargo test`
  bench [--smoke]      runs wafermill, Polars, DuckDB and scikit-learn side by side and tells their ratios (a release build, then a quarter of an hour;
                       `--help` tells what can be set; with `--smoke` only whether they agree on a small table, in seconds)
  yardstick [--json]   measures what the sandbox adds to each call of the benchmark, beside the same plugins linked natively (a release build, then a
                       minute)
  micro [FILTER]       measures the pieces of a run by criterion: crossing by the size of a batch, reading and writing Parquet, spooling, decoding,
                       ordering by hash (a release build, then two minutes; `--help` tells what can be set)
  fuzz [TARGET]        feeds the host what hostile plugins, files and servers may send, --seconds N (60) for each target; --json
                       (needs cargo-fuzz and a nightly toolchain, and ten minutes to build)
  price                measures what checking batches and limiting guests cost, beside doing without (minutes)
  soak                 fits on 20 million distinct keys, reads BigQuery under 500 schedules of faults, and kills 200 runs (25 minutes)
  drain                measures how fast tables of BigQuery are read, beside a bare client (minutes, and a release build)
  memory               runs pipelines of up to 20 GB in 512 MiB, and measures what they take (an hour, and a release build)";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let workspace = Workspace::find()?;
    match arguments.as_slice() {
        ["plugins"] => plugins::build(&workspace).map(drop),
        ["plugins", "--tests"] => plugins::build_with_test_guests(&workspace).map(drop),
        ["bench", "--smoke"] => bench::smoke(&workspace),
        ["bench", rest @ ..] => bench::run(&workspace, rest),
        ["yardstick", rest @ ..] => bench::yardstick(&workspace, rest),
        ["micro", rest @ ..] => bench::micro(&workspace, rest),
        ["fuzz", rest @ ..] => fuzz::run(&workspace, &fuzz::Options::parse(rest)?),
        ["price"] => price::run(&workspace),
        ["soak"] => soak::run(&workspace),
        ["drain"] => soak::drain(&workspace),
        ["memory"] => soak::memory(&workspace),
        ["demo"] => demo::run(&workspace),
        ["test"] => test::run(&workspace, &[]),
        ["test", "--", rest @ ..] => test::run(&workspace, rest),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("unknown arguments `{}`\n\n{USAGE}", arguments.join(" ")),
    }
}
