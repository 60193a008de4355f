//! Compiled plugins on disk, since compiling one takes longer than running it over a small table.
//!
//! Loading compiled code is trusting it: the folder must belong to this user and be closed to all others.

use crate::private::{is_own_file, is_private_folder};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use wasmtime::component::Component;
use wasmtime::{Engine, Error};

/// A folder of compiled components, by the digest of their bytes and the engine's version and settings.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// In this folder, which is made where it is missing. Nothing where it cannot be trusted: then nothing is cached.
    pub(super) fn open(folder: &Path) -> Option<Self> {
        create_private(folder).ok()?;
        is_private(folder).then(|| Self { folder: folder.to_owned() })
    }

    /// Where the cache is by default.
    pub(super) fn default_folder() -> Option<PathBuf> {
        let home = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let caches = home("XDG_CACHE_HOME").or_else(|| Some(home("HOME")?.join(".cache")))?;
        Some(caches.join("wafermill").join("compiled"))
    }

    /// The compiled component: from the folder, or compiled now and stored there.
    pub(super) fn load(
        &self,
        engine: &Engine,
        digest: &str,
        compile: impl FnOnce() -> Result<Component, Error>,
    ) -> Result<Component, Error> {
        let key = key(engine, digest);
        let path = self.folder.join(format!("{key}.cwasm"));
        if let Some(component) = load_checked(engine, &path, &key) {
            return Ok(component);
        }
        let component = compile()?;
        // The cache is a convenience: where it cannot be written, the run goes on.
        let _ = component.serialize().map(|compiled| self.store(&path, &key, &compiled));
        Ok(component)
    }

    /// The compiled code behind a digest of it and its key, by rename, so that no half-written file is ever found.
    fn store(&self, path: &Path, key: &str, compiled: &[u8]) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&seal(key, compiled))?;
        file.write_all(compiled)?;
        file.persist(path)?;
        Ok(())
    }
}

/// Tells damage, and an entry that was renamed; against a hostile file it is its owner and mode that protect.
fn seal(key: &str, compiled: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(key).chain_update(compiled).finalize().into()
}

fn load_checked(engine: &Engine, path: &Path, key: &str) -> Option<Component> {
    let mut file = File::open(path).ok()?;
    // The file that is open is asked, not the path: what stands there may be another one by now.
    if !is_own_file(&file.metadata().ok()?) {
        return None;
    }
    let mut stored = Vec::new();
    file.read_to_end(&mut stored).ok()?;
    let (digest, compiled) = stored.split_at_checked(32)?;
    if seal(key, compiled) != digest {
        return None;
    }
    // SAFETY: the file belongs to this user and nobody else can write to it (`is_own_file`), so that it was written by `store` or by
    // somebody who may run code as this user anyway; it is whole, and that it fits this engine is checked by wasmtime.
    unsafe { Component::deserialize(engine, compiled) }.ok()
}

fn key(engine: &Engine, digest: &str) -> String {
    use std::hash::{Hash, Hasher};
    let mut settings = xxhash_rust::xxh3::Xxh3::new();
    engine.precompile_compatibility_hash().hash(&mut settings);
    format!("{digest}-{:016x}", settings.finish())
}

fn create_private(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn is_private(folder: &Path) -> bool {
    folder.is_absolute() && fs::symlink_metadata(folder).is_ok_and(|found| is_private_folder(&found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn a_damaged_entry_is_compiled_again_and_an_open_folder_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("compiled")).unwrap();
        let engine = Engine::default();
        let load = || cache.load(&engine, "digest", || Component::from_binary(&engine, EMPTY)).unwrap();
        load();
        let entry = fs::read_dir(&cache.folder).unwrap().next().unwrap().unwrap().path();
        let whole = fs::read(&entry).unwrap();
        let key = key(&engine, "digest");
        assert!(load_checked(&engine, &entry, &key).is_some());
        assert!(load_checked(&engine, &entry, "another").is_none());
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        fs::write(&entry, &damaged).unwrap();
        assert!(load_checked(&engine, &entry, &key).is_none());
        load();
        assert_eq!(fs::read(&entry).unwrap(), whole);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::open(folder.path()).is_none());
    }
}
