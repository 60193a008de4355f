//! Arrow IPC messages and files, written for plugins and models, and read back without trust.

mod decode;
mod encode;
mod file;

pub(crate) use decode::{Cause, decode_batch, decode_schema};
pub(crate) use encode::{BatchEncoder, encode_schema};
pub use file::{SavedTable, TableReader, TableWriter, open_table};
