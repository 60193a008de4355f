//! `plugin check`: the laws of the contract, checked on one plugin.

use super::arguments::PluginCheckArguments;
use super::execute::cores;
use super::prepare::plugins;
use super::print::{columns, print, print_json, thousands};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;
use wafermill::check::{self, CheckOptions, Finding, ParameterSet, Report};
use wafermill::sandbox::Plugin;
use wafermill::{Error, Result};

/// Checks a plugin; fails where a law does not hold.
pub(super) fn check(arguments: &PluginCheckArguments) -> Result<()> {
    let plugin = plugins(&arguments.plugins, &Default::default())?.get(&arguments.plugin, Path::new(""))?;
    let params = arguments.params.as_deref().map(serde_json::from_str::<Value>).transpose().map_err(|error| {
        Error::usage("the parameters are no JSON").because(error).hint("quote them: `--params '{\"seed\": 7}'`")
    })?;
    let rows = arguments.rows as usize;
    let options = CheckOptions { params, rows, seed: arguments.seed, workers: cores(), ..CheckOptions::default() };
    let start = Instant::now();
    let name = &plugin.description().name;
    let report = check::check(&plugin, &options).map_err(|error| error.in_plugin(name))?;
    if arguments.json {
        print_json(&to_json(&plugin, &options, &report)?)?;
    } else {
        print(&render(&plugin, &options, &report, start.elapsed().as_secs_f64()))?;
    }
    let broken: Vec<_> =
        report.laws.iter().filter(|tally| tally.failed > 0).map(|tally| format!("`{}`", tally.law.name())).collect();
    if broken.is_empty() {
        return Ok(());
    }
    let error = Error::plugin(format!("`{name}` breaks the contract: {}", broken.join(", ")));
    Err(error.file(plugin.path()).hint("wit/plugin.wit says what a plugin must do"))
}

fn to_json(plugin: &Plugin, options: &CheckOptions, report: &Report) -> Result<Value> {
    let report =
        serde_json::to_value(report).map_err(|error| Error::internal("a report has no JSON").because(error))?;
    let description = plugin.description();
    Ok(json!({
        "plugin": { "name": description.name, "version": description.version, "path": plugin.path(), "digest": plugin.digest() },
        "seed": options.seed,
        "report": report,
    }))
}

fn render(plugin: &Plugin, options: &CheckOptions, report: &Report, seconds: f64) -> String {
    let it = plugin.description();
    let row = |tally: &check::Tally| {
        let outcome =
            if tally.failed == 0 { "ok".to_owned() } else { format!("FAILED {} times", thousands(tally.failed)) };
        vec![tally.law.name().to_owned(), thousands(tally.checked), outcome, tally.law.text().to_owned()]
    };
    let mut text = format!("{} {}: {}\n\n", it.name, it.version, it.summary);
    text += &columns(&report.laws.iter().map(row).collect::<Vec<_>>());
    text += "\nparameters\n";
    text += &columns(&report.parameters.iter().map(parameters).collect::<Vec<_>>());
    text += &format!(
        "\n{} tables, {} partitions, {} calls, seed {}, {seconds:.1} s\n",
        thousands(report.tables),
        thousands(report.partitions),
        thousands(report.calls),
        options.seed,
    );
    text.extend(report.findings.iter().map(finding));
    let hidden = report.failed() - report.findings.len() as u64;
    if hidden > 0 {
        text += &format!("\n{} more of the same laws\n", thousands(hidden));
    }
    text
}

fn parameters(set: &ParameterSet) -> Vec<String> {
    let outcome = match &set.refusal {
        Some(refusal) => format!("skipped: {refusal}"),
        None => {
            let names: Vec<_> = set.accepts.iter().map(|data_type| data_type.to_string()).collect();
            format!("{} types: {}", names.len(), names.join(" "))
        }
    };
    vec![format!("  {}", set.params), outcome]
}

fn finding(finding: &Finding) -> String {
    let mut text = format!("\nlaw `{}`: {}\n", finding.law.name(), finding.detail);
    if !finding.params.is_null() {
        text += &format!("  parameters  {}\n", finding.params);
    }
    if let Some(table) = &finding.table {
        text += &format!("  table       {table}\n");
    }
    text.extend(finding.log.iter().flat_map(|log| log.lines()).map(|line| format!("  log         {line}\n")));
    text
}
