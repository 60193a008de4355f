//! Which columns a step is given: names, globs and types.

use super::layout::{Column, Entry, Layout};
use super::suggest::{list, nearest};
use crate::{Error, Result};
use arrow_schema::DataType;
use glob::Pattern;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Columns: a list of names and globs, or names, types and exceptions.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Columns {
    /// Names and globs.
    Names(Vec<String>),
    /// Everything that has one of the names or types, but for the exceptions.
    Selector(Selector),
}

impl Default for Columns {
    fn default() -> Self {
        Self::Names(Vec::new())
    }
}

/// Names and types, with exceptions.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Selector {
    /// Names and globs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Types. Columns whose names are known only once a step is fitted are selected by names, never by types.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<TypeClass>,
    /// Names and globs of columns that are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
}

/// A class of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TypeClass {
    /// Integers and floats.
    Number,
    /// Integers, signed or not.
    Integer,
    /// Floats.
    Float,
    /// Decimals.
    Decimal,
    /// Strings.
    String,
    /// Booleans.
    Boolean,
    /// Dates.
    Date,
    /// Timestamps.
    Timestamp,
    /// Byte strings.
    Binary,
}

impl TypeClass {
    fn has(self, data_type: &DataType) -> bool {
        match self {
            Self::Number => data_type.is_integer() || data_type.is_floating(),
            Self::Integer => data_type.is_integer(),
            Self::Float => data_type.is_floating(),
            Self::Decimal => matches!(data_type, DataType::Decimal128(_, _) | DataType::Decimal256(_, _)),
            Self::String => matches!(data_type, DataType::Utf8 | DataType::LargeUtf8),
            Self::Boolean => *data_type == DataType::Boolean,
            Self::Date => matches!(data_type, DataType::Date32 | DataType::Date64),
            Self::Timestamp => matches!(data_type, DataType::Timestamp(_, _)),
            Self::Binary => matches!(data_type, DataType::Binary | DataType::LargeBinary),
        }
    }
}

/// What a selection came to.
#[derive(Debug)]
pub enum Selected {
    /// These columns, by their positions among the layout's columns.
    Columns(Vec<usize>),
    /// Some of them may be of a family whose columns are known once this step is fitted.
    Waits(usize),
}

impl Columns {
    /// The same, spelt out.
    pub fn selector(&self) -> Selector {
        match self {
            Self::Names(names) => Selector { names: names.clone(), ..Selector::default() },
            Self::Selector(selector) => selector.clone(),
        }
    }

    /// Whether nothing is named at all.
    pub fn is_empty(&self) -> bool {
        let Selector { names, types, .. } = self.selector();
        names.is_empty() && types.is_empty()
    }

    /// The columns of a layout that are meant, in the order of the table for globs and types, and of the names otherwise.
    ///
    /// # Errors
    /// Where a name means no column, or a glob among the selected ones.
    pub fn resolve(&self, layout: &Layout) -> Result<Selected> {
        let Selector { names, types, except } = self.selector();
        let columns: Vec<&Column> = layout.columns().collect();
        let positions: HashMap<&str, usize> =
            columns.iter().zip(0..).map(|(column, at)| (column.field.name().as_str(), at)).collect();
        for name in names.iter().chain(&except) {
            if let Some(writer) = family_of(name, layout, &positions)? {
                return Ok(Selected::Waits(writer));
            }
        }
        let mut chosen: Vec<usize> = Vec::new();
        for name in &names {
            let matches = matching(name, &columns, &positions)?;
            if matches.is_empty() {
                return Err(unknown(name, &columns));
            }
            chosen.extend(matches);
        }
        let by_type =
            |column: &Column| !column.in_family && types.iter().any(|class| class.has(column.field.data_type()));
        chosen.extend(columns.iter().enumerate().filter(|(_, column)| by_type(column)).map(|(index, _)| index));
        for name in &except {
            let left_out: HashSet<_> = matching(name, &columns, &positions)?.into_iter().collect();
            // A glob may mean nothing, but a name that is misspelt would leave in what was to be left out.
            if left_out.is_empty() && !name.contains(['*', '?', '[']) {
                return Err(unknown(name, &columns));
            }
            chosen.retain(|index| !left_out.contains(index));
        }
        let mut seen = HashSet::new();
        chosen.retain(|index| seen.insert(*index));
        Ok(Selected::Columns(chosen))
    }
}

/// A name that exists means that column, whatever signs it has; anything else is a glob.
fn matching(name: &str, columns: &[&Column], positions: &HashMap<&str, usize>) -> Result<Vec<usize>> {
    if let Some(index) = positions.get(name) {
        return Ok(vec![*index]);
    }
    let pattern = pattern(name)?;
    let matches = columns.iter().enumerate().filter(|(_, column)| pattern.matches(column.field.name()));
    Ok(matches.map(|(index, _)| index).collect())
}

fn pattern(name: &str) -> Result<Pattern> {
    Pattern::new(name).map_err(|error| {
        Error::usage(format!("`{name}` is no column and no glob"))
            .because(error)
            .hint("write `[*]` for the sign `*` itself")
    })
}

/// The step whose family a name or glob may mean.
fn family_of(name: &str, layout: &Layout, positions: &HashMap<&str, usize>) -> Result<Option<usize>> {
    if positions.contains_key(name) {
        return Ok(None);
    }
    pattern(name)?;
    let literal = name.split(['*', '?', '[']).next().unwrap_or_default();
    let is_glob = literal.len() < name.len();
    let touches = |prefix: &str| literal.starts_with(prefix) || (is_glob && prefix.starts_with(literal));
    Ok(layout.entries().iter().find_map(|entry| match entry {
        Entry::Family { prefix, writer, .. } if touches(prefix) => Some(*writer),
        _ => None,
    }))
}

fn unknown(name: &str, columns: &[&Column]) -> Error {
    let error = Error::usage(format!("there is no column `{name}`"));
    let known = || columns.iter().map(|column| column.field.name().as_str());
    match nearest(name, known()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("the columns here are {}", list(known(), "and"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::{Field, Schema};

    fn layout() -> Layout {
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        let mut layout = Layout::of_source(&Schema::new(vec![
            field("age", DataType::Int64),
            field("f1", DataType::Float64),
            field("f2", DataType::Float64),
            field("a*b", DataType::Utf8),
        ]));
        layout.push(Entry::Family { prefix: "city_".into(), data_type: DataType::UInt8, most: 10, writer: 3 });
        layout
    }

    fn resolve(columns: Columns) -> Vec<usize> {
        match columns.resolve(&layout()).unwrap() {
            Selected::Columns(columns) => columns,
            Selected::Waits(step) => panic!("waits for {step}"),
        }
    }

    #[test]
    fn names_globs_types_and_exceptions_choose_each_column_once() {
        assert_eq!(resolve(Columns::Names(vec!["f?".into(), "age".into(), "f1".into()])), [1, 2, 0]);
        assert_eq!(resolve(Columns::Names(vec!["a*b".into()])), [3]);
        let selector = Selector { types: vec![TypeClass::Number], except: vec!["f2".into()], ..Selector::default() };
        assert_eq!(resolve(Columns::Selector(selector)), [0, 1]);
    }

    #[test]
    fn what_may_be_of_a_family_waits_for_its_step() {
        for name in ["city_paris", "city_*", "c*", "*"] {
            let selected = Columns::Names(vec![name.into()]).resolve(&layout()).unwrap();
            assert!(matches!(selected, Selected::Waits(3)), "{name}: {selected:?}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_one() {
        let error = Columns::Names(vec!["agee".into()]).resolve(&layout()).unwrap_err();
        assert_eq!(error.hint_text(), Some("did you mean `age`?"));
        let except = |name: &str| {
            let selector =
                Selector { types: vec![TypeClass::Number], except: vec![name.into()], ..Selector::default() };
            Columns::Selector(selector).resolve(&layout())
        };
        assert_eq!(except("agee").unwrap_err().hint_text(), Some("did you mean `age`?"));
        assert!(except("x*").is_ok());
    }
}
