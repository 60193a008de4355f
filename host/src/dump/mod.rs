//! Calls of plugins that failed, written down so that an author can make them again.
//!
//! Each is a folder, closed to other users, since it holds rows:
//!
//! - `call.json`: which call of which plugin, with its parameters, pass and limits.
//! - `selection.arrows`: an Arrow IPC stream without batches, the schema of the columns that the step was given.
//! - `batch.arrows`: an Arrow IPC stream of one batch, as it was passed.
//! - `carry`: what the pass before gave, if there was one.
//! - `model/00.arrow` and so on: the tables of the model, Arrow IPC files, in the plan's order.

mod record;
mod replay;

pub use record::{Call, Record};
pub use replay::Returned;

use crate::ipc::{BatchEncoder, Cause, encode_schema};
use crate::model::ModelStore;
use crate::pipeline::Step;
use crate::sandbox::Pass;
use crate::{Error, ErrorKind};
use arrow_array::RecordBatch;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind as Kind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The names of its files.
const CALL: &str = "call.json";
const SELECTION: &str = "selection.arrows";
const BATCH: &str = "batch.arrows";
const CARRY: &str = "carry";
const MODEL: &str = "model";

/// The end of an Arrow IPC stream.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Folders of one name, told apart by numbers.
const MOST: usize = 10_000;

/// A folder that calls are written to.
#[derive(Clone, Debug)]
pub struct Dump {
    folder: PathBuf,
}

/// What a plugin was given when its call failed.
pub(crate) struct Given<'a> {
    pub(crate) step: &'a Step,
    pub(crate) call: Call,
    pub(crate) batch: &'a RecordBatch,
    /// Of a fitter.
    pub(crate) pass: Option<&'a Pass>,
    /// Of a transformer.
    pub(crate) model: Option<&'a ModelStore>,
}

impl Dump {
    /// In this folder, which is made when there is something to write.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Writes down what a plugin was given where it is the plugin that failed, and says in the error where that is, or why it cannot be
    /// written.
    pub(crate) fn keep(&self, given: &Given<'_>, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Plugin | ErrorKind::Sandbox => match self.write(given) {
                Ok(folder) => error.dumped(folder),
                Err(reason) => error.not_dumped(format!("{}: {reason}", self.folder.display())),
            },
            _ => error,
        }
    }

    fn write(&self, given: &Given<'_>) -> Result<PathBuf, Cause> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let private = Permissions::from_mode(0o700);
        let staged = tempfile::Builder::new().prefix(".call-").permissions(private).tempdir_in(&self.folder)?;
        write_files(staged.path(), given)?;
        let step = given.step;
        let name = format!("{}-{}-{}", step.name, step.plugin.description().name, given.call.name());
        for number in 1..=MOST {
            let place = match number {
                1 => self.folder.join(&name),
                _ => self.folder.join(format!("{name}-{number}")),
            };
            match rename_to_new(staged.path(), &place) {
                Ok(()) => {
                    // It is no longer where it would be removed from.
                    let _ = staged.keep();
                    return Ok(std::path::absolute(&place)?);
                }
                Err(error) if error.kind() == Kind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(format!("there are {MOST} of this name").into())
    }
}

fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

fn write_files(folder: &Path, given: &Given<'_>) -> Result<(), Cause> {
    let Given { step, batch, .. } = given;
    let record = serde_json::to_vec_pretty(&Record::of(given))?;
    write(&folder.join(CALL), &[&record, b"\n"])?;
    write(&folder.join(SELECTION), &[&encode_schema(&step.selection.schema)?, &END])?;
    let mut encoder = BatchEncoder::default();
    write(&folder.join(BATCH), &[&encode_schema(&batch.schema())?, encoder.encode(batch)?, &END])?;
    if let Some(carry) = given.pass.and_then(|pass| pass.carry.as_ref()) {
        write(&folder.join(CARRY), &[carry])?;
    }
    if let Some(store) = given.model {
        let model = folder.join(MODEL);
        DirBuilder::new().mode(0o700).create(&model)?;
        for (number, table) in step.plan.model.iter().enumerate() {
            let mut from = fs::File::open(store.root().join(ModelStore::model_file(step, &table.name)))?;
            io::copy(&mut from, &mut create(&model.join(table_file(number)))?)?;
        }
    }
    Ok(())
}

fn table_file(number: usize) -> String {
    format!("{number:02}.arrow")
}

fn create(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn write(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    let mut file = create(path)?;
    pieces.iter().try_for_each(|piece| file.write_all(piece))
}
