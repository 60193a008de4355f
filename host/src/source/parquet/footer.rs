//! Footers of Parquet files. One says how many columns and groups it lists, and the parquet crate goes down by recursion as deep as
//! they are nested; so what says too much is read on a stack on which that many fit, and refused there.

use super::super::bounds::DEPTH;
use super::super::files::InputFile;
use super::super::input::{Chunks, beneath};
use crate::guard::guard;
use crate::{Error, Result};
use arrow_schema::ArrowError;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{ParquetMetaDataReader, ParquetStatisticsPolicy};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::{SchemaDescPtr, Type};
use std::thread;

/// Columns and groups of a schema that fit on any thread's stack, however they are nested.
const SHALLOW: usize = 256;

/// Bytes of a stack that each of them takes at most, and of one without any.
const LEVEL: usize = 4 << 10;
const STACK: usize = 1 << 20;

/// Columns and groups of a schema.
const MOST: usize = 1 << 18;

/// Groups within each other: a list and a map are two, and the schema itself is one.
const GROUPS: usize = 2 * DEPTH + 1;

/// Bytes behind a footer: its length, and four letters.
const TAIL: u64 = 8;

const INCOMPLETE: &str = "this is no complete Parquet file";
const CHECK: &str = "check that it was written and copied to its end; if it has another format, state that";

/// Reads a file's footer without its column statistics, which nothing here needs.
fn load_footer(file: &InputFile) -> Result<ArrowReaderMetadata> {
    let failed = |message: &str, hint: &str| Error::source(message).file(&file.path).hint(hint);
    if file.bytes == 0 {
        return Err(failed(
            "the file is empty",
            "a Parquet file without rows still has a footer; write the file anew or leave it out",
        ));
    }
    let reader = file.open_footer()?;
    let mut options = ArrowReaderOptions::new()
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_as_mask(false);
    // Where there is none its reader tells. One that was read is not read again, wherever the footer repeats it.
    if let Some(schema) = load_schema(&reader).map_err(|error| error.file(&file.path))? {
        options = options.with_parquet_schema(schema);
    }
    guard(|| ArrowReaderMetadata::load(&reader, options).map_err(ArrowError::from))
        .flatten()
        .map_err(|error| beneath(&reader.failure(), || failed(INCOMPLETE, CHECK).because(error)).file(&file.path))
}

/// Footers that are waited for at one time: a store answers late, and many at once.
const FOOTERS_AT_ONCE: usize = 16;

pub(super) fn load_footers(files: &[InputFile]) -> Result<Vec<ArrowReaderMetadata>> {
    if !files.iter().any(InputFile::is_object) {
        return files.iter().map(load_footer).collect();
    }
    let share = files.len().div_ceil(FOOTERS_AT_ONCE).max(1);
    thread::scope(|scope| {
        let load = |share| scope.spawn(move || <[InputFile]>::iter(share).map(load_footer).collect::<Vec<_>>());
        let shares: Vec<_> = files.chunks(share).map(load).collect();
        let lost = |_| vec![Err(Error::internal("a footer's reader panicked"))];
        shares.into_iter().flat_map(|share| share.join().unwrap_or_else(lost)).collect()
    })
}

/// The schema of a file, where it has one at the place where all writers put it.
fn load_schema(reader: &Chunks) -> Result<Option<SchemaDescPtr>> {
    let Some(footer) = footer_bytes(reader) else { return Ok(None) };
    let hint = "write the file with fewer columns, or leave it out";
    match listed(&footer) {
        None => Err(Error::source("the footer does not begin with the columns of the file").hint(super::CORRUPT)),
        Some(listed) if listed > MOST => {
            Err(Error::source(format!("the footer lists {listed} columns and groups, more than {MOST}")).hint(hint))
        }
        Some(listed) if listed <= SHALLOW => decode_schema(&footer),
        Some(listed) => thread::scope(|scope| {
            let own = thread::Builder::new().stack_size(STACK + listed * LEVEL);
            let own = own.spawn_scoped(scope, || decode_schema(&footer)).map_err(|error| {
                Error::source(format!("there is no room to read {listed} columns")).because(error).hint(hint)
            })?;
            own.join().unwrap_or_else(|_| Err(Error::internal("a schema's reader panicked")))
        }),
    }
}

fn footer_bytes(reader: &Chunks) -> Option<bytes::Bytes> {
    let end = reader.len().checked_sub(TAIL)?;
    let tail = reader.get_bytes(end, TAIL as usize).ok()?;
    let (length, magic) = tail.split_first_chunk()?;
    let length = u32::from_le_bytes(*length);
    let start = end.checked_sub(u64::from(length)).filter(|_| magic == b"PAR1")?;
    reader.get_bytes(start, usize::try_from(length).ok()?).ok()
}

/// How many columns and groups a footer lists: parquet.thrift, `FileMetaData`, whose second field they are.
fn listed(footer: &[u8]) -> Option<usize> {
    let mut bytes = footer.iter();
    let mut next = || bytes.next().copied();
    // the version
    let mut field = next()?;
    if field == 0x15 {
        while next()? & 0x80 != 0 {}
        field = next()?;
        if field != 0x19 {
            return None;
        }
    } else if field != 0x29 {
        return None;
    }
    let list = next()?;
    if list >> 4 < 15 {
        return Some(usize::from(list >> 4));
    }
    let mut count = 0;
    for shift in (0..35).step_by(7) {
        let byte = next()?;
        count |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(count).ok();
        }
    }
    None
}

/// Decodes a schema, and drops it at once where it is nested too deep to go anywhere else.
fn decode_schema(footer: &[u8]) -> Result<Option<SchemaDescPtr>> {
    // What fails here would fail again where there is less room for it.
    let decoded = guard(|| ParquetMetaDataReader::decode_schema(footer).map_err(ArrowError::from)).flatten();
    let schema = decoded.map_err(|error| Error::source(INCOMPLETE).because(error).hint(CHECK))?;
    match too_deep(schema.root_schema()) {
        None => Ok(Some(schema)),
        Some(column) => Err(Error::source(format!("a column is nested more than {GROUPS} groups deep"))
            .column(column)
            .hint("flatten the column, or leave it out")),
    }
}

/// The column that is nested too deep, if there is one.
fn too_deep(schema: &Type) -> Option<String> {
    let deep = |column: &Type| {
        // By a list of its own: what is measured here is what overflows a stack.
        let mut open = vec![(column, 1)];
        while let Some((at, depth)) = open.pop() {
            if depth > GROUPS {
                return true;
            }
            if at.is_group() {
                open.extend(at.get_fields().iter().map(|field| (field.as_ref(), depth + 1)));
            }
        }
        false
    };
    schema.get_fields().iter().find(|column| deep(column)).map(|column| column.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_footer_lists_is_read_from_its_first_bytes() {
        assert_eq!(listed(&[0x15, 2, 0x19, 0x2c]), Some(2));
        assert_eq!(listed(&[0x15, 0x80, 1, 0x19, 0xfc, 0x80, 1]), Some(128));
        assert_eq!(listed(&[0x29, 0x1c]), Some(1));
        for other in [
            &[][..],
            &[0x15, 2],
            &[0x15, 2, 0x16, 2],
            &[0x19, 0x2c],
            &[0x15, 2, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert_eq!(listed(other), None, "{other:?}");
        }
    }
}
