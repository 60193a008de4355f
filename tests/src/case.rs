//! Cases as data: a folder with what a command is given, and `expected.txt` with what it prints.
//!
//! Beside the files that the command reads, a case may have `args` (by default `run pipeline.toml --out out`) and `setup`, a shell
//! script that runs before, in which `wafermill` is the program. Files `NAME.wat` become `NAME.wasm`. The tables of
//! [`tables`] are in `../tables`, the broken plugins in `../guests`. `UPDATE=1` writes what is expected anew, and `CASE=NAME` runs one case.

use crate::program::Program;
use crate::{folder, tables};
use std::env;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use tempfile::TempDir;

/// What is run where a case has no `args`.
const ARGUMENTS: &str = "run pipeline.toml --out out";

/// Runs all cases in a folder of `cases`: each must print what is expected, and must not change a file.
///
/// # Panics
/// Where some of them do otherwise.
pub fn check_all(group: &str) {
    let program = Program::find();
    let group = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(group);
    let entries = fs::read_dir(&group).expect("the folder of cases can be read");
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    cases.sort();
    if let Ok(wanted) = env::var("CASE") {
        cases.retain(|case| case.file_name().is_some_and(|name| *name == *wanted));
    }
    let next = Mutex::new(cases.into_iter());
    let failures = Mutex::new(Vec::new());
    let take = || next.lock().expect("no thread panics with it").next();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(case) = take() {
                    if let Err(failure) = check(&program, &case) {
                        failures.lock().expect("no thread panics with it").push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no thread panics with it");
    assert!(failures.is_empty(), "{}\nif this is right, run the tests with UPDATE=1", failures.join("\n"));
}

fn check(program: &Program, case: &Path) -> Result<(), String> {
    let home = TempDir::new().expect("a temporary folder can be made");
    let folder = home.path().join("case");
    folder::copy(case, &folder);
    tables::write_all(&home.path().join("tables"));
    symlink(&program.guests, home.path().join("guests")).expect("a link can be made");
    let program = &program.with_bundled_plugins(home.path());
    compile_components(&folder);
    if let Ok(script) = fs::read_to_string(case.join("setup")) {
        let setup = run(&mut program.script(&script, &folder));
        assert!(setup.status.success(), "the setup of {} failed: {}", case.display(), text(&setup.stderr));
    }
    let before = folder::contents(home.path());
    let arguments = fs::read_to_string(case.join("args")).unwrap_or_else(|_| ARGUMENTS.to_owned());
    let output = run(program.command(&folder).args(arguments.split_whitespace()));
    let found = anonymous(&render(&arguments, &output), home.path(), program);
    let changed = folder::contents(home.path()) != before;
    let expected_path = case.join("expected.txt");
    if env::var_os("UPDATE").is_some() {
        fs::write(&expected_path, &found).expect("what is expected can be written");
    }
    let expected = fs::read_to_string(&expected_path).unwrap_or_default();
    let name = case.display();
    match (changed, found == expected) {
        (true, _) => Err(format!("{name}: files were changed or left behind\n{found}")),
        (false, true) => Ok(()),
        (false, false) => Err(format!("{name}: expected\n{expected}\nfound\n{found}")),
    }
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the program can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("what is printed is UTF-8")
}

fn render(arguments: &str, output: &Output) -> String {
    let status = output.status.code().map_or_else(|| "a signal".to_owned(), |code| code.to_string());
    let mut rendered = format!("$ wafermill {}\nexit status: {status}\n", arguments.trim());
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(rendered, "--- {name}\n{}", text(bytes));
        }
    }
    rendered
}

/// Without what differs between machines and builds: folders and digests.
fn anonymous(text: &str, home: &Path, program: &Program) -> String {
    const HEX: usize = 64;
    let text =
        text.replace(&*program.plugins.to_string_lossy(), "[PLUGINS]").replace(&*home.to_string_lossy(), "[DIR]");
    let mut pieces = text.split("sha256:");
    let mut anonymous = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digest = piece.bytes().take(HEX).take_while(u8::is_ascii_hexdigit).count();
        anonymous += if digest == HEX { "sha256:[DIGEST]" } else { "sha256:" };
        anonymous += &piece[if digest == HEX { HEX } else { 0 }..];
    }
    anonymous
}

fn compile_components(folder: &Path) {
    let entries = fs::read_dir(folder).expect("the case can be read");
    for path in entries.map(|entry| entry.expect("the case can be read").path()) {
        if path.extension().is_some_and(|extension| extension == "wat") {
            let component = wat::parse_file(&path).expect("a component of the case is well written");
            fs::write(path.with_extension("wasm"), component).expect("a component can be written");
        }
    }
}
