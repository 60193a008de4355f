//! Reading a pipeline file so that every error tells its line and column.

use super::file::PipelineFile;
use super::violation::{Violation, first_violation};
use crate::{Error, Result, plain_file};
use serde_json::Value;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// A pipeline file, with the places of all its values.
#[derive(Debug)]
pub struct Document {
    /// What it says.
    pub pipeline: PipelineFile,
    text: String,
    path: PathBuf,
}

/// Reads and checks a pipeline file.
///
/// # Errors
/// Where it cannot be read, is no TOML, or does not keep to the schema of pipeline files.
pub fn load(path: &Path) -> Result<Document> {
    let text = plain_file::read_to_string(path, MOST).map_err(|error| {
        let error = Error::usage("the pipeline file cannot be read").file(path).because(error);
        error.hint("check the path; a pipeline is a TOML file in UTF-8")
    })?;
    Document::parse(text, path)
}

/// Bytes of a pipeline file.
const MOST: u64 = 16 << 20;

const HINT: &str = "the README shows a whole pipeline file";

impl Document {
    /// Checks the text of a pipeline file.
    ///
    /// # Errors
    /// Where it is no TOML, or does not keep to the schema of pipeline files.
    pub fn parse(text: String, path: &Path) -> Result<Self> {
        let value = to_value(&text, path)?;
        let schema = schemars::schema_for!(PipelineFile).to_value();
        if let Some(Violation { message, pointer, hint }) = first_violation(&schema, &value)? {
            let hint = hint.unwrap_or_else(|| HINT.to_owned());
            return Err(locate(Error::usage(message), &text, path, &pointer).hint(hint));
        }
        let pipeline = serde_json::from_value(value)
            .map_err(|error| Error::usage(format!("the pipeline file is wrong: {error}")).file(path).hint(HINT))?;
        Ok(Self { pipeline, text, path: path.to_owned() })
    }

    /// What the file says, to the letter.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The folder that paths in the file are relative to.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Places an error at the value of the file that it points at, or at its step; one that has another place keeps that.
    pub fn locate(&self, error: Error) -> Error {
        let place = error.place();
        if place.file.is_some() {
            return error;
        }
        let pointer = match (&place.pointer, &place.step) {
            (Some(pointer), _) => Some(pointer.clone()),
            (None, Some(step)) => self.pipeline.pointer_of(step),
            (None, None) => None,
        };
        match pointer {
            Some(pointer) => locate(error, &self.text, &self.path, &pointer),
            None => error,
        }
    }

    /// Checks parameters against a plugin's schema; `pointer` names where they stand in the file.
    ///
    /// # Errors
    /// Where they do not keep to it.
    pub fn check_params(&self, schema: &Value, params: &Value, pointer: &str) -> Result<()> {
        let Some(violation) = first_violation(schema, params)? else { return Ok(()) };
        let error = self.locate(Error::usage(violation.message).at(format!("{pointer}{}", violation.pointer)));
        Err(match violation.hint {
            Some(hint) => error.hint(hint),
            None => error,
        })
    }
}

/// TOML as JSON values.
fn to_value(text: &str, path: &Path) -> Result<Value> {
    let table = DeTable::parse(text).map_err(|error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        Error::usage(format!("the pipeline file is no TOML: {}", error.message())).file(path).position(line, column)
    })?;
    to_json(&DeValue::Table(table.into_inner())).map_err(|(message, at)| {
        let (line, column) = position(text, at);
        Error::usage(message).file(path).position(line, column)
    })
}

fn to_json(value: &DeValue<'_>) -> Result<Value, (String, usize)> {
    let child = |value: &Spanned<DeValue<'_>>| {
        to_json(value.get_ref()).map_err(|(message, at)| (message, if at == 0 { value.span().start } else { at }))
    };
    Ok(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            integer(number).ok_or((format!("`{}` does not fit into 64 bits", number.as_str()), 0))?
        }
        DeValue::Float(number) => {
            let parsed: f64 = number.as_str().parse().unwrap_or(f64::NAN);
            let number = serde_json::Number::from_f64(parsed);
            Value::Number(number.ok_or(("numbers here must be finite".to_owned(), 0))?)
        }
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(value) => Value::String(value.to_string()),
        DeValue::Array(values) => Value::Array(values.iter().map(child).collect::<Result<_, _>>()?),
        DeValue::Table(table) => {
            let entries = table.iter().map(|(key, value)| Ok((key.get_ref().to_string(), child(value)?)));
            Value::Object(entries.collect::<Result<_, _>>()?)
        }
    })
}

fn integer(number: &DeInteger<'_>) -> Option<Value> {
    let parsed = i128::from_str_radix(number.as_str(), number.radix()).ok()?;
    i64::try_from(parsed).map(Value::from).or_else(|_| u64::try_from(parsed).map(Value::from)).ok()
}

/// Places an error at the innermost value on the way to `pointer` that the file spells out.
fn locate(error: Error, text: &str, path: &Path, pointer: &str) -> Error {
    let error = error.file(path);
    let Ok(table) = DeTable::parse(text) else { return error };
    let mut span = None;
    let mut value = DeValue::Table(table.into_inner());
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        let next = match value {
            DeValue::Table(mut table) => table.remove(token.as_str()),
            DeValue::Array(values) => token.parse().ok().and_then(|index: usize| values.into_iter().nth(index)),
            _ => None,
        };
        let Some(next) = next else { break };
        span = Some(next.span());
        value = next.into_inner();
    }
    match span {
        None => error,
        Some(span) => {
            let (line, column) = position(text, span.start);
            error.position(line, column)
        }
    }
}

/// One-based line and column of a byte.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
