//! The engine that compiles and runs plugins, and its clock.

use super::bindings::PluginPre;
use super::cache::Cache;
use super::guests::GuestMemory;
use super::limits::STACK;
use super::store::State;
use super::{Limits, Plugin};
use crate::digest::digest;
use crate::{Error, Result, plain_file};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine};

/// How often calls are checked against their deadline.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// The one interface that a plugin may import.
const LOGGING: &str = "wafermill:plugin/logging@0.1.0";

/// Compiles plugins and runs them.
pub struct Sandbox {
    engine: Engine,
    linker: Linker<State>,
    cache: Option<Cache>,
    clock: Arc<Clock>,
    memory: GuestMemory,
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
        let failed = |error: wasmtime::Error| Error::internal("the WebAssembly engine cannot start").because(error);
        let mut config = Config::new();
        config.wasm_component_model(true);
        config.epoch_interruption(true);
        config.max_wasm_stack(STACK);
        // Results must not depend on the machine.
        config.wasm_relaxed_simd(false);
        config.cranelift_nan_canonicalization(true);
        let engine = Engine::new(&config).map_err(failed)?;
        let mut linker = Linker::new(&engine);
        super::bindings::wafermill::plugin::logging::add_to_linker::<_, HasSelf<_>>(
            &mut linker,
            |state: &mut State| state,
        )
        .map_err(failed)?;
        let clock = Arc::new(Clock::start(engine.clone()));
        Ok(Self { engine, linker, cache: folder.and_then(Cache::open), clock, memory: GuestMemory::default() })
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
        let compiled = match &self.cache {
            Some(cache) => cache.load(&self.engine, &bytes, &digest),
            None => Component::from_binary(&self.engine, &bytes),
        };
        let component = compiled.map_err(|error| {
            Error::sandbox("the file is no WebAssembly component")
                .file(path)
                .because(error)
                .hint("plugins are components; `cargo xtask plugins` makes those of this repository")
        })?;
        self.check_imports(&component).map_err(|error| error.file(path))?;
        let ready = self.linker.instantiate_pre(&component).and_then(PluginPre::new).map_err(|error| {
            Error::sandbox("the component is no wafermill plugin")
                .file(path)
                .because(error)
                .hint("a plugin exports `wafermill:plugin/guest@0.1.0`; see wit/plugin.wit")
        })?;
        let (clock, memory) = (self.clock.clone(), self.memory.clone());
        Plugin::new(ready, clock, path, digest, limits.clone(), memory).map(Arc::new)
    }

    fn check_imports(&self, component: &Component) -> Result<()> {
        let component_type = component.component_type();
        let mut imports = component_type.imports(&self.engine).map(|(name, _)| name);
        // Types are no capability: an interface of types only holds no functions to call.
        match imports.find(|name| *name != LOGGING && *name != "wafermill:plugin/types@0.1.0") {
            None => Ok(()),
            Some(name) => {
                Err(Error::sandbox(format!("the plugin imports `{name}`, and plugins may import `{LOGGING}` only"))
                    .hint("build it for a target without WASI, such as wasm32-unknown-unknown"))
            }
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

fn read_component(path: &Path, most: u64) -> Result<Vec<u8>> {
    plain_file::read(path, most).map_err(|error| {
        let error = Error::usage("the plugin cannot be read").file(path).because(error);
        error.hint(
            "name an installed plugin, or the path of a component; in a pipeline file it is relative to that file",
        )
    })
}

/// Moves the engine's epoch on, so that calls past their deadline are interrupted. Every plugin holds on to it.
pub(super) struct Clock {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    fn start(engine: Engine) -> Self {
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
                engine.increment_epoch();
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread has nothing to panic on, and nothing would follow from it.
            let _ = thread.join();
        }
    }
}
