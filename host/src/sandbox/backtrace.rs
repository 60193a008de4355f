//! Where in a guest's code a call ended, for its author.

use std::fmt::Write;
use wasmtime::WasmBacktrace;

/// Bytes of a name that are looked at. Names are the plugin's, and can be anything.
const NAME: usize = 400;

/// Letters of a name that are shown.
const SHOWN: usize = 120;

/// The functions that were being called, the innermost first, one a line. Nothing where none has a name: numbers alone tell nobody anything.
/// How many there are at most is told to the engine.
pub(super) fn backtrace(trap: &wasmtime::Error) -> Option<String> {
    let frames = trap.downcast_ref::<WasmBacktrace>()?.frames();
    if frames.iter().all(|frame| frame.func_name().is_none()) {
        return None;
    }
    let lines = frames.iter().map(|frame| match frame.func_name() {
        Some(name) => readable(name),
        None => format!("function {}", frame.func_index()),
    });
    Some(lines.collect::<Vec<_>>().join("\n"))
}

fn readable(name: &str) -> String {
    let name = &name[..name.floor_char_boundary(NAME.min(name.len()))];
    let mut plain = String::new();
    if write!(plain, "{:#}", rustc_demangle::demangle(name)).is_err() {
        name.clone_into(&mut plain);
    }
    plain.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_demangled_cut_and_cannot_steer_a_terminal() {
        assert_eq!(readable("_ZN4core9panicking5panic17h0123456789abcdefE"), "core::panicking::panic");
        assert_eq!(readable("a\u{1b}[2J\nb"), "a [2J b");
        assert_eq!(readable(&"é".repeat(100_000)).chars().count(), SHOWN);
    }
}
