//! `doctor`: what stands in the way of reading BigQuery.

use super::arguments::DoctorArguments;
use super::console::Console;
use super::interrupt::context;
use super::print::{columns, print, print_json};
use serde_json::json;
use std::path::Path;
use wafermill::source::bigquery::{State, examine};
use wafermill::{Error, Result};

/// Prints what was found, and fails where reading does not work.
pub(super) fn doctor(arguments: &DoctorArguments, console: &Console) -> Result<()> {
    let table = arguments.table.as_deref().map(str::parse).transpose()?;
    let findings = examine(table, arguments.bigquery.section().options(Path::new(""))?, context(console))?;
    let word = |state| match state {
        State::Good => "ok",
        State::Worse => "warning",
        State::Bad => "failed",
        State::Unknown => "unknown",
    };
    if arguments.json {
        let findings = findings.iter().map(|finding| {
            json!({ "check": finding.check, "state": word(finding.state), "detail": finding.detail, "fix": finding.fix })
        });
        print_json(&json!({ "findings": findings.collect::<Vec<_>>() }))?;
    } else {
        let mut fixes = String::new();
        let rows = findings.iter().map(|finding| {
            if let Some(fix) = &finding.fix {
                fixes += &format!("\n{}: {}\nhint: {fix}\n", finding.check, finding.detail);
            }
            let detail = if finding.fix.is_some() { "see below" } else { &finding.detail };
            vec![finding.check.to_owned(), word(finding.state).to_owned(), detail.to_owned()]
        });
        let rows: Vec<_> = rows.collect();
        print(&(columns(&rows) + &fixes))?;
    }
    match findings.iter().find(|finding| finding.state == State::Bad) {
        None => Ok(()),
        Some(finding) => Err(Error::source(format!("BigQuery cannot be read: {} failed", finding.check))),
    }
}
