//! The checksums of a spool's batches, in a file beside the rows.
//!
//! Each batch has a record of fixed size: a checksum of the head of its message, one for each column, and one of the record itself. So a
//! pass checks what it reads, whichever columns those are, and keeps one record in memory however many batches there are.

use crate::ipc::Cause;
use std::fs::File;
use std::io::{BufWriter, Result, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The name of the file, in the spool's folder.
pub(super) const SUMS: &str = "checksums";

/// Bytes of a checksum.
const SUM: usize = size_of::<u64>();

/// Bytes of the record of a batch with so many columns.
pub(super) fn record_bytes(columns: usize) -> u64 {
    ((2 + columns) * SUM) as u64
}

/// Writes the records.
pub(super) struct SumsWriter {
    file: BufWriter<File>,
    batches: u64,
}

impl SumsWriter {
    pub(super) fn create(folder: &Path) -> Result<Self> {
        Ok(Self { file: BufWriter::new(File::create_new(folder.join(SUMS))?), batches: 0 })
    }

    /// Appends the checksums of the next batch.
    pub(super) fn append(&mut self, sums: &[u64]) -> Result<()> {
        let record: Vec<u8> = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        self.file.write_all(&record)?;
        self.file.write_all(&xxh3_64_with_seed(&record, self.batches).to_le_bytes())?;
        self.batches += 1;
        Ok(())
    }

    /// Makes them safe on disk.
    pub(super) fn finish(self) -> Result<()> {
        self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
    }
}

/// The records of a complete spool.
pub(super) struct Sums {
    file: File,
    columns: usize,
}

/// The checksums of a batch.
pub(super) struct BatchSums(Vec<u64>);

impl Sums {
    pub(super) fn open(folder: &Path, columns: usize) -> Result<Self> {
        Ok(Self { file: File::open(folder.join(SUMS))?, columns })
    }

    /// Reads the record of a batch.
    pub(super) fn read(&self, batch: usize) -> std::result::Result<BatchSums, Cause> {
        let mut record = vec![0; (1 + self.columns) * SUM];
        let mut own = [0; SUM];
        let start = (batch as u64).checked_mul((record.len() + SUM) as u64).ok_or("there is no such batch")?;
        self.file.read_exact_at(&mut record, start)?;
        self.file.read_exact_at(&mut own, start + record.len() as u64)?;
        if xxh3_64_with_seed(&record, batch as u64).to_le_bytes() != own {
            return Err("the checksums of a batch are not what was written".into());
        }
        let (sums, _) = record.as_chunks::<SUM>();
        Ok(BatchSums(sums.iter().map(|sum| u64::from_le_bytes(*sum)).collect()))
    }
}

impl BatchSums {
    /// Checks the head of the batch's message.
    pub(super) fn check_head(&self, head: &[u8]) -> std::result::Result<(), Cause> {
        check(self.0[0], head)
    }

    /// Checks what lies from the first buffer of a column to the end of its last.
    pub(super) fn check_column(&self, column: usize, bytes: &[u8]) -> std::result::Result<(), Cause> {
        check(self.0[1 + column], bytes)
    }
}

/// Checks that some bytes are what was written.
pub(super) fn check(sum: u64, bytes: &[u8]) -> std::result::Result<(), Cause> {
    match xxh3_64(bytes) == sum {
        true => Ok(()),
        false => Err("what is read is not what was written: its checksum is another".into()),
    }
}
