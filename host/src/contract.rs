//! The contract of `wit/plugin.wit` as the host sees it, checked.

mod roles;

use crate::partials::PartialTable;
use crate::{Error, Result};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;

/// The field metadata in which a split names its parts, as a JSON array.
pub const PARTS: &str = "wafermill:parts";

/// The column of a table with the names of parts.
pub const PART: &str = "part";

/// How many parts there can be: a part's number is a UInt8, and one of those is kept free.
const PARTS_MOST: usize = 255;

/// What kind of step a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Writes columns.
    Transform,
    /// Assigns rows to parts.
    Split,
    /// Drops rows.
    Filter,
    /// Learns a table.
    Aggregate,
}

impl Role {
    /// As in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transform => "transform",
            Self::Split => "split",
            Self::Filter => "filter",
            Self::Aggregate => "aggregate",
        }
    }

    /// For a sentence: `a filter`, `an aggregate`.
    pub fn name_with_article(self) -> String {
        let article = if self == Self::Aggregate { "an" } else { "a" };
        format!("{article} {}", self.name())
    }
}

/// How often the training rows are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passes {
    /// At least.
    pub least: u32,
    /// At most.
    pub most: u32,
}

impl Passes {
    /// Whether anything is learned at all.
    pub fn any(self) -> bool {
        self.most > 0
    }
}

/// What a plugin says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// A semantic version.
    pub version: String,
    /// One line.
    pub summary: String,
    /// The kind of step that it is.
    pub role: Role,
    /// Over all parameters.
    pub passes: Passes,
    /// The JSON Schema of its parameters.
    pub params_schema: serde_json::Value,
}

/// What the pipeline wants with a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnRole {
    /// To be transformed or learned from.
    Feature,
    /// What a model is to predict.
    Target,
    /// Identifies rows.
    Key,
    /// How much a row counts.
    Weight,
}

/// The columns that a step was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Without dictionaries.
    pub schema: SchemaRef,
    /// One for each field.
    pub roles: Vec<ColumnRole>,
}

/// Columns that the host computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// A hash of the key columns.
    KeyHash,
    /// A hash of the source's row.
    RowHash,
    /// The part that the split assigned.
    Part,
    /// The fold.
    Fold,
}

impl Context {
    /// How many there are.
    const COUNT: usize = 4;

    /// Its field in the batches that a plugin sees.
    pub fn field(self) -> Field {
        // Rows of a table without a split have no part.
        let nullable = self == Self::Part;
        let (name, data_type) = match self {
            Self::KeyHash => ("wafermill:key-hash", DataType::UInt64),
            Self::RowHash => ("wafermill:row-hash", DataType::UInt64),
            Self::Part => ("wafermill:part", DataType::UInt8),
            Self::Fold => ("wafermill:fold", DataType::UInt8),
        };
        Field::new(name, data_type, nullable)
    }
}

/// One column that a step reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Read {
    /// A selected one.
    Column {
        /// Its position in the selection.
        position: usize,
        /// Whether it may come behind a dictionary.
        dictionary: bool,
    },
    /// One that the host computes.
    Context(Context),
}

/// One column, or one family of columns, that a step writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The selected column at whose place it goes; at the end of the table where there is none.
    pub place: Option<String>,
    /// Its field; that of a family has the prefix for a name.
    pub field: Field,
    /// For a family, how many columns it has at most.
    pub family: Option<u32>,
}

impl Write {
    /// Whether a field is one that this write may make.
    fn allows(&self, field: &Field) -> bool {
        let planned = &self.field;
        let named = match self.family {
            None => field.name() == planned.name(),
            Some(_) => field.name().starts_with(planned.name()),
        };
        let dictionary = matches!(field.data_type(), DataType::Dictionary(_, _));
        let typed = field.data_type() == planned.data_type() || (dictionary && *planned.data_type() == DataType::Utf8);
        named && typed && (planned.is_nullable() || !field.is_nullable())
    }
}

/// A table of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelTable {
    /// Unique in the plan.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
}

/// What a fitted step writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// Its columns, families spelt out.
    pub schema: SchemaRef,
    /// For each write of the plan, how many of them it made.
    pub columns: Vec<usize>,
}

/// What a step will do.
#[derive(Clone, Debug, PartialEq)]
pub struct StepPlan {
    /// How often it sees the training rows.
    pub passes: Passes,
    /// The columns of its batches.
    pub reads: Vec<Read>,
    /// Selected columns that are gone afterwards.
    pub drops: Vec<String>,
    /// What it writes.
    pub writes: Vec<Write>,
    /// Its partial results.
    pub partials: Vec<Arc<PartialTable>>,
    /// Its model.
    pub model: Vec<ModelTable>,
}

/// Tables of partials, and of a model, that a plan may have.
const TABLES: usize = 64;

impl StepPlan {
    /// Checks a plan against the plugin's description and the selection that it was made for.
    ///
    /// # Errors
    /// Where it breaks the contract.
    pub fn check(&self, description: &Description, selection: &Selection) -> Result<()> {
        let selected: HashSet<_> = selection.schema.fields().iter().map(|field| field.name()).collect();
        for name in self.drops.iter().chain(self.writes.iter().filter_map(|write| write.place.as_ref())) {
            ensure(selected.contains(name), || format!("it names `{name}`, which was not selected"))?;
        }
        let reads: HashSet<_> = self.reads.iter().collect();
        ensure(reads.len() == self.reads.len(), || "it reads a column twice".to_owned())?;
        let mut names = HashSet::new();
        for write in &self.writes {
            let name = write.field.name();
            ensure(names.insert(name), || format!("it writes `{name}` twice"))?;
            let family_named = write.family.is_none() || !name.is_empty();
            ensure(family_named, || "it writes a family without a prefix".to_owned())?;
            ensure(crate::sandbox::crosses_flat(write.field.data_type()), || {
                format!("it announces `{name}` as {}, which no column of a table can be", write.field.data_type())
            })?;
        }
        let columns = selection.schema.fields().len() + Context::COUNT;
        ensure(self.reads.len() <= columns && self.drops.len() <= columns, || {
            "it reads or drops more columns than it was given".to_owned()
        })?;
        ensure(self.partials.len() <= TABLES && self.model.len() <= TABLES, || {
            format!("it has more than {TABLES} tables")
        })?;
        let Passes { least, most } = self.passes;
        ensure(most <= crate::sandbox::PASSES, || {
            format!("it asks for {most} passes, more than {}", crate::sandbox::PASSES)
        })?;
        let within = least <= most && most <= description.passes.most && least >= description.passes.least;
        ensure(within, || "its passes are not those that `describe` announced".to_owned())?;
        let learns = self.passes.any();
        ensure(learns || (self.partials.is_empty() && self.model.is_empty()), || {
            "it has tables to learn, but asks for no passes".to_owned()
        })?;
        let mut tables = HashSet::new();
        let partials = self.partials.iter().map(|table| ("partials", table.name()));
        for (kind, name) in partials.chain(self.model.iter().map(|table| ("model", table.name.as_str()))) {
            ensure(is_name(name), || format!("`{name}` is no name for a table"))?;
            ensure(tables.insert((kind, name)), || format!("it has two tables `{name}`"))?;
        }
        for table in &self.model {
            let mut fields = table.schema.fields().iter();
            let plain = !table.schema.fields().is_empty()
                && fields.all(|field| !matches!(field.data_type(), DataType::Dictionary(_, _)));
            ensure(plain, || format!("the model's table `{}` has no columns, or dictionaries", table.name))?;
        }
        self.check_role(description.role)
    }

    /// The columns that the step reads, none of them behind a dictionary.
    pub fn input(&self, selection: &Selection) -> SchemaRef {
        let field = |read: &Read| match read {
            Read::Context(context) => context.field(),
            Read::Column { position, .. } => bare(selection.schema.field(*position)),
        };
        Arc::new(Schema::new(self.reads.iter().map(field).collect::<Vec<_>>()))
    }

    /// What the step writes, where the plan alone tells.
    pub fn known_outputs(&self) -> Option<Outputs> {
        if self.writes.iter().any(|write| write.family.is_some()) {
            return None;
        }
        let fields: Vec<Field> = self.writes.iter().map(|write| write.field.clone()).collect();
        Some(Outputs { columns: vec![1; fields.len()], schema: Arc::new(Schema::new(fields)) })
    }

    /// Checks what a step says it writes against its plan.
    ///
    /// # Errors
    /// The contract's rule that it breaks.
    pub fn check_outputs(&self, outputs: &Outputs) -> Result<(), String> {
        let total: usize = outputs.columns.iter().sum();
        if outputs.columns.len() != self.writes.len() || total != outputs.schema.fields().len() {
            return Err("its numbers of columns are not those of its writes and its schema".to_owned());
        }
        let mut fields = outputs.schema.fields().iter();
        for (write, count) in self.writes.iter().zip(&outputs.columns) {
            if *count > write.family.map_or(1, |most| most as usize) || (write.family.is_none() && *count != 1) {
                return Err(format!("`{}` makes {count} columns, which was not planned", write.field.name()));
            }
            match fields.by_ref().take(*count).find(|field| !write.allows(field)) {
                Some(field) => return Err(format!("it announces `{field}` where `{}` was planned", write.field)),
                None => continue,
            }
        }
        Ok(())
    }
}

/// A field without its metadata, which does not cross.
pub(crate) fn bare(field: &Field) -> Field {
    Field::new(field.name(), field.data_type().clone(), field.is_nullable())
}

/// The names of the parts in the field that a split writes.
///
/// # Errors
/// Where they are missing, not unique or not fit to name folders.
pub fn parts(field: &Field) -> Result<Vec<String>> {
    let json = field.metadata().get(PARTS).ok_or_else(|| broken(format!("its field lacks the metadata `{PARTS}`")))?;
    let names: Vec<String> = serde_json::from_str(json).map_err(|error| broken(error.to_string()))?;
    check_part_names(&names)?;
    Ok(names)
}

/// Checks the names of parts, which become those of folders.
///
/// # Errors
/// Where there are none or too many, one cannot name a folder everywhere, or two are the same to some file systems.
pub fn check_part_names(names: &[String]) -> Result<()> {
    let plain = |name: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(fits)
    };
    if let Some(name) = names.iter().find(|name| !plain(name)) {
        return Err(Error::plugin(format!("`{}` cannot name a part", name.escape_debug()))
            .hint("use up to 64 letters, digits, `-`, `_` and `.`, a letter or digit first"));
    }
    let mut known = HashSet::new();
    if let Some(name) = names.iter().find(|name| !known.insert(name.to_ascii_lowercase())) {
        return Err(Error::plugin(format!("two parts have the name `{name}`")).hint("give each part its own name"));
    }
    match names.len() {
        1..=PARTS_MOST => Ok(()),
        count => Err(Error::plugin(format!("there cannot be {count} parts")).hint(format!("use 1 to {PARTS_MOST}"))),
    }
}

/// Whether a plugin or one of its tables can have this name.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 64 && name.chars().all(fits)
}

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(broken(message())) }
}

fn broken(reason: String) -> Error {
    Error::sandbox(format!("the plugin's plan breaks the contract: {reason}"))
        .hint("report this to the plugin's author")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_cannot_name_folders_are_refused() {
        let check = |names: &[&str]| check_part_names(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        for bad in ["..", "a/b", "", ".hidden", "a\0", &"a".repeat(65)] {
            assert!(check(&[bad]).is_err(), "{bad}");
        }
        assert!(check(&["train", "Train"]).is_err());
        assert!(check(&[]).is_err());
        assert!(check_part_names(&(0..256).map(|part| part.to_string()).collect::<Vec<_>>()).is_err());
        assert!(check(&["train", "val-1.a"]).is_ok());
    }
}
