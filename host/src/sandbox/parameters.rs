//! The JSON Schema of a plugin's parameters, which comes from the plugin and is run over the pipeline file: it must not take long.

use crate::ipc::Cause;
use serde_json::Value;
use std::collections::HashMap;

/// Schemas that a schema may have in it once all references are spelt out.
const MOST: usize = 10_000;

/// Keywords with which a schema means something else than it says, or is tried again at each level above it.
const FORBIDDEN: [&str; 6] =
    ["$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties"];

/// Checks that a schema has an end.
///
/// # Errors
/// Where it refers to itself, to other documents, or to so much that trying it would take long.
pub(super) fn check(schema: &Value) -> Result<(), Cause> {
    let mut sizes = HashMap::new();
    match size(schema, schema, &mut sizes)? <= MOST {
        true => Ok(()),
        false => Err(format!("it has more than {MOST} parts once its references are spelt out").into()),
    }
}

/// How many values there are in a part of a schema, those included that it refers to. `sizes` has that of what was referred to; nothing as
/// long as it is being counted.
fn size<'s>(root: &'s Value, part: &'s Value, sizes: &mut HashMap<&'s str, Option<usize>>) -> Result<usize, Cause> {
    let mut sum = 1_usize;
    match part {
        Value::Array(items) => {
            for item in items {
                sum = sum.saturating_add(size(root, item, sizes)?);
            }
        }
        Value::Object(entries) => {
            for (key, value) in entries {
                let renamed = key == "$id" && !std::ptr::eq(root, part) && value.is_string();
                if renamed || FORBIDDEN.contains(&key.as_str()) && !value.is_object() {
                    return Err(format!("`{key}` is not allowed in it").into());
                }
                sum = sum.saturating_add(match (key.as_str(), value) {
                    ("$ref", Value::String(reference)) => referred(root, reference, sizes)?,
                    _ => size(root, value, sizes)?,
                });
            }
        }
        _ => {}
    }
    Ok(sum)
}

fn referred<'s>(
    root: &'s Value,
    reference: &'s str,
    sizes: &mut HashMap<&'s str, Option<usize>>,
) -> Result<usize, Cause> {
    let found = |known: Option<usize>| known.ok_or_else(|| format!("it refers to itself: `{reference}`").into());
    if let Some(known) = sizes.get(reference) {
        return found(*known);
    }
    let pointer = reference.strip_prefix('#').filter(|pointer| !pointer.contains('%'));
    let target = pointer.and_then(|pointer| root.pointer(pointer));
    let target = target.ok_or_else(|| format!("it refers to `{reference}`, which is not in it"))?;
    sizes.insert(reference, None);
    let counted = size(root, target, sizes)?;
    sizes.insert(reference, Some(counted));
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_referred_to_counts_each_time_and_never_by_itself() {
        let twice = |name: &str| json!({ "anyOf": [{ "$ref": name }, { "$ref": name }] });
        let mut levels = serde_json::Map::new();
        for level in 0..40 {
            levels.insert(format!("l{level}"), twice(&format!("#/$defs/l{}", level + 1)));
        }
        levels.insert("l40".to_owned(), json!({ "type": "string" }));
        let doubling = json!({ "$defs": levels, "$ref": "#/$defs/l0" });
        assert!(check(&doubling).unwrap_err().to_string().contains("more than 10000 parts"));
        assert!(check(&doubling["$defs"]["l40"]).is_ok());
        let shared = json!({ "$defs": { "a": { "type": "string" } }, "properties": { "x": { "$ref": "#/$defs/a" } } });
        assert!(check(&shared).is_ok());
        for endless in [
            json!({ "$ref": "#" }),
            json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } }),
            json!({ "$ref": "http://127.0.0.1/x" }),
            json!({ "$ref": "#missing" }),
            json!({ "properties": { "x": { "$id": "y", "$ref": "#/a" } } }),
            json!({ "allOf": [{ "unevaluatedProperties": false }] }),
        ] {
            assert!(check(&endless).is_err(), "{endless}");
        }
        assert!(check(&json!({ "properties": { "$id": { "type": "string" } } })).is_ok());
    }
}
