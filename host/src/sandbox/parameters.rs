//! The JSON Schema of a plugin's parameters, which comes from the plugin and is run over the pipeline file: it must not take long.

use crate::ipc::Cause;
use serde_json::Value;
use std::collections::HashMap;

/// Schemas that a schema may have in it once all references are spelt out.
const MOST: usize = 10_000;

/// Levels of schemas within each other once all references are spelt out: they are compiled and tried by recursion, and a choice that
/// fits nowhere is tried once more at each level above it.
const DEPTH: usize = 256;

/// Patterns, each of which takes up to a mebibyte and ten milliseconds to compile.
const PATTERNS: usize = 64;

/// Bytes of all patterns.
const PATTERN_BYTES: usize = 64 << 10;

/// Keywords with which a schema means something else than it says, or is tried again at each level above it.
const FORBIDDEN: [&str; 6] =
    ["$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties"];

/// Keywords whose value has a schema for each of some names: there, `unevaluatedItems` is a name.
const NAMING: [&str; 7] = [
    "$defs",
    "definitions",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "properties",
];

/// Checks that a schema has an end.
///
/// # Errors
/// Where it refers to itself, to other documents, or to so much that trying it would take long.
pub(super) fn check(schema: &Value) -> Result<(), Cause> {
    let found = Counter { root: schema, known: HashMap::new() }.count(schema, false, 0)?;
    if found.parts > MOST {
        return Err(format!("it has more than {MOST} parts once its references are spelt out").into());
    }
    if found.patterns > PATTERNS || found.pattern_bytes > PATTERN_BYTES {
        let most = format!("{PATTERNS} patterns of {} KiB together", PATTERN_BYTES >> 10);
        return Err(format!("it has more than {most} once its references are spelt out").into());
    }
    Ok(())
}

/// How much there is in a part of a schema, what it refers to included.
#[derive(Clone, Copy, Default)]
struct Size {
    parts: usize,
    /// Levels of parts within each other.
    depth: usize,
    patterns: usize,
    pattern_bytes: usize,
}

impl Size {
    /// With a part that is within.
    fn add(&mut self, inner: Self) {
        self.parts = self.parts.saturating_add(inner.parts);
        self.depth = self.depth.max(inner.depth.saturating_add(1));
        self.patterns = self.patterns.saturating_add(inner.patterns);
        self.pattern_bytes = self.pattern_bytes.saturating_add(inner.pattern_bytes);
    }

    fn add_pattern(&mut self, pattern: &str) {
        self.patterns = self.patterns.saturating_add(1);
        self.pattern_bytes = self.pattern_bytes.saturating_add(pattern.len());
    }
}

struct Counter<'s> {
    root: &'s Value,
    /// What was referred to; nothing as long as it is being counted.
    known: HashMap<&'s str, Option<Size>>,
}

impl<'s> Counter<'s> {
    /// Counts a part that is so many levels deep; where it is `named`, its keys are names, and no keywords.
    fn count(&mut self, part: &'s Value, named: bool, level: usize) -> Result<Size, Cause> {
        let mut size = Size { parts: 1, ..Size::default() };
        if level <= DEPTH {
            match part {
                Value::Array(items) => {
                    for item in items {
                        size.add(self.count(item, false, level + 1)?);
                    }
                }
                Value::Object(entries) => {
                    for (key, value) in entries {
                        self.check_key(part, key, value, named)?;
                        match (key.as_str(), value) {
                            ("pattern", Value::String(pattern)) => size.add_pattern(pattern),
                            ("patternProperties", Value::Object(patterns)) if !named => {
                                patterns.keys().for_each(|pattern| size.add_pattern(pattern));
                            }
                            _ => {}
                        }
                        size.add(match (key.as_str(), value) {
                            ("$ref", Value::String(reference)) => self.referred(reference, level)?,
                            _ => self.count(value, !named && NAMING.contains(&key.as_str()), level + 1)?,
                        });
                    }
                }
                _ => {}
            }
        }
        match level <= DEPTH && size.depth <= DEPTH {
            true => Ok(size),
            false => {
                Err(format!("its parts are more than {DEPTH} levels deep once its references are spelt out").into())
            }
        }
    }

    fn check_key(&self, part: &Value, key: &str, value: &Value, named: bool) -> Result<(), Cause> {
        let renamed = key == "$id" && !std::ptr::eq(self.root, part) && value.is_string();
        // With the fourth draft, references mean something else within `id`.
        let old = key == "$schema" && value.as_str().is_some_and(|draft| draft.contains("draft-04"));
        match renamed || old || FORBIDDEN.contains(&key) && !named {
            true => Err(format!("`{key}` is not allowed in it").into()),
            false => Ok(()),
        }
    }

    fn referred(&mut self, reference: &'s str, level: usize) -> Result<Size, Cause> {
        if let Some(known) = self.known.get(reference) {
            return known.ok_or_else(|| format!("it refers to itself: `{reference}`").into());
        }
        let pointer = reference.strip_prefix('#').filter(|pointer| !pointer.contains('%'));
        let target = pointer.and_then(|pointer| self.root.pointer(pointer));
        let target = target.ok_or_else(|| format!("it refers to `{reference}`, which is not in it"))?;
        self.known.insert(reference, None);
        let counted = self.count(target, false, level + 1)?;
        self.known.insert(reference, Some(counted));
        Ok(counted)
    }
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

    #[test]
    fn a_keyword_that_is_tried_again_at_each_level_is_one_whatever_its_value_is_and_a_name_where_names_are() {
        let levels = (0..25).fold(
            json!({ "properties": { "text": {} } }),
            |inner, _| json!({ "anyOf": [inner], "unevaluatedProperties": {} }),
        );
        assert_eq!(check(&levels).unwrap_err().to_string(), "`unevaluatedProperties` is not allowed in it");
        for (keyword, value) in FORBIDDEN.into_iter().zip([json!({}), json!(true), json!("x")].iter().cycle()) {
            assert!(check(&json!({ "items": { keyword: value } })).is_err(), "{keyword}");
            // A name at the first level, whose schema has it as a keyword at the second.
            assert!(check(&json!({ "properties": { "properties": { keyword: value } } })).is_err(), "{keyword}");
            assert!(check(&json!({ "properties": { keyword: { "type": "string" } } })).is_ok(), "{keyword}");
            // Names that are referred to as if they were a schema.
            let referred = json!({ "items": { "$ref": "#/properties" }, "properties": { keyword: {} } });
            assert!(check(&referred).is_err(), "{keyword}");
        }
    }

    #[test]
    fn references_behind_each_other_are_as_deep_as_schemas_within_each_other() {
        let chain = |levels: usize| {
            let link = |level: usize| (format!("l{level}"), json!({ "$ref": format!("#/$defs/l{}", level + 1) }));
            // Counted from the last to the first, or from the first to the last.
            let forwards = (0..levels).map(link).chain([(format!("l{levels}"), json!({}))]);
            let backwards: serde_json::Map<_, _> = forwards.clone().collect::<Vec<_>>().into_iter().rev().collect();
            let defs = [forwards.collect(), Value::Object(backwards)];
            defs.map(|defs| check(&json!({ "$defs": defs, "$ref": "#/$defs/l0" })))
        };
        assert!(chain(50).iter().all(Result::is_ok));
        for refused in chain(4_000) {
            assert!(refused.unwrap_err().to_string().contains("256 levels deep"));
        }
    }

    #[test]
    fn patterns_are_few_and_short_together() {
        let patterns = |count: usize, length: usize| {
            let names = (0..count).map(|number| (format!("{number}{}", "a".repeat(length)), json!({})));
            json!({ "patternProperties": names.collect::<serde_json::Map<_, _>>() })
        };
        assert!(check(&patterns(PATTERNS, 3)).is_ok());
        assert!(check(&patterns(4_000, 3)).unwrap_err().to_string().contains("64 patterns of 64 KiB together"));
        assert!(check(&patterns(2, PATTERN_BYTES)).is_err());
        let referred = |times: usize| {
            let item = json!({ "$ref": "#/$defs/word" });
            json!({ "$defs": { "word": { "pattern": "^a$" } }, "prefixItems": vec![item; times] })
        };
        assert!(check(&referred(PATTERNS - 1)).is_ok());
        assert!(check(&referred(PATTERNS)).is_err());
        assert!(check(&json!({ "properties": { "pattern": {}, "patternProperties": { "type": "object" } } })).is_ok());
    }
}
