//! Batches of a CSV file that end by their bytes too: arrow-csv counts rows only, and thousands of long ones may not fit into memory.

use crate::memory::{BATCH, format_size};
use arrow_array::RecordBatch;
use arrow_csv::reader::Decoder;
use arrow_schema::ArrowError;
use std::io::BufRead;

/// Bytes of a record. In one that has more, a quote is not closed.
const RECORD: u64 = 64 << 20;

/// The line of a record whose quote is never closed, if there is one.
type FindUnclosed = Box<dyn Fn() -> Option<u64> + Send>;

/// The batches of a file.
pub(super) struct Decoding<R> {
    reader: R,
    decoder: Decoder,
    /// Bytes at which a batch ends.
    most: u64,
    /// Bytes since a record was complete.
    open: u64,
    /// Whether an odd number of quotes came: the last of them may not be closed.
    odd_quotes: bool,
    unclosed: FindUnclosed,
}

impl<R: BufRead> Decoding<R> {
    pub(super) fn new(reader: R, decoder: Decoder, unclosed: FindUnclosed) -> Self {
        Self { reader, decoder, most: BATCH, open: 0, odd_quotes: false, unclosed }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let mut bytes = 0;
        loop {
            let buffer = self.reader.fill_buf()?;
            // Once there are enough bytes the batch ends with a record, which only the decoder can tell from a line.
            let by_lines = bytes >= self.most;
            let line = by_lines.then(|| buffer.iter().position(|byte| *byte == b'\n')).flatten();
            let piece = line.map_or(buffer, |end| &buffer[..=end]);
            // A record may also end with a carriage return alone, and then the line's end tells nothing.
            let ends_alone = line.is_some_and(|end| !piece[..end.saturating_sub(1)].contains(&b'\r'));
            let before = self.decoder.capacity();
            let decoded = self.decoder.decode(piece)?;
            let is_complete = self.decoder.capacity() < before;
            let is_whole = ends_alone && decoded == piece.len() && is_complete;
            self.odd_quotes ^= piece[..decoded].iter().filter(|byte| **byte == b'"').count() % 2 == 1;
            self.open = if is_complete { 0 } else { self.open + decoded as u64 };
            self.reader.consume(decoded);
            bytes += decoded as u64;
            if self.open > RECORD {
                let most = format_size(RECORD);
                return Err(ArrowError::CsvError(format!("a record has more than {most}: a quote may not be closed")));
            }
            if decoded == 0
                && std::mem::take(&mut self.odd_quotes)
                && let Some(line) = (self.unclosed)()
            {
                return Err(ArrowError::CsvError(format!("a quote in line {line} or behind it is never closed")));
            }
            if decoded == 0 || self.decoder.capacity() == 0 || is_whole {
                return self.decoder.flush();
            }
        }
    }
}

impl<R: BufRead> Iterator for Decoding<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_csv::ReaderBuilder;
    use arrow_csv::reader::Format;
    use arrow_schema::{DataType, Field, Schema};
    use std::io::BufReader;
    use std::sync::Arc;

    fn read(text: &str, buffer: usize, most: u64) -> Vec<RecordBatch> {
        let fields = ["a", "b"].map(|name| Field::new(name, DataType::Utf8, true));
        let builder = ReaderBuilder::new(Arc::new(Schema::new(fields.to_vec())));
        let decoder = builder.with_format(Format::default().with_header(true)).with_batch_size(5).build_decoder();
        let reader = BufReader::with_capacity(buffer, text.as_bytes());
        let mut decoding = Decoding::new(reader, decoder, Box::new(|| None));
        decoding.most = most;
        decoding.map(|batch| batch.unwrap()).collect()
    }

    fn cells(batches: &[RecordBatch]) -> Vec<(Option<String>, Option<String>)> {
        let cell = |batch: &RecordBatch, column: usize, row: usize| {
            let column = batch.column(column).as_string::<i32>();
            column.iter().nth(row).flatten().map(str::to_owned)
        };
        let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
        rows.map(|(batch, row)| (cell(batch, 0, row), cell(batch, 1, row))).collect()
    }

    #[test]
    fn the_rows_are_the_same_however_the_batches_end() {
        let quoted = "\"line\nin \"\"quotes\"\"\",x\n";
        for end in ["\n", "\r\n", "\r"] {
            let rows: String = (0..40)
                .map(|row| match row % 4 {
                    0 => quoted.replace('\n', end),
                    1 => format!("{row},\"{}\"{end}", format!("a{end}b,").repeat(row)),
                    2 => format!(",{end}"),
                    _ => format!("{},{row}{end}", "long".repeat(row)),
                })
                .collect();
            let text = format!("a,b{end}{rows}");
            let expected = cells(&read(&text, 1 << 16, u64::MAX));
            assert_eq!(expected.len(), 40);
            for (buffer, most) in [(1, 1), (7, 1), (64, 100), (1 << 16, 1), (1 << 16, 300)] {
                assert_eq!(cells(&read(&text, buffer, most)), expected, "{end:?} {buffer} {most}");
            }
        }
    }

    #[test]
    fn long_rows_come_one_by_one() {
        let text = format!("a,b\n{}", format!("{},1\n", "x".repeat(1_000)).repeat(4));
        let rows = |most| read(&text, 64, most).iter().map(RecordBatch::num_rows).collect::<Vec<_>>();
        assert_eq!(rows(u64::MAX), [4]);
        assert_eq!(rows(500), [1, 1, 1, 1]);
    }
}
