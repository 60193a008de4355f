//! What a check found, and how much it looked at.

use super::Law;
use super::case::column_name;
use super::setting::Setting;
use super::values::Flavour;
use crate::Error;
use crate::contract::ColumnRole;
use crate::sandbox::{Spent, Taken};
use arrow_schema::DataType;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Findings of one law that are kept; all are counted.
const KEPT: usize = 5;

/// How a generated table is made again.
#[derive(Clone, Debug, Serialize)]
pub struct TableName {
    /// The types of its columns.
    #[serde(serialize_with = "names")]
    pub columns: Vec<DataType>,
    /// The roles that they have for the plugin.
    pub setting: Setting,
    /// What its values are like.
    pub flavour: Flavour,
    /// How many there are.
    pub rows: usize,
    /// Where they come from.
    pub seed: u64,
}

fn names<S: Serializer>(columns: &[DataType], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(columns.iter().map(column_name))
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { columns, flavour, rows, seed, .. } = self;
        match columns.as_slice() {
            [] => f.write_str("no column")?,
            [one] => f.write_str(&column_name(one))?,
            many => write!(f, "{} columns", many.len())?,
        }
        write!(f, ", {}, {rows} rows, seed {seed}", format!("{flavour:?}").to_lowercase())
    }
}

/// A law that does not hold.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The law.
    pub law: Law,
    /// The parameters.
    pub params: Value,
    /// The table.
    pub table: Option<TableName>,
    /// What differed, or what went wrong.
    pub detail: String,
    /// What the plugin logged last.
    pub log: Option<String>,
    /// For the first finding of each law, the smallest table that was found on which it does not hold.
    pub counterexample: Option<Counterexample>,
}

/// A small table on which a law does not hold.
#[derive(Clone, Debug, Serialize)]
pub struct Counterexample {
    /// What the plugin was given to plan with.
    pub columns: Vec<CounterColumn>,
    /// What its plan reads, in its order: the columns of the rows.
    pub reads: Vec<String>,
    /// The values of the first rows, as text; none where they are null.
    pub rows: Vec<Vec<Option<String>>>,
    /// How many rows there are.
    pub row_count: usize,
    /// Those of a second batch that it is applied to in between, where that matters.
    pub other_rows: Vec<Vec<Option<String>>>,
    /// What differed, or what went wrong, on this table.
    pub detail: String,
}

/// A column of a counterexample.
#[derive(Clone, Debug, Serialize)]
pub struct CounterColumn {
    /// Its name.
    pub name: String,
    /// Its type, as Arrow names it.
    #[serde(rename = "type")]
    pub data_type: String,
    /// What it is for the plugin.
    pub role: ColumnRole,
}

/// How a law fared.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Tally {
    /// The law.
    pub law: Law,
    /// How often it was checked.
    pub checked: u64,
    /// How often it did not hold.
    pub failed: u64,
}

/// Parameters, and the columns that the plugin takes with them.
#[derive(Clone, Debug, Serialize)]
pub struct ParameterSet {
    /// The parameters.
    pub params: Value,
    /// In which roles columns are taken; none where the plugin refuses them all.
    #[serde(flatten)]
    pub setting: Option<Setting>,
    /// The types of columns that are accepted; none where it works without columns.
    #[serde(serialize_with = "names")]
    pub accepts: Vec<DataType>,
    /// Why it is refused, in the plugin's words.
    pub refusal: Option<String>,
}

/// What calls of an export took.
#[derive(Clone, Debug, Serialize)]
pub struct ExportUsage {
    /// Its name.
    pub export: String,
    /// How many there were.
    pub calls: u64,
    /// Instructions of the call that took most.
    pub most_instructions: u64,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Each law.
    pub laws: Vec<Tally>,
    /// What does not hold; of each law a few.
    pub findings: Vec<Finding>,
    /// What was tried, and what the plugin took.
    pub parameters: Vec<ParameterSet>,
    /// Whether more sets of parameters follow from the schema than were tried.
    pub more_parameters: bool,
    /// Tables that were generated and planned.
    pub tables: u64,
    /// Partitions of rows that were fitted.
    pub partitions: u64,
    /// Calls of the plugin.
    pub calls: u64,
    /// Bytes of memory of the instance that took most.
    pub memory: usize,
    /// Bytes of values of the largest batch that was returned.
    pub returned: usize,
    /// What each export took.
    pub exports: Vec<ExportUsage>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            laws: Law::ALL.map(|law| Tally { law, checked: 0, failed: 0 }).into(),
            findings: Vec::new(),
            parameters: Vec::new(),
            more_parameters: false,
            tables: 0,
            partitions: 0,
            calls: 0,
            memory: 0,
            returned: 0,
            exports: Vec::new(),
        }
    }
}

impl Report {
    /// How many times a law did not hold.
    pub fn failed(&self) -> u64 {
        self.laws.iter().map(|tally| tally.failed).sum()
    }

    /// Whether the plugin worked with any of the parameters.
    pub(super) fn is_taken(&self) -> bool {
        self.parameters.iter().any(|set| set.setting.is_some())
    }

    /// Takes the outcome of one look at a law, and tells whether it is violated.
    pub(super) fn judge(
        &mut self,
        law: Law,
        params: &Value,
        table: Option<&TableName>,
        violation: Option<String>,
    ) -> bool {
        let violated = violation.is_some();
        self.record(law, params, table, violation.map(|detail| (detail, None)));
        violated
    }

    /// Takes what the plugin took.
    pub(super) fn take(&mut self, taken: &Taken) {
        (self.calls, self.memory) = (taken.calls(), taken.memory);
        self.exports = taken
            .exports
            .iter()
            .map(|(export, Spent { calls, most, .. })| ExportUsage {
                export: export.clone(),
                calls: *calls,
                most_instructions: *most,
            })
            .collect();
    }

    /// A plugin that trapped, broke a limit, or returned what the contract forbids.
    pub(super) fn broken(&mut self, params: &Value, table: Option<&TableName>, error: &Error) {
        let mut detail = error.message().to_owned();
        if let Some(column) = &error.place().column {
            detail += &format!(" (column `{column}`)");
        }
        if let Some(cause) = std::error::Error::source(error) {
            detail += &format!(": {cause}");
        }
        self.record(Law::Contract, params, table, Some((detail, error.log_text().map(str::to_owned))));
    }

    /// Takes what another thread found, behind what is here.
    pub(super) fn merge(&mut self, other: Self) {
        for (tally, more) in self.laws.iter_mut().zip(other.laws) {
            tally.checked += more.checked;
            tally.failed += more.failed;
        }
        for finding in other.findings {
            self.keep(finding);
        }
        self.parameters.extend(other.parameters);
        self.tables += other.tables;
        self.partitions += other.partitions;
        self.returned = self.returned.max(other.returned);
    }

    fn record(
        &mut self,
        law: Law,
        params: &Value,
        table: Option<&TableName>,
        violation: Option<(String, Option<String>)>,
    ) {
        let Some(tally) = self.laws.iter_mut().find(|tally| tally.law == law) else { return };
        tally.checked += 1;
        if let Some((detail, log)) = violation {
            tally.failed += 1;
            self.keep(Finding {
                law,
                params: params.clone(),
                table: table.cloned(),
                detail,
                log,
                counterexample: None,
            });
        }
    }

    fn keep(&mut self, finding: Finding) {
        if self.findings.iter().filter(|kept| kept.law == finding.law).count() < KEPT {
            self.findings.push(finding);
        }
    }
}
