//! Imports that plugins may not have, in every form that an import can have.

use crate::hostile::{Attack, attack};

pub(super) fn all() -> Vec<Attack> {
    let importing = |what: &str, import: &str| {
        let text = format!("(component {import})");
        attack(what, move || wat::parse_str(&text).expect("the component is well written"))
    };
    let instance = |name: &str, function: &str| format!("(import \"{name}\" (instance {function}))");
    let function = "(export \"f\" (func))";
    vec![
        importing("asks for another version of the log", &instance("wafermill:plugin/logging@0.1.1", function)),
        importing("asks for the log under another name", &instance("wafermill:plugin/logging", function)),
        importing("asks for more of the log than there is", &instance("wafermill:plugin/logging@0.1.0", function)),
        importing(
            "asks for the log with another type",
            &instance("wafermill:plugin/logging@0.1.0", "(export \"log\" (func (param \"m\" string) (result string)))"),
        ),
        importing("asks for functions among the types", &instance("wafermill:plugin/types@0.1.0", function)),
        importing("asks for the exports of another plugin", &instance("wafermill:plugin/guest@0.1.0", function)),
        importing("asks for a function", "(import \"read-file\" (func (param \"path\" string) (result string)))"),
        importing("asks for a core module", "(import \"code\" (core module (export \"f\" (func))))"),
        importing("asks for a component", "(import \"code\" (component (export \"f\" (func))))"),
        importing("asks for an address on the network", "(import \"url=<https://example.org/code>\" (component))"),
        importing("asks for what has a name of 64 KiB", &instance(&format!("a:{}/c", "b".repeat(64 << 10)), function)),
    ]
}
