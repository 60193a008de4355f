//! wafermill streams tables of any size through sandboxed WebAssembly transforms into training sets.

mod error;
pub mod hash;
pub mod memory;
pub mod partials;
pub mod source;

pub use error::{Error, ErrorKind, Place, Result};
