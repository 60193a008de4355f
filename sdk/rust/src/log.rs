//! What a plugin says to people.

pub use crate::bindings::wafermill::plugin::logging::Level;

/// Says something to people; the host keeps the last lines and shows them when the plugin fails.
pub fn log(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    crate::bindings::wafermill::plugin::logging::log(level, message);
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?}: {message}");
}
