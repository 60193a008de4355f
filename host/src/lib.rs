//! wafermill streams tables of any size through sandboxed WebAssembly transforms into training sets.

pub mod aggregate;
mod error;
pub mod memory;

pub use error::{Error, ErrorKind, Place, Result};
