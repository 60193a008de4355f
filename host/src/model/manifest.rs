//! What stands beside the tables of a model: for people, and for applying it again.

use super::ModelStore;
use crate::contract::{ColumnRole, is_name};
use crate::digest::digest;
use crate::ipc::{Cause, SavedTable};
use crate::json::check_values;
use crate::pipeline::{CsvSection, Plan, Selector, Step, StepDefinition, is_step_name};
use crate::source::parse_type;
use crate::{Error, Result, plain_file};
use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

/// The manifest's file name; it also marks folders that wafermill may overwrite.
pub const MANIFEST: &str = "manifest.json";

/// The version of the folder's layout that this host writes and reads.
const FORMAT: u32 = 1;

/// Bytes of a manifest: a hundred thousand columns in as many steps have 140 MB.
const MOST: u64 = 192 << 20;

/// What to do about a manifest that makes no sense.
pub(super) const RESTORE: &str = "fit the model again, or restore its manifest from a copy";

/// What tells how the rest is read.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    format: Option<u64>,
}

/// What a model is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The layout of the folder.
    pub format: u32,
    /// The host that wrote it.
    pub wafermill: String,
    /// The version of the hashes that splits and folds depend on.
    pub hash_version: u32,
    /// How many folds there are.
    pub folds: u8,
    /// How the CSV files were written that the steps were fitted on.
    #[serde(default, skip_serializing_if = "is_plain")]
    pub csv: CsvSection,
    /// The columns that the steps were fitted on.
    pub source: Vec<SourceEntry>,
    /// The steps, a split first.
    pub steps: Vec<StepEntry>,
    /// The columns that come out.
    pub columns: Vec<ColumnEntry>,
}

/// A column of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceEntry {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Whether it could hold nulls: most can.
    #[serde(default = "can_be_null", skip_serializing_if = "is_nullable")]
    pub nullable: bool,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnEntry {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    #[serde(rename = "type")]
    pub data_type: String,
    /// What it is to a step; nothing outside of one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<ColumnRole>,
}

/// A step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepEntry {
    /// Its name.
    pub name: String,
    /// Its position in the pipeline file, from one; zero for a split.
    pub ordinal: usize,
    /// Its plugin's name.
    pub plugin: String,
    /// Its plugin's version.
    pub version: String,
    /// `sha256:` and the digest of its plugin's component.
    pub digest: String,
    /// Of a filter: the parts whose rows it looks at, where those are not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<String>>,
    /// Its parameters.
    pub params: Value,
    /// How its columns were chosen, by their role; models of earlier versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Vec<SelectEntry>>,
    /// The columns that it was given.
    pub columns: Vec<ColumnEntry>,
    /// How often the training rows were seen to fit it.
    pub passes: u32,
    /// The tables of its model.
    pub model: Vec<TableEntry>,
    /// The partial results that the model was made of, of the last pass.
    pub partials: Vec<TableEntry>,
}

/// How the columns of a step that have one role were chosen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SelectEntry {
    /// What they are to the step.
    pub role: ColumnRole,
    /// Their names and types.
    pub columns: Selector,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Its name.
    pub name: String,
    /// Its file, relative to the model's folder.
    pub file: PathBuf,
    /// How many rows it has.
    pub rows: u64,
    /// `sha256:` and the digest of its file.
    pub digest: String,
}

/// What fitting a step came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fitted {
    /// How often the training rows were seen.
    pub passes: u32,
    /// The model's tables.
    pub model: Vec<SavedTable>,
    /// The tables of partials.
    pub partials: Vec<SavedTable>,
}

impl Manifest {
    /// Of a plan whose steps are all fitted, on so many folds.
    pub fn of(plan: &Plan, folds: u8, csv: &CsvSection, fitted: &[Fitted]) -> Self {
        let steps = plan.definitions().iter().zip(plan.steps()).zip(fitted);
        Self {
            format: FORMAT,
            wafermill: env!("CARGO_PKG_VERSION").to_owned(),
            hash_version: crate::hash::VERSION,
            folds,
            // Types are those of the columns.
            csv: CsvSection { types: BTreeMap::new(), ..csv.clone() },
            source: plan.source().fields().iter().map(|field| source_column(field)).collect(),
            steps: steps.map(|((definition, step), fitted)| entry(definition, step, fitted)).collect(),
            columns: plan.layout().schema().fields().iter().map(|field| column(field, None)).collect(),
        }
    }

    /// Writes it into a model's folder.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, store: &ModelStore) -> Result<()> {
        let path = store.root().join(MANIFEST);
        let json = serde_json::to_string_pretty(self).map_err(|error| Error::internal("no manifest").because(error))?;
        std::fs::write(&path, json + "\n")
            .map_err(|error| Error::output("the manifest cannot be written").file(&path).because(error))
    }

    /// Reads it from a model's folder.
    ///
    /// # Errors
    /// Where the folder holds no model that this host can read.
    pub fn read(store: &ModelStore) -> Result<Self> {
        let path = store.root().join(MANIFEST);
        let text = plain_file::read_to_string(&path, MOST).map_err(|error| {
            Error::model("the folder holds no model")
                .file(&path)
                .because(error)
                .hint("name a folder that `wafermill fit` wrote")
        })?;
        let damaged = |error: Cause| Error::model("the manifest is damaged").file(&path).because(error).hint(RESTORE);
        // Nothing else is kept of it before it is known to be of this form, and how much there is.
        let Head { format } = serde_json::from_str(&text).map_err(|error| damaged(error.into()))?;
        match format {
            Some(format) if format == u64::from(FORMAT) => {
                check_values(text.as_bytes()).map_err(damaged)?;
                let manifest: Self = serde_json::from_str(&text).map_err(|error| damaged(error.into()))?;
                manifest.check_names().map_err(damaged)?;
                if manifest.hash_version != crate::hash::VERSION {
                    let message = format!("the model's hashes have the version {}", manifest.hash_version);
                    return Err(Error::model(message).file(&path).hint("use the version of wafermill that wrote it"));
                }
                Ok(manifest)
            }
            Some(format) => {
                Err(Error::model(format!("the model has the format {format}, and this host reads {FORMAT}"))
                    .file(&path)
                    .hint("use the version of wafermill that wrote it, or fit it again"))
            }
            None => Err(damaged("it names no format".into())),
        }
    }

    /// The digest of all that it says, and so of the model: it has the digests of its tables.
    ///
    /// # Errors
    /// None, as far as is known.
    pub fn digest(&self) -> Result<String> {
        let json = serde_json::to_vec(self).map_err(|error| Error::internal("no manifest").because(error))?;
        Ok(digest(&json))
    }

    /// The digests of the model's tables, by their files.
    pub fn digests(&self) -> HashMap<PathBuf, String> {
        let tables = self.steps.iter().flat_map(|step| step.model.iter().chain(&step.partials));
        tables.map(|table| (table.file.clone(), table.digest.clone())).collect()
    }

    /// A model may come from anywhere: what it names is looked for in its own folder only.
    fn check_names(&self) -> Result<(), Cause> {
        let inside = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        if !self.steps.is_sorted_by(|step, next| step.ordinal < next.ordinal) {
            return Err("its steps are not in their order".into());
        }
        for step in &self.steps {
            if !is_step_name(&step.name) || !is_name(&step.plugin) {
                return Err(
                    format!("a step cannot have the name `{}` and the plugin `{}`", step.name, step.plugin).into()
                );
            }
            if let Some(table) = step.model.iter().chain(&step.partials).find(|table| !inside(&table.file)) {
                return Err(format!("the table `{}` is outside of the model", table.file.display()).into());
            }
        }
        Ok(())
    }

    /// The types of the columns that the steps were fitted on. A CSV file has none of its own, and what one would guess
    /// depends on its values. Types that are none of a source's columns are left out.
    pub fn source_types(&self) -> BTreeMap<String, DataType> {
        let parsed =
            self.source.iter().filter_map(|column| Some((column.name.clone(), parse_type(&column.data_type)?)));
        parsed.collect()
    }
}

/// Whether CSV files were written as they are by default.
fn is_plain(csv: &CsvSection) -> bool {
    *csv == CsvSection::default()
}

fn can_be_null() -> bool {
    true
}

fn is_nullable(nullable: &bool) -> bool {
    *nullable
}

fn source_column(field: &Field) -> SourceEntry {
    SourceEntry { name: field.name().clone(), data_type: field.data_type().to_string(), nullable: field.is_nullable() }
}

pub(super) fn column(field: &Field, role: Option<ColumnRole>) -> ColumnEntry {
    ColumnEntry { name: field.name().clone(), data_type: field.data_type().to_string(), role }
}

fn entry(definition: &StepDefinition, step: &Step, fitted: &Fitted) -> StepEntry {
    let description = step.plugin.description();
    let table = |name: &str, file: PathBuf, saved: &SavedTable| TableEntry {
        name: name.to_owned(),
        file,
        rows: saved.rows,
        digest: saved.digest.clone(),
    };
    let model = step.plan.model.iter().zip(&fitted.model);
    let model = model.map(|(it, saved)| table(&it.name, ModelStore::model_file(step, &it.name), saved));
    let partials = step.plan.partials.iter().zip(&fitted.partials);
    let partials = partials.map(|(it, saved)| table(it.name(), ModelStore::partials_file(step, it.name()), saved));
    let chosen = definition.columns.iter().filter(|(_, columns)| !columns.is_empty());
    let select = chosen.map(|(role, columns)| SelectEntry { role: *role, columns: columns.selector() });
    let fields = step.selection.schema.fields().iter().zip(&step.selection.roles);
    StepEntry {
        name: step.name.clone(),
        ordinal: step.ordinal,
        plugin: description.name.clone(),
        version: description.version.clone(),
        digest: step.plugin.digest().to_owned(),
        parts: step.parts.as_ref().map(|parts| parts.names().to_vec()),
        params: serde_json::from_str(&step.params).unwrap_or(Value::Null),
        select: Some(select.collect()),
        columns: fields.map(|(field, role)| column(field, Some(*role))).collect(),
        passes: fitted.passes,
        model: model.collect(),
        partials: partials.collect(),
    }
}

#[cfg(test)]
mod tests;
