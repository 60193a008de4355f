//! Arrow IPC messages and files, written for plugins and models, and read from them and from servers without trust.

mod decode;
mod encode;
mod file;
mod foreign;

pub(crate) use decode::{Cause, decode_batch, decode_schema};
pub(crate) use encode::{BatchEncoder, encode_schema};
pub(crate) use file::check_saved;
pub use file::{SavedTable, TableReader, TableWriter, open_table};
pub(crate) use foreign::decode_foreign_batch;
