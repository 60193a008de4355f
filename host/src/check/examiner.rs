//! Takes one set of parameters through all tables.

use super::case::{Case, select};
use super::random::Random;
use super::refusal::{Settled, disagreement, settle};
use super::report::{ParameterSet, Report, TableName};
use super::setting::{Setting, settings};
use super::values::{Flavour, data_types};
use super::{CheckOptions, Law, apply, fit};
use crate::contract::{Role, StepPlan};
use crate::sandbox::Plugin;
use crate::{Error, ErrorKind, Result};
use arrow_schema::DataType;
use serde_json::Value;

/// Random partitions of all tables but one, which need not be large.
const FEW_PARTITIONS: usize = 2;

/// Flavours that make a difference where no column is read.
const BARE_FLAVOURS: [Flavour; 3] = [Flavour::Plain, Flavour::Single, Flavour::Empty];

/// Checks a plugin with one set of parameters.
pub(super) struct Examiner<'a> {
    plugin: &'a Plugin,
    options: &'a CheckOptions,
    params: &'a Value,
    report: Report,
}

/// How a case went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// The laws were checked, whether they held or not.
    Through,
    /// The plugin refused to plan or to learn.
    Refused,
}

impl<'a> Examiner<'a> {
    pub(super) fn new(plugin: &'a Plugin, options: &'a CheckOptions, params: &'a Value) -> Self {
        Self { plugin, options, params, report: Report::default() }
    }

    /// All tables of the first setting in which a column is taken, and those without any column where the plugin needs none.
    pub(super) fn run(mut self) -> Result<Report> {
        let mut taken = Vec::new();
        let mut refusal = None;
        for setting in settings(self.plugin.description().role) {
            let (accepts, refused) = self.accepted(setting)?;
            refusal = refusal.or(refused);
            if !accepts.is_empty() {
                self.tables(setting, &accepts)?;
                taken.push((setting, accepts));
                break;
            }
        }
        // A plugin that reads what the host computes of the rows needs no column.
        let bare = settings(self.plugin.description().role)[0];
        if self.plans(&self.name(bare, &[], Flavour::Empty, 0))?.is_some_and(|planned| planned.is_ok()) {
            for flavour in BARE_FLAVOURS {
                self.case(bare, &[], flavour, flavour.rows(self.options.rows), FEW_PARTITIONS)?;
            }
            taken.push((bare, Vec::new()));
        }
        let params = self.params;
        if taken.is_empty() {
            self.report.parameters.push(ParameterSet {
                params: params.clone(),
                setting: None,
                accepts: Vec::new(),
                refusal,
            });
        }
        self.report.parameters.extend(taken.into_iter().map(|(setting, accepts)| ParameterSet {
            params: params.clone(),
            setting: Some(setting),
            accepts,
            refusal: None,
        }));
        Ok(self.report)
    }

    /// Each accepted type alone, and all of them together in every flavour. Where one column spoils it for all others, each is
    /// tried alone.
    fn tables(&mut self, setting: Setting, accepts: &[DataType]) -> Result<()> {
        let CheckOptions { rows, partitions, .. } = *self.options;
        self.case(setting, accepts, Flavour::Plain, rows, FEW_PARTITIONS)?;
        let all = self.case(setting, accepts, Flavour::Plain, rows.div_ceil(4), partitions)?;
        let alone = if all == Course::Refused { partitions.div_ceil(accepts.len()) } else { FEW_PARTITIONS };
        for data_type in accepts {
            self.case(setting, std::slice::from_ref(data_type), Flavour::Plain, rows.div_ceil(4), alone)?;
        }
        for flavour in Flavour::ALL.into_iter().filter(|flavour| *flavour != Flavour::Plain) {
            let suited: Vec<_> = accepts.iter().filter(|data_type| flavour.suits(data_type)).cloned().collect();
            let rows = flavour.rows(rows);
            if suited.is_empty()
                || self.case(setting, &suited, flavour, rows, FEW_PARTITIONS)? == Course::Through
                || suited.len() == 1
            {
                continue;
            }
            for data_type in &suited {
                self.case(setting, std::slice::from_ref(data_type), flavour, rows, FEW_PARTITIONS)?;
            }
        }
        Ok(())
    }

    /// The types that the plugin plans a column of, and where there are none, why.
    fn accepted(&mut self, setting: Setting) -> Result<(Vec<DataType>, Option<String>)> {
        let mut accepted = Vec::new();
        let mut refusal = None;
        for data_type in data_types() {
            self.options.stop.check()?;
            let name = self.name(setting, std::slice::from_ref(&data_type), Flavour::Empty, 0);
            match self.plans(&name)? {
                Some(Ok(_)) => accepted.push(data_type),
                Some(Err(refused)) => refusal = refusal.or(Some(refused)),
                None => {}
            }
        }
        let refusal = refusal.filter(|_| accepted.is_empty());
        Ok((accepted, refusal))
    }

    /// Plans a table twice: the plan, or why it is refused; nothing where the contract was broken.
    fn plans(&mut self, name: &TableName) -> Result<Option<Result<StepPlan, String>>> {
        let (text, selection) = (self.params.to_string(), select(name));
        let plan = || -> Result<Settled<StepPlan>> { settle(self.plugin.plan(&text, &selection)) };
        let (first, again) = match plan().and_then(|first| Ok((first, plan()?))) {
            Ok(both) => both,
            Err(error) => {
                self.broken(name, error)?;
                return Ok(None);
            }
        };
        let violation = disagreement(&first, &again, |one, two| {
            (one != two).then(|| "the second plan is another than the first".to_owned())
        });
        self.report.judge(Law::Plan, self.params, Some(name), violation);
        Ok(Some(first.map_err(|refused| refused.to_string())))
    }

    fn name(&self, setting: Setting, columns: &[DataType], flavour: Flavour, rows: usize) -> TableName {
        TableName { columns: columns.to_vec(), setting, flavour, rows, seed: self.options.seed }
    }

    fn case(
        &mut self,
        setting: Setting,
        columns: &[DataType],
        flavour: Flavour,
        rows: usize,
        partitions: usize,
    ) -> Result<Course> {
        self.options.stop.check()?;
        let name = self.name(setting, columns, flavour, rows);
        let course = Case::new(self.plugin, self.params, name.clone());
        let course = match settle(course) {
            Ok(Ok(case)) => {
                self.report.tables += 1;
                examine(&case, partitions, &mut self.report)
            }
            Ok(Err(_)) => Ok(Course::Refused),
            Err(error) => Err(error),
        };
        self.options.progress.table();
        match course {
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

    /// Takes what the plugin is to blame for; other errors end the check.
    fn broken(&mut self, name: &TableName, error: Error) -> Result<()> {
        if !is_to_blame(&error) {
            return Err(error);
        }
        self.report.broken(self.params, Some(name), &error);
        Ok(())
    }
}

fn is_to_blame(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Sandbox | ErrorKind::Plugin)
}

/// Takes a case through all laws.
fn examine(case: &Case<'_>, partitions: usize, report: &mut Report) -> Result<Course> {
    let random = |what| Random::new(&[case.name.seed, case.name.flavour as u64, case.input.num_rows() as u64, what]);
    let mut model = Vec::new();
    if case.plan.passes.any() {
        match fit::examine(case, partitions, report, &mut random(0))? {
            Ok(learned) => model = learned.model,
            Err(_) => return Ok(Course::Refused),
        }
    }
    // An aggregate is never applied.
    if case.plugin.description().role != Role::Aggregate {
        apply::examine(case, &model, report, &mut random(1))?;
    }
    Ok(Course::Through)
}

/// What is said against a law on a case, in as few words as there are; nothing where it holds there.
///
/// # Errors
/// Where something else than the plugin is to blame.
pub(super) fn against(case: &Case<'_>, law: Law, partitions: usize) -> Result<Option<String>> {
    let mut report = Report::default();
    match examine(case, partitions, &mut report) {
        Err(error) if is_to_blame(&error) => report.broken(case.parsed, None, &error),
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let against = report.findings.into_iter().filter(|finding| finding.law == law);
    Ok(against.map(|finding| finding.detail).min_by_key(String::len))
}
