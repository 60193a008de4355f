//! Memory, tables, stacks and handles without bounds.

use crate::hostile::guest::{Guest, partials};
use crate::hostile::{Attack, attack, by_guest, message};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use std::sync::Arc;

pub(super) fn all() -> Vec<Attack> {
    let in_apply = |code: &'static str| move || Guest::default().before("transformer.apply", code).component();
    vec![
        attack(
            "grows its memory until it gets no more, and traps",
            in_apply("(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable"),
        ),
        by_guest("has 4 GiB of memory from the start", |guest| guest.pages = 65_536),
        by_guest("has 90 memories", |guest| guest.module = "(memory 1)".repeat(90)),
        by_guest("has a memory of 64-bit addresses", |guest| guest.module = "(memory i64 1000000)".to_owned()),
        by_guest("has a memory that threads share", |guest| guest.module = "(memory 1 65536 shared)".to_owned()),
        by_guest("has a table of 10,000,000 elements", |guest| guest.module = "(table 10000000 funcref)".to_owned()),
        by_guest("has 90 tables", |guest| guest.module = "(table 1 funcref)".repeat(90)),
        by_guest("grows a table until it gets no more, and traps", |guest| {
            guest.module = "(table $t 1 funcref)".to_owned();
            let grow = "(loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 4096)) (i32.const -1))))";
            guest.before.insert("transformer.apply", format!("{grow} unreachable"));
        }),
        by_guest("calls itself for ever", |guest| {
            guest.module = "(func $deep (param i64) (call $deep (local.get 0)) (drop (i64.const 1)))".to_owned();
            guest.before.insert("transformer.apply", "(call $deep (i64.const 0))".to_owned());
        }),
        attack("makes handles in a loop", in_apply("(loop (drop (call $new_fitter (i32.const 1))) (br 0))")),
        attack("gives partials for ever, a few at a time", || {
            Guest::default().before("fitter.drain", "(global.set $drained (i32.const 0))").component()
        }),
        by_guest("gives partials for ever, many at a time", |guest| {
            guest.learned = partials(&[7; 32 << 10], &[1; 32 << 10]);
            guest.before.insert("fitter.drain", "(global.set $drained (i32.const 0))".to_owned());
        }),
        by_guest("gives a model for ever", |guest| {
            let rows: ArrayRef = Arc::new(Int64Array::from(vec![7; 64 << 10]));
            let batch = RecordBatch::try_from_iter_with_nullable([("m", rows, true)]);
            guest.fitted = message::batch(&batch.expect("there is one column"));
            guest.before.insert("finisher.drain", "(global.set $drained (i32.const 0))".to_owned());
        }),
        by_guest("asks for another pass for ever", |guest| {
            guest.planned_passes = 3;
            guest.again = Some(b"more".to_vec());
        }),
        by_guest("gives a carry of 2 MiB", |guest| {
            guest.planned_passes = 3;
            guest.again = Some(vec![0; 2 << 20]);
        }),
        by_guest("logs 64 MiB", |guest| {
            guest.pages = 128;
            let log = "(call $log (i32.const 1) (i32.const 0) (i32.const 8388608))";
            guest.before.insert("transformer.apply", log.repeat(8));
        }),
    ]
}
