//! `plugin list` and `plugin info`.

use super::plugin_arguments::{PluginInfoArguments, PluginListArguments};
use super::prepare::plugins;
use super::print::{columns, error, print, print_json};
use serde_json::{Value, json};
use std::path::Path;
use wafermill::memory::format_size;
use wafermill::sandbox::{Inspection, Interface, Plugin, inspect};
use wafermill::{Error, Result};

/// Lists the installed plugins.
pub(super) fn list(arguments: &PluginListArguments) -> Result<()> {
    let plugins = plugins(&arguments.plugins, &Default::default())?;
    let mut table = vec![["name", "version", "role", "summary"].map(str::to_owned).to_vec()];
    let mut entries = Vec::new();
    for path in plugins.installed() {
        let path = path.to_string_lossy().into_owned();
        match plugins.get(&path, Path::new("")) {
            // One that is broken does not hide the others.
            Err(broken) => error(&broken),
            Ok(plugin) => {
                let it = plugin.description();
                table.push(vec![it.name.clone(), it.version.clone(), it.role.name().to_owned(), it.summary.clone()]);
                entries.push(to_json(&plugin));
            }
        }
    }
    if entries.is_empty() {
        let folders: Vec<_> = plugins.folders().iter().map(|folder| folder.display().to_string()).collect();
        return Err(Error::usage(format!("there are no plugins in {}", folders.join(", ")))
            .hint("build them with `cargo xtask plugins`, or name their folder with `--plugins`"));
    }
    if arguments.json { print_json(&entries) } else { print(&columns(&table)) }
}

/// Shows one plugin.
pub(super) fn info(arguments: &PluginInfoArguments) -> Result<()> {
    let plugins = plugins(&arguments.plugins, &Default::default())?;
    let path = plugins.component(&arguments.plugin, Path::new(""))?;
    let found = inspect(&path, plugins.limits().component)?;
    if arguments.is_static {
        let mut rows = facts(&path, &found);
        rows.push(row("size", format_size(found.bytes)));
        return if arguments.json { print_json(&of_file(&path, &found)) } else { print(&columns(&rows)) };
    }
    let plugin = plugins.get(&arguments.plugin, Path::new(""))?;
    let it = plugin.description();
    if arguments.json {
        let mut all = of_file(&path, &found);
        all["description"] = json!(it);
        return print_json(&all);
    }
    let mut rows =
        vec![row("role", it.role.name()), row("passes", format!("{} to {}", it.passes.least, it.passes.most))];
    rows.extend(facts(&path, &found));
    rows.push(row("memory", format!("{} at most", format_size(plugin.limits().memory as u64))));
    let head = format!("{} {}: {}", it.name, it.version, it.summary);
    print(&format!("{head}\n\n{}\nparameters\n{}", columns(&rows), parameters(&it.params_schema)))
}

/// What can be told of a component that was only read.
fn facts(path: &Path, found: &Inspection) -> Vec<Vec<String>> {
    let mut rows = vec![
        row("file", path.display().to_string()),
        row("digest", &found.digest),
        row("imports", names(&found.interface.imports)),
        row("exports", names(&found.interface.exports)),
    ];
    if found.interface.needs_wasi() {
        rows.push(row(
            "wasi",
            "0.2, empty: no files, network, environment or arguments; a clock and random numbers of its own",
        ));
    }
    rows
}

fn of_file(path: &Path, found: &Inspection) -> Value {
    let Interface { imports, exports } = &found.interface;
    let wasi = found.interface.needs_wasi();
    json!({ "path": path, "digest": found.digest, "bytes": found.bytes, "imports": imports, "exports": exports, "wasi": wasi })
}

fn row(name: &str, fact: impl Into<String>) -> Vec<String> {
    vec![name.to_owned(), fact.into()]
}

/// A list of names, which may be long and many.
fn names(names: &[String]) -> String {
    const MOST: usize = 1_000;
    let list = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    match list.char_indices().nth(MOST) {
        None => list,
        Some((end, _)) => format!("{}…", &list[..end]),
    }
}

fn to_json(plugin: &Plugin) -> Value {
    json!({ "description": plugin.description(), "path": plugin.path(), "digest": plugin.digest() })
}

/// The parameters of a schema, one line each.
fn parameters(schema: &Value) -> String {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return "none\n".to_owned() };
    let mut rows = Vec::new();
    for (name, property) in properties {
        let resolved = resolve(schema, property);
        let default = property.get("default").map_or_else(String::new, |default| format!(" [default: {default}]"));
        let text = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        rows.push(vec![format!("  {name}"), kind(schema, &resolved), text + &default]);
    }
    columns(&rows)
}

fn resolve(schema: &Value, property: &Value) -> Value {
    let reference = property.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
    reference.and_then(|pointer| schema.pointer(pointer)).unwrap_or(property).clone()
}

/// A type, or the words that are allowed.
fn kind(schema: &Value, property: &Value) -> String {
    let list = |values: &[Value], of: &dyn Fn(&Value) -> String| values.iter().map(of).collect::<Vec<_>>().join(" | ");
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(words) = property.get("enum").and_then(Value::as_array) {
        return list(words, &plain);
    }
    if let Some(word) = property.get("const") {
        return plain(word);
    }
    for keyword in ["oneOf", "anyOf"] {
        if let Some(choices) = property.get(keyword).and_then(Value::as_array) {
            return list(choices, &|choice| kind(schema, &resolve(schema, choice)));
        }
    }
    match property.get("type") {
        Some(Value::Array(types)) => list(types, &plain),
        Some(one) => plain(one),
        None => "any".to_owned(),
    }
}
