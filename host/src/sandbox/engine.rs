//! The engines that compile and run plugins.

use super::bindings::PluginPre;
use super::cache::Cache;
use super::clock::Clock;
use super::compile::{Compiler, GivenUp};
use super::guests::GuestMemory;
use super::limits::{FRAMES, STACK};
use super::plugin::Host;
use super::scan::{Interface, Refusal, scan};
use super::store::{State, add_log_to_linker};
use super::{Limits, Plugin, wasi};
use crate::digest::digest;
use crate::memory::format_size;
use crate::{Error, Result, plain_file};
use std::path::Path;
use std::sync::Arc;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, WasmBacktraceDetails};

/// The one interface that a plugin may import beside those of WASI.
pub(super) const LOGGING: &str = "wafermill:plugin/logging@0.1.0";

/// Compiles plugins and runs them.
pub struct Sandbox {
    by_time: Runtime,
    /// Its code counts instructions, which costs time: it is for plugins whose limits ask for that.
    by_fuel: Runtime,
    compiler: Compiler,
    cache: Option<Cache>,
    clock: Arc<Clock>,
    memory: GuestMemory,
}

/// An engine, with what its guests may import.
struct Runtime {
    engine: Engine,
    linker: Linker<State>,
}

impl Runtime {
    fn new(interrupts: bool, counts_fuel: bool) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config.wasm_component_model(true);
        config.epoch_interruption(interrupts);
        config.consume_fuel(counts_fuel);
        config.max_wasm_stack(STACK);
        // Results must not depend on the machine.
        config.wasm_relaxed_simd(false);
        config.cranelift_nan_canonicalization(true);
        config.wasm_backtrace_max_frames(Some(FRAMES));
        // Debug information would be read by code that is not made for what a stranger writes.
        config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        add_log_to_linker(&mut linker)?;
        wasi::add_to_linker(&mut linker)?;
        Ok(Self { engine, linker })
    }
}

/// What can be told of a component without compiling or running any of it.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// `sha256:` and the digest of its bytes.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
    /// What it imports and exports.
    pub interface: Interface,
}

impl Sandbox {
    /// A new engine. Compiled code is kept in the user's cache folder.
    ///
    /// # Errors
    /// Where this machine cannot run WebAssembly.
    pub fn new() -> Result<Self> {
        Self::with_cache(Cache::default_folder().as_deref())
    }

    /// A new engine that keeps compiled code in this folder, or nowhere.
    ///
    /// # Errors
    /// Where this machine cannot run WebAssembly.
    pub fn with_cache(folder: Option<&Path>) -> Result<Self> {
        Self::start(folder, true)
    }

    /// A new engine whose calls end by themselves only, to measure what deadlines cost.
    #[cfg(test)]
    pub(crate) fn without_interruption() -> Result<Self> {
        Self::start(None, false)
    }

    fn start(folder: Option<&Path>, interrupts: bool) -> Result<Self> {
        let failed = |error: wasmtime::Error| Error::internal("the WebAssembly engine cannot start").because(error);
        let by_time = Runtime::new(interrupts, false).map_err(failed)?;
        let by_fuel = Runtime::new(interrupts, true).map_err(failed)?;
        let clock = Arc::new(Clock::start(vec![by_time.engine.clone(), by_fuel.engine.clone()]));
        let cache = folder.and_then(Cache::open);
        Ok(Self { by_time, by_fuel, compiler: Compiler::default(), cache, clock, memory: GuestMemory::default() })
    }

    /// Loads a component from a file. Where it is pinned, nothing of a component with another digest is compiled or run.
    ///
    /// # Errors
    /// Where the file cannot be read, is another than the pinned one, is no plugin, or imports what plugins may not.
    pub fn load(&self, path: &Path, limits: &Limits, pinned: Option<&str>) -> Result<Arc<Plugin>> {
        let bytes = read_component(path, limits.component)?;
        let digest = digest(&bytes);
        if pinned.is_some_and(|pinned| pinned != digest) {
            return Err(Error::sandbox("the plugin changed while it was loaded").file(path));
        }
        let interface = scan(&bytes).map_err(|refusal| refused(refusal).file(path))?;
        check_imports(&interface).map_err(|error| error.file(path))?;
        let runtime = if limits.fuel.is_some() { &self.by_fuel } else { &self.by_time };
        let size = bytes.len() as u64;
        let component = self.compile(&runtime.engine, &bytes.into(), &digest, limits).map_err(|error| {
            let hint = match error.downcast_ref::<GivenUp>() {
                Some(GivenUp::TooCostly { limit, .. }) => {
                    format!("no honest plugin was seen to need so much; the limit is `{limit}` in `[limits]` of the pipeline file")
                }
                Some(GivenUp::Another) => "remove the one that was given up, and run again".to_owned(),
                None => "plugins are components; `cargo xtask plugins` makes those of this repository".to_owned(),
            };
            Error::sandbox("the component cannot be compiled").file(path).because(error).hint(hint)
        })?;
        let ready = runtime.linker.instantiate_pre(&component).and_then(PluginPre::new).map_err(|error| {
            Error::sandbox("the component is no wafermill plugin")
                .file(path)
                .because(error)
                .hint("a plugin exports `wafermill:plugin/guest@0.1.0`; see wit/plugin.wit")
        })?;
        let host = Host { clock: self.clock.clone(), memory: self.memory.clone() };
        Plugin::new(ready, host, path, digest, size, limits.clone()).map(Arc::new)
    }

    fn compile(
        &self,
        engine: &Engine,
        bytes: &Arc<[u8]>,
        digest: &str,
        limits: &Limits,
    ) -> wasmtime::Result<Component> {
        let compile = || self.compiler.compile(engine, bytes, limits);
        match &self.cache {
            Some(cache) => cache.load(engine, digest, compile),
            None => compile(),
        }
    }
}

/// Reads a component, without compiling or running any of it.
///
/// # Errors
/// Where it cannot be read, has more than `most` bytes, or is no component.
pub fn inspect(path: &Path, most: u64) -> Result<Inspection> {
    let bytes = read_component(path, most)?;
    let interface = scan(&bytes).map_err(|refusal| refused(refusal).file(path))?;
    Ok(Inspection { digest: digest(&bytes), bytes: bytes.len() as u64, interface })
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Unreadable(cause) => Error::sandbox("the file is no WebAssembly component")
            .because(cause)
            .hint("plugins are components; `cargo xtask plugins` makes those of this repository"),
        Refusal::TooLarge(cause) => Error::sandbox("the component is too costly to compile")
            .because(cause)
            .hint("no plugin needs so much; report it to its author"),
    }
}

fn check_imports(interface: &Interface) -> Result<()> {
    // Types are no capability: an interface of types only holds no functions to call.
    let mut imports = interface.imports.iter();
    let allowed = |name: &str| name == LOGGING || name == "wafermill:plugin/types@0.1.0" || wasi::is_provided(name);
    match imports.find(|name| !allowed(name)) {
        None => Ok(()),
        Some(name) => {
            let message = format!("the plugin imports `{name}`, and plugins may import `{LOGGING}` and WASI 0.2 only");
            Err(Error::sandbox(message).hint(match name.starts_with("wasi:http/") {
                true => "there is no network: build it without, as ComponentizeJS does with `http` and `fetch-event` disabled",
                false => "build it for wasm32-unknown-unknown, which needs no imports, or for WASI 0.2",
            }))
        }
    }
}

/// `sha256:` and the digest of the component at a path, which may have `most` bytes.
///
/// # Errors
/// Where it cannot be read.
pub fn component_digest(path: &Path, most: u64) -> Result<String> {
    Ok(digest(&read_component(path, most)?))
}

/// Of a component that has more than `most` bytes.
pub(super) fn too_large(path: &Path, most: u64) -> Error {
    Error::usage(format!("the plugin is larger than {}", format_size(most)))
        .file(path)
        .hint("raise the limit: `component` in `[limits]` of the pipeline file, or of the step")
}

fn read_component(path: &Path, most: u64) -> Result<Vec<u8>> {
    plain_file::read(path, most).map_err(|error| {
        if error.kind() == std::io::ErrorKind::FileTooLarge {
            return too_large(path, most);
        }
        let error = Error::usage("the plugin cannot be read").file(path).because(error);
        error.hint(
            "name an installed plugin, or the path of a component; in a pipeline file it is relative to that file",
        )
    })
}
