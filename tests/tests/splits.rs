//! Splits that learn: no bundled one does, the guest `halves` of the tests is one.

use std::fs;
use std::process::Output;
use tempfile::TempDir;
use wafermill_tests::dataset::Table;
use wafermill_tests::program::Program;
use wafermill_tests::{folder, tables};

const SPLIT: &str = "[split]\nplugin = \"plugins/halves.wasm\"\ncolumns = [\"age\"]\n";
const SCALE: &str = "[[steps]]\nplugin = \"scale\"\ncolumns = [\"id\"]\nparams = { method = \"maxabs\" }\n";

/// A folder with the tables in `tables`, and the plugins that are needed in `plugins`.
struct Workplace {
    program: Program,
    home: TempDir,
}

impl Workplace {
    fn new() -> Self {
        let place = Self { program: Program::find(), home: TempDir::new().unwrap() };
        let home = place.home.path();
        tables::write_all(&home.join("tables"));
        fs::create_dir(home.join("plugins")).unwrap();
        for (folder, name) in [(&place.program.guests, "halves.wasm"), (&place.program.plugins, "scale.wasm")] {
            fs::copy(folder.join(name), home.join("plugins").join(name)).unwrap();
        }
        place
    }

    fn start(&self, arguments: &str) -> Output {
        let arguments = arguments.split_whitespace().chain(["--plugins", "plugins"]);
        self.program.command(self.home.path()).args(arguments).output().unwrap()
    }

    /// Runs a command on a pipeline over a table, or on a model.
    fn run(&self, source: &str, sections: &str, arguments: &str) {
        let pipeline = format!("[source]\npath = \"tables/{source}\"\n{sections}");
        fs::write(self.home.path().join("pipeline.toml"), pipeline).unwrap();
        let output = self.start(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn files(&self, model: &str) -> Vec<(std::path::PathBuf, Option<Vec<u8>>)> {
        let root = self.home.path().join(model);
        let contents = folder::contents(&root).into_iter();
        contents.map(|(path, bytes)| (path.strip_prefix(&root).unwrap().to_owned(), bytes)).collect()
    }
}

#[test]
fn steps_are_fitted_on_the_training_part_of_a_split_that_was_fitted_on_all_rows() {
    let place = Workplace::new();
    place.run("people.parquet", &format!("{SPLIT}{SCALE}"), "run pipeline.toml --out out");
    let column = |part: &str, name: &str| -> Vec<f64> {
        let table = Table::of_part(&place.home.path().join("out").join(part));
        let column = table.columns.iter().position(|column| column == name).unwrap();
        // A null is written as nothing.
        table.rows.iter().map(|row| row[column].parse().unwrap_or(0.0)).collect()
    };
    // Ages are 20 to 59, the largest of them in the row of the largest id; half of it is 29.5, which row 9 is the last to be below.
    let (low, high) = (column("low", "age"), column("high", "age"));
    assert!(low.iter().all(|age| *age <= 29.5) && high.iter().all(|age| *age > 29.5), "{low:?} {high:?}");
    assert_eq!(low.len() + high.len(), tables::ROWS);
    // The largest id of the low rows is 1 once it is scaled, be its age small or null.
    assert_eq!(column("low", "id").into_iter().fold(0.0, f64::max), 1.0);
    assert!(column("high", "id").into_iter().fold(0.0, f64::max) > 1.0);
}

#[test]
fn rows_are_added_to_a_split_that_learns_and_not_to_what_stands_behind_it() {
    let place = Workplace::new();
    place.run("parts-parquet", SPLIT, "fit pipeline.toml --out wanted");
    place.run("parts-parquet/0.parquet", SPLIT, "fit pipeline.toml --out added0");
    for part in 1..4 {
        let before = part - 1;
        let add = format!("fit --add added{before} tables/parts-parquet/{part}.parquet --out added{part}");
        place.run("people.parquet", SPLIT, &add);
    }
    assert_eq!(place.files("added3"), place.files("wanted"));
    assert_ne!(place.files("added0"), place.files("wanted"));

    place.run("people.parquet", &format!("{SPLIT}{SCALE}"), "fit pipeline.toml --out model");
    let output = place.start("fit --add model tables/people.parquet --out out");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("`scale` sees the rows of a part, which depend on what `split` learns"), "{said}");
    assert!(!place.home.path().join("out").exists());
}
