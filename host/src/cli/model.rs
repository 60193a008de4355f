//! `model show`: what a model has learned.

use super::arguments::ModelShowArguments;
use super::prepare::model_store;
use super::print::{counted, print, print_json, thousands};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_cast::pretty::pretty_format_batches;
use arrow_schema::{ArrowError, DataType, FieldRef};
use wafermill::ipc::open_table;
use wafermill::model::Manifest;
use wafermill::{Error, Result};

/// Prints a model's steps and tables.
pub(super) fn show(arguments: &ModelShowArguments) -> Result<()> {
    let store = model_store(&arguments.model)?;
    let manifest = Manifest::read(&store)?;
    if arguments.json {
        return print_json(&manifest);
    }
    print(&format!("model of wafermill {}, fitted on {} columns\n", manifest.wafermill, manifest.source.len()))?;
    for step in &manifest.steps {
        print(&format!("\n{}: {} {} {}\n", step.name, step.plugin, step.version, step.params))?;
        for table in &step.model {
            print(&format!("{}, {} ({})\n", table.name, counted(table.rows, "row"), table.file.display()))?;
            let mut batches = Vec::new();
            let mut left = arguments.rows;
            for batch in open_table(&store.root().join(&table.file), None)? {
                let batch = batch?;
                let shown = batch.slice(0, batch.num_rows().min(left));
                left -= shown.num_rows();
                batches.push(shown);
                if left == 0 {
                    break;
                }
            }
            let batches = batches.iter().map(in_utc).collect::<std::result::Result<Vec<_>, _>>();
            let batches = batches.map_err(|error| Error::internal("no table").because(error))?;
            let text = pretty_format_batches(&batches).map_err(|error| Error::internal("no table").because(error))?;
            print(&format!("{text}\n"))?;
            if table.rows > arguments.rows as u64 {
                let more = thousands(table.rows - arguments.rows as u64);
                print(&format!("… {more} more rows: `--rows` shows them\n"))?;
            }
        }
    }
    Ok(())
}

/// With times in UTC: names of time zones need a database that wafermill does not carry.
fn in_utc(batch: &RecordBatch) -> std::result::Result<RecordBatch, ArrowError> {
    let column = |(field, column): (&FieldRef, &ArrayRef)| match field.data_type() {
        DataType::Timestamp(unit, Some(_)) => cast(column, &DataType::Timestamp(*unit, Some("+00:00".into()))),
        _ => Ok(column.clone()),
    };
    let schema = batch.schema();
    let columns =
        schema.fields().iter().zip(batch.columns()).map(column).collect::<std::result::Result<Vec<_>, _>>()?;
    RecordBatch::try_from_iter_with_nullable(
        schema.fields().iter().zip(columns).map(|(field, column)| (field.name(), column, true)),
    )
}
