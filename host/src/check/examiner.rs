//! Takes one set of parameters through all tables.

use super::calls::Calls;
use super::case::Case;
use super::random::Random;
use super::refusal::settle;
use super::report::{ParameterSet, Report, TableName};
use super::values::{Flavour, data_types};
use super::{CheckOptions, Law, apply, fit};
use crate::contract::{Role, StepPlan};
use crate::sandbox::Plugin;
use crate::{Error, ErrorKind, Result};
use arrow_schema::DataType;
use serde_json::Value;

/// Random partitions of all tables but one, which need not be large.
const FEW_PARTITIONS: usize = 2;

/// Checks a plugin with one set of parameters.
pub(super) struct Examiner<'a> {
    plugin: &'a Plugin,
    options: &'a CheckOptions,
    params: &'a Value,
    text: String,
    calls: Calls,
    report: Report,
}

/// How a case went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// All laws were checked, whether they held or not.
    Through,
    /// The plugin refused to plan or to learn.
    Refused,
}

impl<'a> Examiner<'a> {
    pub(super) fn new(plugin: &'a Plugin, options: &'a CheckOptions, params: &'a Value) -> Self {
        let text = params.to_string();
        Self { plugin, options, params, text, calls: Calls::default(), report: Report::default() }
    }

    /// Each accepted type alone, and all of them together in every flavour. Where one column spoils it for all others, each is
    /// tried alone.
    pub(super) fn run(mut self) -> Result<Report> {
        let (accepts, refusal) = self.accepted()?;
        let CheckOptions { rows, partitions, .. } = *self.options;
        if !accepts.is_empty() {
            self.case(&accepts, Flavour::Plain, rows, FEW_PARTITIONS)?;
            let all = self.case(&accepts, Flavour::Plain, rows.div_ceil(4), partitions)?;
            let alone = if all == Course::Refused { partitions.div_ceil(accepts.len()) } else { FEW_PARTITIONS };
            for data_type in &accepts {
                self.case(std::slice::from_ref(data_type), Flavour::Plain, rows.div_ceil(4), alone)?;
            }
        }
        for flavour in Flavour::ALL.into_iter().filter(|flavour| *flavour != Flavour::Plain) {
            let suited: Vec<_> = accepts.iter().filter(|data_type| flavour.suits(data_type)).cloned().collect();
            let rows = flavour.rows(rows);
            if suited.is_empty()
                || self.case(&suited, flavour, rows, FEW_PARTITIONS)? == Course::Through
                || suited.len() == 1
            {
                continue;
            }
            for data_type in &suited {
                self.case(std::slice::from_ref(data_type), flavour, rows, FEW_PARTITIONS)?;
            }
        }
        self.report.parameters.push(ParameterSet { params: self.params.clone(), accepts, refusal });
        self.report.calls += self.calls.count();
        Ok(self.report)
    }

    /// The types that the plugin plans a column of, and where there are none, why.
    fn accepted(&mut self) -> Result<(Vec<DataType>, Option<String>)> {
        let mut accepted = Vec::new();
        let mut refusal = None;
        for data_type in data_types() {
            let name = self.name(std::slice::from_ref(&data_type), Flavour::Empty, 0);
            let plan = || settle(Case::new(self.plugin, self.params, &self.text, name.clone()));
            self.calls.add(2);
            let (first, again) = match plan().and_then(|first| Ok((first, plan()?))) {
                Ok(both) => both,
                Err(error) => {
                    self.broken(&name, error)?;
                    continue;
                }
            };
            let violation =
                super::refusal::disagreement(&first, &again, |one, two| different_plans(&one.plan, &two.plan));
            match first {
                Ok(_) => accepted.push(data_type),
                Err(refused) => refusal = refusal.or(Some(refused.to_string())),
            }
            self.report.judge(Law::Plan, self.params, Some(&name), violation);
        }
        let refusal = refusal.filter(|_| accepted.is_empty());
        Ok((accepted, refusal))
    }

    fn name(&self, columns: &[DataType], flavour: Flavour, rows: usize) -> TableName {
        TableName { columns: columns.to_vec(), flavour, rows, seed: self.options.seed }
    }

    fn case(&mut self, columns: &[DataType], flavour: Flavour, rows: usize, partitions: usize) -> Result<Course> {
        let name = self.name(columns, flavour, rows);
        match self.examine(&name, partitions) {
            Ok(course) => {
                self.report.judge(Law::Contract, self.params, Some(&name), None);
                Ok(course)
            }
            Err(error) => {
                self.broken(&name, error)?;
                Ok(Course::Through)
            }
        }
    }

    fn examine(&mut self, name: &TableName, partitions: usize) -> Result<Course> {
        let Self { plugin, params, text, calls, report, .. } = self;
        calls.add(1);
        let Ok(case) = settle(Case::new(plugin, params, text, name.clone()))? else { return Ok(Course::Refused) };
        report.tables += 1;
        let random = &mut Random::new(&[name.seed, name.flavour as u64, name.rows as u64]);
        let mut model = Vec::new();
        if case.plan.passes.any() {
            match fit::examine(&case, partitions, calls, report, random)? {
                Ok(learned) => model = learned.model,
                Err(_) => return Ok(Course::Refused),
            }
        }
        // An aggregate is never applied.
        if plugin.description().role != Role::Aggregate {
            apply::examine(&case, &model, calls, report, random)?;
        }
        Ok(Course::Through)
    }

    /// Takes what the plugin is to blame for; other errors end the check.
    fn broken(&mut self, name: &TableName, error: Error) -> Result<()> {
        match error.kind() {
            ErrorKind::Sandbox | ErrorKind::Plugin => {
                self.report.broken(self.params, Some(name), &error);
                Ok(())
            }
            _ => Err(error),
        }
    }
}

fn different_plans(one: &StepPlan, two: &StepPlan) -> Option<String> {
    (one != two).then(|| "the second plan is another than the first".to_owned())
}
