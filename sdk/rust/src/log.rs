//! What a plugin says to people.

pub use crate::bindings::wafermill::plugin::logging::Level;

/// Says something to people; the host keeps the last lines and shows them when the plugin fails.
pub fn log(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    crate::bindings::wafermill::plugin::logging::log(level, message);
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?}: {message}");
}

/// Has a panic say why before it traps, which tells nothing.
#[cfg(target_family = "wasm")]
pub(crate) fn tell_panics() {
    static TOLD: std::sync::Once = std::sync::Once::new();
    TOLD.call_once(|| std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string()))));
}
