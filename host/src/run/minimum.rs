//! The least memory that a run takes, told before it reads a row.

use super::columns_of_run;
use crate::aggregate::Format;
use crate::memory::{BATCH, Shares, format_size};
use crate::pipeline::{Entry, Plan};
use crate::source::Source;
use crate::{Error, Result};
use arrow_schema::{Field, Schema};
use std::fmt;

/// Bytes of the program and of the code of its plugins, however little they do. Measured, with bundled plugins.
const PROGRAM: u64 = 48 << 20;

/// Bytes of an instance that has seen nothing yet, and of what the host keeps for it.
const INSTANCE: u64 = 3 << 20;

/// Batches in memory where one worker works on one: as it was read, as a guest got it, as a guest made it, as it is written, and the next.
const BATCHES: u64 = 5;

/// An estimate is no finer, so that its parts make up the whole as they are told.
const MIB: u64 = 1 << 20;

/// Columns that a family is taken to have.
const FAMILY: usize = 16;

/// What a run takes at least, in bytes: an estimate from schemas and from what a source tells of itself, not from its values.
#[derive(Clone, Debug)]
pub struct Minimum {
    reader: u64,
    plugins: u64,
    batches: u64,
    writer: u64,
}

impl Minimum {
    /// Of a plan over a source, whose rows come out or not, in files of a format or otherwise.
    pub fn of(source: &dyn Source, plan: &Plan, writes_rows: bool, format: Option<&Format>) -> Self {
        let (rows, bytes) = (source.estimated_rows(), source.value_bytes());
        let writer = format.map_or(0, |format| format.group_bytes(&written(plan), rows, bytes));
        let reader = source.reading_bytes(&columns_of_run(plan, writes_rows));
        let batch = bytes.map_or(BATCH, |bytes| bytes.min(BATCH));
        Self {
            reader: rounded(reader),
            plugins: (plan.definitions().len() + plan.aggregate_definitions().len()) as u64 * INSTANCE,
            batches: rounded(BATCHES * batch),
            writer: rounded(writer),
        }
    }

    /// All of it.
    pub fn bytes(&self) -> u64 {
        [PROGRAM, self.reader, self.plugins, self.batches, self.writer]
            .iter()
            .fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// The shares of `memory` bytes, without those that no share pays for.
    ///
    /// # Errors
    /// Where they are too few.
    pub fn shares(&self, memory: usize) -> Result<Shares> {
        if (memory as u64) < self.bytes() {
            return Err(self.too_little(memory));
        }
        let fixed = PROGRAM.saturating_add(self.reader);
        Ok(Shares::of(usize::try_from(memory as u64 - fixed).unwrap_or(memory)))
    }

    fn too_little(&self, memory: usize) -> Error {
        let message = format!("the run takes at least {self} of memory, and may use {}", format_size(memory as u64));
        let kinds = [
            ("to read the source", self.reader),
            ("for an open row group", self.writer),
            ("for batches on their way", self.batches),
            ("for plugins", self.plugins),
            ("for the program", PROGRAM),
        ];
        let kinds: Vec<_> = kinds
            .iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(kind, bytes)| format!("{} MiB {kind}", bytes / MIB))
            .collect();
        let advice = if self.reader > self.writer {
            "read fewer columns, or have the files written with smaller row groups"
        } else {
            "write fewer columns, or set a smaller `row_group_rows` in `[output]`"
        };
        Error::usage(message).hint(format!("raise `--memory`; it needs {}; or {advice}", kinds.join(", ")))
    }
}

/// The whole of it, as `--memory` takes it: a larger unit would round it.
impl fmt::Display for Minimum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.bytes() / MIB)
    }
}

fn rounded(bytes: u64) -> u64 {
    bytes.div_ceil(MIB).saturating_mul(MIB)
}

/// The columns that come out, as far as they are known: a few of each family, which as a rule has far fewer than it may have.
fn written(plan: &Plan) -> Schema {
    let fields = |entry: &Entry| match entry {
        Entry::Column(column) => vec![column.field.clone(); 1],
        Entry::Family { data_type, most, .. } => {
            vec![Field::new("", data_type.clone(), true); FAMILY.min(*most as usize)]
        }
    };
    Schema::new(plan.layout().entries().iter().flat_map(fields).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_minimum_make_up_what_is_told_and_asked_for() {
        let sizes = [0, 1, (1 << 20) - 1, 1 << 20, (3 << 20) + 7, (5 << 30) + 1];
        for (number, reader) in sizes.into_iter().enumerate() {
            let rest = |offset| rounded(sizes[(number + offset) % sizes.len()]);
            let minimum = Minimum { reader: rounded(reader), plugins: INSTANCE, batches: rest(1), writer: rest(2) };
            let error = minimum.shares(1).unwrap_err();
            let mebibytes = |text: &str| -> Vec<u64> {
                let words: Vec<&str> = text.split_whitespace().collect();
                words.windows(2).filter(|pair| pair[1] == "MiB").map(|pair| pair[0].parse().unwrap()).collect()
            };
            let (told, parts) = (mebibytes(error.message()), mebibytes(error.hint_text().unwrap()));
            assert_eq!(told, [parts.iter().sum::<u64>()], "{error:?}");
            assert!(minimum.shares((told[0] << 20) as usize).is_ok());
            assert!(minimum.shares((told[0] << 20) as usize - 1).is_err());
        }
    }
}
