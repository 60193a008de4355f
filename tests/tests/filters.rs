//! Filters that learn: no bundled one does, the guest `below-largest` of the tests is one.

use std::fs;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;
use wafermill_tests::dataset::Table;
use wafermill_tests::program::Program;
use wafermill_tests::{folder, tables};

/// Two of them, each behind the other: the second learns from what the first one keeps.
const FILTERS: &str = r#"
[[steps]]
name = "first"
plugin = "GUESTS/below-largest.wasm"
columns = ["age"]

[[steps]]
name = "second"
plugin = "GUESTS/below-largest.wasm"
columns = ["age"]
"#;

const SCALE: &str = "\n[[steps]]\nplugin = \"scale\"\ncolumns = [\"age\"]\nparams = { method = \"maxabs\" }\n";

fn run(program: &Program, folder: &Path, steps: &str, arguments: &[&str]) -> Output {
    run_over(program, folder, "people.parquet", steps, arguments)
}

fn run_over(program: &Program, folder: &Path, source: &str, steps: &str, arguments: &[&str]) -> Output {
    let guests = program.guests.display().to_string();
    let steps = steps.replace("GUESTS", &guests);
    fs::write(folder.join("pipeline.toml"), format!("[source]\npath = \"tables/{source}\"\n{steps}")).unwrap();
    let output = program.command(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Has the plugins that the models of these tests need in one folder, `plugins`.
fn gather_plugins(program: &Program, home: &Path) {
    let plugins = home.join("plugins");
    fs::create_dir(&plugins).unwrap();
    for (folder, name) in [(&program.guests, "below-largest.wasm"), (&program.plugins, "scale.wasm")] {
        fs::copy(folder.join(name), plugins.join(name)).unwrap();
    }
}

/// The column `age` of a part, as numbers.
fn ages(part: &Path) -> Vec<f64> {
    let table = Table::of_part(part);
    let column = table.columns.iter().position(|name| name == "age").unwrap();
    table.rows.iter().map(|row| row[column].parse().unwrap()).collect()
}

#[test]
fn a_filter_that_learns_is_fitted_on_what_the_one_before_it_keeps() {
    let home = TempDir::new().unwrap();
    tables::write_all(&home.path().join("tables"));
    let program = Program::find();
    // Ages are 20 to 59 but for every seventh, which is null; the two largest are dropped one after the other, and null is not kept.
    let wanted: Vec<f64> = (0..37).filter(|row| row % 7 != 3).map(|row| 20.0 + f64::from(row)).collect();
    run(&program, home.path(), FILTERS, &["run", "pipeline.toml", "--out", "out"]);
    let kept = ages(&home.path().join("out/all"));
    assert_eq!(kept.len(), tables::ROWS - 6 - 2, "{kept:?}");
    assert_eq!(kept[..wanted.len()], wanted);
    // A step behind both sees what they keep, and the model keeps the same rows of the same table.
    run(&program, home.path(), &(FILTERS.to_owned() + SCALE), &["run", "pipeline.toml", "--out", "scaled"]);
    let scaled = ages(&home.path().join("scaled/all"));
    assert_eq!(scaled.len(), kept.len());
    assert!(scaled.iter().copied().fold(0.0, f64::max) == 1.0, "{scaled:?}");
    gather_plugins(&program, home.path());
    let apply = ["apply", "scaled", "tables/people.parquet", "--out", "again", "--plugins", "plugins"];
    run(&program, home.path(), FILTERS, &apply);
    assert_eq!(ages(&home.path().join("again/all")), scaled);
}

#[test]
fn rows_are_added_to_a_filter_that_learns_and_not_to_what_stands_behind_it() {
    let home = TempDir::new().unwrap();
    tables::write_all(&home.path().join("tables"));
    let program = Program::find();
    gather_plugins(&program, home.path());
    let first = FILTERS.split("\n[[steps]]\nname = \"second\"").next().unwrap();
    run_over(&program, home.path(), "parts-parquet", first, &["fit", "pipeline.toml", "--out", "wanted"]);
    run_over(&program, home.path(), "parts-parquet/2.parquet", first, &["fit", "pipeline.toml", "--out", "added0"]);
    for (number, part) in [3, 0, 1].into_iter().enumerate() {
        let (model, table) = (format!("added{number}"), format!("tables/parts-parquet/{part}.parquet"));
        let out = format!("added{}", number + 1);
        let add = ["fit", "--add", &model, &table, "--out", &out, "--plugins", "plugins"];
        run(&program, home.path(), first, &add);
    }
    let relative = |model: &str| {
        let root = home.path().join(model);
        let contents = folder::contents(&root).into_iter();
        contents.map(|(path, bytes)| (path.strip_prefix(&root).unwrap().to_owned(), bytes)).collect::<Vec<_>>()
    };
    assert_eq!(relative("added3"), relative("wanted"));
    assert_ne!(relative("added0"), relative("wanted"));

    run(&program, home.path(), &(FILTERS.to_owned() + SCALE), &["fit", "pipeline.toml", "--out", "model"]);
    let add = ["fit", "--add", "model", "tables/people.parquet", "--out", "out", "--plugins", "plugins"];
    let output = program.command(home.path()).args(add).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let reasons = "`second` sees the rows that `first` keeps, which depend on what `first` learns; \
                   `scale` sees the rows that `first` keeps, which depend on what `first` learns";
    assert!(said.contains(reasons), "{said}");
    assert!(!home.path().join("out").exists());
}

#[test]
fn a_plan_shows_that_steps_wait_for_filters_that_learn() {
    let home = TempDir::new().unwrap();
    tables::write_all(&home.path().join("tables"));
    let output =
        run(&Program::find(), home.path(), &(FILTERS.to_owned() + SCALE), &["plan", "pipeline.toml", "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let waves: Vec<_> = plan["steps"].as_array().unwrap().iter().map(|step| step["wave"].as_u64()).collect();
    assert_eq!(waves, [Some(1), Some(2), Some(3)]);
}
