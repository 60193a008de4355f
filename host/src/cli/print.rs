//! What people read: errors, and numbers.

use std::fmt::Write;
use wafermill::{Error, Place};

/// Prints an error with its place, its causes, the plugin's log and the hint, to standard error.
pub(super) fn error(error: &Error) {
    eprint!("{}", render(error));
}

fn render(error: &Error) -> String {
    let mut text = format!("error: {error}\n");
    let place = error.place();
    if let Some(file) = &place.file {
        let position = place.position.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
        text += &format!("  --> {}{position}\n", file.display());
    }
    let inside = inside(place);
    if !inside.is_empty() {
        text += &format!("  in {}\n", inside.join(", "));
    }
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        // A line each, however the library lays out its message.
        let message = current.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        text += &format!("  caused by: {message}\n");
        if let Some(hint) = current.downcast_ref::<Error>().and_then(Error::hint_text) {
            text += &format!("  hint: {hint}\n");
        }
        cause = current.source();
    }
    if let Some(log) = error.log_text() {
        text += "  the plugin's log:\n";
        log.lines().for_each(|line| text += &format!("    {line}\n"));
    }
    if let Some(hint) = error.hint_text() {
        text += &format!("hint: {hint}\n");
    }
    text
}

fn inside(place: &Place) -> Vec<String> {
    let named = [("step", &place.step), ("plugin", &place.plugin), ("column", &place.column)];
    let mut parts: Vec<String> =
        named.iter().filter_map(|(what, name)| name.as_ref().map(|name| format!("{what} `{name}`"))).collect();
    parts.extend(place.fragment.map(|fragment| format!("fragment {fragment}")));
    match place.rows.as_slice() {
        [] => {}
        [row] => parts.push(format!("row {row}")),
        rows => parts.push(format!("rows {}", rows.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))),
    }
    parts
}

/// Columns of text, aligned; the first line is the head.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// A number with its thousands apart.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_cut_into_thousands() {
        assert_eq!(["0", "999", "1,000", "1,234,567"].map(String::from), [0, 999, 1_000, 1_234_567].map(thousands));
    }
}
