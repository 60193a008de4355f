//! The standard library of `wasm32-unknown-unknown`, without which no plugin compiles.
//!
//! Most people have it, or get it from `rustup target add`. Where rustup's server is out of reach, Debian's mirror seldom is,
//! and its package `rust-web-src` has the library's source; but only the compiler of that very version can build it, the
//! one in `rustc-web`. So guests are then compiled by `/usr/bin/rustc`, and cargo's `-Zbuild-std` builds the library
//! with them, once for each version of the compiler and each set of flags. `RUSTC_BOOTSTRAP` lets stable tools do that.
//! Debian's compiler comes without a linker for Wasm; any LLVM of about its age will do, and rustup's toolchain has one.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::process;

/// The target of all guests.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's packages: the compiler, and the source of its standard library.
const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// Where the standard library comes from.
pub(crate) enum StandardLibrary {
    /// The active toolchain has it.
    Installed,
    /// Cargo builds it from source, with its own compiler.
    Source {
        /// The compiler that the source belongs to.
        rustc: PathBuf,
        /// A linker for Wasm.
        linker: PathBuf,
    },
}

impl StandardLibrary {
    /// Finds the standard library, or does what it takes to have it.
    pub(crate) fn find() -> Result<Self> {
        if is_installed()? {
            return Ok(Self::Installed);
        }
        let debian = Path::new(DEBIAN_RUSTC);
        if !has_source(debian) {
            if add_target().is_ok() && is_installed()? {
                return Ok(Self::Installed);
            }
            install_packages()?;
            ensure!(has_source(debian), "`{DEBIAN_RUSTC}` has no source of its standard library\n{ADVICE}");
        }
        Ok(Self::Source { rustc: debian.to_owned(), linker: find_linker()? })
    }

    /// Makes `cargo build` for [`TARGET`] use it.
    pub(crate) fn configure(&self, cargo: &mut Command, rustflags: &[&str]) {
        let mut rustflags: Vec<OsString> = rustflags.iter().map(OsString::from).collect();
        if let Self::Source { rustc, linker } = self {
            let mut flag = OsString::from("-Clinker=");
            flag.push(linker);
            rustflags.push(flag);
            cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
        }
        // Unlike `RUSTFLAGS`, this one takes paths with spaces.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", rustflags.join(OsString::from("\x1f").as_os_str()));
    }
}

const ADVICE: &str = "hint: plugins need the standard library of `wasm32-unknown-unknown`; get it with \
     `rustup target add wasm32-unknown-unknown`, or on Debian with `apt-get install rustc-web rust-web-src`";

fn is_installed() -> Result<bool> {
    let folder = process::read(rustc().args(["--print", "target-libdir", "--target", TARGET]))?;
    Ok(has_file(Path::new(&folder), "libstd-"))
}

fn has_file(folder: &Path, prefix: &str) -> bool {
    let files = folder.read_dir().into_iter().flatten().flatten();
    files.map(|file| file.file_name()).any(|name| name.to_string_lossy().starts_with(prefix))
}

fn has_source(rustc: &Path) -> bool {
    let sysroot = process::read(Command::new(rustc).args(["--print", "sysroot"]));
    sysroot.is_ok_and(|sysroot| Path::new(&sysroot).join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file())
}

fn add_target() -> Result<()> {
    process::run_within(Duration::from_secs(120), Command::new("rustup").args(["target", "add", TARGET]))
}

fn install_packages() -> Result<()> {
    ensure!(Path::new("/etc/debian_version").exists(), "the standard library for plugins is missing\n{ADVICE}");
    let is_root = process::read(Command::new("id").arg("-u"))? == "0";
    if !is_root {
        bail!("only root can install Debian's packages `{}`\n{ADVICE}", PACKAGES.join("` and `"));
    }
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-o", "Dpkg::Use-Pty=0"]);
        command
    };
    process::run(apt().arg("update"))?;
    process::run(apt().args(["install", "--yes", "--no-install-recommends"]).args(PACKAGES)).context(ADVICE)
}

fn find_linker() -> Result<PathBuf> {
    let library = process::read(rustc().args(["--print", "target-libdir"]))?;
    let linker = Path::new(&library).with_file_name("bin").join("rust-lld");
    ensure!(linker.is_file(), "`{}` is missing\nhint: use a Rust toolchain from rustup", linker.display());
    Ok(linker)
}

fn rustc() -> Command {
    Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}
