//! `plugin replay`.

use super::plugin_arguments::PluginReplayArguments;
use super::prepare::plugins;
use super::print::{counted, print, print_json};
use arrow_cast::pretty::pretty_format_batches;
use serde_json::json;
use std::path::Path;
use wafermill::dump::{Record, Returned};
use wafermill::pipeline::LimitsSection;
use wafermill::sandbox::component_digest;
use wafermill::{Error, Result};

/// Makes a call again that failed; fails as it does.
pub(super) fn replay(arguments: &PluginReplayArguments) -> Result<()> {
    let record = Record::open(&arguments.call)?;
    // What a component may take until it is ready is no stranger's to say.
    let limits =
        LimitsSection { component: None, compile_seconds: None, compile_memory: None, ..record.limits.clone() };
    let plugins = plugins(&arguments.plugins, &limits).map_err(|error| error.file(arguments.call.join("call.json")))?;
    let named = match (&arguments.plugin, &arguments.plugins.plugins) {
        (Some(plugin), _) => plugin,
        (None, Some(_)) => &record.plugin,
        (None, None) => &record.component,
    };
    let path = plugins.component(named, Path::new(""))?;
    let digest = component_digest(&path, plugins.limits().component)?;
    if digest != record.digest && !arguments.any_digest {
        return Err(Error::usage(format!("the plugin is {digest}, and the call was one of {}", record.digest))
            .file(&path)
            .hint("name the plugin that it was with `--plugin`, or add `--any-digest` to see what this one makes of the call"));
    }
    let plugin = plugins.get(&path.to_string_lossy(), Path::new(""))?;
    let returned = record.replay(&arguments.call, &plugin).map_err(|error| {
        let error = error.step(&record.step).in_plugin(&plugin.description().name);
        if digest == record.digest {
            error
        } else {
            error.hint("this is another plugin than the one that the call was made of")
        }
    })?;
    let rows: usize = returned.iter().map(rows_of).sum();
    if arguments.json {
        let tables: Vec<_> =
            returned.iter().map(|table| json!({ "table": table.table, "rows": rows_of(table) })).collect();
        return print_json(&json!({ "call": record.call.export(), "step": record.step, "plugin": record.plugin,
            "digest": digest, "recorded_digest": record.digest, "returned": tables }));
    }
    let other = if digest == record.digest { "" } else { ", by another plugin than the one that the call was made of" };
    let mut text = format!("`{}` returned {}{other}\n", record.call.export(), counted(rows as u64, "row"));
    for table in &returned {
        text += &table.table.as_ref().map_or_else(String::new, |name| format!("\n{name}\n"));
        text += &head(table, arguments.rows)?;
    }
    print(&text)
}

fn rows_of(table: &Returned) -> usize {
    table.rows.iter().map(|rows| rows.num_rows()).sum()
}

/// The first rows.
fn head(table: &Returned, most: usize) -> Result<String> {
    let mut left = most;
    let mut shown = Vec::new();
    for rows in &table.rows {
        let rows = rows.slice(0, rows.num_rows().min(left));
        left -= rows.num_rows();
        shown.push(rows);
    }
    let text = pretty_format_batches(&shown).map_err(|error| Error::internal("no table").because(error))?;
    Ok(format!("{text}\n"))
}
