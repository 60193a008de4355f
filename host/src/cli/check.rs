//! `plugin check`: the laws of the contract, checked on one plugin.

use super::console::Console;
use super::execute::cores;
use super::interrupt;
use super::plugin_arguments::PluginCheckArguments;
use super::prepare::plugins;
use super::print::{columns, counted, print, print_json, thousands};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use wafermill::check::{self, CheckOptions, Comparison, Cost, Counterexample, Finding, ParameterSet, Progress, Report};
use wafermill::memory::format_size;
use wafermill::pipeline::{LimitsMode, LimitsSection, Plugins};
use wafermill::sandbox::Plugin;
use wafermill::{Error, Result, quoted};

/// How often a check that takes long says how far it is.
const TICK: Duration = Duration::from_secs(10);

/// A plugin that was checked.
struct Checked {
    plugin: Arc<Plugin>,
    options: CheckOptions,
    report: Report,
    cost: Option<Comparison>,
    seconds: f64,
}

/// Checks a plugin; fails where a law does not hold.
pub(super) fn check(arguments: &PluginCheckArguments, console: &Console) -> Result<()> {
    // Instructions are counted, so that the report says the same on every machine.
    let limits = LimitsSection { mode: Some(LimitsMode::Fuel), ..LimitsSection::default() };
    let plugins = plugins(&arguments.plugins, &limits)?;
    let plugin = plugins.get(&arguments.plugin, Path::new(""))?;
    let options = CheckOptions {
        params: arguments.params.clone(),
        rows: arguments.rows as usize,
        partitions: arguments.partitions as usize,
        seed: arguments.seed,
        workers: cores(),
        stop: interrupt::context(console).stop,
        ..CheckOptions::default()
    };
    let start = Instant::now();
    let name = plugin.description().name.clone();
    let report =
        telling(&options.progress, || check::check(&plugin, &options)).map_err(|error| error.in_plugin(&name))?;
    let cost = match report.failed() {
        0 => check::measure(&plugin, &options, &report, &bundled(&plugins, &plugin)),
        // What breaks the contract is not worth measuring.
        _ => None,
    };
    let checked = Checked { plugin, options, report, cost, seconds: start.elapsed().as_secs_f64() };
    if arguments.json {
        print_json(&checked.to_json()?)?;
    } else {
        print(&checked.render())?;
    }
    let laws = checked.report.laws.iter().filter(|tally| tally.failed > 0);
    let broken: Vec<_> = laws.map(|tally| format!("`{}`", tally.law.name())).collect();
    if broken.is_empty() {
        return Ok(());
    }
    let error = Error::plugin(format!("`{name}` breaks the contract: {}", broken.join(", ")));
    Err(error
        .file(checked.plugin.path())
        .hint("docs/plugin-check.md tells what each law demands; wit/plugin.wit is the contract"))
}

/// Says on a terminal how far it is, while something is done that may take long.
fn telling<T>(progress: &Progress, work: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let (done, is_done) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while is_done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                eprintln!("checked {} so far", counted(progress.tables(), "table"));
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// The installed plugins of the same role; those that cannot be loaded are not compared with.
fn bundled(plugins: &Plugins, plugin: &Plugin) -> Vec<Arc<Plugin>> {
    let installed = plugins.installed().into_iter().map(|path| path.to_string_lossy().into_owned());
    let loaded = installed.filter_map(|path| plugins.get(&path, Path::new("")).ok());
    loaded.filter(|other| other.description().role == plugin.description().role).collect()
}

impl Checked {
    fn to_json(&self) -> Result<Value> {
        let Self { plugin, options, report, cost, .. } = self;
        let unwritable = |error| Error::internal("a report has no JSON").because(error);
        let (it, limits) = (plugin.description(), plugin.limits());
        Ok(json!({
            "plugin": { "name": it.name, "version": it.version, "path": plugin.path(), "digest": plugin.digest() },
            "passed": report.failed() == 0,
            "options": { "seed": options.seed, "rows": options.rows, "partitions": options.partitions },
            "limits": { "memory": limits.memory, "returned": limits.returned, "instructions": limits.fuel },
            "report": serde_json::to_value(report).map_err(unwritable)?,
            "cost": serde_json::to_value(cost).map_err(unwritable)?,
        }))
    }

    fn render(&self) -> String {
        let Self { plugin, options, report, cost, seconds } = self;
        let it = plugin.description();
        let row = |tally: &check::Tally| {
            let outcome = match (tally.checked, tally.failed) {
                (0, _) => "not looked at".to_owned(),
                (_, 0) => "ok".to_owned(),
                (_, failed) => format!("FAILED {}", counted(failed, "time")),
            };
            vec![tally.law.name().to_owned(), thousands(tally.checked), outcome, tally.law.text().to_owned()]
        };
        let mut text = format!("{} {}: {}\n\n", it.name, it.version, it.summary);
        text += &columns(&report.laws.iter().map(row).collect::<Vec<_>>());
        text += "\nparameters\n";
        text += &columns(&report.parameters.iter().map(parameters).collect::<Vec<_>>());
        if report.more_parameters {
            let most = check::MOST_SETS;
            text += &format!(
                "  more than {most} sets follow from the schema, and so many were tried: name others with `--params`\n"
            );
        }
        text += "\ntaken at most, by one instance or one call\n";
        text += &columns(&self.taken());
        text.extend(cost.iter().map(comparison));
        text += &format!(
            "\n{}, {}, {}, seed {}, {seconds:.1} s\n",
            counted(report.tables, "table"),
            counted(report.partitions, "partition"),
            counted(report.calls, "call"),
            options.seed,
        );
        // The others are in the JSON.
        let mut told = Vec::new();
        for finding in &report.findings {
            if !told.contains(&finding.law) {
                told.push(finding.law);
                text += &self.finding(finding);
            }
        }
        let hidden = report.failed() - told.len() as u64;
        if hidden > 0 {
            text += &format!("\n{} more of the same laws\n", thousands(hidden));
        }
        text
    }

    /// What it took of its limits.
    fn taken(&self) -> Vec<Vec<String>> {
        let (report, limits) = (&self.report, self.plugin.limits());
        let of = |bytes: usize, most: usize| format!("{} of {}", format_size(bytes as u64), format_size(most as u64));
        let mut rows = vec![
            vec!["  memory".to_owned(), of(report.memory, limits.memory)],
            vec!["  largest batch applied".to_owned(), of(report.returned, limits.returned)],
        ];
        if let (Some(fuel), Some(most)) = (limits.fuel, report.exports.iter().max_by_key(|used| used.most_instructions))
        {
            let (spent, fuel) = (thousands(most.most_instructions), thousands(fuel));
            rows.push(vec!["  instructions".to_owned(), format!("{spent} of {fuel}, in `{}`", most.export)]);
        }
        rows
    }

    fn finding(&self, finding: &Finding) -> String {
        let Finding { law, params, table, detail, log, counterexample } = finding;
        let mut text = format!("\nlaw `{}` does not hold: it {}\n  found       {detail}\n", law.name(), law.text());
        if !params.is_null() {
            text += &format!("  parameters  {params}\n");
        }
        if let Some(table) = table {
            text += &format!("  table       {table}\n");
        }
        text.extend(log.iter().flat_map(|log| log.lines()).map(|line| format!("  log         {line}\n")));
        if let Some(smallest) = counterexample {
            text += &counterexample_text(smallest);
        }
        text + &format!("  look for    {}\n  again       {}\n", law.advice(), self.command(params))
    }

    /// What finds it again.
    fn command(&self, params: &Value) -> String {
        let CheckOptions { rows, partitions, seed, .. } = self.options;
        let path = quoted(self.plugin.path());
        let params = match params {
            Value::Null => String::new(),
            params => format!(" --params {}", quoted(params.to_string())),
        };
        format!("wafermill plugin check {path}{params} --rows {rows} --partitions {partitions} --seed {seed}")
    }
}

/// The rows of a counterexample, one a line.
fn counterexample_text(smallest: &Counterexample) -> String {
    let list = |rows: &[Vec<Option<String>>]| {
        let head = ["    row".to_owned()].into_iter().chain(smallest.reads.iter().cloned()).collect::<Vec<_>>();
        let row = |(number, row): (usize, &Vec<Option<String>>)| {
            let cells =
                row.iter().map(|cell| cell.as_ref().map_or_else(|| "null".to_owned(), |text| format!("`{text}`")));
            [format!("    {number}")].into_iter().chain(cells).collect::<Vec<_>>()
        };
        columns(&[head].into_iter().chain(rows.iter().enumerate().map(row)).collect::<Vec<_>>())
    };
    let mut text = format!("  smallest    {}\n", counted(smallest.row_count as u64, "row"));
    let given: Vec<_> =
        smallest.columns.iter().map(|column| format!("{}: {}", column.name, column.data_type)).collect();
    if !given.is_empty() {
        text += &format!("  columns     {}\n", given.join(", "));
    }
    if smallest.row_count > 0 {
        text += &list(&smallest.rows);
    }
    if smallest.row_count > smallest.rows.len() {
        text += "    …\n";
    }
    if !smallest.other_rows.is_empty() {
        text += "  and in another batch\n";
        text += &list(&smallest.other_rows);
    }
    text + &format!("  there       {}\n", smallest.detail)
}

fn parameters(set: &ParameterSet) -> Vec<String> {
    let outcome = match (&set.setting, &set.refusal) {
        (None, refusal) => format!("skipped: {}", refusal.as_deref().unwrap_or("it breaks the contract")),
        (Some(_), _) if set.accepts.is_empty() => "no column".to_owned(),
        (Some(setting), _) => {
            let names: Vec<_> = set.accepts.iter().map(|data_type| data_type.to_string()).collect();
            format!("{}, {}: {}", setting.words(), counted(names.len() as u64, "type"), names.join(" "))
        }
    };
    vec![format!("  {}", set.params), outcome]
}

/// What it costs, and how much more or less that is than what a bundled plugin costs.
fn comparison(comparison: &Comparison) -> String {
    let Comparison { checked, bundled } = comparison;
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.1}"));
    let row = |cost: &Cost| {
        vec![
            format!("  {}", cost.plugin),
            number(cost.fit_instructions_per_row),
            number(cost.apply_instructions_per_row),
            format_size(cost.memory as u64),
            cost.params.to_string(),
        ]
    };
    let head = ["", "instructions to fit", "to apply", "memory", "parameters"].map(str::to_owned).to_vec();
    let column =
        checked.column.as_ref().map_or_else(|| "no column".to_owned(), |column| format!("one column of {column}"));
    let mut rows = vec![head, row(checked)];
    let mut text = format!("\ncost of a row of {column}, in a batch of {}\n", counted(checked.rows as u64, "row"));
    if let Some(bundled) = bundled {
        rows.push(row(bundled));
        text += &columns(&rows);
        let times = checked.nanoseconds_per_row / bundled.nanoseconds_per_row;
        return text + &format!("  it takes {times:.1} times as long as `{}` does here\n", bundled.plugin);
    }
    text + &columns(&rows)
}
