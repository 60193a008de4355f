//! Sets of parameters, derived from a plugin's JSON Schema.

use serde_json::{Map, Value, json};

/// How deep references between schemas are followed.
const DEPTH: usize = 8;

/// The defaults, and each choice of each parameter on its own, with what is required.
pub(super) fn derive(schema: &Value) -> Vec<Value> {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let property = |name: &str| schema.get("properties").and_then(|properties| properties.get(name));
    let base: Map<String, Value> = required
        .filter_map(|name| Some((name.to_owned(), samples(schema, property(name)?).into_iter().next()?)))
        .collect();
    let mut sets = vec![Value::Object(base.clone())];
    for (name, property) in properties(schema) {
        for choice in choices(schema, property, DEPTH) {
            push_new(&mut sets, with(&base, name, choice));
        }
    }
    sets
}

/// Sets with one parameter more, for one that is refused as it is: a choice may need another parameter.
pub(super) fn completions(schema: &Value, set: &Value) -> Vec<Value> {
    let Value::Object(set) = set else { return Vec::new() };
    let mut sets = Vec::new();
    for (name, property) in properties(schema).filter(|(name, _)| !set.contains_key(*name)) {
        for sample in samples(schema, property) {
            push_new(&mut sets, with(set, name, sample));
        }
    }
    sets
}

fn push_new(sets: &mut Vec<Value>, set: Value) {
    if !sets.contains(&set) {
        sets.push(set);
    }
}

fn with(set: &Map<String, Value>, name: &str, value: Value) -> Value {
    let mut set = set.clone();
    set.insert(name.to_owned(), value);
    Value::Object(set)
}

fn properties(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, property)| (name.as_str(), property))
}

/// The words that a parameter may be, both truth values, and one integer.
fn choices(schema: &Value, property: &Value, depth: usize) -> Vec<Value> {
    if depth == 0 {
        return Vec::new();
    }
    if let Some(pointer) = property.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#')) {
        return schema.pointer(pointer).map_or_else(Vec::new, |target| choices(schema, target, depth - 1));
    }
    if let Some(words) = property.get("enum").and_then(Value::as_array) {
        return words.iter().filter(|word| !word.is_null()).cloned().collect();
    }
    if let Some(word) = property.get("const") {
        return vec![word.clone()];
    }
    if let Some(schemas) = ["oneOf", "anyOf"].iter().find_map(|keyword| property.get(keyword)?.as_array()) {
        return schemas.iter().flat_map(|one| choices(schema, one, depth - 1)).collect();
    }
    if is_of(property, "boolean") {
        return vec![json!(true), json!(false)];
    }
    if is_of(property, "integer") {
        let bound = |keyword| property.get(keyword).and_then(Value::as_i64);
        return vec![json!(3.max(bound("minimum").unwrap_or(3)).min(bound("maximum").unwrap_or(i64::MAX)))];
    }
    Vec::new()
}

/// The choices, or where there are none a few values of the types that it may have.
fn samples(schema: &Value, property: &Value) -> Vec<Value> {
    let choices = choices(schema, property, DEPTH);
    if !choices.is_empty() {
        return choices;
    }
    match property.get("type") {
        None => vec![json!(1), json!("a"), json!(true)],
        Some(_) if is_of(property, "number") => vec![json!(1)],
        Some(_) if is_of(property, "string") => vec![json!("a")],
        Some(_) if is_of(property, "array") => {
            let items = samples(schema, property.get("items").unwrap_or(&Value::Null));
            items.into_iter().map(|item| json!([item])).collect()
        }
        Some(_) => Vec::new(),
    }
}

fn is_of(property: &Value, data_type: &str) -> bool {
    match property.get("type") {
        Some(Value::String(one)) => one == data_type,
        Some(Value::Array(types)) => types.iter().any(|one| one == data_type),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_stands_alone_beside_what_is_required() {
        let schema = json!({
            "required": ["name"],
            "properties": {
                "name": { "type": "string" },
                "method": { "$ref": "#/$defs/Method" },
                "most": { "type": ["integer", "null"], "minimum": 5 },
                "value": {},
                "words": { "type": "array", "items": { "type": "string" } },
            },
            "$defs": { "Method": { "oneOf": [{ "const": "a" }, { "enum": ["b", null] }] } },
        });
        let sets = [
            json!({ "name": "a" }),
            json!({ "name": "a", "method": "a" }),
            json!({ "name": "a", "method": "b" }),
            json!({ "name": "a", "most": 5 }),
        ];
        assert_eq!(derive(&schema), sets);
        let completions = completions(&schema, &json!({ "name": "a", "method": "a", "most": 5 }));
        assert_eq!(
            completions.iter().map(|set| (set["value"].clone(), set["words"].clone())).collect::<Vec<_>>(),
            [
                (json!(1), Value::Null),
                (json!("a"), Value::Null),
                (json!(true), Value::Null),
                (Value::Null, json!(["a"]))
            ]
        );
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({ "properties": { "a": { "$ref": "#/properties/a" } } });
        assert_eq!(derive(&schema), [json!({})]);
    }
}
