//! `wafermill plugin check`: the bundled plugins keep to the contract, and guests that do not are found out.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use wafermill_tests::program::Program;

fn plugin(name: &str) -> PathBuf {
    Program::find().plugins.join(format!("{name}.wasm"))
}

fn guest(name: &str) -> PathBuf {
    Program::find().guests.join(format!("{name}.wasm"))
}

struct Checked {
    success: bool,
    report: Value,
    errors: String,
}

fn check(component: &Path, arguments: &[&str]) -> Checked {
    let mut command = Command::new(Program::find().wafermill);
    command.args(["plugin", "check", "--json"]).arg(component).args(arguments);
    let output = command.output().expect("wafermill starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    Checked { success: output.status.success(), report, errors }
}

/// The laws that do not hold.
fn broken(checked: &Checked) -> Vec<&str> {
    let laws = checked.report["report"]["laws"].as_array().expect("a report has laws").iter();
    laws.filter(|tally| tally["failed"] != 0).map(|tally| tally["law"].as_str().expect("a law has a name")).collect()
}

fn passes(name: &str, laws: &[&str]) {
    let checked = check(&plugin(name), &[]);
    assert!(checked.success, "{}\n{:#}", checked.errors, checked.report["report"]["findings"]);
    assert_eq!(broken(&checked), Vec::<&str>::new());
    for tally in checked.report["report"]["laws"].as_array().expect("a report has laws") {
        let law = tally["law"].as_str().expect("a law has a name");
        assert!(!laws.contains(&law) || tally["checked"].as_u64() > Some(0), "`{law}` was not checked");
    }
}

#[test]
fn split_keeps_every_law() {
    passes("split", &["describe", "plan", "contract", "outputs", "repeat", "cut"]);
}

#[test]
fn filter_keeps_every_law() {
    passes("filter", &["describe", "plan", "contract", "outputs", "repeat", "cut", "dictionary"]);
}

#[test]
fn a_filter_that_learns_keeps_every_law() {
    let checked = check(&guest("below-largest"), &[]);
    assert!(checked.success, "{}\n{:#}", checked.errors, checked.report["report"]["findings"]);
}

#[test]
fn impute_keeps_every_law() {
    passes("impute", &["partition", "outputs", "repeat", "cut", "dictionary"]);
}

#[test]
fn scale_keeps_every_law() {
    passes("scale", &["partition", "outputs", "repeat", "cut"]);
}

#[test]
fn encode_keeps_every_law() {
    passes("encode", &["partition", "outputs", "repeat", "cut", "dictionary"]);
}

#[test]
fn profile_keeps_every_law() {
    passes("profile", &["describe", "plan", "contract", "partition", "dictionary"]);
}

#[test]
fn an_aggregate_of_one_pass_keeps_every_law_and_is_not_applied() {
    let checked = check(&guest("sizes"), &[]);
    assert!(checked.success, "{}\n{:#}", checked.errors, checked.report["report"]["findings"]);
    let laws = checked.report["report"]["laws"].as_array().expect("a report has laws").iter();
    let applied =
        laws.filter(|tally| ["outputs", "repeat", "cut"].contains(&tally["law"].as_str().unwrap_or_default()));
    assert!(applied.into_iter().all(|tally| tally["checked"] == 0));
}

/// The findings of a guest, all of which must be of these laws, the first one among them.
fn findings(name: &str, laws: &[&str]) -> Vec<String> {
    let checked = check(&guest(name), &[]);
    assert!(!checked.success, "{:#}", checked.report);
    let broken = broken(&checked);
    assert!(broken.contains(&laws[0]) && broken.iter().all(|law| laws.contains(law)), "{broken:?}");
    assert!(checked.errors.starts_with(&format!("error: `{name}` breaks the contract")), "{}", checked.errors);
    let findings = checked.report["report"]["findings"].as_array().expect("a report has findings").iter();
    let of_law = findings.filter(|finding| finding["law"] == laws[0]);
    of_law.map(|finding| finding["detail"].as_str().expect("a finding has a detail").to_owned()).collect()
}

#[test]
fn a_model_that_depends_on_the_order_of_rows_is_found() {
    let findings = findings("first-value", &["partition"]);
    assert!(
        findings.iter().all(|detail| detail.contains("partial table `first`: column `first`, row 0:")),
        "{findings:?}"
    );
}

#[test]
fn state_that_outlives_a_call_is_found() {
    let findings = findings("counting", &["repeat", "cut"]);
    assert!(findings.iter().all(|detail| detail.starts_with("column `float64`, row ")), "{findings:?}");
}

#[test]
fn a_schema_that_was_not_planned_is_found() {
    let findings = findings("renamed", &["contract"]);
    assert!(findings.iter().all(|detail| detail.contains("_other")), "{findings:?}");
}

#[test]
fn rows_that_are_missing_are_found() {
    let findings = findings("one-row", &["contract"]);
    assert!(findings.iter().any(|detail| detail.contains("1 rows for a batch of 1000")), "{findings:?}");
}

#[test]
fn parameters_that_the_schema_forbids_are_refused_before_anything_is_checked() {
    let program = Program::find().wafermill;
    let mut command = Command::new(program);
    command.args(["plugin", "check"]).arg(plugin("scale")).args(["--params", r#"{"method": "magic"}"#]);
    let output = command.output().expect("wafermill starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(output.stdout.is_empty() && errors.contains("magic") && errors.contains("hint: "), "{errors}");
}

#[test]
fn the_report_is_the_same_for_the_same_seed() {
    let report = |seed| check(&plugin("scale"), &["--params", "{}", "--rows", "100", "--seed", seed]).report;
    assert_eq!(report("7"), report("7"));
}
