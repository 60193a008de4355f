//! Events for machines: one object of JSON a line. docs/progress.md is the schema; a field that changes its meaning is a new version.

use super::ledger::View;
use crate::cli::print::escaped;
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use wafermill::run::{Report, Stage};
use wafermill::{Error, ErrorKind};

/// The version of the events.
const VERSION: u32 = 1;

/// The line of an event.
pub(super) fn line(event: &str, fields: Value) -> String {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
    let mut object = Map::new();
    object.insert("version".to_owned(), VERSION.into());
    object.insert("event".to_owned(), event.into());
    object.insert("time".to_owned(), milliseconds(time));
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    let mut line = escaped(&Value::Object(object).to_string());
    line.push('\n');
    line
}

pub(super) fn begun(command: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    line("begun", json!({ "command": command, "wafermill": version, "process": std::process::id() }))
}

pub(super) fn stage_begun(view: &View) -> String {
    line("stage_begun", with(stage(view.number, &view.stage), json!({ "rows_expected": view.expected })))
}

pub(super) fn progress(view: &View) -> String {
    let fields = json!({
        "seconds": milliseconds(view.elapsed.as_secs_f64()),
        "rows": view.rows,
        "rows_expected": view.expected,
        "bytes": view.bytes,
        "rows_per_second": view.rate().map(f64::round),
        "seconds_left": view.seconds_left().map(f64::ceil),
        "memory_bytes": view.memory,
        "spilled_bytes": view.spilled,
        "restarts": view.restarts,
    });
    line("progress", with(stage(view.number, &view.stage), fields))
}

pub(super) fn stage_ended(view: &View) -> String {
    let seconds = milliseconds(view.elapsed.as_secs_f64());
    let fields = json!({ "seconds": seconds, "rows": view.rows, "bytes": view.bytes });
    line("stage_ended", with(stage(view.number, &view.stage), fields))
}

/// A warning or a note.
pub(super) fn message(event: &str, message: &str) -> String {
    line(event, json!({ "message": message }))
}

pub(super) fn report(report: &Report) -> String {
    line("report", json!({ "report": report }))
}

pub(super) fn done(seconds: f64, rows: Option<u64>, destination: Option<&str>, peak_memory: u64) -> String {
    let seconds = milliseconds(seconds);
    line(
        "done",
        json!({ "seconds": seconds, "rows": rows, "destination": destination, "peak_memory_bytes": peak_memory, "exit_status": 0 }),
    )
}

pub(super) fn error(error: &Error, exit_status: u8) -> String {
    let place = error.place();
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        causes.push(current.to_string());
        cause = current.source();
    }
    let (file_line, file_column) = place.position.unzip();
    let fields = json!({
        "kind": kind(error.kind()),
        "message": error.message(),
        "file": place.file.as_ref().map(|file| file.display().to_string()),
        "file_line": file_line,
        "file_column": file_column,
        "step": place.step,
        "plugin": place.plugin,
        "digest": place.digest,
        "call": place.call,
        "column": place.column,
        "fragment": place.fragment,
        "rows": place.rows,
        "batch": place.batch,
        "causes": causes,
        "log": error.log_text(),
        "backtrace": error.backtrace_text(),
        "dump": error.dump().and_then(|dump| Some(dump.as_ref().ok()?.display().to_string())),
        "hint": error.hint_text(),
        "exit_status": exit_status,
    });
    line("error", fields)
}

/// A command line that is not understood.
pub(in crate::cli) fn wrong_command_line(message: &str, exit_status: i32) -> String {
    line("error", json!({ "kind": "command_line", "message": message, "exit_status": exit_status }))
}

fn kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Usage => "usage",
        ErrorKind::Source => "source",
        ErrorKind::Plugin => "plugin",
        ErrorKind::Sandbox => "sandbox",
        ErrorKind::Model => "model",
        ErrorKind::Output => "output",
        ErrorKind::Interrupted => "interrupted",
        _ => "internal",
    }
}

fn stage(number: u64, stage: &Stage) -> Value {
    let mut fields = json!({ "stage": slug(stage), "number": number });
    if let Some(pass) = stage.pass {
        fields["pass"] = pass.into();
    }
    if !stage.steps.is_empty() {
        fields["steps"] = stage.steps.clone().into();
    }
    if let Some(part) = &stage.part {
        fields["part"] = part.as_str().into();
    }
    fields
}

/// The name of a stage, as one word.
pub(super) fn slug(stage: &Stage) -> String {
    stage.name.replace(' ', "_")
}

fn with(mut fields: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) {
        fields.extend(more);
    }
    fields
}

/// Seconds to the millisecond.
fn milliseconds(seconds: f64) -> Value {
    json!((seconds * 1e3).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::print::steers;

    #[test]
    fn an_event_is_one_line_of_json_that_cannot_steer_a_terminal() {
        let text = "two\nlines \u{1b}[31m \u{202e} \u{85} \"quoted\" żółw";
        let line = message("warning", text);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.trim_end().contains(steers), "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["version"], &read["event"], &read["message"]), (&json!(1), &json!("warning"), &json!(text)));
        assert!(read["time"].as_f64().unwrap() > 1.7e9);
    }

    #[test]
    fn an_error_is_told_with_its_place_and_causes() {
        let cause = Error::source("inner").because(std::io::Error::other("innermost"));
        let failed =
            Error::plugin("x").column("c").step("s").rows([3]).file("f.csv").position(2, 5).hint("h").because(cause);
        let read: Value = serde_json::from_str(&error(&failed, 1)).unwrap();
        assert_eq!(read["causes"], json!(["inner", "innermost"]));
        let found = ["kind", "column", "step", "rows", "file", "file_line", "file_column", "hint", "exit_status"]
            .map(|key| read[key].clone());
        let expected = [
            json!("plugin"),
            json!("c"),
            json!("s"),
            json!([3]),
            json!("f.csv"),
            json!(2),
            json!(5),
            json!("h"),
            json!(1),
        ];
        assert_eq!(found, expected);
    }
}
