//! What people read: errors, and numbers.

use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use wafermill::{Error, ErrorKind, Result, quoted};

/// Prints an error to standard error.
pub(super) fn error(error: &Error) {
    eprint!("{}", readable(&render(error)));
}

/// Prints for people to standard output.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn print(text: &str) -> Result<()> {
    write(&readable(text))
}

/// Prints for programs to standard output.
///
/// # Errors
/// As for [`print`].
pub(super) fn print_json(value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string_pretty(value).map_err(|error| Error::internal("no JSON").because(error))?;
    write(&(escaped(&json) + "\n"))
}

fn write(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        // A reader that has seen enough, such as `head`, is no error.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::output("standard output cannot be written").because(error))
        }
        _ => Ok(()),
    }
}

/// A number of things, such as `1 row` and `1,000 rows`.
pub(super) fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// A text without what would steer a terminal or turn the direction of writing: names and values come from anywhere.
pub(super) fn readable(text: &str) -> Cow<'_, str> {
    let steers_lines = |c: char| steers(c) && c != '\n';
    if !text.contains(steers_lines) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if steers_lines(c) { c.escape_unicode().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escape).collect())
}

/// JSON of which no string can steer a terminal, and the lines are what they were: within strings any character may be escaped, and
/// outside of them there are none of these.
pub(super) fn escaped(json: &str) -> String {
    let escape = |c: char| if steers(c) && c != '\n' { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    json.chars().map(escape).collect()
}

/// Whether a character steers a terminal or turns the direction of writing.
pub(super) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// One line of an error, however many lines and however long the text is.
fn line(text: &str) -> String {
    // Spaces within a line stay: they may be those of a name.
    cut(&text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")).into_owned()
}

/// The start of a long text.
fn cut(text: &str) -> Cow<'_, str> {
    const MOST: usize = 1_000;
    match text.char_indices().nth(MOST) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// A cell of a table.
fn cell_text(text: &str) -> Cow<'_, str> {
    let cut = cut(text);
    if cut.contains('\n') { Cow::Owned(cut.replace('\n', "\\n")) } else { cut }
}

/// An error with its place, its causes, the plugin's log and the hint.
pub(super) fn render(error: &Error) -> String {
    let mut text = format!("error: {}\n", line(error.message()));
    let place = error.place();
    if let Some(file) = &place.file {
        let position = place.position.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
        text += &format!("  --> {}{position}\n", file.display());
    }
    let inside = inside(error);
    if !inside.is_empty() {
        text += &format!("  in {}\n", line(&inside.join(", ")));
    }
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        text += &format!("  caused by: {}\n", line(&current.to_string()));
        if let Some(hint) = current.downcast_ref::<Error>().and_then(Error::hint_text) {
            text += &format!("  hint: {}\n", line(hint));
        }
        cause = current.source();
    }
    if let Some(digest) = place.digest.as_ref().filter(|_| error.kind() == ErrorKind::Sandbox) {
        text += &format!("  the plugin's digest: {digest}\n");
    }
    if let Some(functions) = error.backtrace_text() {
        text += "  the plugin's functions, the innermost first:\n";
        functions.lines().for_each(|line| text += &format!("    {line}\n"));
    }
    if let Some(log) = error.log_text() {
        text += "  the plugin's log:\n";
        log.lines().for_each(|line| text += &format!("    {line}\n"));
    }
    match error.dump() {
        Some(Ok(folder)) => text += &format!("  to make this call again: wafermill plugin replay {}\n", quoted(folder)),
        Some(Err(reason)) => text += &format!("  what it was given could not be written to {}\n", line(reason)),
        None => {}
    }
    if let Some(hint) = error.hint_text() {
        text += &format!("hint: {}\n", line(hint));
    }
    text
}

fn inside(error: &Error) -> Vec<String> {
    let place = error.place();
    let named = [("step", &place.step), ("plugin", &place.plugin), ("column", &place.column)];
    let mut parts: Vec<String> =
        named.iter().filter_map(|(what, name)| name.as_ref().map(|name| format!("{what} `{name}`"))).collect();
    parts.extend(place.fragment.map(|fragment| format!("fragment {fragment}")));
    // What the plugin is to blame for is for its author: which one it was, and where it stood.
    let blamed = error.kind() == ErrorKind::Sandbox;
    match place.rows.as_slice() {
        [] if blamed => parts.extend(place.batch.map(|row| format!("the batch from row {row} on"))),
        [] => {}
        [row] => parts.push(format!("row {row}")),
        rows => parts.push(format!("rows {}", rows.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))),
    }
    parts
}

/// Columns of text, aligned; the first line is the head. Long cells are cut, and none goes on in the next line.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| row.iter().map(|cell| cell_text(cell)).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
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
    fn names_cannot_steer_the_terminal() {
        let error = Error::usage("there is no column `\x1b[31mred\u{202e}`\nerror: another").hint("x".repeat(5_000));
        let text = readable(&render(&error)).into_owned();
        assert!(text.starts_with(r"error: there is no column `\u{1b}[31mred\u{202e}` error: another"), "{text}");
        assert!(text.len() < 2_000);
    }

    #[test]
    fn json_cannot_steer_the_terminal_and_says_the_same() {
        let value = serde_json::json!({ "\u{1b}[2J": ["\u{9b}2J\u{202e}\u{61c} \u{85}", "two\nlines", "żółw"] });
        let json = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!json.contains(|c| steers(c) && c != '\n'), "{json}");
        assert_eq!(json.lines().count(), 7);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
    }

    #[test]
    fn a_name_with_two_lines_is_one_row_of_a_table() {
        let rows = [["name", "type"], ["a\nforged  row", "b"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(columns(&rows), "name            type\na\\nforged  row  b\n");
    }

    #[test]
    fn numbers_are_cut_into_thousands() {
        assert_eq!(["0", "999", "1,000", "1,234,567"].map(String::from), [0, 999, 1_000, 1_234_567].map(thousands));
    }
}
