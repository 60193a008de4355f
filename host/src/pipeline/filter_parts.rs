//! The parts whose rows a filter looks at, by their names in the pipeline file and by the numbers that the split gives them.

use super::document::Document;
use super::plan::Step;
use super::suggest::{list, nearest};
use crate::contract::{self, Role};
use crate::sandbox::Plugin;
use crate::{Error, Result};

/// Some of the split's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterParts {
    names: Vec<String>,
    /// In the order of the names.
    numbers: Vec<u8>,
}

impl FilterParts {
    /// The parts with these names; `pointer` is the place of the first name's list in the pipeline file.
    ///
    /// # Errors
    /// Where there is no split, or it has no such part.
    pub(super) fn of(names: &[String], split: Option<&Step>, pointer: &str) -> Result<Self> {
        let split = split.ok_or_else(|| without_split().at(pointer))?;
        let known = contract::parts(&split.plan.writes[0].field)?;
        let number = |(index, name): (usize, &String)| {
            let number = known.iter().position(|part| part == name).and_then(|number| u8::try_from(number).ok());
            number.ok_or_else(|| unknown(name, &known).at(format!("{pointer}/{index}")))
        };
        let numbers = names.iter().enumerate().map(number).collect::<Result<_>>()?;
        Ok(Self { names: names.to_vec(), numbers })
    }

    /// The parts' names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the part with this number is one of them.
    pub fn contain(&self, part: u8) -> bool {
        self.numbers.contains(&part)
    }
}

/// Checks that a step of the pipeline file that states `parts` is a filter, and has a split before it.
///
/// # Errors
/// Where it is or has none; `pointer` is the step's place.
pub(super) fn check(document: &Document, step: &str, plugin: &Plugin, pointer: &str) -> Result<()> {
    let description = plugin.description();
    let error = match (description.role, &document.pipeline.split) {
        (Role::Filter, Some(_)) => return Ok(()),
        (Role::Filter, None) => without_split(),
        (role, _) => {
            let message = format!("`parts` goes with filters only, and `{}` is a {}", description.name, role.name());
            Error::usage(message).hint("leave it out: other steps see the rows of all parts")
        }
    };
    Err(document.locate(error.step(step).at(format!("{pointer}/parts"))))
}

fn without_split() -> Error {
    Error::usage("`parts` names parts, and there is no split").hint("add a section `[split]`, or leave `parts` out")
}

fn unknown(name: &str, known: &[String]) -> Error {
    let known = || known.iter().map(String::as_str);
    let hint = match nearest(name, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the split's parts are {}", list(known(), "and")),
    };
    Error::usage(format!("the split has no part `{name}`")).hint(hint)
}
