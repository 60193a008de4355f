//! Aggregates of one pass: no bundled one is, the guest `sizes` of the tests is one.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;
use wafermill_tests::dataset::Table;
use wafermill_tests::program::Program;
use wafermill_tests::tables;

const SPLIT: &str = "[split]\nkey = [\"id\"]\nparams = { parts = { train = 0.6, test = 0.4 }, seed = 3 }\n";

const FILTER: &str =
    "[[steps]]\nplugin = \"filter\"\ncolumns = [\"age\"]\nparts = [\"train\"]\nparams = { max = 30 }\n";

/// Writes a pipeline with the aggregate `sizes` and runs it.
fn run(home: &Path, rest: &str, params: &str) -> Output {
    let program = Program::find();
    tables::write_all(&home.join("tables"));
    let guest = program.guests.join("sizes.wasm");
    let aggregate = format!("[[aggregate]]\nplugin = {guest:?}\ncolumns = [\"age\"]\nparams = {{ {params} }}\n");
    let pipeline = format!("[source]\npath = \"tables/people.parquet\"\n{rest}\n{aggregate}");
    fs::write(home.join("pipeline.toml"), pipeline).unwrap();
    program.command(home).args(["run", "pipeline.toml", "--out", "out"]).output().unwrap()
}

fn report(home: &Path) -> Value {
    serde_json::from_slice(&fs::read(home.join("out/report.json")).unwrap()).unwrap()
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_rows_of_all_parts_are_seen_in_the_pass_that_writes_them() {
    let home = TempDir::new().unwrap();
    succeeds(&run(home.path(), &(SPLIT.to_owned() + FILTER), ""));
    let report = report(home.path());
    assert_eq!(report["passes"], Value::Array(Vec::new()));
    assert_eq!(report["aggregates"][0]["passes"], 1);
    let found = Table::of_part(&home.path().join("out/aggregates"));
    assert_eq!(found.columns, ["part", "rows"]);
    let rows = |part: &str| Table::of_part(&home.path().join("out").join(part)).rows.len();
    let parts = &report["output"]["parts"];
    let names: Vec<&str> = parts.as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap()).collect();
    let wanted: Vec<[String; 2]> = names.iter().map(|part| [(*part).to_owned(), rows(part).to_string()]).collect();
    assert_eq!(found.rows, wanted);
    assert!(names.iter().map(|part| rows(part)).sum::<usize>() < tables::ROWS);
}

#[test]
fn rows_without_a_split_are_of_the_part_all() {
    let home = TempDir::new().unwrap();
    succeeds(&run(home.path(), "[output]\naggregate = \"custom\"\n", ""));
    let found = Table::of_part(&home.path().join("out/aggregates"));
    assert_eq!(found.rows, [["all".to_owned(), tables::ROWS.to_string()]]);
    assert_eq!(report(home.path())["passes"].as_array().unwrap().len(), 1);
    assert!(!home.path().join("out/all").exists());
}

#[test]
fn rows_on_standard_output_are_learned_from_too() {
    let home = TempDir::new().unwrap();
    let output = run(home.path(), "[output]\naggregate = \"list\"\n", "");
    succeeds(&output);
    let stream = arrow_ipc::reader::StreamReader::try_new(output.stdout.as_slice(), None).unwrap();
    assert_eq!(stream.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), tables::ROWS);
    assert_eq!(
        Table::of_part(&home.path().join("out/aggregates")).rows,
        [["all".to_owned(), tables::ROWS.to_string()]]
    );
}

#[test]
fn a_part_that_is_none_is_refused() {
    let home = TempDir::new().unwrap();
    let output = run(home.path(), SPLIT, "part = 2");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("a table of the aggregate names the part 2, and there are 2"), "{errors}");
    assert!(errors.contains("in step `sizes`, plugin `sizes`"), "{errors}");
    assert!(!home.path().join("out").exists());
}
