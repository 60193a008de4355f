//! What a plugin gets that asks for WASI: nothing, and the same in every call of every instance.

use std::time::Duration;
use wafermill::sandbox::Limits;
use wafermill_tests::hostile::guest::Guest;
use wafermill_tests::hostile::victim::{Victim, outcome, small_limits};

const IMPORTS: &str = r#"
    (import "wasi:random/random@0.2.6" "get-random-u64" (func $random (result i64)))
    (import "wasi:random/insecure-seed@0.2.6" "insecure-seed" (func $seed (param i32)))
    (import "wasi:clocks/monotonic-clock@0.2.6" "now" (func $now (result i64)))
    (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $wait (param i64) (result i32)))
    (import "wasi:clocks/wall-clock@0.2.6" "now" (func $today (param i32)))
    (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))
    (import "wasi:io/poll@0.2.6" "[method]pollable.ready" (func $ready (param i32) (result i32)))
    (import "wasi:io/poll@0.2.6" "[resource-drop]pollable" (func $forget (param i32)))
    (import "wasi:cli/environment@0.2.6" "get-environment" (func $environment (param i32)))
    (import "wasi:cli/environment@0.2.6" "get-arguments" (func $arguments (param i32)))
    (import "wasi:cli/stdin@0.2.6" "get-stdin" (func $stdin (result i32)))
    (import "wasi:io/streams@0.2.6" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
    (import "wasi:cli/stdout@0.2.6" "get-stdout" (func $stdout (result i32)))
    (import "wasi:io/streams@0.2.6" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
    (import "wasi:filesystem/preopens@0.2.6" "get-directories" (func $folders (param i32)))
    (import "wasi:sockets/instance-network@0.2.6" "instance-network" (func $network (result i32)))
    (import "wasi:sockets/ip-name-lookup@0.2.6" "resolve-addresses" (func $resolve (param i32 i32 i32 i32)))
    (import "wasi:sockets/tcp-create-socket@0.2.6" "create-tcp-socket" (func $socket (param i32 i32)))"#;

/// `$say` logs a number.
const MODULE: &str = r#"
    (data (i32.const 64) "hello\nworld")
    (func $say (param $number i64) (local $at i32) (local $digit i32)
      (local.set $at (i32.const 16))
      (loop $next
        (local.set $at (i32.sub (local.get $at) (i32.const 1)))
        (local.set $digit (i32.wrap_i64 (i64.and (local.get $number) (i64.const 15))))
        (i32.store8 (i32.add (i32.const 512) (local.get $at))
          (i32.add (i32.add (local.get $digit) (i32.const 48)) (i32.mul (i32.gt_u (local.get $digit) (i32.const 9)) (i32.const 39))))
        (local.set $number (i64.shr_u (local.get $number) (i64.const 4)))
        (br_if $next (local.get $at)))
      (call $log (i32.const 1) (i32.const 512) (i32.const 16)))
    (func $say_word (param i32) (call $say (i64.load32_u (local.get 0))))
    (func $say_byte (param i32) (call $say (i64.load8_u (local.get 0))))"#;

/// The log of a plugin that runs this code in every call of `apply`, and gives up in the second.
fn log_of_two_calls(code: &str) -> Vec<String> {
    let guest = Guest { imports: IMPORTS.to_owned(), module: MODULE.to_owned(), ..Guest::default() };
    let code = format!("{code} (if (global.get $calls) (then unreachable))");
    let error = Victim::new(small_limits()).run(&guest.before("transformer.apply", code).component()).unwrap_err();
    assert!(error.message().contains("trapped"), "{error:?}");
    error.log_text().unwrap_or_default().lines().map(|line| line.trim_start_matches("info: ").to_owned()).collect()
}

/// The same of numbers, of one call.
fn numbers(code: &str) -> Vec<u64> {
    let log = log_of_two_calls(code);
    let (first, second) = log.split_at(log.len() / 2);
    assert_eq!(first, second, "every call begins anew");
    assert_eq!(log, log_of_two_calls(code), "every instance has the same");
    first.iter().map(|number| u64::from_str_radix(number, 16).unwrap()).collect()
}

#[test]
fn random_numbers_are_others_within_a_call_and_the_same_in_each() {
    let found = numbers(
        "(call $say (call $random)) (call $say (call $random)) (call $seed (i32.const 256)) (call $say (i64.load (i32.const 256)))",
    );
    assert_eq!(found.len(), 3);
    assert!(found[0] != found[1] && found[1] != found[2]);
}

#[test]
fn clocks_begin_anew_with_each_call_and_go_on_where_the_guest_waits() {
    let found = numbers(
        "(call $say (call $now)) (call $say (call $now)) (local.set $at (call $wait (i64.const 5000000000)))
         (call $say (i64.extend_i32_u (call $ready (local.get $at)))) (call $block (local.get $at))
         (call $say (i64.extend_i32_u (call $ready (local.get $at)))) (call $forget (local.get $at))
         (call $today (i32.const 256)) (call $say (i64.load (i32.const 256)))",
    );
    assert_eq!(found, [1_000, 2_000, 0, 1, 946_684_805]);
}

#[test]
fn there_are_no_files_no_network_no_environment_and_no_arguments() {
    let found = numbers(
        "(call $environment (i32.const 256)) (call $say_word (i32.const 260))
         (call $arguments (i32.const 256)) (call $say_word (i32.const 260))
         (call $folders (i32.const 256)) (call $say_word (i32.const 260))
         (call $socket (i32.const 0) (i32.const 256)) (call $say_byte (i32.const 256)) (call $say_byte (i32.const 260))
         (call $resolve (call $network) (i32.const 64) (i32.const 5) (i32.const 256))
         (call $say_byte (i32.const 256)) (call $say_byte (i32.const 260))
         (call $read (call $stdin) (i64.const 1) (i32.const 256)) (call $say_byte (i32.const 256)) (call $say_byte (i32.const 260))",
    );
    // Nothing is in the lists; a socket and an address are refused with `access-denied`, the second of the codes; standard input is closed.
    assert_eq!(found, [0, 0, 0, 1, 1, 1, 1, 1, 1]);
}

#[test]
fn what_is_written_is_in_the_log() {
    let log = log_of_two_calls("(call $write (call $stdout) (i32.const 64) (i32.const 11) (i32.const 256))");
    assert_eq!(log, ["stdout: hello", "stdout: worldhello", "stdout: world"]);
}

#[test]
fn random_bytes_count_as_instructions_where_those_are_counted() {
    let imports = r#"(import "wasi:random/random@0.2.6" "get-random-bytes" (func $random (param i64 i32)))"#;
    let code =
        "(loop (global.set $heap (i32.const 1048576)) (call $random (i64.const 1048576) (i32.const 256)) (br 0))";
    let guest = Guest { imports: imports.to_owned(), pages: 64, ..Guest::default() };
    assert_eq!(with_few_instructions(guest.before("transformer.apply", code)), TOO_MANY);
}

#[test]
fn what_is_logged_or_waited_for_counts_as_instructions_where_those_are_counted() {
    let repeated = |calls: u32, call: &str| {
        format!(
            "(local.set $at (i32.const {calls})) (loop {call} (local.set $at (i32.sub (local.get $at) (i32.const 1))) (br_if 0 (local.get $at)))"
        )
    };
    let log = |calls| {
        let guest = Guest { pages: 64, ..Guest::default() };
        guest.before(
            "transformer.apply",
            repeated(calls, "(call $log (i32.const 1) (i32.const 1048576) (i32.const 100000))"),
        )
    };
    assert_eq!(with_few_instructions(log(40)), "no error");
    assert_eq!(with_few_instructions(log(51)), TOO_MANY);
    let poll = |calls| {
        let imports = r#"
            (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $wait (param i64) (result i32)))
            (import "wasi:io/poll@0.2.6" "poll" (func $poll (param i32 i32 i32)))"#;
        let guest = Guest { imports: imports.to_owned(), pages: 64, ..Guest::default() };
        // The same one 500 times.
        let fill = "(i32.store (i32.const 256) (call $wait (i64.const 9)))
            (loop (i32.store (i32.add (i32.const 1048576) (local.get $at)) (i32.load (i32.const 256)))
            (local.set $at (i32.add (local.get $at) (i32.const 4))) (br_if 0 (i32.lt_u (local.get $at) (i32.const 2000))))";
        let call =
            "(global.set $heap (i32.const 2097152)) (call $poll (i32.const 1048576) (i32.const 500) (i32.const 256))";
        guest.before("transformer.apply", format!("{fill} {}", repeated(calls, call)))
    };
    assert_eq!(with_few_instructions(poll(50)), "no error");
    assert_eq!(with_few_instructions(poll(100)), TOO_MANY);
}

const TOO_MANY: &str = "`transformer.apply` took more than the 5000000 instructions that a call may take";

fn with_few_instructions(guest: Guest) -> String {
    let limits = Limits { fuel: Some(5_000_000), call: Duration::from_secs(60), ..small_limits() };
    outcome(Victim::new(limits).run(&guest.component()))
}
