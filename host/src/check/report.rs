//! What a check found, and how much it looked at.

use super::Law;
use super::case::column_name;
use super::values::Flavour;
use crate::Error;
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
        let Self { columns, flavour, rows, seed } = self;
        match columns.as_slice() {
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
    /// The types of columns that are accepted.
    #[serde(serialize_with = "names")]
    pub accepts: Vec<DataType>,
    /// Why there are none, in the plugin's words.
    pub refusal: Option<String>,
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
    /// Tables that were generated and planned.
    pub tables: u64,
    /// Partitions of rows that were fitted.
    pub partitions: u64,
    /// Calls of the plugin.
    pub calls: u64,
}

impl Default for Report {
    fn default() -> Self {
        let laws = Law::ALL.map(|law| Tally { law, checked: 0, failed: 0 }).into();
        Self { laws, findings: Vec::new(), parameters: Vec::new(), tables: 0, partitions: 0, calls: 0 }
    }
}

impl Report {
    /// How many times a law did not hold.
    pub fn failed(&self) -> u64 {
        self.laws.iter().map(|tally| tally.failed).sum()
    }

    /// Takes the outcome of one look at a law.
    pub(super) fn judge(&mut self, law: Law, params: &Value, table: Option<&TableName>, violation: Option<String>) {
        self.record(law, params, table, violation.map(|detail| (detail, None)));
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
        self.calls += other.calls;
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
            self.keep(Finding { law, params: params.clone(), table: table.cloned(), detail, log });
        }
    }

    fn keep(&mut self, finding: Finding) {
        if self.findings.iter().filter(|kept| kept.law == finding.law).count() < KEPT {
            self.findings.push(finding);
        }
    }
}
