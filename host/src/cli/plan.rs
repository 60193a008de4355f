//! `plan`: what a pipeline will do, before it reads a row.

use super::arguments::PlanArguments;
use super::console::Console;
use super::execute::minimum;
use super::interrupt;
use super::prepare::{Ready, check_output, open_document_source, prepare};
use super::print::{columns, counted, print, print_json};
use serde_json::{Value, json};
use wafermill::Result;
use wafermill::contract::{Passes, Read};
use wafermill::memory::default_budget;
use wafermill::pipeline::{Entry, Plan, Step, load};
use wafermill::run::{Goal, Overrides};

/// Prints the plan of a pipeline.
pub(super) fn plan(arguments: &PlanArguments, console: &Console) -> Result<()> {
    let document = load(&arguments.pipeline)?;
    let context = interrupt::context(console);
    let Ready { source, plan, .. } = prepare(&document, &arguments.plugins, Goal::Run, context, |context| {
        open_document_source(&document, &Overrides::default(), None, default_budget(), context)
    })?;
    check_output(&document, &plan).map_err(|error| document.locate(error))?;
    let least = minimum(&document, source.as_ref(), &plan, Goal::Run);
    if arguments.json {
        return print_json(&to_json(&plan, least.bytes()));
    }
    let head = format!(
        "source: {}, {}\nmemory: at least {least}\n\n",
        counted(source.fragments().len() as u64, "fragment"),
        counted(plan.source().fields().len() as u64, "column"),
    );
    let waves = waves(&plan);
    let mut rows = vec![["step", "plugin", "wave", "passes", "reads", "writes"].map(str::to_owned).to_vec()];
    for (step, wave) in plan.steps().iter().zip(&waves) {
        rows.push(vec![
            step.name.clone(),
            step.plugin.description().name.clone(),
            wave.map_or_else(|| "-".to_owned(), |wave| wave.to_string()),
            ranged(step.plan.passes),
            short(&reads(step)),
            short(&writes(step)),
        ]);
    }
    for waiting in &plan.definitions()[plan.steps().len()..] {
        let plugin = waiting.plugin.description().name.clone();
        let known = "known once the steps before are fitted".to_owned();
        rows.push(vec![waiting.name.clone(), plugin, "?".to_owned(), "?".to_owned(), known]);
    }
    let out: Vec<String> = plan.layout().entries().iter().map(name).collect();
    let aggregates = if plan.aggregate_definitions().is_empty() { String::new() } else { aggregates(&plan) };
    print(&format!("{head}{}\ncolumns: {}\n{aggregates}", columns(&rows), out.join(", ")))
}

/// What is learned of the rows that come out.
fn aggregates(plan: &Plan) -> String {
    let mut rows = vec![["aggregate", "plugin", "passes", "reads", "tables"].map(str::to_owned).to_vec()];
    for step in plan.aggregates() {
        let plugin = step.plugin.description().name.clone();
        rows.push(vec![step.name.clone(), plugin, ranged(step.plan.passes), short(&reads(step)), short(&tables(step))]);
    }
    for waiting in &plan.aggregate_definitions()[plan.aggregates().len()..] {
        let plugin = waiting.plugin.description().name.clone();
        rows.push(vec![waiting.name.clone(), plugin, "?".to_owned(), "known once the steps are fitted".to_owned()]);
    }
    format!("\n{}", columns(&rows))
}

fn tables(step: &Step) -> Vec<String> {
    step.plan.model.iter().map(|table| table.name.clone()).collect()
}

fn ranged(passes: Passes) -> String {
    match (passes.least, passes.most) {
        (0, 0) => "-".to_owned(),
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least}-{most}"),
    }
}

/// In which wave each step is fitted; nothing where it learns nothing. Steps of one wave see the rows in the same passes.
fn waves(plan: &Plan) -> Vec<Option<usize>> {
    let mut behind: Vec<usize> = Vec::new();
    let mut waves = Vec::new();
    // The split comes first: nothing is fitted before it is known which rows are of the training part.
    let split_first = plan.steps().first().is_some_and(Step::is_split);
    for (index, step) in plan.steps().iter().enumerate() {
        let split = behind.first().copied().filter(|_| split_first);
        let writers = step.writers.iter().flatten().copied();
        let filters = (0..index).filter(|before| plan.steps()[*before].filters_training_rows());
        let before = writers.chain(filters).map(|before| behind[before]).chain(split).max().unwrap_or(0);
        let learns = step.plan.passes.any();
        waves.push(learns.then_some(before + 1));
        behind.push(before + usize::from(learns));
    }
    waves
}

fn reads(step: &Step) -> Vec<String> {
    let read = |read: &Read| match read {
        Read::Column { position, .. } => step.selection.schema.field(*position).name().clone(),
        Read::Context(context) => context.field().name().clone(),
    };
    step.plan.reads.iter().map(read).collect()
}

fn writes(step: &Step) -> Vec<String> {
    if step.is_filter() {
        let parts = step.parts.as_ref().map(|parts| format!(" of {}", parts.names().join(", ")));
        return vec![format!("drops rows{}", parts.unwrap_or_default())];
    }
    let write = |write: &wafermill::contract::Write| {
        let family = if write.family.is_some() { "*" } else { "" };
        format!("{}{family}: {}", write.field.name(), write.field.data_type())
    };
    step.plan.writes.iter().map(write).collect()
}

fn short(names: &[String]) -> String {
    const MOST: usize = 4;
    match names.len() {
        0..=MOST => names.join(", "),
        count => format!("{}, … ({count})", names[..MOST - 1].join(", ")),
    }
}

fn name(entry: &Entry) -> String {
    match entry {
        Entry::Column(column) => column.field.name().clone(),
        Entry::Family { prefix, .. } => format!("{prefix}*"),
    }
}

fn to_json(plan: &Plan, memory_bytes: u64) -> Value {
    let steps = plan.steps().iter().zip(waves(plan)).map(|(step, wave)| {
        let passes = step.plan.passes;
        json!({
            "name": step.name,
            "plugin": step.plugin.description().name,
            "digest": step.plugin.digest(),
            "role": step.plugin.description().role,
            "parts": step.parts.as_ref().map(wafermill::pipeline::FilterParts::names),
            "wave": wave,
            "passes": passes,
            "reads": reads(step),
            "writes": if step.is_filter() { Vec::new() } else { writes(step) },
            "drops": step.plan.drops,
        })
    });
    let waiting = plan.definitions()[plan.steps().len()..].iter();
    let waiting = waiting.chain(&plan.aggregate_definitions()[plan.aggregates().len()..]);
    let waiting = waiting.map(|definition| &definition.name);
    let aggregates = plan.aggregates().iter().map(|step| {
        json!({
            "name": step.name,
            "plugin": step.plugin.description().name,
            "digest": step.plugin.digest(),
            "passes": step.plan.passes,
            "reads": reads(step),
            "tables": tables(step),
        })
    });
    json!({
        "steps": steps.collect::<Vec<_>>(),
        "memory_bytes": memory_bytes,
        "aggregates": aggregates.collect::<Vec<_>>(),
        "waiting": waiting.collect::<Vec<_>>(),
        "columns": plan.layout().entries().iter().map(name).collect::<Vec<_>>(),
    })
}
