//! What a plugin says of itself, and what it plans.

use crate::hostile::guest::numbers;
use crate::hostile::message::schema;
use crate::hostile::{Attack, by_guest};
use arrow_schema::DataType;

pub(super) fn all() -> Vec<Attack> {
    let params =
        |what: &str, schema: String| by_guest(what, move |guest| guest.params_schema = schema.clone().into_bytes());
    let nested = format!("{}{}", "{\"not\":".repeat(5_000), "{}".to_owned() + &"}".repeat(5_000));
    let deep = format!("{}{}", "{\"not\":".repeat(120), "{}".to_owned() + &"}".repeat(120));
    vec![
        by_guest("has a name that leads out of a folder", |guest| guest.name = b"../../evil".to_vec()),
        by_guest("has a name that is no UTF-8", |guest| guest.name = vec![0xff; 4]),
        by_guest("has a summary that steers a terminal", |guest| guest.summary = b"\x1b[2J".to_vec()),
        by_guest("has a summary of 2 MiB", |guest| guest.summary = vec![b'x'; 2 << 20]),
        params("has parameters whose schema is no JSON", "{".to_owned()),
        params("has parameters whose schema is nested 5,000 times", nested),
        params("has parameters whose schema is nested 120 times", deep),
        params("has parameters whose schema refers to itself", r##"{"$ref": "#"}"##.to_owned()),
        params(
            "has parameters whose schema refers to itself by two ways",
            r##"{"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}"##.to_owned(),
        ),
        params("has parameters whose schema is on another machine", r#"{"$ref": "http://127.0.0.1:9/x.json"}"#.to_owned()),
        params("has parameters whose schema is another file", r#"{"$ref": "file:///etc/passwd"}"#.to_owned()),
        params("has parameters whose schema takes an hour to try", doubling(40)),
        params("has parameters whose schema is tried twice as often at each of 25 levels", unevaluated(25)),
        params("has parameters whose schema refers to 4,000 schemas behind each other", chain(4_000)),
        params("has parameters with 4,000 patterns that are large programs", patterns(4_000)),
        params(
            "has parameters with a pattern that takes an hour to match",
            r#"{"properties": {"text": {"pattern": "^(a+)+$"}}}"#.to_owned(),
        ),
        params(
            "has parameters with a pattern that looks back and takes an hour",
            r#"{"properties": {"text": {"pattern": "^(?=(a+)+b)(a|aa)+\\1$"}}}"#.to_owned(),
        ),
        params(
            "has parameters with a pattern that is a large program",
            r#"{"properties": {"text": {"pattern": "((a{1,1000}){1,1000}){1,1000}"}}}"#.to_owned(),
        ),
        by_guest("reads a column that it was not given", |guest| guest.reads = vec!["secret".to_owned()]),
        by_guest("reads a column twice", |guest| guest.reads = vec!["x".to_owned(), "x".to_owned()]),
        by_guest("drops a column that it was not given", |guest| guest.drops = vec!["secret".to_owned()]),
        by_guest("replaces a column that it was not given", |guest| {
            guest.planned = schema(&[("secret", DataType::Float64)]);
            guest.announced = guest.planned.clone();
        }),
        by_guest("writes two columns of one name", |guest| {
            guest.writes = vec![0, 0];
            guest.planned = schema(&[("y", DataType::Float64), ("y", DataType::Float64)]);
        }),
        by_guest("writes a family without a prefix", |guest| {
            guest.writes = vec![9];
            guest.planned = schema(&[("", DataType::Float64)]);
        }),
        by_guest("plans fewer columns than it writes", |guest| guest.writes = vec![0; 7]),
        by_guest("plans 30,000 drops", |guest| guest.drops = vec!["x".to_owned(); 30_000]),
        by_guest("plans 1,000,000 passes", |guest| {
            guest.most_passes = 1_000_000;
            guest.planned_passes = 1_000_000;
        }),
        by_guest("plans more passes than it announced", |guest| guest.planned_passes = 4),
        by_guest("adds up texts", |guest| guest.partials = schema(&[("key", DataType::Int64), ("t", DataType::Utf8)])),
        by_guest("has no operator for a column of its partials", |guest| guest.operators = vec![0]),
        by_guest("has an operator that there is not", |guest| guest.operators = vec![0, 9]),
        by_guest("has a key behind a value", |guest| guest.operators = vec![1, 0]),
        by_guest("announces another column than it planned", |guest| {
            guest.announced = schema(&[("other", DataType::Float64)]);
        }),
        by_guest("announces another type than it planned", |guest| {
            guest.announced = schema(&[("y", DataType::Utf8)]);
        }),
        by_guest("announces more columns than it planned", |guest| {
            guest.announced = schema(&[("y", DataType::Float64), ("z", DataType::Float64)]);
            guest.columns = vec![2];
        }),
        by_guest("announces 4,000,000,000 columns of a write", |guest| guest.columns = vec![4_000_000_000]),
        by_guest("returns fewer rows than it got", |guest| guest.applied = numbers(1)),
        by_guest("returns more rows than it got", |guest| guest.applied = numbers(3)),
        by_guest("returns no rows from its second batch on", |guest| guest.applied_next = Some(numbers(0))),
    ]
}

/// A schema of a few lines, each of which tries the one behind it twice.
fn doubling(levels: usize) -> String {
    let level = |at: usize| match at + 1 < levels {
        true => format!(r##""l{at}": {{"anyOf": [{{"$ref": "#/$defs/l{0}"}}, {{"$ref": "#/$defs/l{0}"}}]}}"##, at + 1),
        false => format!(r#""l{at}": {{"type": "string"}}"#),
    };
    let levels: Vec<_> = (0..levels).map(level).collect();
    format!(r##"{{"$defs": {{{}}}, "$ref": "#/$defs/l0"}}"##, levels.join(", "))
}

/// Each level looks at those within it once more, to know what they left.
fn unevaluated(levels: usize) -> String {
    let inner = r#"{"properties": {"text": {}}}"#.to_owned();
    (0..levels).fold(inner, |inner, _| format!(r#"{{"anyOf": [{inner}], "unevaluatedProperties": {{}}}}"#))
}

fn chain(links: usize) -> String {
    let link = |level: usize| format!(r##""l{level}": {{"$ref": "#/$defs/l{}"}}"##, level + 1);
    let links = (0..links).map(link).chain([format!(r#""l{links}": {{}}"#)]).collect::<Vec<_>>();
    format!(r##"{{"$defs": {{{}}}, "$ref": "#/$defs/l0"}}"##, links.join(", "))
}

fn patterns(count: usize) -> String {
    let patterns: Vec<_> = (0..count).map(|number| format!(r#""\\p{{L}}{{22}}{number}": {{}}"#)).collect();
    format!(r#"{{"patternProperties": {{{}}}}}"#, patterns.join(", "))
}
