//! What is read of a plugin before any of it runs, and what it says of itself.

use super::bindings::wafermill::plugin::types;
use super::{Limits, convert, scan};
use crate::fuzzing::choice;
use crate::ipc::{decode_schema, encode_schema};
use crate::partials::{Operator, PartialTable};
use crate::pipeline::first_violation;
use serde_json::json;

/// A component, which is not compiled.
pub(crate) fn component(input: &[u8]) {
    let Ok(interface) = scan::scan(input) else { return };
    let names = interface.imports.iter().chain(&interface.exports);
    assert!(names.map(String::len).sum::<usize>() <= input.len(), "names are those of the component");
}

/// A schema of a plan, or a description: name, version, summary and schema of parameters, with zeros between them.
pub(crate) fn metadata(input: &[u8]) {
    match choice(input) {
        Some((choice, rest)) if choice % 2 == 0 => schema(choice / 2, rest),
        Some((_, rest)) => description(rest),
        None => {}
    }
}

fn schema(keys: usize, message: &[u8]) {
    let limits = Limits::default();
    let Ok(schema) = convert::schema(message, &limits) else { return };
    assert!(schema.fields().iter().all(|field| convert::crosses(field.data_type())));
    let again = encode_schema(&schema).expect("what was decoded can be encoded");
    assert_eq!(decode_schema(&again, limits.columns).expect("what was encoded can be decoded"), *schema);
    let values = [Operator::Sum, Operator::Min, Operator::Max];
    let operators = (0..schema.fields().len()).map(|at| if at < keys { Operator::Key } else { values[at % 3] });
    let _ = PartialTable::new("t", schema.clone(), operators.collect());
}

fn description(input: &[u8]) {
    let mut parts = input.splitn(4, |byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
    let mut next = || parts.next().unwrap_or_default();
    let told = types::Description {
        name: next(),
        version: next(),
        summary: next(),
        params_schema: next(),
        role: types::PluginRole::Transform,
        passes: types::Passes { least: 0, most: 1 },
    };
    let Ok(description) = convert::description(told) else { return };
    for params in
        [json!({}), json!({ "a": [1, "x", null], "b": { "c": 1.5 } }), json!({ "strategy": "mean", "x": "aaaa" })]
    {
        let _ = first_violation(&description.params_schema, &params);
    }
}
