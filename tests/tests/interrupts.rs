//! A run that is told to stop leaves nothing behind.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;
use wafermill_tests::program::Program;

/// So many rows in batches of one take minutes; the signal comes as soon as the run is under way.
const ROWS: usize = 1_000_000;

const PIPELINE: &str = r#"
[source]
path = "numbers.csv"

[[steps]]
plugin = "scale"
columns = ["x"]
params = { method = "robust" }
"#;

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    entries
}

fn stops_without_debris(signal: &str) {
    let home = TempDir::new().unwrap();
    let mut csv = "x\n".to_owned();
    (0..ROWS).for_each(|row| writeln!(csv, "{row}").unwrap());
    fs::write(home.path().join("numbers.csv"), csv).unwrap();
    fs::write(home.path().join("pipeline.toml"), PIPELINE).unwrap();
    let before = entries(home.path());

    let mut command = Program::find().command(home.path());
    command.args(["run", "pipeline.toml", "--out", "out", "--batch-rows", "1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while entries(home.path()) == before {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it was under way");
        sleep(Duration::from_millis(5));
    }
    let kill = Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", child.id())).status().unwrap();
    assert!(kill.success());

    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "error: interrupted\n");
    assert!(output.stdout.is_empty());
    assert_eq!(entries(home.path()), before);
}

#[test]
fn control_c_stops_a_run_and_leaves_nothing_behind() {
    stops_without_debris("INT");
}

#[test]
fn a_polite_kill_stops_a_run_and_leaves_nothing_behind() {
    stops_without_debris("TERM");
}
