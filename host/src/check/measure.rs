//! What a plugin costs for each row, beside what a plugin of the same role costs.
//!
//! Instructions and memory are the same on every machine. Times are not: only the ratio of two that were taken in turns says something.

use super::apply::Applier;
use super::case::{Case, Ground, column_name};
use super::learn::{Learned, learn};
use super::partition::Partition;
use super::refusal::settle;
use super::report::{ParameterSet, TableName};
use super::setting::settings;
use super::values::Flavour;
use super::{CheckOptions, Report, parameters};
use crate::contract::Role;
use crate::pipeline::Compiled;
use crate::sandbox::{Meter, Plugin};
use arrow_schema::DataType;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

/// Rows of the table.
const ROWS: usize = 8_192;

/// How often each of two plugins is run in turn; the fastest time counts.
const TURNS: usize = 5;

/// What a plugin costs.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// Its name.
    pub plugin: String,
    /// Its parameters.
    pub params: Value,
    /// The type of the one column that it was given; none where it works without columns.
    #[serde(serialize_with = "name")]
    pub column: Option<DataType>,
    /// Rows of the batch.
    pub rows: usize,
    /// Instructions for each row in all passes of fitting; none where nothing is learned.
    pub fit_instructions_per_row: Option<f64>,
    /// Instructions for each row that is applied; none where nothing is.
    pub apply_instructions_per_row: Option<f64>,
    /// Bytes of memory of the instance that took most.
    pub memory: usize,
    /// Nanoseconds for each row, what the host does included. Another run gives others.
    pub nanoseconds_per_row: f64,
}

fn name<S: Serializer>(column: &Option<DataType>, serializer: S) -> Result<S::Ok, S::Error> {
    column.as_ref().map(column_name).serialize(serializer)
}

/// What a plugin costs, beside another one on the same table.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The plugin that was checked.
    pub checked: Cost,
    /// A bundled one of the same role, where there is one that takes the same column.
    pub bundled: Option<Cost>,
}

/// Measures a plugin that was checked on one column, and the first of the `bundled` ones that takes that column.
/// Nothing where it refuses a plain column, or breaks the contract.
pub fn measure(
    plugin: &Plugin,
    options: &CheckOptions,
    report: &Report,
    bundled: &[Arc<Plugin>],
) -> Option<Comparison> {
    let mut subject = report.parameters.iter().find_map(|set| Subject::of(plugin, options, set))?;
    let same_role = bundled.iter().filter(|other| other.description().role == plugin.description().role);
    let mut other =
        same_role.filter(|other| other.digest() != plugin.digest()).find_map(|other| subject.alike(other, options));
    for _ in 0..TURNS {
        for subject in [Some(&mut subject), other.as_mut()].into_iter().flatten() {
            if !subject.run() {
                return None;
            }
        }
    }
    Some(Comparison { checked: subject.cost(), bundled: other.map(Subject::cost) })
}

/// A plugin that is measured.
struct Subject {
    plugin: Plugin,
    meter: Arc<Meter>,
    params: Value,
    table: TableName,
    turns: u64,
    fastest: f64,
}

impl Subject {
    fn of(plugin: &Plugin, options: &CheckOptions, set: &ParameterSet) -> Option<Self> {
        let setting = set.setting?;
        let preferred = [DataType::Float64, DataType::Utf8, DataType::Int64];
        let column = preferred.iter().find(|wanted| set.accepts.contains(wanted)).or(set.accepts.first());
        let columns = column.cloned().into_iter().collect();
        let table = TableName { columns, setting, flavour: Flavour::Plain, rows: ROWS, seed: options.seed };
        Some(Self::new(plugin, set.params.clone(), table))
    }

    fn new(plugin: &Plugin, params: Value, table: TableName) -> Self {
        let (plugin, meter) = plugin.metered();
        Self { plugin, meter, params, table, turns: 0, fastest: f64::INFINITY }
    }

    /// Another plugin with the first parameters of its own with which it takes the same column.
    fn alike(&self, other: &Plugin, options: &CheckOptions) -> Option<Self> {
        let schema = &other.description().params_schema;
        let compiled = Compiled::new(schema).ok()?;
        let derived = parameters::derive(schema).sets;
        let completed = parameters::completions(schema, derived.iter(), &derived).sets;
        let valid = |set: &Value| compiled.first_violation(set).is_none();
        derived.into_iter().chain(completed).filter(valid).find_map(|params| {
            if options.stop.check().is_err() {
                return None;
            }
            settings(other.description().role).into_iter().find_map(|setting| {
                let table = TableName { setting, seed: options.seed, ..self.table.clone() };
                let planned = Case::new(other, &params, TableName { rows: 0, ..table.clone() });
                planned.is_ok().then(|| Self::new(other, params.clone(), table))
            })
        })
    }

    /// Fits and applies once; false where the plugin refuses, or breaks the contract.
    fn run(&mut self) -> bool {
        let Ok(Ok(case)) = settle(Case::new(&self.plugin, &self.params, self.table.clone())) else { return false };
        let start = Instant::now();
        let mut model = Vec::new();
        if case.plan.passes.any() {
            match learn(&case, Ground::PLAIN, || (&case.input, Partition::whole(ROWS))) {
                Ok(Learned { model: learned, .. }) => model = learned,
                Err(_) => return false,
            }
        }
        if self.plugin.description().role != Role::Aggregate {
            let applied = Applier::open(&case, &case.input, &model, Ground::PLAIN)
                .and_then(|mut applier| applier.apply(&case.input));
            if !matches!(applied, Ok(Ok(_))) {
                return false;
            }
        }
        self.fastest = self.fastest.min(start.elapsed().as_nanos() as f64 / ROWS as f64);
        self.turns += 1;
        true
    }

    fn cost(self) -> Cost {
        let taken = self.meter.taken();
        let per_row = |export: &str| {
            let spent = taken.exports.get(export)?;
            Some(spent.instructions as f64 / (self.turns * ROWS as u64) as f64)
        };
        Cost {
            plugin: self.plugin.description().name.clone(),
            params: self.params,
            column: self.table.columns.first().cloned(),
            rows: ROWS,
            fit_instructions_per_row: per_row("fitter.update"),
            apply_instructions_per_row: per_row("transformer.apply"),
            memory: taken.memory,
            nanoseconds_per_row: self.fastest,
        }
    }
}
