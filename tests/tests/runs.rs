//! Runs that succeed: what they write does not depend on how the table is stored, and programs can read what they print.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use tempfile::TempDir;
use wafermill_tests::dataset::Table;
use wafermill_tests::program::Program;
use wafermill_tests::{folder, tables};

const STEPS: &str = r#"
[split]
key = ["id"]
params = { parts = { train = 0.6, test = 0.4 }, seed = 3 }

[[steps]]
plugin = "impute"
columns = ["age"]
params = { strategy = "mean", indicator = true }

[[steps]]
plugin = "scale"
columns = ["age"]

[[steps]]
plugin = "encode"
columns = ["city"]
params = { unseen = "ignore" }
"#;

/// A folder with the tables in `tables`, and a pipeline over one of them.
struct Workplace {
    program: Program,
    home: TempDir,
}

impl Workplace {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        tables::write_all(&home.path().join("tables"));
        Self { program: Program::find().with_bundled_plugins(home.path()), home }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }

    /// Writes `pipeline.toml` over a table.
    fn pipeline(&self, source: &str, rest: &str) {
        fs::write(self.path("pipeline.toml"), format!("[source]\npath = \"{source}\"\n{rest}")).unwrap();
    }

    fn run(&self, arguments: &str) -> Output {
        let output = self.program.command(self.home.path()).args(arguments.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn json(&self, arguments: &str) -> Value {
        serde_json::from_slice(&self.run(arguments).stdout).unwrap()
    }

    fn part(&self, path: &str) -> Table {
        Table::of_part(&self.path(path))
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|it| it["name"].as_str().or(it.as_str()).unwrap()).collect()
}

fn relative(root: &Path) -> Vec<(std::path::PathBuf, Option<Vec<u8>>)> {
    let contents = folder::contents(root).into_iter();
    contents.map(|(path, bytes)| (path.strip_prefix(root).unwrap().to_owned(), bytes)).collect()
}

#[test]
fn rows_and_model_do_not_depend_on_how_the_table_is_stored() {
    let place = Workplace::new();
    let sources =
        ["people.parquet", "people.arrow", "people.arrows", "people.csv", "parts-parquet", "parts-arrow/*.arrow"];
    let mut first = None;
    for (index, source) in sources.iter().enumerate() {
        place.pipeline(&format!("tables/{source}"), STEPS);
        place.run(&format!("run pipeline.toml --out out{index} --batch-rows {}", index + 3));
        let parts = ["train", "test"].map(|part| place.part(&format!("out{index}/{part}")));
        assert_eq!(parts[0].rows.len() + parts[1].rows.len(), tables::ROWS);
        let model = fs::read(place.path(&format!("out{index}/model/steps/02-scale/model/scaling.arrow"))).unwrap();
        let (expected, expected_model) = first.get_or_insert_with(|| (parts, model.clone()));
        let parts = ["train", "test"].map(|part| place.part(&format!("out{index}/{part}")));
        assert_eq!(&parts, expected, "{source}");
        assert_eq!(&model, expected_model, "{source}");
    }
}

#[test]
fn a_model_applied_to_its_own_table_gives_what_the_run_gave() {
    let place = Workplace::new();
    place.pipeline("tables/people.parquet", STEPS);
    place.run("run pipeline.toml --out out");
    place.run("apply out/model tables/parts-parquet --out applied");
    let applied = place.part("applied/all");
    let (train, test) = (place.part("out/train"), place.part("out/test"));
    assert_eq!((&train.columns, &test.columns), (&applied.columns, &applied.columns));
    let mut together = [train.rows, test.rows].concat();
    together.sort_by_key(|row| row[0].parse::<u64>().unwrap());
    assert_eq!(together, applied.rows);
}

#[test]
fn a_csv_file_is_read_with_the_types_that_the_model_was_fitted_on() {
    let place = Workplace::new();
    place.pipeline("tables/people.csv", STEPS);
    place.run("fit pipeline.toml --out model");
    // By themselves these ages would be taken for integers, and for text.
    for (name, ages) in [("whole", ["30", "31"]), ("none", ["", ""])] {
        let csv = format!("id,age,city\n1,{},Oslo\n2,{},Lima\n", ages[0], ages[1]);
        fs::write(place.path(&format!("{name}.csv")), csv).unwrap();
        place.run(&format!("apply model {name}.csv --out {name}"));
        assert_eq!(place.part(&format!("{name}/all")).rows.len(), 2);
    }
}

#[test]
fn a_model_of_csv_files_is_applied_to_files_that_are_written_likewise_or_as_flags_say() {
    let place = Workplace::new();
    fs::write(place.path("fitted.csv"), "id;age;city\n1;30;Oslo\n2;NA;Lima\n3;50;Oslo\n").unwrap();
    place.pipeline("fitted.csv", &format!("csv = {{ delimiter = \";\", nulls = [\"NA\"] }}\n{STEPS}"));
    place.run("fit pipeline.toml --out model");
    place.run("apply model fitted.csv --out likewise");
    fs::write(place.path("tabs.txt"), "id\tage\tcity\n1\t30\tOslo\n2\t-\tLima\n3\t50\tOslo\n").unwrap();
    place.run(r"apply model tabs.txt --source-format csv --delimiter \t --null - --out flags");
    assert_eq!(place.part("likewise/all").rows.len(), 3);
    assert_eq!(place.part("likewise/all"), place.part("flags/all"));
}

#[test]
fn a_model_finds_its_plugin_by_the_digest_whatever_its_file_is_called() {
    let place = Workplace::new();
    fs::create_dir(place.path("mine")).unwrap();
    fs::copy(place.program.plugins.join("scale.wasm"), place.path("mine/my scaler.wasm")).unwrap();
    place.pipeline(
        "tables/people.parquet",
        "[[steps]]\nname = \"scale\"\nplugin = \"mine/my scaler.wasm\"\ncolumns = [\"age\"]\n",
    );
    place.run("run pipeline.toml --out out");
    place.run("apply out tables/people.parquet --plugins mine --out applied");
    assert_eq!(place.part("applied/all"), place.part("out/all"));
}

#[test]
fn fit_writes_the_model_of_a_run() {
    let place = Workplace::new();
    place.pipeline("tables/people.parquet", STEPS);
    place.run("run pipeline.toml --out out");
    place.run("fit pipeline.toml --out model");
    assert_eq!(relative(&place.path("out/model")), relative(&place.path("model")));
}

#[test]
fn a_list_is_an_arrow_stream_with_the_part_as_its_last_column() {
    let place = Workplace::new();
    place.pipeline("tables/people.parquet", &format!("{STEPS}\n[output]\naggregate = \"list\"\n"));
    let output = place.run("run pipeline.toml --out out");
    let mut table = Table::default();
    for batch in arrow_ipc::reader::StreamReader::try_new(output.stdout.as_slice(), None).unwrap() {
        table.push(&batch.unwrap());
    }
    assert_eq!((table.rows.len(), table.columns.last().unwrap().as_str()), (tables::ROWS, "part"));
    assert!(table.rows.iter().all(|row| ["train", "test"].contains(&row.last().unwrap().as_str())));
    assert!(String::from_utf8(output.stderr).unwrap().contains("40 rows, 3 columns in"));
    assert!(place.path("out/model/manifest.json").exists());
}

#[test]
fn an_empty_table_gives_an_empty_dataset_where_nothing_is_fitted() {
    let place = Workplace::new();
    let hash = "[[steps]]\nplugin = \"encode\"\ncolumns = [\"city\"]\nparams = { method = \"hash\", buckets = 8 }\n";
    place.pipeline("tables/no-rows.parquet", hash);
    place.run("run pipeline.toml --out out");
    let all = place.part("out/all");
    assert_eq!((all.columns, all.rows.len()), (["id", "age", "city"].map(String::from).to_vec(), 0));
}

#[test]
fn reports_for_programs_are_json() {
    let place = Workplace::new();
    place.pipeline("tables/people.parquet", STEPS);

    let plan = place.json("plan pipeline.toml --json");
    assert_eq!(names(&plan["steps"]), ["split", "impute", "scale", "encode"]);
    assert_eq!(names(&plan["columns"]), ["id", "age", "age_missing", "city_*"]);
    assert_eq!(plan["steps"][2]["wave"], 2);

    let table = place.json("inspect tables/people.parquet --json");
    assert_eq!((&table["rows"], table["fragments"].as_array().unwrap().len()), (&tables::ROWS.into(), 4));
    assert_eq!(names(&table["columns"]), ["id", "age", "city"]);

    let report = place.json("run pipeline.toml --out out --json");
    assert_eq!(report["rows"], tables::ROWS);
    assert_eq!(names(&report["steps"]), ["split", "impute", "scale", "encode"]);
    let written: Value = serde_json::from_slice(&fs::read(place.path("out/report.json")).unwrap()).unwrap();
    assert_eq!(report, written);

    let model = place.json("model show out --json");
    assert_eq!(names(&model["columns"])[..3], ["id", "age", "age_missing"]);
    assert!(model["steps"][1]["digest"].as_str().unwrap().starts_with("sha256:"));

    let plugins = place.json("plugin list --json");
    let listed = plugins.as_array().unwrap().iter().map(|plugin| plugin["description"]["name"].as_str().unwrap());
    assert_eq!(listed.collect::<Vec<_>>(), ["encode", "filter", "impute", "profile", "scale", "split"]);

    let plugin = place.json("plugin info scale --json");
    assert_eq!(plugin["description"]["role"], "transform");
    assert!(plugin["description"]["params_schema"]["properties"]["method"].is_object());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let place = Workplace::new();
    for arguments in [&["plugin", "list"][..], &["plugin", "check", "split", "--rows", "10"]] {
        let mut command = place.program.command(place.home.path());
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn overwriting_replaces_the_whole_dataset() {
    let place = Workplace::new();
    place.pipeline("tables/people.parquet", STEPS);
    place.run("run pipeline.toml --out out");
    place.pipeline("tables/people.parquet", "");
    place.run("run pipeline.toml --out out --overwrite");
    let mut found: Vec<_> = fs::read_dir(place.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(found, ["all", "model", "report.json"]);
}
