//! Each hostile guest ends in its own error, within its limits, and the host goes on. `docs/attacks.md` lists what becomes of them:
//! `UPDATE=1` writes it anew. This is the only test here, since it looks at the memory of the process.

use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, panic};
use wafermill_tests::hostile::attacks;
use wafermill_tests::hostile::guest::Guest;
use wafermill_tests::hostile::victim::{Victim, outcome, small_limits};

/// Of guests that may have 16 MiB: more than the host should take for any of them, and less than what an attack that works would.
const MEMORY: u64 = 128 << 20;

/// Many times what a call, or compiling, may take.
const TIME: Duration = Duration::from_secs(30);

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/attacks.md");

const HEAD: &str = "\
# Attacks, and what becomes of them

Written by `UPDATE=1 cargo xtask test -- --test attacks`, which runs each of these components in one process: loaded, fitted and applied, as a
pipeline does it. After each of them an honest plugin runs in the same process. Guests have 16 MiB of memory and 0.5 s for a call, may return
4 MiB, and give away 8 MiB of partials or model. [sandbox.md](sandbox.md) tells what the limits are otherwise.
";

static PANICS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn every_attack_ends_in_its_own_error_and_the_host_goes_on() {
    count_panics();
    let mut victim = Victim::new(small_limits());
    let honest = Guest::default().component();
    victim.run(&honest).expect("the guest is honest until something is replaced");
    let mut table = HEAD.to_owned();
    let mut failures = Vec::new();
    let wanted = env::var("ATTACK").ok();
    for (chapter, attacks) in attacks::all() {
        let _ = write!(table, "\n## {chapter}\n\n| a plugin that | ends with |\n|---|---|\n");
        for attack in attacks {
            if wanted.as_ref().is_some_and(|wanted| !attack.what.contains(wanted)) {
                continue;
            }
            let component = (attack.component)();
            // Where that is not allowed the peak is that of an earlier attack, and tells nothing.
            let forgets = fs::write("/proc/self/clear_refs", "5").is_ok();
            let before = memory("VmRSS");
            let start = Instant::now();
            let outcome = outcome(victim.run(&component));
            let (took, peak) = (start.elapsed(), memory("VmHWM").saturating_sub(before));
            println!("{:.2} s, {peak} bytes: {}: {outcome}", took.as_secs_f64(), attack.what);
            if took > TIME || (forgets && peak > MEMORY) {
                failures.push(format!("{} took {took:?} and {peak} bytes", attack.what));
            }
            let _ = writeln!(table, "| {} | {outcome} |", attack.what);
            victim.run(&honest).expect("the host goes on");
        }
    }
    assert_eq!(PANICS.load(Ordering::Relaxed), 0, "nothing panics");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if wanted.is_none() {
        compare(&table);
    }
}

fn compare(table: &str) {
    if env::var_os("UPDATE").is_some() {
        fs::write(TABLE, table).expect("the table can be written");
    }
    let known = fs::read_to_string(Path::new(TABLE)).unwrap_or_default();
    for (known, found) in known.lines().zip(table.lines()) {
        assert_eq!(known, found, "if this is right, run the tests with UPDATE=1");
    }
    assert_eq!(known.lines().count(), table.lines().count(), "if this is right, run the tests with UPDATE=1");
}

fn count_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        before(info);
    }));
}

/// Bytes of this process.
fn memory(kind: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(kind)).unwrap_or_default();
    let kibibytes: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or_default();
    kibibytes << 10
}
