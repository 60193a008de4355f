//! What commands open before they begin: pipelines, sources, plugins and models.

use super::arguments::{BigQueryArguments, PluginFolder, SourceArguments};
use super::console::Console;
use arrow_schema::DataType;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wafermill::aggregate::TableFiles;
use wafermill::memory::Shares;
use wafermill::model::{MANIFEST, ModelStore};
use wafermill::pipeline::{
    AggregateKind, BigQuerySection, CsvSection, Document, LimitsSection, Plan, Plugins, SourceSection, StepDefinition,
};
use wafermill::run::{Goal, NamedTable, Overrides};
use wafermill::sandbox::{Limits, Sandbox};
use wafermill::source::bigquery::{self, SCHEME, Subject, TableName};
use wafermill::source::{self, Context, CsvOptions, Fraction, Limit, Sample, Source};
use wafermill::store::Address;
use wafermill::{Error, ErrorKind, Result, Stop};

/// The model's folder within that of a dataset.
pub(super) const MODEL: &str = "model";

/// A pipeline that is ready to run.
pub(super) struct Ready {
    pub(super) source: Box<dyn Source>,
    pub(super) plan: Plan,
    pub(super) stop: Stop,
}

/// Opens the source of a pipeline and plans its steps, and its aggregates too, as far as the goal needs them.
pub(super) fn prepare(
    document: &Document,
    folder: &PluginFolder,
    goal: Goal,
    context: Context,
    open: impl FnOnce(Context) -> Result<Box<dyn Source>>,
) -> Result<Ready> {
    let stop = context.stop.clone();
    let locate = |error: Error| document.locate(error);
    let plugins = plugins(folder, &document.pipeline.limits).map_err(locate)?;
    let source = open(context).map_err(locate)?;
    let definitions = StepDefinition::of(document, &plugins)?;
    let aggregates = match goal {
        Goal::Run => StepDefinition::of_aggregates(document, &plugins)?,
        Goal::Fit => Vec::new(),
    };
    let plan = Plan::new(source.schema().clone(), definitions).and_then(|plan| plan.with_aggregates(aggregates));
    let plan = plan.map_err(locate)?;
    stop.check()?;
    Ok(Ready { source, plan, stop })
}

/// Opens the source that a pipeline states, but for what goes before it; a table of BigQuery in the state of a time, where one is given.
/// Of `memory` bytes of a run it takes its share.
pub(super) fn open_document_source(
    document: &Document,
    overrides: &Overrides,
    snapshot: Option<&str>,
    memory: usize,
    context: Context,
) -> Result<Box<dyn Source>> {
    let mut section = document.pipeline.source.clone();
    if let Some(max_bytes) = &overrides.max_bytes {
        section.bigquery.max_bytes = Some(max_bytes.clone());
    }
    if overrides.no_storage_api {
        section.bigquery.storage_api = Some(false);
    }
    if let Some(snapshot) = snapshot {
        section.bigquery.snapshot = Some(snapshot.to_owned());
    }
    section.bigquery.read_ahead.get_or_insert_with(|| Shares::of(memory).read_ahead.to_string());
    let sample = sample(&section, overrides)?;
    let source = open_source(&section, document.folder(), Shares::of(memory).read_ahead, context)?;
    Ok(some_rows(source, sample, overrides.sample_seed.unwrap_or(section.sample_seed), overrides.limit))
}

/// The rows of a source that are read: of a sample of them, where a fraction is given, the first ones, where it is given how many.
pub(super) fn some_rows(
    mut source: Box<dyn Source>,
    sample: Option<Fraction>,
    seed: u64,
    limit: Option<u64>,
) -> Box<dyn Source> {
    if let Some(fraction) = sample {
        source = Box::new(Sample::new(source, fraction, seed));
    }
    match limit {
        None => source,
        Some(rows) => Box::new(Limit::new(source, rows)),
    }
}

/// Says what a sample costs, where reading is billed.
pub(super) fn note_price(sample: Option<Fraction>, source: &dyn Source, console: &Console) {
    if let (Some(_), Some(price)) = (sample, source.price()) {
        console.note(&format!("a sample is chosen by the content of rows, so all columns are read: {price}"));
    }
}

/// The fraction of rows that is read; nothing where all are.
pub(super) fn sample(section: &SourceSection, overrides: &Overrides) -> Result<Option<Fraction>> {
    let stated = section.sample.map(|number| Fraction::new(number).map_err(|error| error.at("/source/sample")));
    let fraction = overrides.sample.or(stated.transpose()?);
    check_seed(fraction, overrides.sample_seed)?;
    Ok(fraction)
}

/// Refuses a seed where there is no sample.
pub(super) fn check_seed(sample: Option<Fraction>, seed: Option<u64>) -> Result<()> {
    if sample.is_none() && seed.is_some() {
        let error = Error::usage("`--sample-seed` is of no use without a sample");
        return Err(error.hint("state the fraction of rows to read, with `--sample`"));
    }
    Ok(())
}

/// Checks that the output can hold the columns that are known by now.
pub(super) fn check_output(document: &Document, plan: &Plan) -> Result<()> {
    let output = &document.pipeline.output;
    output.check(document.pipeline.aggregate.len())?;
    let format = output.aggregate_format();
    for aggregate in plan.aggregates() {
        let mut tables = aggregate.plan.model.iter();
        let checked = tables.try_for_each(|table| format.check(&TableFiles::schema(&table.schema)));
        checked.map_err(|error| aggregate.place(error))?;
    }
    match output.aggregate {
        AggregateKind::Concat => format.check(&plan.layout().schema()),
        AggregateKind::List | AggregateKind::Custom => Ok(()),
    }
}

fn open_source(section: &SourceSection, folder: &Path, read_ahead: usize, context: Context) -> Result<Box<dyn Source>> {
    let path = match (&section.path, &section.table, &section.query) {
        (Some(path), None, None) if Address::is_one(path) => PathBuf::from(path),
        (Some(path), None, None) => folder.join(path),
        (None, Some(table), None) => {
            let table = table.parse().map_err(|error: Error| error.at("/source/table"))?;
            return bigquery::open(Subject::Table(table), section.bigquery.options(folder)?, context);
        }
        (None, None, Some(query)) => {
            let options = section.bigquery.options(folder)?;
            if !options.columns.is_empty() || options.filter.is_some() || options.snapshot.is_some() {
                let error = Error::usage("a query states its columns, its filter and its snapshot itself");
                return Err(error.at("/source/bigquery").hint("write them into the query"));
            }
            return bigquery::open(Subject::Query(query.clone()), options, context);
        }
        _ => {
            let error = Error::usage("a source is one of `path`, `table` and `query`").at("/source");
            return Err(
                error.hint("`path` is a file, a folder or a glob, `table` is PROJECT.DATASET.TABLE of BigQuery")
            );
        }
    };
    let path = path.to_str().ok_or_else(|| Error::usage("the source's path is no Unicode").at("/source/path"))?;
    let (format, csv) = (section.format.map(Into::into), section.csv.options()?);
    let opened = match Address::is_one(path) {
        true => source::open_objects(path, format, &csv, read_ahead, context),
        false => source::open(path, format, &csv),
    };
    // What is wrong with the data has its own place; the rest is what the section states, of a column or of all.
    opened.map_err(|error| match &error.place().column {
        _ if error.kind() != ErrorKind::Usage => error,
        Some(column) => {
            let key = column.replace('~', "~0").replace('/', "~1");
            error.at(format!("/source/csv/types/{key}"))
        }
        None => error.at("/source"),
    })
}

/// The plugins that can be loaded, with what they may take.
pub(super) fn plugins(folder: &PluginFolder, limits: &LimitsSection) -> Result<Plugins> {
    let allowed = limits.over(&Limits::default(), "/limits")?;
    Ok(Plugins::new(Sandbox::new()?, folder.plugins.as_deref(), allowed))
}

/// The table that a command names. What its arguments leave open is as `csv` says.
pub(super) fn named_table(
    name: &str,
    arguments: &SourceArguments,
    of_bigquery: &BigQueryArguments,
    csv: &CsvSection,
) -> NamedTable {
    let mut csv = csv.clone();
    if let Some(delimiter) = &arguments.delimiter {
        // A shell has no handy way to pass a tab.
        csv.delimiter = Some(delimiter.replace("\\t", "\t"));
    }
    csv.header = arguments.header.or(csv.header);
    if !arguments.nulls.is_empty() {
        csv.nulls = Some(arguments.nulls.clone());
    }
    NamedTable { name: name.to_owned(), format: arguments.source_format, csv, bigquery: of_bigquery.section() }
}

/// The folder of a model, wherever the program is started.
pub(super) fn absolute_model(folder: &Path) -> Result<PathBuf> {
    std::path::absolute(folder).map_err(|error| Error::model("the model has no path").because(error))
}

/// The same table by a name that means it wherever the program is started.
pub(super) fn absolute_table(table: NamedTable) -> Result<NamedTable> {
    let absolute = |path: &str| {
        let absolute = std::path::absolute(path).map_err(|error| Error::source("the table has no path").because(error));
        let absolute = absolute?.into_os_string().into_string();
        absolute.map_err(|path| Error::usage("the table's path is no Unicode").file(path))
    };
    let mut bigquery = table.bigquery;
    if let Some(file) = bigquery.credentials_file() {
        bigquery.credentials = Some(absolute(file)?);
    }
    let name = match &table.name {
        name if Address::is_one(name) || name.starts_with(SCHEME) => name.clone(),
        name if is_table(name) => format!("{SCHEME}{name}"),
        name => absolute(name)?,
    };
    Ok(NamedTable { name, bigquery, ..table })
}

/// Opens a table that a command names; `assumed` has types of a table seen before. Of `memory` bytes of a run it takes its share.
pub(super) fn open_table(
    table: &NamedTable,
    assumed: BTreeMap<String, DataType>,
    memory: usize,
    context: Context,
) -> Result<Box<dyn Source>> {
    let (name, format) = (table.name.as_str(), table.format);
    if is_table(name) {
        let options = table.bigquery.options(Path::new(""))?;
        return bigquery::open(Subject::Table(name.parse()?), options, context);
    }
    refuse_unused(name, &table.bigquery)?;
    let csv = CsvOptions { assumed, ..table.csv.options()? };
    match Address::is_one(name) {
        true => source::open_objects(name, format, &csv, Shares::of(memory).read_ahead, context),
        false => source::open(name, format, &csv),
    }
}

/// Refuses what is stated for a table of BigQuery where the table is a file: its rows would be others than those that are meant.
fn refuse_unused(name: &str, stated: &BigQuerySection) -> Result<()> {
    let flags = [
        ("columns", !stated.columns.is_empty()),
        ("filter", stated.filter.is_some()),
        ("snapshot", stated.snapshot.is_some()),
        ("billing-project", stated.billing_project.is_some()),
        ("max-bytes", stated.max_bytes.is_some()),
        ("max-streams", stated.max_streams.is_some()),
        ("credentials", stated.credentials.is_some()),
        ("impersonate", stated.impersonate.is_some()),
        ("location", stated.location.is_some()),
        ("no-storage-api", stated.storage_api == Some(false)),
        ("storage-endpoint", stated.storage_endpoint.is_some()),
        ("rest-endpoint", stated.rest_endpoint.is_some()),
    ];
    match flags.into_iter().find(|(_, is_stated)| *is_stated) {
        None => Ok(()),
        Some((flag, _)) => {
            let error = Error::usage(format!("`--{flag}` is for tables of BigQuery, and `{name}` is none"));
            Err(error.hint(match flag {
                "filter" => "leave it out; a step with the plugin `filter` leaves rows out",
                _ => "leave it out",
            }))
        }
    }
}

/// Whether a name means a table of BigQuery: what exists, is named like a file, or begins at the root, does not.
fn is_table(name: &str) -> bool {
    let path = Path::new(name);
    let looks_like_one = || name.parse::<TableName>().is_ok() && source::Format::of(path).is_none();
    name.starts_with(SCHEME) || (!path.has_root() && !path.exists() && looks_like_one())
}

/// A model's folder, or that of a dataset which holds one.
pub(super) fn model_store(folder: &Path) -> Result<ModelStore> {
    if Address::is_one(folder) {
        let error = Error::usage("a model is read from a folder, and not from an object store").file(folder);
        return Err(error.hint("copy it to this machine first"));
    }
    let within = folder.join(MODEL);
    Ok(ModelStore::new(if !folder.join(MANIFEST).exists() && within.join(MANIFEST).exists() {
        within
    } else {
        folder.to_owned()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_bigquery_is_refused_of_files() {
        let plain = BigQuerySection { storage_api: Some(true), ..BigQuerySection::default() };
        refuse_unused("x.csv", &plain).unwrap();
        let stated = [
            ("--filter", BigQuerySection { filter: Some("age > 3".to_owned()), ..plain.clone() }),
            ("--columns", BigQuerySection { columns: vec!["age".to_owned()], ..plain.clone() }),
            ("--no-storage-api", BigQuerySection { storage_api: Some(false), ..plain }),
        ];
        for (flag, section) in stated {
            let error = refuse_unused("x.csv", &section).unwrap_err();
            assert_eq!(error.message(), format!("`{flag}` is for tables of BigQuery, and `x.csv` is none"));
        }
    }
}
