//! wafermill streams tables of any size through sandboxed WebAssembly transforms into training sets.

mod error;
pub mod memory;
pub mod partials;

pub use error::{Error, ErrorKind, Place, Result};
