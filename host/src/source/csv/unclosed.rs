//! Finds a quote that is never closed: the parser takes all that follows it for one value.

use super::Layout;
use crate::source::files::InputFile;
use ::csv::ByteRecord;
use std::io::Read;

/// What a closed file takes for the beginning of another value, or for a part of a bare one; a value whose quote is open ends with it.
const PROBE: &[u8] = b"\"x";

/// The line of the record that is not closed, if one is not.
pub(super) fn line_of_unclosed(file: &InputFile, layout: &Layout) -> Option<u64> {
    find(file.open().ok()?, file.bytes, layout)
}

fn find(reader: impl Read, bytes: u64, layout: &Layout) -> Option<u64> {
    let mut records = layout.records(reader.chain(PROBE));
    let (mut record, mut last) = (ByteRecord::new(), ByteRecord::new());
    while records.read_byte_record(&mut record).ok()? {
        std::mem::swap(&mut record, &mut last);
    }
    let start = last.position()?;
    let is_new = start.byte() >= bytes;
    let went_on = last.iter().next_back()?.ends_with(PROBE);
    (!is_new && !went_on).then(|| start.line())
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
        for closed in
            ["a,b\n1,2\n", "a,b\n1,2", "a,b\n1,\"2\"\n", "a,b\n1,\"2\"", "a,b\n1,5\" pipe\n", "a,b\n1,5\"", "a\n"]
        {
            assert_eq!(line(closed), None, "{closed:?}");
        }
        assert_eq!(line("a,b\n1,2\n3,\"x\n4,5\n"), Some(3));
        assert_eq!(line("a,b\n1,\"2\"\n\"3"), Some(3));
        assert_eq!(line("a\n1\n\""), Some(3));
    }
}
