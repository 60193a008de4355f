//! WASI, of which there is an empty one: what can be asked of it without bounds.

use crate::hostile::{Attack, attack, by_guest};

const RANDOM: &str = r#"(import "wasi:random/random@0.2.6" "get-random-bytes" (func $random (param i64 i32)))"#;
const NOW: &str = r#"(import "wasi:clocks/monotonic-clock@0.2.6" "now" (func $now (result i64)))"#;
const WAIT: &str = r#"(import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $wait (param i64) (result i32)))
    (import "wasi:io/poll@0.2.6" "[resource-drop]pollable" (func $forget (param i32)))
    (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))
    (import "wasi:io/poll@0.2.6" "poll" (func $poll (param i32 i32 i32)))"#;
const WRITE: &str = r#"(import "wasi:cli/stdout@0.2.6" "get-stdout" (func $stdout (result i32)))
    (import "wasi:io/streams@0.2.6" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
    (import "wasi:io/streams@0.2.6" "[method]output-stream.write-zeroes" (func $zeroes (param i32 i64 i32)))
    (import "wasi:io/streams@0.2.6" "[method]output-stream.subscribe" (func $writable (param i32) (result i32)))"#;
const EXIT: &str = r#"(import "wasi:cli/exit@0.2.6" "exit" (func $exit (param i32)))"#;
const FILES: &str = r#"(import "wasi:filesystem/types@0.2.6" "[method]descriptor.is-same-object"
    (func $same (param i32 i32) (result i32)))"#;

/// A hundred years, in nanoseconds.
const LONG: &str = "(i64.const 3155760000000000000)";

pub(super) fn all() -> Vec<Attack> {
    let in_apply = |what: &str, imports: &'static str, code: String| {
        by_guest(what, move |guest| {
            guest.imports = imports.to_owned();
            guest.pages = 160;
            guest.before.insert("transformer.apply", code.clone());
        })
    };
    let importing = |what: &str, name: &str, function: &str| {
        let text = format!("(component (import \"{name}\" (instance {function})))");
        attack(what, move || wat::parse_str(&text).expect("the component is well written"))
    };
    let million = format!(
        "(i32.store (i32.const 256) (call $wait {LONG})) (local.set $at (i32.const 1048576))
         (loop $fill (i32.store (local.get $at) (i32.load (i32.const 256)))
           (local.set $at (i32.add (local.get $at) (i32.const 4)))
           (br_if $fill (i32.lt_u (local.get $at) (i32.const 9437184))))"
    );
    let poll = |many: &str| format!("{million} (call $poll (i32.const 1048576) (i32.const {many}) (i32.const 256))");
    vec![
        in_apply("asks for 2 MiB of random bytes", RANDOM, "(call $random (i64.const 2097152) (i32.const 256))".into()),
        in_apply(
            "asks for 2⁶⁰ random bytes",
            RANDOM,
            "(call $random (i64.const 1152921504606846976) (i32.const 256))".into(),
        ),
        in_apply(
            "asks for random bytes in a loop",
            RANDOM,
            "(loop (global.set $heap (i32.const 1048576)) (call $random (i64.const 1048576) (i32.const 256)) (br 0))"
                .into(),
        ),
        in_apply("reads the clock in a loop", NOW, "(loop (drop (call $now)) (br 0))".into()),
        in_apply("waits for a hundred years", WAIT, format!("(call $block (call $wait {LONG}))")),
        in_apply(
            "waits for a hundred years, in a loop",
            WAIT,
            format!(
                "(loop (local.set $at (call $wait {LONG})) (call $block (local.get $at)) (call $forget (local.get $at)) (br 0))"
            ),
        ),
        in_apply("makes clocks to wait for, in a loop", WAIT, format!("(loop (drop (call $wait {LONG})) (br 0))")),
        in_apply("waits for nothing", WAIT, "(call $poll (i32.const 256) (i32.const 0) (i32.const 256))".into()),
        in_apply("waits for 50,000 things at once, in a loop", WAIT, format!("(loop {} (br 0))", poll("50000"))),
        in_apply("waits for two million things at once", WAIT, poll("2000000")),
        in_apply("waits for what it does not have", WAIT, "(call $block (i32.const 77))".into()),
        in_apply(
            "writes 8 MiB",
            WRITE,
            "(call $write (call $stdout) (i32.const 0) (i32.const 8388608) (i32.const 256))".into(),
        ),
        in_apply(
            "writes 1 MiB",
            WRITE,
            "(call $write (call $stdout) (i32.const 0) (i32.const 1048576) (i32.const 256))".into(),
        ),
        in_apply("writes 2⁶⁰ zeroes", WRITE, {
            "(call $zeroes (call $stdout) (i64.const 1152921504606846976) (i32.const 256))".into()
        }),
        in_apply("writes without end", WRITE, {
            "(local.set $at (call $stdout))
             (loop (call $write (local.get $at) (i32.const 0) (i32.const 65536) (i32.const 256)) (br 0))"
                .into()
        }),
        in_apply("writes empty lines without end", WRITE, {
            "(local.set $at (call $stdout)) (memory.fill (i32.const 1048576) (i32.const 10) (i32.const 65536))
             (loop (call $write (local.get $at) (i32.const 1048576) (i32.const 65536) (i32.const 256)) (br 0))"
                .into()
        }),
        in_apply("opens standard output in a loop", WRITE, "(loop (drop (call $stdout)) (br 0))".into()),
        in_apply("waits for standard output, with new handles, in a loop", WRITE, {
            "(local.set $at (call $stdout)) (loop (drop (call $writable (local.get $at))) (br 0))".into()
        }),
        in_apply("ends the program, well", EXIT, "(call $exit (i32.const 0))".into()),
        in_apply("ends the program, badly", EXIT, "(call $exit (i32.const 1))".into()),
        in_apply("uses a file that it does not have", FILES, {
            "(drop (call $same (i32.const 1) (i32.const 1)))".into()
        }),
        importing("asks for a function that WASI has not", "wasi:cli/environment@0.2.0", "(export \"f\" (func))"),
        importing(
            "asks for a function of WASI with another type",
            "wasi:random/random@0.2.0",
            "(export \"get-random-u64\" (func (result string)))",
        ),
        importing("asks for WASI 0.3", "wasi:clocks/monotonic-clock@0.3.0", "(export \"now\" (func (result u64)))"),
        importing("asks for HTTP", "wasi:http/outgoing-handler@0.2.0", "(export \"f\" (func))"),
        importing("asks for a neural network", "wasi:nn/graph@0.2.0", "(export \"f\" (func))"),
    ]
}
