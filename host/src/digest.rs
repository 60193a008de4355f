//! Digests by which files are known: `sha256:` and 64 hexadecimal digits.

use sha2::{Digest, Sha256};
use std::io::{Result, Write};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Counts and checks what is written through it, against accidents: `xxh3:` and 16 hexadecimal digits.
pub(crate) struct Checksum<W> {
    inner: W,
    hash: Xxh3,
    bytes: u64,
}

impl<W> Checksum<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hash: Xxh3::new(), bytes: 0 }
    }

    /// What is written to.
    pub(crate) fn inner(&self) -> &W {
        &self.inner
    }

    /// What was written to, how many bytes were, and their checksum.
    pub(crate) fn finish(self) -> (W, u64, String) {
        (self.inner, self.bytes, told(self.hash.digest()))
    }
}

impl<W: Write> Write for Checksum<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}

/// The checksum of some bytes, as [`Checksum`] tells it.
pub(crate) fn checksum(bytes: &[u8]) -> String {
    told(xxh3_64(bytes))
}

fn told(checksum: u64) -> String {
    format!("xxh3:{checksum:016x}")
}

/// The digest of some bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    name(Sha256::digest(bytes).as_slice())
}

/// Digests what is written through it.
pub(crate) struct DigestWriter<W> {
    inner: W,
    sha256: Sha256,
}

impl<W> DigestWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, sha256: Sha256::new() }
    }

    /// Of all that was written so far.
    pub(crate) fn digest(&self) -> String {
        name(self.sha256.clone().finalize().as_slice())
    }
}

impl<W: Write> Write for DigestWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}

fn name(hash: &[u8]) -> String {
    hash.iter().fold("sha256:".to_owned(), |name, byte| name + &format!("{byte:02x}"))
}
