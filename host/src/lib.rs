//! wafermill streams tables of any size through sandboxed WebAssembly transforms into training sets.

pub mod aggregate;
pub mod check;
pub mod contract;
mod copy_values;
mod dictionary;
mod digest;
pub mod dump;
mod durable;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
pub mod hash;
pub mod ipc;
mod json;
pub mod memory;
pub mod model;
pub mod partials;
pub mod pipeline;
mod plain_file;
#[cfg(test)]
mod price;
mod private;
pub mod run;
mod run_directory;
pub mod sandbox;
mod sealed;
mod shell;
pub mod source;
pub mod spool;
mod stop;
pub mod store;
mod tournament;
mod value_bytes;

pub use error::{Error, ErrorKind, Place, Result};
pub use run_directory::RunDirectory;
pub use shell::quoted;
pub use stop::Stop;
