//! Pages of rows.

use super::call::Call;
use super::cell;
use super::civil::Stamps;
use super::fault::Kind;
use super::refusal::Refusal;
use super::selection::Selection;
use super::table;
use crate::catalog::Table;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// The most that a page's rows may have, unless it is one row.
const PAGE_BYTES: usize = 10_000_000;

/// Adds the page that a request wants to the answer.
pub(crate) fn add(answer: &mut Map<String, Value>, table: &Table, call: &Call) -> Result<(), Refusal> {
    let selection = Selection::new(table.schema.fields(), call.parameter("selectedFields"))?;
    let stamps = stamps(call)?;
    let start = match call.parameter("pageToken") {
        Some(token) => row_of(token).ok_or_else(|| Refusal::invalid(format!("Invalid page token: {token}")))?,
        None => call.parsed("startIndex")?.unwrap_or(0),
    };
    let most = call.parsed::<u32>("maxResults")?.map_or(usize::MAX, |most| most as usize);
    let mut rows = match call.fault {
        Some(Kind::PageShort) => Vec::new(),
        _ => rows(table, &selection, start, most, stamps),
    };
    if call.fault == Some(Kind::Truncated) {
        rows.truncate(rows.len() / 2);
    }
    let next = start.saturating_add(rows.len());
    if next < table::rows(table) && call.fault != Some(Kind::Truncated) {
        answer.insert("pageToken".to_owned(), URL_SAFE_NO_PAD.encode(format!("row {next}")).into());
    }
    // As with all of Google's lists, none is left out.
    if !rows.is_empty() {
        answer.insert("rows".to_owned(), rows.into());
    }
    Ok(())
}

fn row_of(token: &str) -> Option<usize> {
    let token = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    token.strip_prefix("row ")?.parse().ok()
}

fn rows(table: &Table, selection: &Selection, start: usize, most: usize, stamps: Stamps) -> Vec<Value> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    // A table may have its rows several times, one time after the other.
    let mut first = start.checked_div(table.rows).map_or(0, |times| times * table.rows);
    for batch in table.batches.iter().cycle() {
        if first >= table::rows(table) {
            break;
        }
        let columns = selection.columns(batch.columns());
        for row in start.saturating_sub(first)..batch.num_rows() {
            if rows.len() >= most {
                return rows;
            }
            let cells = cell::row(&selection.fields, &columns, row, stamps);
            bytes += cells.to_string().len();
            if bytes > PAGE_BYTES && !rows.is_empty() {
                return rows;
            }
            rows.push(cells);
        }
        first += batch.num_rows();
    }
    rows
}

/// How the request wants points in time; names and numbers of the enumeration are the same.
fn stamps(call: &Call) -> Result<Stamps, Refusal> {
    let whole = call.parsed::<bool>("formatOptions.useInt64Timestamp")?;
    let format = call.parameter("formatOptions.timestampOutputFormat");
    let format = format.filter(|format| !matches!(*format, "0" | "TIMESTAMP_OUTPUT_FORMAT_UNSPECIFIED"));
    match (whole, format) {
        (Some(true), Some(_)) => {
            Err(Refusal::invalid("Cannot specify both use_int64_timestamp and timestamp_output_format."))
        }
        (Some(true), None) | (_, Some("INT64" | "2")) => Ok(Stamps::Microseconds),
        (_, None | Some("FLOAT64" | "1")) => Ok(Stamps::Seconds),
        (_, Some("ISO8601_STRING" | "3")) => Ok(Stamps::Text),
        (_, Some(other)) => {
            Err(Refusal::invalid(format!("Invalid value for format_options.timestamp_output_format: {other}")))
        }
    }
}
