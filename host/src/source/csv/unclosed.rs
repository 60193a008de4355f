//! Finds a quote that is never closed: the parser takes all that follows it for one value.

use super::Layout;
use crate::source::files::InputFile;
use ::csv::ByteRecord;
use std::cell::Cell;
use std::io::Read;

/// What a closed file takes for the beginning of another value, or for a part of a bare one; a value whose quote is open ends with it.
const PROBE: &[u8] = b"\"x";

/// The line of the record that is not closed, if one is not.
pub(super) fn line_of_unclosed(file: &InputFile, layout: &Layout) -> Option<u64> {
    find(file.open().ok()?, file.bytes, layout)
}

fn find(reader: impl Read, bytes: u64, layout: &Layout) -> Option<u64> {
    let ends = Cell::new(0);
    // A header may lack its quote too.
    let layout = Layout { header: false, ..layout.clone() };
    let mut records = layout.records(Tail { reader, ends: &ends }.chain(PROBE));
    let (mut record, mut last) = (ByteRecord::new(), ByteRecord::new());
    while records.read_byte_record(&mut record).ok()? {
        std::mem::swap(&mut record, &mut last);
    }
    let start = last.position()?;
    // A record begins where the one before ends: before a line feed, or lines that are empty.
    let is_new = start.byte() >= bytes.saturating_sub(ends.get());
    let went_on = last.iter().next_back()?.ends_with(PROBE);
    (!is_new && !went_on).then(|| start.line())
}

/// Counts the ends of lines that a text ends with.
struct Tail<'a, R> {
    reader: R,
    ends: &'a Cell<u64>,
}

impl<R: Read> Read for Tail<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let ends = buffer[..read].iter().rev().take_while(|byte| matches!(**byte, b'\r' | b'\n')).count();
        self.ends.set(ends as u64 + if ends == read { self.ends.get() } else { 0 });
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::super::CsvOptions;
    use super::*;

    #[test]
    fn only_a_quote_that_is_open_at_the_end_is_found() {
        let options = CsvOptions { delimiter: Some(b','), ..CsvOptions::default() };
        let layout = Layout::new(&[], &options).unwrap();
        let line = |text: &str| find(text.as_bytes(), text.len() as u64, &layout);
        let closed = [
            "a,b\n1,2\n",
            "a,b\n1,2",
            "a,b\n1,\"2\"\n",
            "a,b\n1,\"2\"",
            "a,b\n1,5\" pipe\n",
            "a,b\n1,5\"",
            "a\n",
            "a,b\r\n1,5\" pipe\r\n",
            "a,b\n1,5\" pipe\n\n",
        ];
        for closed in closed {
            assert_eq!(line(closed), None, "{closed:?}");
        }
        assert_eq!(line("a,b\n1,2\n3,\"x\n4,5\n"), Some(3));
        assert_eq!(line("a,b\n1,\"2\"\n\"3"), Some(3));
        assert_eq!(line("a\n1\n\""), Some(3));
        assert_eq!(line("a,\"b\n1,2\n3,4\n"), Some(1));
        // The line before, whose line feed the record is taken to begin with.
        assert_eq!(line("a,b\r\n1,\"\r\n\r\n"), Some(1));
    }
}
