//! Arrow IPC messages and files, written for plugins and models, and read from them and from servers without trust.

mod decode;
mod encode;
mod file;
mod foreign;
mod layout;
mod pieces;
mod verify;

/// Columns of a table that a server may send.
pub(crate) const MOST_COLUMNS: usize = 1_000_000;

pub(crate) use decode::{Cause, decode_batch, decode_schema, split};
pub(crate) use encode::{BatchEncoder, encode_schema};
pub(crate) use file::check_saved;
pub use file::{SavedTable, TableReader, TableWriter, open_table};
pub(crate) use foreign::decode_foreign_batch;
