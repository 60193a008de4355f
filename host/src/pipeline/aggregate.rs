//! The aggregates of a pipeline file: what is learned of the rows that come out.

use super::document::Document;
use super::file::PipelineFile;
use super::limits::LimitsSection;
use super::plan::{StepDefinition, find, is_step_name};
use super::plugins::Plugins;
use super::select::Columns;
use crate::contract::{ColumnRole, Role};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// One aggregate.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AggregateSection {
    /// Unique in the file, among the steps too; the plugin's name where it is not given.
    pub name: Option<String>,
    /// The name of a plugin with the role `aggregate`, or the path of a component.
    pub plugin: String,
    /// The columns that it looks at.
    #[serde(default)]
    pub columns: Columns,
    /// What a model is to predict.
    #[serde(default)]
    pub target: Columns,
    /// What identifies rows.
    #[serde(default)]
    pub key: Columns,
    /// How much rows count.
    #[serde(default)]
    pub weight: Columns,
    /// The plugin's parameters.
    #[serde(default)]
    pub params: serde_json::Map<String, Value>,
    /// What the plugin may take, where it is not as for all.
    #[serde(default)]
    pub limits: LimitsSection,
}

impl AggregateSection {
    /// Its name, or else that of its plugin.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| plugin_name(&self.plugin))
    }
}

/// The name of a plugin, or of the file that it is in.
pub(super) fn plugin_name(plugin: &str) -> String {
    Path::new(plugin).file_stem().map_or_else(|| plugin.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

impl StepDefinition {
    /// The aggregates of a pipeline file, with their parameters checked. Each is a step that only learns.
    ///
    /// # Errors
    /// Where a plugin is missing, has another role, or refuses its parameters' form, or a name cannot be had.
    pub fn of_aggregates(document: &Document, plugins: &Plugins) -> Result<Vec<Self>> {
        let mut definitions: Vec<Self> = Vec::new();
        for (index, section) in document.pipeline.aggregate.iter().enumerate() {
            let pointer = format!("/aggregate/{index}");
            let name = section.name();
            let known: Vec<&str> = definitions.iter().map(|definition| definition.name.as_str()).collect();
            check_name(&name, &known, &document.pipeline)
                .map_err(|error| document.locate(error.at(format!("{pointer}/name"))))?;
            let params = Value::Object(section.params.clone());
            let plugin = find(
                document,
                plugins,
                &name,
                (&section.plugin, &section.limits),
                &[Role::Aggregate],
                &params,
                &pointer,
            )?;
            let columns = vec![
                (ColumnRole::Feature, section.columns.clone()),
                (ColumnRole::Target, section.target.clone()),
                (ColumnRole::Key, section.key.clone()),
                (ColumnRole::Weight, section.weight.clone()),
            ];
            definitions.push(Self { name, ordinal: index + 1, plugin, columns, parts: None, params, pointer });
        }
        Ok(definitions)
    }
}

/// The names of aggregates name files, where upper and lower case may be one; those of steps and aggregates stand beside each other in
/// reports and messages.
fn check_name(name: &str, known: &[&str], pipeline: &PipelineFile) -> Result<()> {
    if !is_step_name(name) {
        let error = Error::usage(format!("`{name}` cannot name an aggregate"));
        return Err(error.hint("use letters, digits, `-` and `_`, at most 64 of them"));
    }
    if known.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        let error = Error::usage(format!("two aggregates have the name `{name}`"));
        return Err(error.hint("give one of them another `name`; upper and lower case are the same here"));
    }
    if pipeline.pointer_of_step(name).is_some() {
        let error = Error::usage(format!("a step and an aggregate have the name `{name}`"));
        return Err(error.hint("give one of them another `name`"));
    }
    Ok(())
}
