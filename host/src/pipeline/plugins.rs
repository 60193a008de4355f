//! Finding plugins by name.

use super::suggest::{list, nearest};
use crate::sandbox::{Limits, Plugin, Sandbox, component_digest};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

/// The folders in which plugins are looked for, and those that were loaded.
pub struct Plugins {
    sandbox: Sandbox,
    folders: Vec<PathBuf>,
    limits: Limits,
    /// Those that count instructions are compiled otherwise.
    loaded: Mutex<HashMap<(PathBuf, bool), Arc<Plugin>>>,
    /// The installed components by their digests, once they were asked for.
    digests: OnceLock<HashMap<String, PathBuf>>,
}

impl Plugins {
    /// Looks in `folder` where it is given; otherwise in `WAFERMILL_PLUGINS`, in `plugins` beside the executable, and in
    /// `plugins` beside its folder.
    pub fn new(sandbox: Sandbox, folder: Option<&Path>, limits: Limits) -> Self {
        let folders = match folder {
            Some(folder) => vec![folder.to_owned()],
            None => default_folders(),
        };
        Self { sandbox, folders, limits, loaded: Mutex::default(), digests: OnceLock::new() }
    }

    /// The folders, in the order in which they are looked in.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The component of a plugin: by its name in the folders, or by its path, which is relative to `base`.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub fn component(&self, name: &str, base: &Path) -> Result<PathBuf> {
        self.find(name, base)
    }

    /// Loads a plugin by its name, or by the path of its component, which is relative to `base`.
    ///
    /// # Errors
    /// Where there is none, or it is no plugin.
    pub fn get(&self, name: &str, base: &Path) -> Result<Arc<Plugin>> {
        self.get_limited(name, base, &self.limits)
    }

    /// The same, with limits of its own.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub fn get_limited(&self, name: &str, base: &Path, limits: &Limits) -> Result<Arc<Plugin>> {
        self.load(name, self.find(name, base)?, limits, None)
    }

    /// What plugins may take, where nothing else is said.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Loads the installed plugin whose component has this digest, whatever the name of its file is.
    ///
    /// # Errors
    /// Where there is none, or it is no plugin.
    pub fn get_pinned(&self, name: &str, digest: &str) -> Result<Arc<Plugin>> {
        let digest_of = |path: &Path| component_digest(path, self.limits.component);
        let digests = self.digests.get_or_init(|| {
            let installed = self.installed().into_iter();
            installed.filter_map(|path| Some((digest_of(&path).ok()?, path))).collect()
        });
        match digests.get(digest) {
            Some(path) => self.load(name, path.clone(), &self.limits, Some(digest)),
            None => {
                let found = digest_of(&self.find(name, Path::new(""))?)?;
                Err(Error::model(format!("the model was fitted with {digest}, and {found} is installed")).hint(
                    "install the plugin that it was fitted with, name its folder with `--plugins`, or fit the model again",
                ))
            }
        }
    }

    fn load(&self, name: &str, path: PathBuf, limits: &Limits, pinned: Option<&str>) -> Result<Arc<Plugin>> {
        let mut loaded =
            self.loaded.lock().map_err(|_| Error::internal("a thread panicked while it loaded a plugin"))?;
        let key = (path, limits.fuel.is_some());
        if let Some(plugin) = loaded.get(&key) {
            if plugin.limits() == limits {
                return Ok(plugin.clone());
            }
            return plugin.with_limits(limits).map(Arc::new).map_err(|error| error.in_plugin(name));
        }
        let plugin = self.sandbox.load(&key.0, limits, pinned).map_err(|error| error.in_plugin(name))?;
        loaded.insert(key, plugin.clone());
        Ok(plugin)
    }

    fn find(&self, name: &str, base: &Path) -> Result<PathBuf> {
        if name.ends_with(".wasm") || name.contains(std::path::MAIN_SEPARATOR) {
            return Ok(base.join(name));
        }
        let candidates = self.folders.iter().map(|folder| folder.join(format!("{name}.wasm")));
        candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            let error = Error::usage(format!("there is no plugin `{name}`"));
            let known: Vec<String> = self.installed().into_iter().filter_map(|path| stem(&path)).collect();
            if known.is_empty() {
                let folders: Vec<_> = self.folders.iter().map(|folder| folder.display().to_string()).collect();
                return error.hint(format!(
                    "no plugins were found in {}: build them with `cargo xtask plugins`, or name their folder with `--plugins`",
                    folders.join(", ")
                ));
            }
            let known = || known.iter().map(String::as_str);
            match nearest(name, known()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("installed are {}; a path to a component works too", list(known(), "and"))),
            }
        })
    }

    /// The components in the folders, ordered by name; of equal names the first.
    pub fn installed(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = Vec::new();
        for folder in &self.folders {
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            let files = entries.flatten().map(|entry| entry.path());
            for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")) {
                if !found.iter().any(|known| known.file_name() == path.file_name()) {
                    found.push(path);
                }
            }
        }
        found.sort_by(|left, right| left.file_name().cmp(&right.file_name()));
        found
    }
}

fn stem(path: &Path) -> Option<String> {
    Some(path.file_stem()?.to_string_lossy().into_owned())
}

fn default_folders() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os("WAFERMILL_PLUGINS").filter(|folder| !folder.is_empty()) {
        return vec![folder.into()];
    }
    let executable = std::env::current_exe().unwrap_or_default();
    let beside = executable.ancestors().skip(1).take(2).map(|folder| folder.join("plugins"));
    beside.collect()
}
