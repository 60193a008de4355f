//! `wafermill plugin check`: the bundled plugins keep to the contract, and guests that do not are found out.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wafermill_tests::hostile::guest::Guest;
use wafermill_tests::program::Program;

fn plugin(name: &str) -> PathBuf {
    Program::find().plugins.join(format!("{name}.wasm"))
}

fn guest(name: &str) -> PathBuf {
    Program::find().guests.join(format!("{name}.wasm"))
}

struct Checked {
    success: bool,
    json: Value,
    errors: String,
}

fn check(component: &Path, arguments: &[&str]) -> Checked {
    let program = Program::find();
    let mut command = Command::new(program.wafermill);
    command.args(["plugin", "check", "--json"]).arg(component).arg("--plugins").arg(program.plugins).args(arguments);
    let output = command.output().expect("wafermill starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    Checked { success: output.status.success(), json, errors }
}

impl Checked {
    fn report(&self) -> &Value {
        &self.json["report"]
    }

    fn list(&self, key: &str) -> &[Value] {
        self.report()[key].as_array().expect("a report has lists")
    }

    /// The laws of which a number is not zero.
    fn laws(&self, number: &str) -> Vec<&str> {
        let laws = self.list("laws").iter().filter(|tally| tally[number] != 0);
        laws.map(|tally| tally["law"].as_str().expect("a law has a name")).collect()
    }
}

fn passes(component: &Path, laws: &[&str]) -> Checked {
    let checked = check(component, &[]);
    assert!(checked.success, "{}\n{:#}", checked.errors, checked.report()["findings"]);
    assert_eq!((checked.laws("failed"), &checked.json["passed"]), (Vec::new(), &Value::Bool(true)));
    let looked_at = checked.laws("checked");
    assert!(laws.iter().all(|law| looked_at.contains(law)), "{looked_at:?}");
    checked
}

#[test]
fn split_keeps_every_law_and_needs_no_column() {
    let checked = passes(&plugin("split"), &["describe", "plan", "contract", "instance", "outputs", "repeat", "cut"]);
    let bare = checked.list("parameters").iter().find(|set| set["accepts"].as_array().is_some_and(Vec::is_empty));
    assert_eq!(bare.expect("a split by the hash of whole rows is tried")["role"], "key");
}

#[test]
fn filter_keeps_every_law() {
    passes(&plugin("filter"), &["describe", "plan", "contract", "instance", "outputs", "repeat", "cut", "dictionary"]);
}

#[test]
fn a_filter_and_a_split_that_learn_of_one_column_keep_every_law() {
    for name in ["below-largest", "halves"] {
        let checked = passes(&guest(name), &["instance", "partition", "finish", "repeat", "cut"]);
        let set = &checked.list("parameters")[0];
        assert_eq!(
            (set["role"].as_str(), &set["accepts"]),
            (Some("feature"), &serde_json::json!(["float64"])),
            "{name}"
        );
    }
}

#[test]
fn impute_keeps_every_law() {
    passes(&plugin("impute"), &["instance", "partition", "finish", "outputs", "repeat", "cut", "dictionary"]);
}

#[test]
fn scale_keeps_every_law() {
    passes(&plugin("scale"), &["instance", "partition", "finish", "outputs", "repeat", "cut"]);
}

#[test]
fn encode_keeps_every_law() {
    passes(&plugin("encode"), &["instance", "partition", "finish", "outputs", "repeat", "cut", "dictionary"]);
}

#[test]
fn profile_keeps_every_law() {
    passes(&plugin("profile"), &["describe", "plan", "contract", "instance", "partition", "finish", "dictionary"]);
}

#[test]
fn an_aggregate_of_one_pass_keeps_every_law_and_is_not_applied() {
    let checked = passes(&guest("sizes"), &["partition", "finish"]);
    assert!(!checked.laws("checked").iter().any(|law| ["outputs", "repeat", "cut"].contains(law)));
}

#[test]
fn a_plan_that_asks_for_passes_that_it_does_not_need_is_found() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("guest.wasm");
    let guest = Guest { reads: Vec::new(), least_passes: 2, planned_passes: 3, ..Guest::default() };
    fs::write(&path, guest.component()).expect("a component can be written");
    let checked = check(&path, &["--rows", "20", "--partitions", "1"]);
    assert_eq!(checked.laws("failed"), ["contract"]);
    for finding in checked.list("findings") {
        assert_eq!(finding["detail"], "the plugin has its model after fewer passes than it planned at least");
    }
}

/// A guest breaks this law and no other: the first finding of it, with its counterexample.
fn broken(name: &str, law: &str, arguments: &[&str]) -> (String, Value) {
    let checked = check(&guest(name), arguments);
    assert!(!checked.success && checked.json["passed"] == false, "{:#}", checked.json);
    assert_eq!(checked.laws("failed"), [law], "{:#}", checked.report()["findings"]);
    assert!(
        checked.errors.starts_with(&format!("error: `{name}` breaks the contract: `{law}`\n")),
        "{}",
        checked.errors
    );
    let smallest = &checked.list("findings")[0]["counterexample"];
    let detail = smallest["detail"].as_str().unwrap_or_else(|| panic!("nothing was made smaller: {:#}", checked.json));
    (detail.to_owned(), smallest.clone())
}

fn sizes(smallest: &Value) -> (&Value, u64, usize) {
    let others = smallest["other_rows"].as_array().expect("rows are a list").len();
    (&smallest["reads"], smallest["row_count"].as_u64().expect("rows are counted"), others)
}

#[test]
fn a_model_that_depends_on_the_order_of_rows_is_found_on_two_rows() {
    let (detail, smallest) = broken("first-value", "partition", &[]);
    assert_eq!(sizes(&smallest), (&serde_json::json!(["float64"]), 2, 0));
    assert!(detail.contains("partial table `first`: column `first`, row 0: `"), "{detail}");
    assert!(detail.contains(" gets row"), "{detail}");
    assert_ne!(smallest["rows"][0], smallest["rows"][1]);
}

#[test]
fn state_that_outlives_a_call_is_found_on_one_row() {
    let (detail, smallest) = broken("counting", "repeat", &[]);
    assert_eq!(sizes(&smallest), (&serde_json::json!(["float64"]), 1, 0));
    assert!(detail.starts_with("column `float64`, row 0: `"), "{detail}");
}

#[test]
fn a_plan_that_is_not_true_of_one_type_is_found_without_a_row() {
    let (detail, smallest) = broken("renamed", "contract", &[]);
    assert_eq!(sizes(&smallest), (&serde_json::json!(["float64"]), 0, 0));
    assert!(detail.contains("`transformer.outputs`") && detail.contains("float64_other"), "{detail}");
}

#[test]
fn rows_that_are_missing_where_one_is_null_are_found_on_that_row() {
    let (detail, smallest) = broken("drops-nulls", "contract", &[]);
    assert_eq!(sizes(&smallest), (&serde_json::json!(["float64"]), 1, 0));
    assert_eq!(smallest["rows"], serde_json::json!([[null]]));
    assert!(detail.contains("0 rows for a batch of 1"), "{detail}");
}

#[test]
fn what_depends_on_addresses_is_found_in_another_instance() {
    let (detail, smallest) = broken("random-hash", "instance", &[]);
    assert_eq!(sizes(&smallest), (&serde_json::json!(["float64"]), 1, 0));
    assert!(detail.contains("whose parameters end with spaces"), "{detail}");
}

#[test]
fn a_finisher_that_forgets_pieces_of_its_partials_is_found() {
    let params = r#"{"forgets": "all but the last"}"#;
    let (detail, smallest) = broken("sizes", "finish", &["--params", params]);
    // One row of each of two parts.
    assert_eq!(smallest["row_count"], 2, "{smallest:#}");
    assert!(detail.starts_with("model table `sizes`: "), "{detail}");
}

#[test]
fn what_was_found_is_told_with_the_rows_that_show_it_again() {
    let mut command = Command::new(Program::find().wafermill);
    let output = command.args(["plugin", "check"]).arg(guest("drops-nulls")).output().expect("wafermill starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    for part in [
        "law `contract` does not hold: it neither traps nor breaks limits",
        "  smallest    1 row\n  columns     float64: Float64\n    row  float64\n    0    null\n",
        "  there       `transformer.apply` returned what the contract forbids: 0 rows for a batch of 1\n",
        "  again       wafermill plugin check ",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn what_a_plugin_takes_and_costs_is_told_beside_a_bundled_one() {
    let checked = check(&plugin("scale"), &["--params", "{}", "--rows", "100"]);
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{:#}", checked.json));
    let (report, cost) = (checked.report(), &checked.json["cost"]);
    assert!(number(&report["memory"]) > 1e6 && number(&report["memory"]) < number(&checked.json["limits"]["memory"]));
    assert!(number(&report["returned"]) >= 800.0, "a hundred doubles are returned");
    let apply =
        checked.list("exports").iter().find(|used| used["export"] == "transformer.apply").expect("it is applied");
    assert!(number(&apply["calls"]) > 100.0 && number(&apply["most_instructions"]) > 100.0);
    let bundled = &cost["bundled"];
    assert_ne!(bundled["plugin"], "scale", "it is compared with another one");
    for cost in [&cost["checked"], bundled] {
        assert_eq!((&cost["column"], &cost["rows"]), (&Value::from("float64"), &Value::from(8192)));
        let per_row = number(&cost["apply_instructions_per_row"]);
        assert!(per_row > 1.0 && per_row < 10_000.0, "{per_row}");
    }
}

#[test]
fn parameters_that_the_schema_forbids_are_refused_before_anything_is_checked() {
    let refused = |params: &str| {
        let mut command = Command::new(Program::find().wafermill);
        command.args(["plugin", "check"]).arg(plugin("scale")).args(["--params", params]);
        let output = command.output().expect("wafermill starts");
        assert!(output.stdout.is_empty());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, errors) = refused(r#"{"method": "magic"}"#);
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("magic") && errors.contains("hint: "), "{errors}");
    let (status, errors) = refused("{method: 1}");
    assert_eq!(status, Some(2), "{errors}");
    assert!(errors.contains("--params"), "{errors}");
}

#[test]
fn the_report_is_the_same_for_the_same_seed() {
    let report = |seed| check(&plugin("scale"), &["--params", "{}", "--rows", "100", "--seed", seed]).report().clone();
    assert_eq!(report("7"), report("7"));
}
