//! Limits of plugins: what they are counted in, for whom they are set, and what is compiled and kept.

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use wafermill::contract::{ColumnRole, Selection};
use wafermill::sandbox::{Limits, Sandbox, Task, Transformer};
use wafermill_tests::hostile::guest::Guest;
use wafermill_tests::hostile::victim::{Victim, outcome, small_limits};

/// Many times what a call may take.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn components_that_are_damaged_or_cut_are_refused_or_run() {
    let mut victim = Victim::new(small_limits());
    let whole = Guest::default().component();
    // One bit of every 29th byte, and every 37th length.
    for at in (0..whole.len()).step_by(29) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at / 29 % 8);
        // A bit of an answer is another answer: what counts is that the host ends each of them by itself.
        let _ = victim.run(&damaged);
    }
    for end in (0..whole.len()).step_by(37) {
        assert!(victim.run(&whole[..end]).is_err(), "{end} bytes");
    }
    victim.run(&whole).expect("the host goes on");
}

#[test]
fn instructions_are_counted_alike_every_time() {
    let loops = "(local.set $at (i32.const 100000)) (loop (local.set $at (i32.sub (local.get $at) (i32.const 1))) (br_if 0 (local.get $at)))";
    let guest = Guest::default().before("transformer.apply", loops).component();
    let passes = |fuel| Victim::new(Limits { fuel: Some(fuel), call: LONG, ..small_limits() }).run(&guest).is_ok();
    // The least that is enough is the same in every run, so this search ends at one number.
    let least = || {
        let (mut too_little, mut enough) = (1, 4_000_000);
        while enough - too_little > 1 {
            let middle = u64::midpoint(too_little, enough);
            if passes(middle) { enough = middle } else { too_little = middle }
        }
        enough
    };
    let found = least();
    assert!(found > 400_000, "{found}");
    assert_eq!(found, least());
    let spin = Guest::default().before("transformer.apply", "(loop (br 0))").component();
    let ended = outcome(Victim::new(Limits { fuel: Some(found), call: LONG, ..small_limits() }).run(&spin));
    assert_eq!(ended, format!("`transformer.apply` took more than the {found} instructions that a call may take"));
    let fill = "(loop (memory.fill (i32.const 0) (i32.const 0) (i32.const 131072)) (br 0))";
    let fill = Guest::default().before("transformer.apply", fill).component();
    let ended = outcome(Victim::new(Limits { fuel: Some(found), call: LONG, ..small_limits() }).run(&fill));
    assert!(ended.contains("instructions"), "{ended}");
}

#[test]
fn an_error_tells_where_it_arose_in_the_table_and_in_the_plugins_code() {
    let module = "(func $inner unreachable) (func $outer (call $inner))".to_owned();
    let guest = Guest { module, ..Guest::default() };
    let trapped = guest.before("transformer.apply", "(if (global.get $calls) (then (call $outer)))");
    let error = Victim::new(small_limits()).run(&trapped.component()).unwrap_err();
    let functions: Vec<_> = error.backtrace_text().unwrap_or_default().lines().take(2).collect();
    assert_eq!(functions, ["inner", "outer"]);
    let place = error.place();
    assert!(place.digest.as_ref().is_some_and(|digest| digest.starts_with("sha256:")), "{place:?}");
    assert_eq!((place.call.as_deref(), place.step.as_deref()), (Some("transformer.apply"), Some("step")));
    // The second batch of two rows.
    assert_eq!((place.fragment, place.batch), (Some(0), Some(2)));
}

#[test]
fn a_component_that_takes_long_to_compile_is_given_up() {
    let functions = "(func (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))".repeat(50_000);
    let slow = Guest { module: functions, ..Guest::default() }.component();
    let ended = outcome(Victim::new(Limits { compile: Duration::from_millis(1), ..small_limits() }).run(&slow));
    assert_eq!(ended, "the component cannot be compiled: compiling it takes longer than the 0.001 s that it may take");
}

#[test]
fn a_component_that_takes_much_memory_to_compile_is_given_up() {
    const MANY: usize = 400;
    // Before each way out another local is set, and all are read behind them: each end needs a value for each local.
    let ways_out: String =
        (0..MANY).map(|way| format!("i32.const {way} local.set {way} local.get 0 br_if {way}\n")).collect();
    let read: String = (0..MANY).map(|local| format!("local.get {local} drop\n")).collect();
    let (locals, blocks, ends) = ("i32 ".repeat(MANY), "block\n".repeat(MANY), "end\n".repeat(MANY));
    let function = format!("(func (local {locals}) {blocks}{ways_out}{ends}{read})");
    let large = Guest { module: function, ..Guest::default() }.component();
    assert!(large.len() < 40_000);
    let ended = outcome(Victim::new(Limits { compile_memory: 24 << 20, compile: LONG, ..small_limits() }).run(&large));
    assert_eq!(
        ended,
        "the component cannot be compiled: compiling it takes more than the 24 MiB of memory that it may take"
    );
}

#[test]
fn nothing_more_is_compiled_after_a_component_was_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let functions = "(func (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))".repeat(50_000);
    fs::write(path("slow.wasm"), Guest { module: functions, ..Guest::default() }.component()).unwrap();
    fs::write(path("kept.wasm"), Guest::default().component()).unwrap();
    fs::write(path("new.wasm"), Guest { module: "(func)".to_owned(), ..Guest::default() }.component()).unwrap();
    let cache = path("cache");
    let load = |sandbox: &Sandbox, name: &str, compile| {
        sandbox.load(&path(name), &Limits { compile, ..small_limits() }, None).map(drop)
    };
    load(&Sandbox::with_cache(Some(&cache)).unwrap(), "kept.wasm", LONG).unwrap();
    let sandbox = Sandbox::with_cache(Some(&cache)).unwrap();
    load(&sandbox, "slow.wasm", Duration::from_millis(1)).unwrap_err();
    let refused = load(&sandbox, "new.wasm", LONG).unwrap_err();
    assert_eq!(refused.hint_text(), Some("remove the one that was given up, and run again"));
    load(&sandbox, "kept.wasm", LONG).expect("it was compiled before");
}

#[test]
fn one_plugin_may_have_other_limits_than_all() {
    let grows = "(drop (memory.grow (i32.const 400))) (drop (i32.load (i32.const 20000000)))";
    let guest = Guest::default().before("transformer.apply", grows).component();
    let mut victim = Victim::new(small_limits());
    assert!(outcome(victim.run(&guest)).contains("needs more than the 16 MiB of memory"));
    victim.run_limited(&guest, "memory = \"32MiB\"").expect("it may have more");
    let ended = outcome(victim.run_limited(&guest, "mode = \"fuel\"\nfuel = 1000000\nmemory = \"15MiB\""));
    assert!(ended.contains("needs more than the 15 MiB of memory"), "{ended}");
    let ended = outcome(victim.run_limited(&guest, "component = \"1KiB\""));
    assert_eq!(ended, "the plugin is larger than 1 KiB");
    assert!(victim.run_limited(&guest, "memory = \"5GiB\"").is_err());
}

#[test]
fn what_was_compiled_and_then_changed_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, plugin) = (folder.path().join("cache"), folder.path().join("guest.wasm"));
    fs::write(&plugin, Guest::default().component()).unwrap();
    let load = |fuel| {
        let sandbox = Sandbox::with_cache(Some(&cache)).unwrap();
        sandbox.load(&plugin, &Limits { fuel, ..small_limits() }, None).map(drop).unwrap();
        fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let entries = load(None);
    let whole = fs::read(&entries[0]).unwrap();
    // Code that counts instructions is other code.
    assert_eq!((entries.len(), load(Some(1_000_000)).len()), (1, 2));
    for at in [0, 40, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&entries[0], damaged).unwrap();
        load(None);
        assert!(fs::read(&entries[0]).unwrap() == whole, "byte {at}");
    }
    fs::write(&entries[0], &whole[..whole.len() / 2]).unwrap();
    load(None);
    assert!(fs::read(&entries[0]).unwrap() == whole);
}

#[test]
fn an_instance_that_trapped_is_not_called_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.wasm");
    // It would answer the second call.
    let once = "(if (i32.eqz (global.get $calls)) (then (global.set $calls (i32.const 1)) unreachable))";
    fs::write(&path, Guest::default().before("transformer.apply", once).component()).unwrap();
    let sandbox = Sandbox::with_cache(None).unwrap();
    let plugin = sandbox.load(&path, &small_limits(), None).unwrap();
    let x: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
    let batch = RecordBatch::try_from_iter([("x", x)]).unwrap();
    let selection = Selection { schema: batch.schema(), roles: vec![ColumnRole::Feature] };
    let plan = Arc::new(plugin.plan("{}", &selection).unwrap());
    let task = Task { params: "{}".to_owned(), input: plan.input(&selection), selection, plan };
    let mut transformer = Transformer::open(&plugin, &task).unwrap();
    transformer.outputs(&task.plan).unwrap();
    assert!(transformer.apply(&batch).unwrap_err().message().contains("trapped"));
    let again = transformer.apply(&batch).unwrap_err();
    assert_eq!(again.message(), "an instance that trapped was called again");
    let mut fresh = Transformer::open(&plugin, &task).unwrap();
    fresh.outputs(&task.plan).unwrap();
    assert!(fresh.apply(&batch).unwrap_err().message().contains("trapped"), "nothing is left of the other instance");
}
