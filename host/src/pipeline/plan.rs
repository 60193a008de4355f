//! The plan of a pipeline: each step with its columns, as far as they are known before anything was fitted.

use super::document::Document;
use super::file::SPLIT;
use super::filter_parts::{self, FilterParts};
use super::layout::Layout;
use super::limits::LimitsSection;
use super::plugins::Plugins;
use super::select::{Columns, Selected};
use crate::contract::{ColumnRole, Context, Outputs, Read, Role, Selection, StepPlan, bare};
use crate::sandbox::Plugin;
use crate::{Error, Result};
use arrow_schema::{Schema, SchemaRef};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// A step as the pipeline file has it, with its plugin loaded.
#[derive(Clone)]
pub struct StepDefinition {
    /// Unique in the pipeline.
    pub name: String,
    /// Its position in the pipeline file, from one; zero for the split.
    pub ordinal: usize,
    /// Its plugin.
    pub plugin: Arc<Plugin>,
    /// Columns by the role that they have for the step.
    pub columns: Vec<(ColumnRole, Columns)>,
    /// Of a filter: the names of the parts whose rows it looks at; without them, all.
    pub parts: Option<Vec<String>>,
    /// The parameters.
    pub params: Value,
    /// Where it stands in the pipeline file, as a JSON pointer.
    pub pointer: String,
}

/// A step whose columns are known.
#[derive(Clone)]
pub struct Step {
    /// Unique in the pipeline.
    pub name: String,
    /// Its position in the pipeline file, from one; zero for the split.
    pub ordinal: usize,
    /// Its plugin.
    pub plugin: Arc<Plugin>,
    /// The parameters, as JSON.
    pub params: String,
    /// The columns that it was given.
    pub selection: Selection,
    /// What it does with them.
    pub plan: Arc<StepPlan>,
    /// Of a filter: the parts whose rows it looks at; without them, all.
    pub parts: Option<FilterParts>,
    /// For each column that it was given, the step that wrote it; the source where there is none.
    pub writers: Vec<Option<usize>>,
    /// What it writes, families spelt out; known once it was fitted.
    pub outputs: Option<Outputs>,
}

impl Step {
    /// Says of an error that it arose in this step.
    pub fn place(&self, error: Error) -> Error {
        error.step(&self.name).in_plugin(&self.plugin.description().name)
    }

    /// Whether it needs a hash of the source's rows: it asks for one, or for folds and has no key.
    pub fn hashes_rows(&self) -> bool {
        let keyed = self.selection.roles.contains(&ColumnRole::Key);
        self.plan.reads.iter().any(|read| match read {
            Read::Context(Context::RowHash) => true,
            Read::Context(Context::Fold) => !keyed,
            _ => false,
        })
    }

    /// Whether it is a split: it sees the source's columns and writes none.
    pub fn is_split(&self) -> bool {
        self.plugin.description().role == Role::Split
    }

    /// Whether it is a filter: it drops rows and writes no columns.
    pub fn is_filter(&self) -> bool {
        self.plugin.description().role == Role::Filter
    }

    /// Whether it drops training rows, so that the steps behind it are fitted on what it keeps.
    pub fn filters_training_rows(&self) -> bool {
        self.is_filter() && self.parts.as_ref().is_none_or(|parts| parts.contain(TRAINING))
    }
}

/// The number of the part that steps are fitted on.
pub const TRAINING: u8 = 0;

/// The steps of a pipeline, planned as far as possible; a split is the first of them.
#[derive(Clone)]
pub struct Plan {
    source: SchemaRef,
    definitions: Vec<StepDefinition>,
    steps: Vec<Step>,
    layout: Layout,
    aggregate_definitions: Vec<StepDefinition>,
    aggregates: Vec<Step>,
}

impl Plan {
    /// Plans the steps over a source with this schema, without fitting anything.
    ///
    /// # Errors
    /// Where a step names columns that there are not, or its plugin refuses them.
    pub fn new(source: SchemaRef, definitions: Vec<StepDefinition>) -> Result<Self> {
        let layout = Layout::of_source(&source);
        let (steps, aggregate_definitions, aggregates) = (Vec::new(), Vec::new(), Vec::new());
        let mut plan = Self { source, definitions, steps, layout, aggregate_definitions, aggregates };
        plan.extend()?;
        Ok(plan)
    }

    /// The same plan with aggregates, which see the columns and rows behind all steps.
    ///
    /// # Errors
    /// Where one names columns that there are not, or its plugin refuses them.
    pub fn with_aggregates(mut self, definitions: Vec<StepDefinition>) -> Result<Self> {
        self.aggregate_definitions = definitions;
        self.extend()?;
        Ok(self)
    }

    /// The source's schema.
    pub fn source(&self) -> &SchemaRef {
        &self.source
    }

    /// The steps that are planned.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// All steps.
    pub fn definitions(&self) -> &[StepDefinition] {
        &self.definitions
    }

    /// The columns after the last planned step.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The aggregates that are planned: steps behind all others that only learn.
    pub fn aggregates(&self) -> &[Step] {
        &self.aggregates
    }

    /// All aggregates.
    pub fn aggregate_definitions(&self) -> &[StepDefinition] {
        &self.aggregate_definitions
    }

    /// Whether a step or an aggregate waits until it is known what it reads.
    pub fn waits(&self) -> bool {
        self.steps.len() < self.definitions.len() || self.aggregates.len() < self.aggregate_definitions.len()
    }

    /// Whether every step and every aggregate is planned, and all columns are known by name.
    pub fn is_complete(&self) -> bool {
        !self.waits() && self.steps.iter().all(|step| step.outputs.is_some())
    }

    /// Takes the outputs of a step that was fitted, and plans the steps that waited for them.
    ///
    /// # Errors
    /// Where a step's columns clash, or one that waited cannot be planned.
    pub fn resolve(&mut self, step: usize, outputs: Outputs) -> Result<()> {
        self.steps[step].outputs = Some(outputs);
        self.layout = Layout::of_source(&self.source);
        for (index, step) in self.steps.iter().enumerate() {
            self.layout = after(&self.layout, index, step)?;
        }
        self.extend()
    }

    /// Plans steps until one waits for columns whose names are not known yet.
    fn extend(&mut self) -> Result<()> {
        while let Some(definition) = self.definitions.get(self.steps.len()) {
            let split = self.steps.first().filter(|step| step.is_split());
            let planned = plan_step(definition, &self.layout, split).map_err(|error| error.step(&definition.name))?;
            let Some(step) = planned else { return Ok(()) };
            self.layout = after(&self.layout, self.steps.len(), &step)?;
            self.steps.push(step);
        }
        self.extend_aggregates()
    }

    /// Plans aggregates until one waits; they wait for one another too, so that their order stays.
    fn extend_aggregates(&mut self) -> Result<()> {
        while let Some(definition) = self.aggregate_definitions.get(self.aggregates.len()) {
            let planned = plan_step(definition, &self.layout, None).map_err(|error| error.step(&definition.name))?;
            let Some(aggregate) = planned else { return Ok(()) };
            self.aggregates.push(aggregate);
        }
        Ok(())
    }
}

fn after(layout: &Layout, index: usize, step: &Step) -> Result<Layout> {
    // What a split or a filter writes is the host's.
    if step.is_split() || step.is_filter() {
        return Ok(layout.clone());
    }
    let outputs = step.outputs.as_ref();
    let next = layout.after(index, &step.selection.schema, &step.plan, outputs);
    next.map_err(|error| step.place(error))
}

/// Plans one step; nothing where some of its columns are not known by name yet.
fn plan_step(definition: &StepDefinition, layout: &Layout, split: Option<&Step>) -> Result<Option<Step>> {
    let parts = definition.parts.as_ref();
    let parts =
        parts.map(|names| FilterParts::of(names, split, &format!("{}/parts", definition.pointer))).transpose()?;
    let columns: Vec<_> = layout.columns().collect();
    let mut fields = Vec::new();
    let mut roles = Vec::new();
    let mut writers = Vec::new();
    let mut known = HashSet::new();
    for (role, selector) in &definition.columns {
        let pointer = format!("{}/{}", definition.pointer, key(*role));
        let selected = match selector.resolve(layout).map_err(|error| error.at(&pointer))? {
            Selected::Waits(_) => return Ok(None),
            Selected::Columns(selected) => selected,
        };
        if selected.is_empty() && !selector.is_empty() {
            let error = Error::usage("the step's selection leaves no columns").at(pointer);
            return Err(error.hint("`wafermill inspect` shows the columns with their types"));
        }
        for index in selected {
            let column = columns[index];
            if !known.insert(index) {
                let error = Error::usage("a column has two roles in one step").at(pointer).column(column.field.name());
                return Err(error.hint("name it once"));
            }
            if !crate::sandbox::crosses_flat(column.field.data_type()) {
                let message = format!("columns of type {} cannot be passed to plugins", column.field.data_type());
                let error = Error::usage(message).at(pointer).column(column.field.name());
                return Err(error.hint("leave the column out of the step"));
            }
            writers.push(column.writer);
            fields.push(bare(&column.field));
            roles.push(*role);
        }
    }
    let selection = Selection { schema: Arc::new(Schema::new(fields)), roles };
    let params = definition.params.to_string();
    let plan = definition.plugin.plan(&params, &selection).map_err(|error| {
        let about = if error.place().column.is_some() { "columns" } else { "params" };
        error.at(format!("{}/{about}", definition.pointer))
    })?;
    if plan.reads.iter().any(|read| matches!(read, Read::Context(Context::KeyHash)))
        && !selection.roles.contains(&ColumnRole::Key)
    {
        return Err(Error::usage("the plugin asks for a key").hint("name the key columns with `key`"));
    }
    Ok(Some(Step {
        name: definition.name.clone(),
        ordinal: definition.ordinal,
        plugin: definition.plugin.clone(),
        params,
        selection,
        plan: Arc::new(plan),
        parts,
        writers,
        outputs: None,
    }))
}

/// The key of a step under which columns with a role stand.
fn key(role: ColumnRole) -> &'static str {
    match role {
        ColumnRole::Feature => "columns",
        ColumnRole::Target => "target",
        ColumnRole::Key => "key",
        ColumnRole::Weight => "weight",
    }
}

impl StepDefinition {
    /// The steps of a pipeline file, the split first, with their parameters checked.
    ///
    /// # Errors
    /// Where a plugin is missing, has another role, or refuses its parameters' form.
    pub fn of(document: &Document, plugins: &Plugins) -> Result<Vec<Self>> {
        let pipeline = &document.pipeline;
        let mut definitions = Vec::new();
        if let Some(split) = &pipeline.split {
            let columns = vec![(ColumnRole::Key, split.key.clone()), (ColumnRole::Feature, split.columns.clone())];
            let params = Value::Object(split.params.clone());
            let plugin =
                find(document, plugins, SPLIT, (&split.plugin, &split.limits), &[Role::Split], &params, "/split")?;
            let (name, pointer) = (SPLIT.to_owned(), "/split".to_owned());
            definitions.push(Self { name, ordinal: 0, plugin, columns, parts: None, params, pointer });
        }
        let mut names = HashSet::from([SPLIT.to_owned()]);
        for (index, step) in pipeline.steps.iter().enumerate() {
            let pointer = format!("/steps/{index}");
            let name = step.name();
            let refused = |message: String, hint| {
                let error = Error::usage(message).hint(hint).at(format!("{pointer}/name"));
                Err(document.locate(error))
            };
            if !is_step_name(&name) {
                let hint = "use letters, digits, `-` and `_`, at most 64 of them";
                return refused(format!("`{name}` cannot name a step"), hint);
            }
            let params = Value::Object(step.params.clone());
            let plugin = find(document, plugins, &name, (&step.plugin, &step.limits), &OF_STEPS, &params, &pointer)?;
            if step.parts.is_some() {
                filter_parts::check(document, &name, &plugin, &pointer)?;
            }
            if !names.insert(name.clone()) {
                let hint = "give one of them another `name`; `split` is that of the split";
                return refused(format!("two steps have the name `{name}`"), hint);
            }
            let columns = vec![
                (ColumnRole::Feature, step.columns.clone()),
                (ColumnRole::Target, step.target.clone()),
                (ColumnRole::Key, step.key.clone()),
                (ColumnRole::Weight, step.weight.clone()),
            ];
            let parts = step.parts.clone();
            definitions.push(Self { name, ordinal: index + 1, plugin, columns, parts, params, pointer });
        }
        Ok(definitions)
    }
}

/// The roles of plugins that can stand among the steps.
pub(crate) const OF_STEPS: [Role; 2] = [Role::Transform, Role::Filter];

/// A step's plugin with its limits, which must have one of these roles and take these parameters.
pub(super) fn find(
    document: &Document,
    plugins: &Plugins,
    step: &str,
    (plugin, limits): (&str, &LimitsSection),
    roles: &[Role],
    params: &Value,
    pointer: &str,
) -> Result<Arc<Plugin>> {
    let locate = |error: Error| document.locate(error.step(step).at(format!("{pointer}/plugin")));
    let limits = limits.over(plugins.limits(), &format!("{pointer}/limits"));
    let limits = limits.map_err(|error| document.locate(error.step(step)))?;
    let plugin = plugins.get_limited(plugin, document.folder(), &limits).map_err(locate)?;
    let description = plugin.description();
    if !roles.contains(&description.role) {
        let wanted: Vec<_> = roles.iter().map(|role| role.name_with_article()).collect();
        let (name, role) = (&description.name, description.role.name_with_article());
        let message = format!("the plugin `{name}` is {role}, not {}", wanted.join(" or "));
        let error = Error::usage(message);
        return Err(locate(match description.role {
            Role::Split => error.hint("a split stands in the section `[split]`"),
            Role::Transform => error.hint("a transform stands in a section `[[steps]]`"),
            Role::Filter => error.hint("a filter stands in a section `[[steps]]`"),
            Role::Aggregate => error.hint("an aggregate stands in a section `[[aggregate]]`"),
        }));
    }
    document.check_params(&description.params_schema, params, &format!("{pointer}/params")).map_err(|error| {
        let error = error.step(step).in_plugin(&description.name);
        match error.hint_text() {
            Some(_) => error,
            None => error.hint(format!("`wafermill plugin info {}` lists its parameters", description.name)),
        }
    })?;
    Ok(plugin)
}

/// Whether a step can have this name, which also names its folder in a model.
pub(crate) fn is_step_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !name.is_empty() && name.len() <= 64 && name.chars().all(fits)
}
