//! Flatbuffers from plugins and files: that they lie within their bytes, and do not say one thing many times over.

use super::decode::Cause;
use arrow_ipc::{Footer, Message, root_as_footer_with_opts, root_as_message_with_opts};
use flatbuffers::{InvalidFlatbuffer, VerifierOptions};

/// How much larger metadata may be once everything is spelt out that it refers to. What writers share, such as the shapes of tables,
/// comes to less than twice its size; what is shared a thousand times is there to fill memory.
const EXPANSION: usize = 4;

/// Bytes that metadata may always come to.
const LEAST: usize = 64 << 10;

/// Levels of nested types.
const DEPTH: usize = 64;

/// A message whose metadata is sound.
///
/// # Errors
/// Where it is not.
pub(super) fn verified_message(metadata: &[u8]) -> Result<Message<'_>, Cause> {
    root_as_message_with_opts(&options(metadata), metadata).map_err(|error| unsound(&error))
}

/// The footer of a file, if it is sound.
///
/// # Errors
/// Where it is not.
pub(super) fn verified_footer(footer: &[u8]) -> Result<Footer<'_>, Cause> {
    root_as_footer_with_opts(&options(footer), footer).map_err(|error| unsound(&error))
}

fn options(metadata: &[u8]) -> VerifierOptions {
    let max_apparent_size = metadata.len().saturating_mul(EXPANSION).max(LEAST);
    VerifierOptions { max_depth: DEPTH, max_tables: metadata.len().max(LEAST), max_apparent_size, ..Default::default() }
}

/// Its first line says what is wrong; the others where.
fn unsound(error: &InvalidFlatbuffer) -> Cause {
    match error {
        InvalidFlatbuffer::ApparentSizeTooLarge => "metadata says one thing many times over".into(),
        other => other.to_string().lines().next().unwrap_or_default().trim_end_matches('.').into(),
    }
}
