//! The price of checking what plugins return, and of their limits: each beside doing without, in one run. `cargo xtask price` runs it, optimised.

use crate::Stop;
use crate::contract::{ColumnRole, Selection};
use crate::ipc::{BatchEncoder, decode_batch};
use crate::partials::Combiner;
use crate::sandbox::{FUEL, Finisher, Fitter, Limits, Outcome, Pass, Plugin, Sandbox, TableBatch, Task, Transformer};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_buffer::Buffer;
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::{Block, MetadataVersion};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const ROWS: usize = 8_192;

/// Each side is timed once in a round, so that what else the machine does falls on all alike.
const ROUNDS: usize = 61;

/// Calls of a side in a round.
const CALLS: usize = 50;

type Side<'a> = (&'a str, Box<dyn FnMut() + 'a>);

/// Prints the time of a call of each side, and how many times that of the first it is: the median of all rounds, and the tenth and ninetieth of a hundred.
fn compare(title: &str, mut sides: Vec<Side<'_>>) {
    let mut rounds = vec![Vec::with_capacity(ROUNDS); sides.len()];
    for round in 0..=ROUNDS {
        for ((_, call), times) in sides.iter_mut().zip(&mut rounds) {
            let start = Instant::now();
            (0..CALLS).for_each(|_| call());
            // The first round warms up.
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() / CALLS as f64 * 1e6);
            }
        }
    }
    for ((side, _), times) in sides.iter().zip(&rounds) {
        let ratios = times.iter().zip(&rounds[0]).map(|(time, first)| time / first);
        let ([_, median, _], [low, ratio, high]) = (spread(times.iter().copied()), spread(ratios));
        println!("| {title} | {side} | {median:.1} µs | {ratio:.2} ({low:.2} to {high:.2}) |");
    }
}

fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [values.len() / 10, values.len() / 2, values.len() * 9 / 10].map(|at| values[at])
}

/// Ten columns of numbers, a tenth of them null.
fn numbers() -> RecordBatch {
    let column = |column: usize| -> ArrayRef {
        let number = |row: usize| (row % 10 != column).then_some((row * 31 % 1_009) as f64 / 7.0);
        Arc::new(Float64Array::from_iter((0..ROWS).map(number)))
    };
    RecordBatch::try_from_iter_with_nullable((0..10).map(|at| (format!("c{at}"), column(at), true))).unwrap()
}

fn texts() -> RecordBatch {
    let column: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| format!("city {}", row % 200))));
    RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap()
}

#[test]
#[ignore = "measures: `cargo xtask price`"]
fn the_price_of_checking_a_batch() {
    println!("| what | how | a batch | times the first |\n|---|---|---|---|");
    for (title, batch) in [("10 Float64", numbers()), ("1 Utf8", texts())] {
        let (schema, message) = (batch.schema(), BatchEncoder::default().encode(&batch).unwrap().clone());
        let metadata = 8 + u32::from_le_bytes(message[4..8].try_into().unwrap()) as usize;
        let block = Block::new(0, metadata as i32, (message.len() - metadata) as i64);
        let bytes = Buffer::from_vec(message);
        let decoder = || FileDecoder::new(schema.clone(), MetadataVersion::V5);
        // SAFETY: `BatchEncoder` wrote the message.
        let (checking, trusting) = (decoder(), unsafe { decoder().with_skip_validation(true) });
        compare(
            title,
            vec![
                (
                    "arrow-rs without validation",
                    Box::new(|| drop(black_box(trusting.read_record_batch(&block, &bytes).unwrap()))),
                ),
                (
                    "arrow-rs with validation",
                    Box::new(|| drop(black_box(checking.read_record_batch(&block, &bytes).unwrap()))),
                ),
                (
                    "all checks of wafermill",
                    Box::new(|| drop(black_box(decode_batch(&schema, bytes.clone()).unwrap()))),
                ),
                ("a copy of its bytes", Box::new(|| drop(black_box(bytes.to_vec())))),
            ],
        );
    }
}

/// A plugin under some limits, with what it learned of the batch.
struct Fitted {
    plugin: Arc<Plugin>,
    task: Task,
    model: Vec<TableBatch>,
}

fn fit(sandbox: &Sandbox, name: &str, params: &str, limits: &Limits, batch: &RecordBatch) -> Fitted {
    let folder = std::env::var("WAFERMILL_PLUGINS").expect("`cargo xtask price` names the folder of the plugins");
    let plugin = sandbox.load(&Path::new(&folder).join(format!("{name}.wasm")), limits, None).unwrap();
    let roles = vec![ColumnRole::Feature; batch.num_columns()];
    let selection = Selection { schema: batch.schema(), roles };
    let plan = Arc::new(plugin.plan(params, &selection).unwrap());
    let task = Task { params: params.to_owned(), input: plan.input(&selection), selection, plan };
    let mut model = Vec::new();
    if task.plan.passes.any() {
        let scratch = tempfile::tempdir().unwrap();
        let pass = Pass::default();
        let partials = task.plan.partials.iter();
        let partials =
            partials.map(|table| Combiner::new(table.clone(), 64 << 20, scratch.path(), Stop::default()).unwrap());
        let partials: Vec<_> = partials.collect();
        let mut fitter = Fitter::open(&plugin, &task, &pass).unwrap();
        fitter.update(batch).unwrap();
        fitter.drain(|rows| partials[rows.table].push(rows.batch)).unwrap();
        let mut finisher = Finisher::open(&plugin, &task, &pass).unwrap();
        for (table, combined) in partials.into_iter().enumerate() {
            for batch in combined.finish().unwrap() {
                model.extend(finisher.push(&TableBatch { table, batch: batch.unwrap() }).unwrap());
            }
        }
        assert!(matches!(finisher.finish().unwrap(), Outcome::Model));
        finisher
            .drain(|rows| {
                model.push(rows);
                Ok(())
            })
            .unwrap();
        model.sort_by_key(|rows| rows.table);
    }
    Fitted { plugin, task, model }
}

#[test]
#[ignore = "measures: `cargo xtask price`"]
fn the_price_of_limits() {
    let batch = numbers();
    let (by_time, by_fuel) = (Limits::default(), Limits { fuel: Some(FUEL), ..Limits::default() });
    let (limited, unlimited) = (Sandbox::with_cache(None).unwrap(), Sandbox::without_interruption().unwrap());
    println!("| what | how | a batch | times the first |\n|---|---|---|---|");
    for (name, params) in [("impute", r#"{"strategy":"mean"}"#), ("scale", "{}"), ("filter", r#"{"min":1.0}"#)] {
        let fitted = [(&unlimited, &by_time), (&limited, &by_time), (&limited, &by_fuel)]
            .map(|(sandbox, limits)| fit(sandbox, name, params, limits, &batch));
        let hows = ["no deadline", "a deadline (epochs)", "instructions counted (fuel)"];
        let apply = |it: &Fitted| {
            let mut transformer = Transformer::open(&it.plugin, &it.task).unwrap();
            it.model.iter().for_each(|rows| transformer.load(rows).unwrap());
            transformer.outputs(&it.task.plan).unwrap();
            let batch = batch.clone();
            Box::new(move || drop(black_box(transformer.apply(&batch).unwrap()))) as Box<dyn FnMut()>
        };
        compare(&format!("{name}: apply"), hows.into_iter().zip(fitted.iter().map(apply)).collect());
        if !fitted[0].task.plan.passes.any() {
            continue;
        }
        let update = |it: &Fitted| {
            let mut fitter = Fitter::open(&it.plugin, &it.task, &Pass::default()).unwrap();
            let batch = batch.clone();
            Box::new(move || fitter.update(&batch).unwrap()) as Box<dyn FnMut()>
        };
        compare(&format!("{name}: fit"), hows.into_iter().zip(fitted.iter().map(update)).collect());
    }
}
