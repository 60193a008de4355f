//! How many rows of a row group are decoded at once, so that what they come to is bounded.

use super::super::bounds::rows_of_bytes;
use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;
use parquet::basic::{Encoding, Type};
use parquet::file::metadata::ColumnChunkMetaData;
use std::iter::Peekable;

/// Rows where nothing tells how long each is: rows of 64 KiB fill a batch.
const UNTOLD: usize = 64;

/// Bytes of a chunk from which on its values may be spread so that a few rows have most of them: the mean says nothing then.
const SKEWED: u64 = 16 << 20;

/// Bytes that the longest value of a dictionary may come to where each row of a batch has it. No footer tells how long it is.
const COPIED: u64 = 64 << 20;

/// A row group's columns, as they are read.
pub(super) struct RowBytes {
    batch_rows: usize,
    rows: u64,
    bytes: u64,
    /// Bytes of the longest values of dictionaries, of one row.
    longest: u64,
    /// Whether there are no more bytes than `bytes`, and no batch has much more than its share of them.
    pub(super) told: bool,
}

impl RowBytes {
    /// Of `rows` rows, of which at most `batch_rows` are read at once.
    pub(super) fn new(batch_rows: usize, rows: u64) -> Self {
        Self { batch_rows, rows, bytes: 0, longest: 0, told: true }
    }

    /// Adds a column chunk, with whether its values stay behind their dictionary, or else how long the longest one there is.
    pub(super) fn add(&mut self, chunk: &ColumnChunkMetaData, in_dictionary: bool, longest: u64) {
        let stored = stored_bytes(chunk);
        let decoded = if in_dictionary { Some(0) } else { decoded_bytes(chunk, self.rows) };
        let bytes = decoded.unwrap_or(0).max(stored);
        let (texts, repeats) = (chunk.column_type() == Type::BYTE_ARRAY, chunk.column_descr().max_rep_level() > 0);
        let copies = if repeats { values(chunk) } else { self.rows.min(self.batch_rows as u64) };
        // A value may repeat any before it, and nothing tells but reading them.
        let prefixes = texts && chunk.encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY);
        let told = decoded.is_some()
            && (in_dictionary || !(prefixes || (texts || repeats) && bytes > SKEWED))
            && longest.saturating_mul(copies) <= COPIED;
        self.bytes = self.bytes.saturating_add(bytes);
        self.longest = self.longest.saturating_add(longest);
        self.told &= told;
    }

    /// How many rows are decoded at once.
    pub(super) fn at_once(&self) -> usize {
        let within = rows_of_bytes(self.batch_rows, self.rows, self.bytes);
        let within = within.min(usize::try_from(self.rows).unwrap_or(usize::MAX)).max(1);
        if self.told {
            return within;
        }
        let copies = usize::try_from(SKEWED / self.longest.max(1)).unwrap_or(usize::MAX);
        within.min(UNTOLD).min(copies).max(1)
    }
}

/// Bytes of a chunk's values at most, where its writer tells.
pub(super) fn value_bytes_of(chunk: &ColumnChunkMetaData) -> Option<u64> {
    decoded_bytes(chunk, 0).map(|decoded| decoded.max(stored_bytes(chunk)))
}

fn stored_bytes(chunk: &ColumnChunkMetaData) -> u64 {
    u64::try_from(chunk.uncompressed_size()).unwrap_or(u64::MAX)
}

/// Bytes of a chunk's values, each counted as often as it stands in a row; nothing where they are longer than what is stored of them, and
/// the writer does not tell how long: parquet.thrift, `SizeStatistics`.
/// There are as many values as `rows` at the least.
fn decoded_bytes(chunk: &ColumnChunkMetaData, rows: u64) -> Option<u64> {
    let width = match chunk.column_type() {
        Type::BOOLEAN => 1,
        Type::INT32 | Type::FLOAT => 4,
        Type::INT64 | Type::DOUBLE => 8,
        Type::INT96 => 12,
        Type::FIXED_LEN_BYTE_ARRAY => u64::try_from(chunk.column_descr().type_length()).unwrap_or(0),
        Type::BYTE_ARRAY => {
            let whole = [Encoding::PLAIN, Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::RLE];
            return match chunk.unencoded_byte_array_data_bytes() {
                Some(bytes) => Some(u64::try_from(bytes).unwrap_or(u64::MAX)),
                None => chunk.encodings().all(|encoding| whole.contains(&encoding)).then_some(0),
            };
        }
    };
    Some(values(chunk).max(rows).saturating_mul(width))
}

fn values(chunk: &ColumnChunkMetaData) -> u64 {
    u64::try_from(chunk.num_values()).unwrap_or(u64::MAX)
}

/// Puts small batches together to such of at most a number of rows and about a number of bytes.
pub(super) struct Joined<I: Iterator> {
    decoder: Peekable<I>,
    rows: usize,
    bytes: u64,
    weigh: fn(&RecordBatch) -> u64,
}

impl<I: Iterator<Item = Result<RecordBatch, ArrowError>>> Joined<I> {
    pub(super) fn new(decoder: I, rows: usize, bytes: u64, weigh: fn(&RecordBatch) -> u64) -> Self {
        Self { decoder: decoder.peekable(), rows, bytes, weigh }
    }
}

impl<I: Iterator<Item = Result<RecordBatch, ArrowError>>> Iterator for Joined<I> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = match self.decoder.next()? {
            Ok(first) => first,
            Err(error) => return Some(Err(error)),
        };
        let (mut rows, mut bytes) = (first.num_rows(), (self.weigh)(&first));
        let schema = first.schema();
        let mut batches = vec![first];
        let fits = |rows: usize, next: &I::Item| next.as_ref().is_ok_and(|next| rows + next.num_rows() <= self.rows);
        while bytes < self.bytes
            && let Some(Ok(next)) = self.decoder.next_if(|next| fits(rows, next))
        {
            rows += next.num_rows();
            bytes = bytes.saturating_add((self.weigh)(&next));
            batches.push(next);
        }
        match &batches[..] {
            [batch] => Some(Ok(batch.clone())),
            batches => Some(concat_batches(&schema, batches)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value_bytes::value_bytes;
    use arrow_array::{ArrayRef, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
    use parquet::file::properties::WriterProperties;
    use std::sync::Arc;

    #[test]
    fn where_a_few_rows_may_have_most_of_the_bytes_few_are_decoded_at_once() {
        let at_once = |rows: usize| {
            let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("{row:0170}"))));
            let batch = RecordBatch::try_from_iter([("x", texts)]).unwrap();
            let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
            let mut bytes = Vec::new();
            let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            let footer = ArrowReaderMetadata::load(&bytes::Bytes::from(bytes), ArrowReaderOptions::new()).unwrap();
            let chunk = footer.metadata().row_group(0).column(0);
            let read = |in_dictionary, longest| {
                let mut sizes = RowBytes::new(8_192, rows as u64);
                sizes.add(chunk, in_dictionary, longest);
                sizes.at_once()
            };
            // a dictionary with a value of 4 MiB, whatever a footer says
            assert_eq!(read(false, 4 << 20), 4);
            (read(false, 0), read(true, 0))
        };
        assert_eq!(at_once(9_000), (8_192, 8_192));
        assert_eq!(at_once(100_000), (UNTOLD, 8_192));
    }

    #[test]
    fn small_batches_are_put_together_until_they_are_large_enough() {
        let batch = |lengths: &[usize]| {
            let texts: ArrayRef =
                Arc::new(StringArray::from_iter_values(lengths.iter().map(|length| "x".repeat(*length))));
            Ok(RecordBatch::try_from_iter([("x", texts)]).unwrap())
        };
        let broken = || Err(ArrowError::ParseError("broken".to_owned()));
        let batches = [batch(&[1, 1]), batch(&[1, 1]), batch(&[1]), batch(&[90]), batch(&[20]), batch(&[1]), broken()];
        let joined = Joined::new(batches.into_iter(), 5, 100, value_bytes);
        let rows: Vec<_> =
            joined.map(|batch| batch.map(|batch| (batch.num_rows(), value_bytes(&batch))).ok()).collect();
        assert_eq!(rows, [Some((5, 5)), Some((2, 110)), Some((1, 1)), None]);
    }
}
