//! Tables made to harm: huge names, many columns, and names that would steer a terminal.

use std::fmt::Write;
use std::fs;
use std::process::Output;
use tempfile::TempDir;
use wafermill_tests::program::Program;

const COLUMNS: usize = 10_000;

fn run(csv: &str, columns: &str) -> (TempDir, Output) {
    let home = TempDir::new().unwrap();
    let pipeline = format!("[source]\npath = \"t.csv\"\n[[steps]]\nplugin = \"scale\"\ncolumns = [\"{columns}\"]\n");
    fs::write(home.path().join("pipeline.toml"), pipeline).unwrap();
    fs::write(home.path().join("t.csv"), csv).unwrap();
    let output = Program::find().command(home.path()).args(["run", "pipeline.toml", "--out", "out"]).output().unwrap();
    (home, output)
}

#[test]
fn a_table_of_ten_thousand_columns_is_transformed() {
    let (mut csv, mut row) = (String::new(), String::new());
    for column in 0..COLUMNS {
        write!(csv, "c{column},").unwrap();
        write!(row, "{column},").unwrap();
    }
    let csv = format!("{}end\n{row}1\n{row}2\n", csv);
    let (home, output) = run(&csv, "c*");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(home.path().join("out/all/part-00000.parquet").exists());
}

#[test]
fn a_name_of_a_megabyte_does_not_flood_the_terminal() {
    let (home, output) = run(&format!("{}\n1\n", "x".repeat(1 << 20)), "age");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.len() < 4_000);
    assert!(!home.path().join("out").exists());
}

#[test]
fn a_name_cannot_steer_the_terminal() {
    let (_home, output) = run("\u{1b}[2Jage\u{7},b\u{202e}c\n1,2\n", "year");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(r"\u{1b}[2Jage\u{7}") && text.contains(r"b\u{202e}c"), "{text}");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}
