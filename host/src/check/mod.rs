//! Checks the laws that wafermill promises on any plugin, with generated tables and without a pipeline.

mod apply;
mod case;
mod difference;
mod examiner;
mod fit;
mod law;
mod learn;
mod measure;
mod parameters;
mod partition;
mod progress;
pub(crate) mod random;
mod refusal;
mod report;
mod setting;
mod shrink;
mod values;

pub use law::Law;
pub use measure::{Comparison, Cost, measure};
pub use parameters::MOST as MOST_SETS;
pub use progress::Progress;
pub use report::{CounterColumn, Counterexample, ExportUsage, Finding, ParameterSet, Report, TableName, Tally};
pub use setting::Setting;
pub use values::Flavour;

use crate::pipeline::Compiled;
use crate::sandbox::Plugin;
use crate::{Error, Result, Stop};
use examiner::Examiner;
use parameters::Sets;
use serde_json::Value;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is checked.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// The parameters; without them, sets that are derived from the plugin's schema.
    pub params: Option<Value>,
    /// Rows of a plain table. Others have fewer.
    pub rows: usize,
    /// Random partitions of a plain table.
    pub partitions: usize,
    /// Another seed makes other tables and partitions.
    pub seed: u64,
    /// Threads.
    pub workers: usize,
    /// How far it is.
    pub progress: Progress,
    /// Whether the user asks to stop.
    pub stop: Stop,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            params: None,
            rows: 1_000,
            partitions: 100,
            seed: 0,
            workers: 1,
            progress: Progress::default(),
            stop: Stop::default(),
        }
    }
}

/// Checks all laws. What does not hold is in the report; it is the same for any number of workers, and on any machine where the plugin's
/// limits count instructions.
///
/// # Errors
/// Where the parameters break the plugin's schema, or the plugin refuses to work with any of them.
pub fn check(plugin: &Plugin, options: &CheckOptions) -> Result<Report> {
    let schema = &plugin.description().params_schema;
    let derived = options.params.is_none();
    let compiled = Compiled::new(schema)?;
    let Sets { sets, more } = match &options.params {
        Some(params) => Sets { sets: vec![params.clone()], more: false },
        None => parameters::derive(schema),
    };
    if let Some(params) = &options.params
        && let Some(violation) = compiled.first_violation(params)
    {
        return Err(Error::usage(violation.message).hint("`wafermill plugin info` lists the parameters of a plugin"));
    }
    let mut report = Report { more_parameters: more, ..Report::default() };
    let (plugin, meter) = &plugin.metered();
    describe(plugin, &mut report);
    let mut examined = examine_sets(plugin, options, &compiled, &sets)?;
    if derived {
        let refused = examined.iter().filter(|examined| !examined.is_taken());
        let refused = refused.flat_map(|examined| examined.parameters.iter().map(|set| &set.params));
        let completed = parameters::completions(schema, refused, &sets);
        report.more_parameters |= completed.more;
        let more = examine_sets(plugin, options, &compiled, &completed.sets)?;
        // Completions are guesses: those that are refused say nothing, those that broke the contract do.
        let tells = |report: &Report| report.failed() > 0 || report.is_taken();
        examined.extend(more.into_iter().filter(tells));
    }
    examined.into_iter().for_each(|examined| report.merge(examined));
    if report.failed() == 0 && !report.is_taken() {
        let refusal = report.parameters.iter().find_map(|set| set.refusal.clone());
        let error = Error::usage(format!("`{}` works with no column with these parameters", plugin.description().name));
        let error = error.hint("name parameters with `--params` that it takes");
        return Err(match refusal {
            Some(refusal) => error.because(refusal),
            None => error,
        });
    }
    // Of each law the first finding, which is of the same table however many threads there are.
    let mut seen = Vec::new();
    for place in 0..report.findings.len() {
        let law = report.findings[place].law;
        if !seen.contains(&law) {
            seen.push(law);
            report.findings[place].counterexample = shrink::shrink(plugin, options, &report.findings[place])?;
        }
    }
    report.take(&meter.taken());
    Ok(report)
}

fn describe(plugin: &Plugin, report: &mut Report) {
    let first = serde_json::to_value(plugin.description());
    let again = plugin.describe().and_then(|description| {
        serde_json::to_value(description).map_err(|error| Error::internal("a description has no JSON").because(error))
    });
    match again {
        Ok(again) => {
            let same = first.is_ok_and(|first| first == again);
            let violation = (!same).then(|| "the second description is another than the first".to_owned());
            report.judge(Law::Describe, &Value::Null, None, violation);
        }
        Err(error) => report.broken(&Value::Null, None, &error),
    }
}

/// A report for each set of parameters, in their order.
fn examine_sets(plugin: &Plugin, options: &CheckOptions, schema: &Compiled<'_>, sets: &[Value]) -> Result<Vec<Report>> {
    let mut valid = Vec::new();
    for set in sets {
        options.stop.check()?;
        // What a schema forbids never reaches the plugin.
        if schema.first_violation(set).is_none() {
            valid.push(set);
        }
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.workers.clamp(1, valid.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(params) = valid.get(place) else { break };
                    let examined = Examiner::new(plugin, options, params).run();
                    if let Ok(mut done) = done.lock() {
                        done.push((place, examined));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().map_err(|_| Error::internal("a thread panicked"))?;
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, examined)| examined).collect()
}
