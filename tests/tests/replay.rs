//! `--dump-batch` writes down the calls of plugins that fail, and `plugin replay` makes them again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;
use wafermill_tests::hostile::guest::Guest;
use wafermill_tests::program::Program;

const PIPELINE: &str =
    "[source]\npath = \"t.csv\"\n[[steps]]\nname = \"mine\"\nplugin = \"./guest.wasm\"\ncolumns = [\"x\"]\n";

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(TempDir::new().unwrap());
        home.write("t.csv", "x,secret\n1,7654321\n2,7654321\n3,7654321\n4,7654321\n");
        home.write("pipeline.toml", PIPELINE);
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), content).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Program::find().command(self.path()).args(arguments).output().unwrap()
    }

    /// Runs the pipeline, which fails, and tells how.
    fn fail(&self) -> String {
        let arguments = [
            "run",
            "pipeline.toml",
            "--out",
            "out",
            "--batch-rows",
            "2",
            "--workers",
            "1",
            "--dump-batch",
            "dump",
            "--overwrite",
        ];
        let output = self.run(&arguments);
        assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
        errors(&output)
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What went wrong, without notes and places.
fn failure(text: &str) -> &str {
    text.lines().find(|line| line.starts_with("error: ")).unwrap_or_default()
}

#[test]
fn a_call_that_traps_traps_again_alone() {
    let home = Home::new();
    for (export, folder) in [("transformer.apply", "mine-guest-apply"), ("fitter.update", "mine-guest-update")] {
        home.write("guest.wasm", Guest::default().before(export, "unreachable").component());
        let failed = home.fail();
        let dump = home.path().join("dump").join(folder);
        assert!(failed.contains(&format!("wafermill plugin replay {}\n", dump.display())), "{failed}");
        let again = errors(&home.run(&["plugin", "replay", dump.to_str().unwrap()]));
        assert!(failure(&again).contains(&format!("`{export}` trapped")), "{again}");
        assert_eq!(failure(&failed), failure(&again));
        // It holds rows, but none that the plugin was not given, and is for nobody else.
        for entry in fs::read_dir(&dump).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
            let content = fs::read(entry.path()).unwrap();
            assert!(!content.windows(7).any(|window| window == b"7654321"), "{:?}", entry.path());
        }
        assert_eq!(fs::metadata(&dump).unwrap().permissions().mode() & 0o777, 0o700);
    }
    assert_eq!(fs::metadata(home.path().join("dump")).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_dump_overwrites_none_and_another_plugin_is_taken_only_where_that_is_asked_for() {
    let home = Home::new();
    home.write("guest.wasm", Guest::default().before("transformer.apply", "unreachable").component());
    home.fail();
    assert!(home.fail().contains("dump/mine-guest-apply-2\n"));
    home.write("guest.wasm", Guest::default().component());
    let refused = errors(&home.run(&["plugin", "replay", "dump/mine-guest-apply"]));
    assert!(refused.contains("--any-digest"), "{refused}");
    let mended = home.run(&["plugin", "replay", "dump/mine-guest-apply", "--any-digest"]);
    let text = String::from_utf8(mended.stdout).unwrap();
    assert!(mended.status.success() && text.contains("returned 2 rows, by another plugin"), "{text}");
    let json = home.run(&["plugin", "replay", "dump/mine-guest-apply", "--any-digest", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["returned"], serde_json::json!([{ "table": null, "rows": 2 }]));
}

#[test]
fn what_a_model_does_not_know_is_told_again_with_its_tables_and_dictionaries() {
    let home = Home::new();
    home.write("old.csv", "city\nOslo\nLima\n");
    home.write("new.csv", "city\nLima\nOslo\nBonn\n");
    home.write(
        "pipeline.toml",
        "[source]\npath = \"old.csv\"\n[[steps]]\nname = \"city\"\nplugin = \"encode\"\ncolumns = [\"city\"]\n",
    );
    let fitted = home.run(&["fit", "pipeline.toml", "--out", "model"]);
    assert!(fitted.status.success(), "{}", errors(&fitted));
    let failed = errors(&home.run(&["apply", "model", "new.csv", "--out", "out", "--dump-batch", "dump"]));
    let again = errors(&home.run(&["plugin", "replay", "dump/city-encode-apply"]));
    assert!(failure(&failed).starts_with("error: ") && failed.contains("plugin replay"), "{failed}");
    assert_eq!(failure(&failed), failure(&again));
    assert!(again.contains("row 2"), "{again}");
}

#[test]
fn a_folder_that_cannot_be_written_does_not_hide_the_error() {
    let home = Home::new();
    home.write("dump", "a file");
    home.write("guest.wasm", Guest::default().before("transformer.apply", "unreachable").component());
    let failed = home.fail();
    assert!(
        failed.contains("trapped") && failed.contains("what it was given could not be written to dump"),
        "{failed}"
    );
}

#[test]
fn damaged_dumps_are_errors() {
    let home = Home::new();
    home.write("guest.wasm", Guest::default().before("transformer.apply", "unreachable").component());
    home.fail();
    let dump = home.path().join("dump/mine-guest-apply");
    for name in ["call.json", "selection.arrows", "batch.arrows", "model/00.arrow"] {
        let path = dump.join(name);
        let whole = fs::read(&path).unwrap();
        for end in [0, 7, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..end]).unwrap();
            // Without its last line `call.json` is whole.
            if name == "call.json" && end == whole.len() - 1 {
                continue;
            }
            let again = home.run(&["plugin", "replay", "dump/mine-guest-apply"]);
            let text = errors(&again);
            assert_eq!(again.status.code(), Some(1), "{name} {end}: {text}");
            assert!(text.contains(name) && !text.contains("panicked"), "{name} {end}: {text}");
        }
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn what_a_stranger_wrote_into_a_dump_is_not_passed_on_unchecked() {
    let home = Home::new();
    let params_schema = br#"{"type":"object"}"#.to_vec();
    let guest = Guest { params_schema, ..Guest::default() }.before("fitter.update", "unreachable");
    home.write("guest.wasm", guest.component());
    home.fail();
    let dump = home.path().join("dump/mine-guest-update");
    let call = fs::read_to_string(dump.join("call.json")).unwrap();
    let replay = |from: &str, to: &str| {
        let changed = call.replace(from, to);
        assert_ne!(changed, call, "{from} is not in {call}");
        fs::write(dump.join("call.json"), changed).unwrap();
        errors(&home.run(&["plugin", "replay", dump.to_str().unwrap()]))
    };
    let told = replay("\"params\": \"{}\"", "\"params\": \"7\"");
    assert!(failure(&told).contains("does not take the parameters") && told.contains("call.json"), "{told}");
    let told = replay("\"pass\": 0", "\"pass\": 4000000000");
    assert!(told.contains("`pass` is counted from 0"), "{told}");
    let told = replay("\"memory\": \"", "\"memory\": \"99999999");
    assert!(told.contains("is more than 4 GiB") && told.contains("call.json"), "{told}");
    fs::write(dump.join("call.json"), &call).unwrap();
    fs::rename(dump.join("batch.arrows"), home.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(home.path().join("elsewhere"), dump.join("batch.arrows")).unwrap();
    let told = errors(&home.run(&["plugin", "replay", dump.to_str().unwrap()]));
    assert!(told.contains("batch.arrows") && told.contains("it is no plain file"), "{told}");
}

#[test]
fn a_dump_has_no_model_that_is_elsewhere() {
    let home = Home::new();
    home.write("guest.wasm", Guest::default().before("transformer.apply", "unreachable").component());
    home.fail();
    let dump = home.path().join("dump/mine-guest-apply");
    fs::rename(dump.join("model"), home.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(home.path().join("elsewhere"), dump.join("model")).unwrap();
    let told = errors(&home.run(&["plugin", "replay", dump.to_str().unwrap()]));
    assert!(told.contains("mine-guest-apply/model\n") && told.contains("it is no folder"), "{told}");
}

#[test]
fn what_would_take_much_memory_is_not_read() {
    let home = Home::new();
    home.write("guest.wasm", Guest::default().before("transformer.apply", "unreachable").component());
    home.fail();
    let dump = home.path().join("dump/mine-guest-apply");
    let call = fs::read_to_string(dump.join("call.json")).unwrap();
    let many = format!("\"params\": \"{{\\\"text\\\": [0{}]}}\"", ",0".repeat(8_000_000));
    let start = call.find("\"params\"").unwrap();
    let end = start + call[start..].find('\n').unwrap() - 1;
    fs::write(dump.join("call.json"), format!("{}{many}{}", &call[..start], &call[end..])).unwrap();
    let told = errors(&home.run(&["plugin", "replay", dump.to_str().unwrap()]));
    assert!(told.contains("call.json") && told.contains("it has more than 8000000 values"), "{told}");
}
