//! Digests by which files are known: `sha256:` and 64 hexadecimal digits.

use sha2::{Digest, Sha256};
use std::io::{Result, Write};

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
