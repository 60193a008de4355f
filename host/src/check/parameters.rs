//! Sets of parameters, derived from a plugin's JSON Schema.

use serde_json::{Map, Value, json};

/// How deep references between schemas are followed.
const DEPTH: usize = 8;

/// Sets that are checked at most, and as many that are completed.
pub const MOST: usize = 200;

/// Sets of parameters, each once.
#[derive(Debug, Default)]
pub(super) struct Sets {
    pub(super) sets: Vec<Value>,
    /// Whether there are more, which are left out.
    pub(super) more: bool,
}

impl Sets {
    /// Takes a set; false where it is one too many.
    fn push(&mut self, set: Value) -> bool {
        if self.sets.contains(&set) {
            return true;
        }
        self.more |= self.sets.len() == MOST;
        if !self.more {
            self.sets.push(set);
        }
        !self.more
    }
}

/// The defaults, and each choice of each parameter on its own, with what is required.
pub(super) fn derive(schema: &Value) -> Sets {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let property = |name: &str| schema.get("properties").and_then(|properties| properties.get(name));
    let base: Map<String, Value> = required
        .filter_map(|name| Some((name.to_owned(), samples(schema, property(name)?).into_iter().next()?)))
        .collect();
    let mut sets = Sets { sets: vec![Value::Object(base.clone())], more: false };
    for (name, property) in properties(schema) {
        for choice in choices(schema, property, DEPTH) {
            if !sets.push(with(&base, name, choice)) {
                return sets;
            }
        }
    }
    sets
}

/// Sets with one parameter more, for those that are refused as they are: a choice may need another parameter. None of those that are
/// known already.
pub(super) fn completions<'v>(schema: &Value, refused: impl Iterator<Item = &'v Value>, known: &[Value]) -> Sets {
    let mut sets = Sets::default();
    for set in refused.filter_map(Value::as_object) {
        for (name, property) in properties(schema).filter(|(name, _)| !set.contains_key(*name)) {
            for sample in samples(schema, property) {
                let set = with(set, name, sample);
                if !known.contains(&set) && !sets.push(set) {
                    return sets;
                }
            }
        }
    }
    sets
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
        assert_eq!(derive(&schema).sets, sets);
        let refused = json!({ "name": "a", "method": "a", "most": 5 });
        let completions = completions(&schema, [&refused].into_iter(), &sets);
        assert_eq!(
            completions.sets.iter().map(|set| (set["value"].clone(), set["words"].clone())).collect::<Vec<_>>(),
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
        assert_eq!(derive(&schema).sets, [json!({})]);
    }

    #[test]
    fn of_very_many_sets_the_first_are_taken() {
        let truth = json!({ "type": "boolean" });
        let names = |count: usize| (0..count).map(|number| (format!("p{number}"), truth.clone()));
        let schema = |count| json!({ "properties": names(count).collect::<Map<_, _>>() });
        let few = derive(&schema(99));
        assert_eq!((few.sets.len(), few.more), (199, false));
        let many = derive(&schema(4_500));
        assert_eq!((many.sets.len(), many.more), (MOST, true));
        let completed = completions(&schema(4_500), many.sets.iter(), &many.sets);
        assert_eq!((completed.sets.len(), completed.more), (MOST, true));
    }
}
