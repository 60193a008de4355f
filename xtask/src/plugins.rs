//! Builds the guests: Rust crates to core modules, core modules to components.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wit_component::ComponentEncoder;

use crate::process;
use crate::sysroot::{StandardLibrary, TARGET};
use crate::workspace::Workspace;

/// Relaxed SIMD stays off: its results depend on the machine, and a model's bytes must not. The stack has Rust's default
/// of 1 MiB and lies first in memory, so that its overflow is a trap. Loops do more in an iteration than LLVM would have them do for a
/// guest: in each of them the host asks whether the call's time is over.
const RUSTFLAGS: [&str; 3] = [
    "-Ctarget-feature=+simd128,-relaxed-simd",
    "-Cllvm-args=-unroll-partial-threshold=150",
    "-Cllvm-args=-force-vector-interleave=4",
];

/// A folder of crates, each of which becomes a component.
struct Family {
    /// The folder, in the workspace.
    crates: &'static str,
    /// What precedes the folder's name in the name of a crate.
    prefix: &'static str,
    /// Where the components go, in the target directory.
    components: &'static str,
}

const PLUGINS: Family = Family { crates: "plugins", prefix: "wafermill-plugin-", components: "plugins" };
const TEST_GUESTS: Family = Family { crates: "tests/guests", prefix: "guest-", components: "plugins-test" };

/// Builds all plugins and returns the folder that they are in.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let [plugins] = build_families(workspace, [PLUGINS])?;
    Ok(plugins)
}

/// Builds all plugins and the tests' guests and returns the folders that they are in.
pub(crate) fn build_with_test_guests(workspace: &Workspace) -> Result<[PathBuf; 2]> {
    build_families(workspace, [PLUGINS, TEST_GUESTS])
}

fn build_families<const N: usize>(workspace: &Workspace, families: [Family; N]) -> Result<[PathBuf; N]> {
    let mut names = Vec::with_capacity(N);
    for family in &families {
        names.push(folder_names(&workspace.root.join(family.crates))?);
    }
    let packages =
        families.iter().zip(&names).flat_map(|(family, names)| names.iter().map(|name| family.package(name)));
    let modules = compile(workspace, packages)?;

    for (family, names) in families.iter().zip(&names) {
        let folder = workspace.target.join(family.components);
        // A plugin that is no longer built must not be found.
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        for name in names {
            let module = modules.join(format!("{}.wasm", family.package(name).replace('-', "_")));
            componentize(&module, &folder.join(format!("{name}.wasm")))?;
        }
    }
    Ok(families.map(|family| workspace.target.join(family.components)))
}

impl Family {
    fn package(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// Compiles packages to core modules, all by one call of cargo, and returns the folder that they are in.
fn compile(workspace: &Workspace, packages: impl Iterator<Item = String>) -> Result<PathBuf> {
    // Guests have a target directory of their own, as other flags and maybe another compiler would undo the host's.
    let target = workspace.target.join("guests");
    let mut cargo = workspace.cargo("build");
    cargo.env("CARGO_TARGET_DIR", &target).args(["--lib", "--profile", "guest", "--target", TARGET]);
    for package in packages {
        cargo.args(["--package", &package]);
    }
    StandardLibrary::find()?.configure(&mut cargo, &RUSTFLAGS);
    process::run(&mut cargo)?;
    Ok(target.join(TARGET).join("guest"))
}

/// The names of the crates in a folder, which need not exist.
fn folder_names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    if !folder.exists() {
        return Ok(names);
    }
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn componentize(module: &Path, component: &Path) -> Result<()> {
    let wasm = fs::read(module).with_context(|| format!("cannot read `{}`", module.display()))?;
    let wasm = ComponentEncoder::default()
        .module(&wasm)
        .and_then(|encoder| encoder.validate(true).encode())
        .with_context(|| format!("cannot make a component of `{}`", module.display()))?;
    fs::write(component, &wasm).with_context(|| format!("cannot write `{}`", component.display()))?;
    eprintln!("{:>7.1} KiB  {}", wasm.len() as f64 / 1024.0, component.display());
    Ok(())
}
