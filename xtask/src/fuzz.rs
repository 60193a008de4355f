//! `cargo xtask fuzz`: the fuzz targets of `fuzz/`, one after the other, and what came of each.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::process;
use crate::workspace::Workspace;

/// Seconds of a target where none are asked for.
const SECONDS: u32 = 60;

/// What every target is held to: inputs of 16 KiB, 20 s for one, 256 MiB for one allocation and 2 GiB in all, most of it the sanitizer's.
const LIMITS: [&str; 5] =
    ["-max_len=16384", "-timeout=20", "-malloc_limit_mb=256", "-rss_limit_mb=2048", "-print_final_stats=1"];

/// What is asked for.
pub(crate) struct Options {
    target: Option<String>,
    seconds: u32,
    json: bool,
}

impl Options {
    /// From the arguments behind `fuzz`.
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self { target: None, seconds: SECONDS, json: false };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--json" => options.json = true,
                "--seconds" => {
                    let seconds = arguments.next().context("`--seconds` needs a number")?;
                    options.seconds =
                        seconds.parse().with_context(|| format!("`{seconds}` is no number of seconds"))?;
                }
                flag if flag.starts_with('-') => bail!("unknown argument `{flag}`; known are `--seconds` and `--json`"),
                target if options.target.is_none() => options.target = Some(target.to_owned()),
                other => bail!("`{other}` is one target too many: name one, or none to run all"),
            }
        }
        Ok(options)
    }
}

/// What came of a target.
struct Outcome {
    target: String,
    executions: u64,
    /// Edges of the program that inputs reached.
    coverage: u64,
    seconds: u64,
    peak_mebibytes: u64,
    /// What libFuzzer stopped at, and the input.
    finding: Option<(String, PathBuf)>,
}

/// Builds the targets and runs them.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let targets = targets(workspace, options)?;
    let folder = workspace.target.join("fuzz");
    ensure!(
        nightly(workspace).args(["fuzz", "--version"]).output().is_ok_and(|output| output.status.success()),
        "fuzzing needs cargo-fuzz and a nightly toolchain: `cargo install cargo-fuzz --locked`, `rustup toolchain install nightly`"
    );
    process::run(
        nightly(workspace).args(["fuzz", "build", "--target-dir"]).arg(&folder).args(options.target.as_deref()),
    )?;
    let mut outcomes = Vec::new();
    for target in &targets {
        eprintln!("{target}: {} s", options.seconds);
        outcomes.push(fuzz(workspace, &folder, target, options.seconds)?);
    }
    match options.json {
        true => outcomes.iter().for_each(print_json),
        false => print_table(&outcomes),
    }
    ensure!(outcomes.iter().all(|outcome| outcome.finding.is_none()), "there are findings");
    Ok(())
}

/// The targets that are wanted, of those that have a program.
fn targets(workspace: &Workspace, options: &Options) -> Result<Vec<String>> {
    let files = fs::read_dir(workspace.root.join("fuzz/fuzz_targets"))?;
    let names = files.filter_map(|file| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned()));
    let mut known: Vec<String> = names.collect();
    known.sort();
    match &options.target {
        None => Ok(known),
        Some(target) if known.contains(target) => Ok(vec![target.clone()]),
        Some(target) => bail!("there is no target `{target}`; known are {}", known.join(", ")),
    }
}

/// Cargo of the nightly toolchain, which sanitizers need.
fn nightly(workspace: &Workspace) -> Command {
    let mut command = Command::new("rustup");
    command.current_dir(&workspace.root).env_remove("CARGO").args(["run", "nightly", "cargo"]);
    command
}

fn fuzz(workspace: &Workspace, folder: &Path, target: &str, seconds: u32) -> Result<Outcome> {
    let (grown, artifacts) = (folder.join("corpus").join(target), folder.join("artifacts").join(target));
    for folder in [&grown, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    }
    let program = folder.join(format!("{ARCH}-unknown-linux-gnu/release")).join(target);
    // What it finds goes to the first folder; the corpus in the repository is read only.
    let output = Command::new(&program)
        .args(LIMITS)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(&grown)
        .arg(workspace.root.join("fuzz/corpus").join(target))
        .output()
        .with_context(|| format!("cannot start `{}`", program.display()))?;
    let told = String::from_utf8_lossy(&output.stderr);
    fs::write(artifacts.join("log"), told.as_bytes())?;
    let statistic = |name: &str| number_behind(&told, &format!("stat::{name}:")).unwrap_or(0);
    let finding = (!output.status.success()).then(|| finding(&told, &artifacts));
    let executions = statistic("number_of_executed_units");
    Ok(Outcome {
        target: target.to_owned(),
        executions,
        coverage: told.lines().rev().find_map(|line| number_behind(line, " cov:")).unwrap_or(0),
        seconds: executions / statistic("average_exec_per_sec").max(1),
        peak_mebibytes: statistic("peak_rss_mb"),
        finding,
    })
}

fn number_behind(text: &str, name: &str) -> Option<u64> {
    let (_, rest) = text.split_once(name)?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The first line that says what went wrong, and the input.
fn finding(told: &str, artifacts: &Path) -> (String, PathBuf) {
    let what = ["finding: ", "SUMMARY: ", "ERROR: "];
    let line = what.iter().find_map(|start| told.lines().find_map(|line| Some(line.split_once(start)?.1)));
    let input = told.lines().find_map(|line| Some(line.split_once("Test unit written to ")?.1));
    let line = line.unwrap_or("the program ended").chars().take(120).collect();
    (line, input.map_or_else(|| artifacts.join("log"), PathBuf::from))
}

fn print_table(outcomes: &[Outcome]) {
    println!("| target | executions | edges | peak memory | finding |\n|---|---|---|---|---|");
    for Outcome { target, executions, coverage, peak_mebibytes, finding, .. } in outcomes {
        let finding =
            finding.as_ref().map_or("none".to_owned(), |(what, input)| format!("{what}: `{}`", input.display()));
        println!("| {target} | {executions} | {coverage} | {peak_mebibytes} MiB | {finding} |");
    }
}

/// An object in a line.
fn print_json(outcome: &Outcome) {
    let Outcome { target, executions, coverage, seconds, peak_mebibytes, finding } = outcome;
    let text = |text: &str| format!("\"{}\"", text.replace(['"', '\\'], "'").replace(char::is_control, " "));
    let finding = finding.as_ref().map_or("null".to_owned(), |(what, input)| {
        format!("{{\"what\":{},\"input\":{}}}", text(what), text(&input.to_string_lossy()))
    });
    println!(
        "{{\"target\":{},\"executions\":{executions},\"coverage\":{coverage},\"seconds\":{seconds},\"peak_mebibytes\":{peak_mebibytes},\"finding\":{finding}}}",
        text(target)
    );
}
