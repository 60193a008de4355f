//! What a run came to: the report for machines and the summary for people.

use super::console::Console;
use super::print::{columns, counted, print, print_json, readable, thousands};
use std::path::Path;
use wafermill::memory::format_size;
pub(super) use wafermill::run::REPORT;
use wafermill::run::Report;
use wafermill::{Error, Result, RunDirectory, quoted};

/// How a report is shown.
pub(super) struct Shown<'a> {
    /// What was written.
    pub(super) destination: &'a Path,
    /// Where in it the model is.
    pub(super) model: Option<&'a str>,
    pub(super) json: bool,
    /// Where standard output holds the rows.
    pub(super) to_stderr: bool,
}

pub(super) fn write_report(directory: &RunDirectory, report: &Report) -> Result<()> {
    let path = directory.data().join(REPORT);
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::output("the report cannot be written").file(&path).because(error)
    };
    let json = serde_json::to_string_pretty(report).map_err(|error| failed(error.into()))?;
    std::fs::write(&path, json + "\n").map_err(|error| failed(error.into()))
}

pub(super) fn print_report(report: &Report, shown: &Shown<'_>, console: &Console) -> Result<()> {
    console.came_to(report, shown.destination);
    match (shown.json, shown.to_stderr) {
        (true, false) => return print_json(report),
        (false, _) if console.is_quiet() => {}
        (false, false) => return print(&render(report, shown)),
        (true, true) if console.tells_events() => console.report(report),
        (true, true) => {
            let json = serde_json::to_string_pretty(report);
            console.say(&(json.map_err(|error| Error::internal("no report").because(error))? + "\n"));
        }
        // The event of the end says it.
        (false, true) if console.tells_events() => {}
        (false, true) => console.say(&readable(&render(report, shown))),
    }
    Ok(())
}

fn render(report: &Report, shown: &Shown<'_>) -> String {
    let rows = report.rows.map_or_else(String::new, |rows| format!("{}, ", counted(rows, "row")));
    let mut text = format!(
        "{rows}{} in, {} out, in {:.2} s\n\n",
        counted(report.columns_in as u64, "column"),
        report.columns_out,
        report.seconds
    );
    if let Some(output) = report.output.as_ref().filter(|output| !output.parts.is_empty()) {
        let mut rows = vec![["part", "rows", "files", "bytes"].map(str::to_owned).to_vec()];
        for part in &output.parts {
            let bytes: u64 = part.files.iter().map(|file| file.bytes).sum();
            rows.push(vec![part.name.clone(), thousands(part.rows), part.files.len().to_string(), format_size(bytes)]);
        }
        text += &columns(&rows);
        text.push('\n');
    }
    let fitted = report.steps.iter().any(|step| step.passes.is_some());
    let filtered = report.steps.iter().any(|step| step.dropped.is_some());
    let mut heads =
        if fitted { vec!["step", "plugin", "passes", "fit", "apply"] } else { vec!["step", "plugin", "apply"] };
    heads.extend(filtered.then_some("dropped"));
    let mut rows = vec![heads.into_iter().map(str::to_owned).collect()];
    for step in &report.steps {
        let mut row = vec![step.name.clone(), step.plugin.clone()];
        if let Some(passes) = step.passes {
            row.extend([passes.to_string(), format!("{:.3} s", step.fit_seconds)]);
        }
        row.push(format!("{:.3} s", step.apply_seconds));
        row.extend(step.dropped.map(|dropped| counted(dropped, "row")));
        rows.push(row);
    }
    if !report.steps.is_empty() {
        text += &columns(&rows);
    }
    if !report.aggregates.is_empty() {
        text += &format!("\n{}", aggregates(report));
    }
    let spilled = report.spilled_partials + report.output.as_ref().map_or(0, |output| output.spilled_bytes);
    if spilled > 0 {
        text += &format!("\n{} were spilled to disk on the way\n", format_size(spilled));
    }
    if let Some(bytes) = report.billed_bytes {
        text += &format!("\n{} of BigQuery were read, and are billed\n", format_size(bytes));
    }
    text += &format!("\nwritten to {}\n", shown.destination.display());
    if let Some(model) = shown.model {
        text += &format!("look at the model with `wafermill model show {}`\n", quoted(shown.destination.join(model)));
    }
    text
}

/// What was learned of the rows that came out: a line for each table.
fn aggregates(report: &Report) -> String {
    let mut rows = vec![["aggregate", "plugin", "passes", "learn", "rows", "file"].map(str::to_owned).to_vec()];
    for aggregate in &report.aggregates {
        let (passes, learned) = (aggregate.passes.to_string(), format!("{:.3} s", aggregate.seconds));
        let mut of_aggregate = [aggregate.name.clone(), aggregate.plugin.clone(), passes, learned];
        for file in &aggregate.files {
            // What is of the aggregate stands in the line of its first table only.
            let of_aggregate = std::mem::take(&mut of_aggregate);
            rows.push(of_aggregate.into_iter().chain([thousands(file.rows), file.path.clone()]).collect());
        }
    }
    columns(&rows)
}
