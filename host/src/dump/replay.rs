//! Making a call again. What is read was written by anybody: a dump is sent to a plugin's author.

use super::record::{FORMAT, Record};
use super::{BATCH, CALL, CARRY, Call, END, MODEL, SELECTION, table_file};
use crate::contract::Selection;
use crate::ipc::{Cause, TableReader, decode_batch, split};
use crate::json::check_values;
use crate::pipeline::first_violation;
use crate::sandbox::{Fitter, Limits, Pass, Plugin, TableBatch, Task, Transformer, schema};
use crate::{Error, Result, plain_file};
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_schema::SchemaRef;
use std::path::Path;
use std::sync::Arc;

/// Bytes of `call.json`: parameters are at most a pipeline file of 16 MiB, of which any byte may be escaped, and the rest is small.
const RECORD: u64 = 48 << 20;

/// Bytes of a batch: few rows, unless one is large.
const ROWS: u64 = 1 << 30;

/// Bytes of a schema.
const SCHEMA: u64 = 64 << 20;

/// What a call gave.
#[derive(Clone, Debug)]
pub struct Returned {
    /// The table of the plan whose rows they are; nothing for the rows of a transformer.
    pub table: Option<String>,
    /// Its rows.
    pub rows: Vec<RecordBatch>,
}

impl Record {
    /// Reads which call a folder holds.
    ///
    /// # Errors
    /// Where it holds none, or one in another form.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(CALL);
        let text = read(&path, RECORD).map_err(|error| unreadable(&path, error))?;
        check_values(&text).map_err(|error| unreadable(&path, error))?;
        let record: Self = serde_json::from_slice(&text).map_err(|error| unreadable(&path, error))?;
        match record.format == FORMAT {
            true => Ok(record),
            false => Err(unreadable(&path, format!("it has the form {}, and {FORMAT} is known", record.format))),
        }
    }

    /// Makes the call, in new instances: what instances had learned before from other batches is not there.
    ///
    /// # Errors
    /// Those of the plugin, which are what is looked for; and where a file is damaged.
    pub fn replay(&self, folder: &Path, plugin: &Plugin) -> Result<Vec<Returned>> {
        self.check_params(plugin).map_err(|error| error.file(folder.join(CALL)))?;
        let limits = plugin.limits();
        let (schema, rest) = read_stream(&folder.join(SELECTION), SCHEMA, limits)?;
        if !rest.is_empty() || schema.fields().len() != self.roles.len() {
            return Err(unreadable(&folder.join(SELECTION), "it is not the schema that `call.json` tells of"));
        }
        let selection = Selection { schema, roles: self.roles.clone() };
        let plan = Arc::new(plugin.plan(&self.params, &selection)?);
        if self.pass.is_some_and(|pass| pass >= plan.passes.most) {
            let most = plan.passes.most;
            return Err(unreadable(
                &folder.join(CALL),
                format!("`pass` is counted from 0, and there are {most} at most"),
            ));
        }
        let batch_file = folder.join(BATCH);
        let (input, rows) = read_stream(&batch_file, ROWS, limits)?;
        let batch = decode_batch(&input, rows).map_err(|error| unreadable(&batch_file, error))?;
        let task = Task { params: self.params.clone(), selection, plan, input };
        match self.call {
            Call::Apply => apply(plugin, &task, &batch, folder),
            Call::Update => self.update(plugin, &task, &batch, folder),
        }
    }

    /// As those of a pipeline file are checked before a plugin is given them.
    fn check_params(&self, plugin: &Plugin) -> Result<()> {
        let description = plugin.description();
        let params = serde_json::from_str(&self.params)
            .map_err(|error| Error::usage("the parameters are no JSON").because(error))?;
        match first_violation(&description.params_schema, &params)? {
            None => Ok(()),
            Some(violation) => {
                let message = format!("`{}` does not take the parameters: {}", description.name, violation.message);
                Err(Error::usage(message).hint("name the plugin that the call was made of with `--plugin`"))
            }
        }
    }

    fn update(&self, plugin: &Plugin, task: &Task, batch: &RecordBatch, folder: &Path) -> Result<Vec<Returned>> {
        let path = folder.join(CARRY);
        let carry = match path.exists() {
            true => {
                let most = plugin.limits().carry as u64;
                Some(read(&path, most).map_err(|error| unreadable(&path, error))?)
            }
            false => None,
        };
        let mut fitter = Fitter::open(plugin, task, &Pass::new(self.pass.unwrap_or(0), carry))?;
        fitter.update(batch)?;
        let tables = task.plan.partials.iter().map(|table| Some(table.name().to_owned()));
        let mut returned: Vec<_> = tables.map(|table| Returned { table, rows: Vec::new() }).collect();
        fitter.drain(|rows| {
            returned[rows.table].rows.push(rows.batch);
            Ok(())
        })?;
        Ok(returned)
    }
}

fn apply(plugin: &Plugin, task: &Task, batch: &RecordBatch, folder: &Path) -> Result<Vec<Returned>> {
    let tables = folder.join(MODEL);
    // A link would lead to a folder of whoever replays.
    match std::fs::symlink_metadata(&tables) {
        Ok(found) if !found.is_dir() => return Err(unreadable(&tables, "it is no folder")),
        _ => {}
    }
    let mut transformer = Transformer::open(plugin, task)?;
    for (table, planned) in task.plan.model.iter().enumerate() {
        let path = tables.join(table_file(table));
        check_plain(&path).map_err(|error| unreadable(&path, error))?;
        for rows in TableReader::open(&path, &planned.schema, None, &mut |_| Ok(()))? {
            transformer.load(&TableBatch { table, batch: rows? })?;
        }
    }
    transformer.outputs(&task.plan)?;
    Ok(vec![Returned { table: None, rows: transformer.apply(batch)? }])
}

/// The schema of a stream, and what is between it and the end.
fn read_stream(path: &Path, most: u64, limits: &Limits) -> Result<(SchemaRef, Buffer)> {
    let read = || -> Result<(SchemaRef, Buffer), Cause> {
        let mut bytes = read(path, most)?;
        if !bytes.ends_with(&END) {
            return Err("it is cut short".into());
        }
        bytes.truncate(bytes.len() - END.len());
        let (_, end) = split(&bytes)?;
        let schema = schema(&bytes[..end], limits)?;
        // The batch begins where memory is aligned.
        Ok((schema, Buffer::from(&bytes[end..])))
    };
    read().map_err(|error| unreadable(path, error))
}

/// Checks that a file of the folder is no link. The folder may be as its sender made it, and links lead to files of whoever replays.
fn check_plain(path: &Path) -> std::io::Result<()> {
    plain_file::check(&std::fs::symlink_metadata(path)?)
}

fn read(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    check_plain(path)?;
    plain_file::read(path, most)
}

fn unreadable(path: &Path, cause: impl Into<Cause>) -> Error {
    Error::usage("the call that was written down cannot be read")
        .file(path)
        .because(cause)
        .hint("name a folder that `--dump-batch` wrote, such as `wafermill plugin replay DIR/STEP-PLUGIN-apply`")
}
