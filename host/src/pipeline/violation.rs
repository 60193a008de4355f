//! What a JSON Schema forbids, said in the words of a pipeline file.

use super::suggest::{list, nearest};
use crate::{Error, Result};
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

/// Bytes of a compiled pattern.
const PATTERN: usize = 1 << 20;

/// Something that a schema forbids.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) message: String,
    /// The JSON pointer of the place.
    pub(super) pointer: String,
    pub(super) hint: Option<String>,
}

/// A schema, compiled for many values.
pub(crate) struct Compiled<'s> {
    schema: &'s Value,
    validator: Validator,
}

impl<'s> Compiled<'s> {
    /// Compiles a schema.
    ///
    /// # Errors
    /// Where it is none.
    pub(crate) fn new(schema: &'s Value) -> Result<Self> {
        // A pattern of a plugin's must not take long: this engine is linear in the text, and bounded in what it makes of the pattern.
        let patterns = PatternOptions::regex().size_limit(PATTERN).dfa_size_limit(PATTERN);
        let validator = jsonschema::options().with_pattern_options(patterns).build(schema).map_err(|error| {
            Error::sandbox("the plugin's schema of parameters is no JSON Schema").because(error.to_string())
        })?;
        Ok(Self { schema, validator })
    }

    /// The first thing in `value` that the schema forbids.
    pub(crate) fn first_violation(&self, value: &Value) -> Option<Violation> {
        let errors = self.validator.iter_errors(value);
        errors.max_by_key(depth).map(|error| explain(&error, self.schema))
    }
}

/// The first thing in `value` that `schema` forbids.
///
/// # Errors
/// Where `schema` is none.
pub(crate) fn first_violation(schema: &Value, value: &Value) -> Result<Option<Violation>> {
    Ok(Compiled::new(schema)?.first_violation(value))
}

/// How deep in the file it is. The deepest violation says the most.
fn depth(error: &ValidationError<'_>) -> usize {
    error.instance_path().to_string().matches('/').count()
}

fn explain(error: &ValidationError<'_>, schema: &Value) -> Violation {
    let pointer = error.instance_path().to_string();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => unknown_key(error, unexpected, schema),
        // An object without any properties has a schema that allows none.
        Kind::FalseSchema => {
            let key = pointer.rsplit('/').next().unwrap_or_default();
            Violation { message: format!("unknown key `{key}`"), hint: Some("it takes none".to_owned()), pointer }
        }
        Kind::Required { property } => {
            let message = format!("the key `{}` is missing", property.as_str().unwrap_or_default());
            Violation { message, pointer, hint: None }
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            // A choice of the right type that fails for another reason is the one that was meant.
            let meant = context.iter().find(|errors| {
                errors.iter().any(|inner| {
                    depth(inner) > depth(error) || matches!(inner.kind(), Kind::AdditionalProperties { .. })
                })
            });
            match meant.and_then(|errors| errors.iter().max_by_key(|inner| depth(inner))) {
                Some(inner) => explain(inner, schema),
                None => unfit(error),
            }
        }
        _ => unfit(error),
    }
}

fn unknown_key(error: &ValidationError<'_>, unexpected: &[String], schema: &Value) -> Violation {
    let key = unexpected.first().map_or("", String::as_str);
    let path = error.schema_path().to_string();
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let properties = schema.pointer(parent).and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    let known = || properties.into_iter().flatten().map(|(name, _)| name.as_str());
    let hint = match (nearest(key, known()), known().next()) {
        (Some(near), _) => Some(format!("did you mean `{near}`?")),
        (None, Some(_)) => Some(format!("known here are {}", list(known(), "and"))),
        (None, None) => None,
    };
    let escaped = key.replace('~', "~0").replace('/', "~1");
    Violation { message: format!("unknown key `{key}`"), pointer: format!("{}/{escaped}", error.instance_path()), hint }
}

/// A value that is not what its key takes.
fn unfit(error: &ValidationError<'_>) -> Violation {
    let pointer = error.instance_path().to_string();
    let value = error.instance();
    let mut expected = Expected::default();
    expected.collect(error);
    let message = match (expected.render(), name(&pointer)) {
        (Some(must), Some(name)) => format!("`{name}` must {must}, and it is {}", shown(value)),
        (Some(must), None) => format!("this must {must}"),
        // What no plugin of ours uses, in the words of the library.
        (None, _) => error.to_string().replace('"', "`"),
    };
    let words = expected.words.iter().map(String::as_str);
    let hint = value.as_str().and_then(|word| nearest(word, words)).map(|near| format!("did you mean `{near}`?"));
    Violation { message, pointer, hint }
}

/// What a value may be.
#[derive(Default)]
struct Expected {
    words: Vec<String>,
    others: Vec<String>,
}

impl Expected {
    fn collect(&mut self, error: &ValidationError<'_>) {
        match error.kind() {
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                context.iter().flatten().for_each(|inner| self.collect(inner));
            }
            Kind::Constant { expected_value } => self.word(expected_value),
            Kind::Enum { options } => options.as_array().into_iter().flatten().for_each(|word| self.word(word)),
            Kind::Type { kind } => self.other(type_names(kind)),
            Kind::Minimum { limit } => self.other(format!("be at least {limit}")),
            Kind::Maximum { limit } => self.other(format!("be at most {limit}")),
            Kind::ExclusiveMinimum { limit } => self.other(format!("be above {limit}")),
            Kind::ExclusiveMaximum { limit } => self.other(format!("be below {limit}")),
            Kind::MinItems { limit } | Kind::MinLength { limit } => {
                self.other(format!("have a length of at least {limit}"))
            }
            Kind::MaxItems { limit } | Kind::MaxLength { limit } => {
                self.other(format!("have a length of at most {limit}"))
            }
            _ => {}
        }
    }

    fn word(&mut self, word: &Value) {
        let word = word.as_str().map_or_else(|| word.to_string(), str::to_owned);
        if !self.words.contains(&word) {
            self.words.push(word);
        }
    }

    fn other(&mut self, other: String) {
        if !other.is_empty() && !self.others.contains(&other) {
            self.others.push(other);
        }
    }

    fn render(&self) -> Option<String> {
        let words =
            (!self.words.is_empty()).then(|| format!("be {}", list(self.words.iter().map(String::as_str), "or")));
        // Where words are allowed, that they are strings goes without saying.
        let implied = |other: &&String| words.is_some() && *other == "be a string";
        let others = self.others.iter().filter(|other| !implied(other));
        let all: Vec<&str> = words.iter().chain(others).map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join(" or ").replace(" or be ", " or "))
    }
}

/// Types by the names that TOML gives them; it has no null.
fn type_names(kind: &TypeKind) -> String {
    let name = |json: &str| match json {
        "null" => None,
        "object" => Some("a table"),
        "array" => Some("a list"),
        "integer" => Some("an integer"),
        "boolean" => Some("a boolean"),
        "number" => Some("a number"),
        _ => Some("a string"),
    };
    let names: Vec<_> = match kind {
        TypeKind::Single(one) => name(&one.to_string()).into_iter().collect(),
        TypeKind::Multiple(types) => types.iter().filter_map(|one| name(&one.to_string())).collect(),
    };
    if names.is_empty() { String::new() } else { format!("be {}", names.join(" or ")) }
}

/// The key of a value, and its position in a list.
fn name(pointer: &str) -> Option<String> {
    let mut tokens = pointer.rsplit('/');
    let last = tokens.next().filter(|token| !token.is_empty())?;
    let unescaped = |token: &str| token.replace("~1", "/").replace("~0", "~");
    Some(match (last.parse::<usize>(), tokens.next()) {
        (Ok(index), Some(list)) => format!("{}[{index}]", unescaped(list)),
        _ => unescaped(last),
    })
}

fn shown(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(schema: Value, value: Value) -> (String, String, Option<String>) {
        let violation = first_violation(&schema, &value).unwrap().unwrap();
        (violation.message, violation.pointer, violation.hint)
    }

    #[test]
    fn words_are_listed_and_the_nearest_is_suggested() {
        let schema =
            json!({ "properties": { "method": { "oneOf": [{ "const": "standard" }, { "const": "minmax" }] } } });
        let (text, pointer, hint) = message(schema, json!({ "method": "standart" }));
        assert_eq!(text, "`method` must be `standard` or `minmax`, and it is \"standart\"");
        assert_eq!((pointer.as_str(), hint.as_deref()), ("/method", Some("did you mean `standard`?")));
    }

    #[test]
    fn a_choice_of_the_right_type_is_the_one_that_was_meant() {
        let table = json!({ "type": "object", "properties": { "names": {} }, "additionalProperties": false });
        let schema = json!({ "properties": { "columns": { "anyOf": [{ "type": "array" }, table] } } });
        let (text, pointer, hint) = message(schema.clone(), json!({ "columns": { "name": [] } }));
        assert_eq!((text.as_str(), pointer.as_str()), ("unknown key `name`", "/columns/name"));
        assert_eq!(hint.as_deref(), Some("did you mean `names`?"));
        let (text, ..) = message(schema, json!({ "columns": "age" }));
        assert_eq!(text, "`columns` must be a list or a table, and it is \"age\"");
    }

    #[test]
    fn null_is_never_suggested() {
        let schema = json!({ "properties": { "count": { "type": ["integer", "null"], "minimum": 2 } } });
        assert_eq!(message(schema.clone(), json!({ "count": "x" })).0, "`count` must be an integer, and it is \"x\"");
        assert_eq!(message(schema, json!({ "count": 1 })).0, "`count` must be at least 2, and it is 1");
    }
}
