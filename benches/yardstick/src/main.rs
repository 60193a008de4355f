//! `yardstick PLUGINS`: what each call of the benchmark's plugins costs in the sandbox, beside the same crates linked natively, which get their
//! columns by reference.
//!
//! A sandboxed call is measured whole, as a run makes it: the batch is encoded, copied in, worked on, copied out, checked and decoded. Each
//! side has its turn in each round, so that what else the machine does falls on both.

mod native;

use std::env;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use wafermill_yardstick::batches;
use wafermill_yardstick::sandboxed::Sandboxed;

/// Rounds that count, and calls of a side in each of them.
const ROUNDS: usize = 41;
const CALLS: usize = 20;

/// A step of the benchmark's pipeline, and how often a run applies it to a batch of training rows.
struct Step {
    name: &'static str,
    plugin: &'static str,
    params: &'static str,
    columns: fn() -> Result<arrow_array::RecordBatch>,
    applies: usize,
}

/// The pipeline of `benches/pipeline.toml`, but for its split. What is filled is filled once more for the fitting of what comes behind it.
const STEPS: [Step; 5] = [
    Step { name: "fill numbers", plugin: "impute", params: "{}", columns: batches::numbers, applies: 2 },
    Step {
        name: "fill categories",
        plugin: "impute",
        params: r#"{"strategy":"most_frequent"}"#,
        columns: batches::categories,

        applies: 2,
    },
    Step { name: "scale", plugin: "scale", params: "{}", columns: batches::filled_numbers, applies: 1 },
    Step { name: "one-hot", plugin: "encode", params: "{}", columns: batches::few_categories, applies: 1 },
    Step {
        name: "ordinal",
        plugin: "encode",
        params: r#"{"method":"ordinal","unseen":"code"}"#,
        columns: batches::many_categories,

        applies: 1,
    },
];

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (folder, as_json) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [folder] => (folder, false),
        [folder, "--json"] | ["--json", folder] => (folder, true),
        _ => anyhow::bail!("usage: yardstick PLUGINS [--json]"),
    };
    let mut measured = Vec::new();
    for step in &STEPS {
        measured.extend(measure(step, Path::new(folder)).with_context(|| format!("`{}`", step.name))?);
    }
    if as_json {
        measured.iter().for_each(|call| println!("{}", call.to_json()));
        return Ok(());
    }
    println!(
        "| call | times | native | sandboxed | two copies | (sandboxed − copies) / native |\n|---|---|---|---|---|---|"
    );
    measured.iter().for_each(|call| println!("{}", call.row()));
    let sum = |side: fn(&Measured) -> f64| -> f64 { measured.iter().map(|call| call.times as f64 * side(call)).sum() };
    let (native, sandboxed) = (sum(|call| call.native[1]), sum(|call| call.sandboxed[1]));
    println!(
        "\na batch of {} rows: {native:.0} µs native, {sandboxed:.0} µs sandboxed, {:.0} µs more",
        batches::ROWS,
        sandboxed - native
    );
    Ok(())
}

/// A call: microseconds, as the tenth, the fiftieth and the ninetieth of a hundred rounds.
struct Measured {
    step: &'static str,
    export: &'static str,
    /// Calls for a batch of the benchmark.
    times: usize,
    native: [f64; 3],
    sandboxed: [f64; 3],
    /// Copying in and out what crosses.
    copies: [f64; 3],
    /// Of the sandboxed call but for its copies to the native one, in the same round.
    ratio: [f64; 3],
}

fn measure(step: &Step, folder: &Path) -> Result<Vec<Measured>> {
    let batch = (step.columns)()?;
    let mut native = native::open(step.plugin, step.params, &batch)?;
    let mut sandboxed = Sandboxed::open(folder, step.plugin, step.params, &batch)?;
    let message = batches::message(&batch)?;
    let mut measured = Vec::new();
    for pass in 0..native.passes() {
        native.begin(pass)?;
        sandboxed.begin(pass)?;
        let sides = (|| native.update(), || sandboxed.update());
        // Nothing comes back.
        measured.push(compare(step.name, "fitter.update", 1, sides, &message, &[])?);
    }
    let returned = native.apply()?;
    let sides = (|| native.apply().map(drop), || sandboxed.apply());
    measured.push(compare(step.name, "transformer.apply", step.applies, sides, &message, &returned)?);
    Ok(measured)
}

fn compare(
    step: &'static str,
    export: &'static str,
    times: usize,
    (mut native, mut sandboxed): (impl FnMut() -> Result<()>, impl FnMut() -> Result<()>),
    given: &[u8],
    returned: &[u8],
) -> Result<Measured> {
    let mut rounds: [Vec<f64>; 3] = Default::default();
    let mut copy = || {
        drop((black_box(given.to_vec()), black_box(returned.to_vec())));
        Ok(())
    };
    for round in 0..=ROUNDS {
        let sides: [&mut dyn FnMut() -> Result<()>; 3] = [&mut native, &mut sandboxed, &mut copy];
        for (side, times) in sides.into_iter().zip(&mut rounds) {
            let start = Instant::now();
            (0..CALLS).try_for_each(|_| side())?;
            // The first round warms up.
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() / CALLS as f64 * 1e6);
            }
        }
    }
    let [native, sandboxed, copies] = &rounds;
    let ratios =
        native.iter().zip(sandboxed).zip(copies).map(|((native, sandboxed), copies)| (sandboxed - copies) / native);
    let ratio = spread(ratios.collect());
    let [native, sandboxed, copies] = rounds.map(spread);
    Ok(Measured { step, export, times, native, sandboxed, copies, ratio })
}

fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values.len() / 10, values.len() / 2, values.len() * 9 / 10].map(|at| values[at])
}

impl Measured {
    fn row(&self) -> String {
        let Self { step, export, times, native, sandboxed, copies, ratio: [low, ratio, high] } = self;
        let [native, sandboxed, copies] = [native[1], sandboxed[1], copies[1]];
        format!(
            "| {step}: {export} | {times} | {native:.0} µs | {sandboxed:.0} µs | {copies:.0} µs | {ratio:.2} ({low:.2} to {high:.2}) |"
        )
    }

    fn to_json(&self) -> serde_json::Value {
        let Self { step, export, times, native, sandboxed, copies, ratio } = self;
        json!({ "step": step, "call": export, "times": times, "native_us": native, "sandboxed_us": sandboxed, "copies_us": copies, "ratio": ratio })
    }
}
