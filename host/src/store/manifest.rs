//! What tells of a dataset in a store: which files it has. As a manifest it is written last and makes the dataset complete; as a claim it
//! is written first, so that nobody else writes there, and what was half written is known.

use super::bucket::Bucket;
use crate::digest::DigestWriter;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The manifest's name below the address of a dataset.
pub const MANIFEST_OBJECT: &str = "_wafermill_manifest.json";

/// The claim's.
pub const UPLOAD_OBJECT: &str = "_wafermill_upload.json";

/// The form of manifests that this host writes and reads.
const FORMAT: u32 = 1;

/// Bytes of a manifest: a million files.
const MOST: u64 = 256 << 20;

/// The files of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    /// The host.
    wafermill: String,
    /// Is another one for each run.
    pub(super) run: String,
    pub(super) files: Vec<Entry>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Below the dataset's address, with slashes.
    pub(super) path: String,
    pub(super) bytes: u64,
    /// `sha256:` and 64 hexadecimal digits.
    pub(super) digest: String,
}

impl Manifest {
    /// Of all files in a folder, in the order of their paths.
    pub(super) fn of(folder: &Path) -> Result<Self> {
        let mut files = Vec::new();
        collect(folder, "", &mut files)?;
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Self { format: FORMAT, wafermill: env!("CARGO_PKG_VERSION").to_owned(), run: identity()?, files })
    }

    /// As it is written.
    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_vec_pretty(self).map_err(|error| Error::internal("no manifest").because(error))?;
        Ok([json.as_slice(), b"\n"].concat())
    }

    /// Reads one from a store, if there is one.
    pub(super) fn read(bucket: &Bucket, key: &str) -> Result<Option<Self>> {
        let Some(bytes) = bucket.read(key, MOST)? else { return Ok(None) };
        let bad = |cause: Box<dyn std::error::Error + Send + Sync>| {
            let error = Error::usage("the destination has no manifest that can be read").because(cause);
            error.file(bucket.at(key).to_string()).hint("choose another destination, or remove this one yourself")
        };
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| bad(error.into()))?;
        match manifest.format {
            FORMAT => Ok(Some(manifest)),
            format => Err(bad(format!("it is of format {format}").into())),
        }
    }
}

impl Entry {
    /// Whether a file has still the bytes that it had.
    pub(super) fn is_in(&self, folder: &Path) -> Result<bool> {
        let path = folder.join(&self.path);
        let (bytes, digest) = digest(&path).map_err(|error| cannot_read(&path, error))?;
        Ok((bytes, digest) == (self.bytes, self.digest.clone()))
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<Entry>) -> Result<()> {
    let failed = |error| cannot_read(folder, error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| Error::output("a file's name is no Unicode").file(&path))?;
        let name = format!("{prefix}{name}");
        if entry.file_type().map_err(failed)?.is_dir() {
            collect(&path, &format!("{name}/"), files)?;
        } else {
            let (bytes, digest) = digest(&path).map_err(|error| cannot_read(&path, error))?;
            files.push(Entry { path: name, bytes, digest });
        }
    }
    Ok(())
}

fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut writer = DigestWriter::new(io::sink());
    let bytes = io::copy(&mut io::BufReader::with_capacity(1 << 20, File::open(path)?), &mut writer)?;
    Ok((bytes, writer.digest()))
}

/// A name that no other run has.
fn identity() -> Result<String> {
    let mut random = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| io::Read::read_exact(&mut file, &mut random));
    read.map_err(|error| Error::internal("the system gives no random numbers").because(error))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(super) fn cannot_read(path: &Path, error: io::Error) -> Error {
    Error::output("a file of the dataset cannot be read").file(path).because(error)
}
