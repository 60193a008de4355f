//! wafermill streams tables of any size through sandboxed WebAssembly transforms into training sets.

pub mod aggregate;
pub mod contract;
mod error;
pub mod hash;
pub mod ipc;
pub mod memory;
pub mod partials;
pub mod sandbox;
pub mod source;

pub use error::{Error, ErrorKind, Place, Result};
