//! What the messages of an IPC file or stream take in memory once they are read.

use super::footer::{Footer, read_metadata, stored_bytes};
use arrow_ipc::{Block, Message, RecordBatch, root_as_message};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use std::collections::HashMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;

/// The marker that stands before the length of a message since Arrow 0.15.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Bytes before a compressed buffer, which tell how long it is uncompressed: Message.fbs, `BodyCompression`.
const LENGTH: u64 = 8;

/// The message whose marker, length and metadata these are.
pub(super) fn message(bytes: &[u8]) -> Result<Message<'_>, ArrowError> {
    let prefix = if bytes.starts_with(&CONTINUATION) { 8 } else { 4 };
    let bytes = bytes.get(prefix..).ok_or_else(|| damaged("a message is too short"))?;
    root_as_message(bytes).map_err(|error| damaged(format!("a message is invalid: {error}")))
}

pub(super) fn damaged(what: impl Into<String>) -> ArrowError {
    ArrowError::ParseError(what.into())
}

/// Bytes that it takes to read messages, and what is wrong with the one at which that ended.
type Followed = (u64, Result<(), ArrowError>);

/// Bytes that it takes to read some columns of a file: its dictionaries and the largest of its record batches.
pub(super) fn bytes_of_file(file: &mut (impl Read + Seek), footer: &Footer, columns: &[usize]) -> Followed {
    let mut taken = Taken::new(&footer.schema, columns);
    let mut read = |block: &Block| {
        let metadata = read_metadata(file, block)?;
        let start = block.offset() as u64;
        taken.add(file, &message(&metadata)?, start, start + metadata.len() as u64..start + stored_bytes(block))
    };
    // Reading ends at the first that is damaged: until then it takes what those before it do.
    let followed = footer.dictionaries.iter().chain(&footer.batches).try_for_each(&mut read);
    (taken.bytes(), followed)
}

/// Checks a message that was read, whose body begins at `body`: arrow-rs allocates what its compressed buffers claim to hold, and ends the
/// process where there is not so much. They may claim `most` bytes.
pub(super) fn check(bytes: &[u8], body: usize, most: u64) -> Result<(), ArrowError> {
    let message = message(bytes)?;
    let dictionary = || message.header_as_dictionary_batch()?.data();
    match message.header_as_record_batch().or_else(dictionary) {
        Some(batch) => {
            let extent = body as u64..bytes.len() as u64;
            uncompressed_bytes(&mut Cursor::new(bytes), &batch, extent, None, most).map(drop)
        }
        None => Ok(()),
    }
}

/// What the buffers of a batch claim to have beyond its body, once they are uncompressed, of those that are wanted: `most` bytes at most, and no
/// more than there is room for. The body has this extent in its file.
fn uncompressed_bytes(
    file: &mut (impl Read + Seek),
    batch: &RecordBatch<'_>,
    body: Range<u64>,
    wanted: Option<&[Range<usize>]>,
    most: u64,
) -> Result<u64, ArrowError> {
    check_extents(batch, body.end.saturating_sub(body.start))?;
    let bytes = decoded_bytes(file, batch, body.start, wanted)?;
    check_claim(bytes, most)?;
    Ok(bytes)
}

/// Checks that the buffers of a batch lie within its body, of so many bytes.
fn check_extents(batch: &RecordBatch<'_>, body: u64) -> Result<(), ArrowError> {
    let is_within = |buffer: &arrow_ipc::Buffer| {
        let extent = u64::try_from(buffer.offset()).ok().zip(u64::try_from(buffer.length()).ok());
        extent.and_then(|(offset, length)| offset.checked_add(length)).is_some_and(|end| end <= body)
    };
    match batch.buffers().unwrap_or_default().iter().all(is_within) {
        true => Ok(()),
        false => Err(damaged("a buffer reaches beyond its message")),
    }
}

/// Bytes that a message may claim under a fuzzer, which ends where more than twice as many are allocated at once.
const FUZZED: u64 = 128 << 20;

fn check_claim(bytes: u64, most: u64) -> Result<(), ArrowError> {
    // A fuzzer takes the question whether there is room for an allocation.
    let most = if cfg!(fuzzing) { most.min(FUZZED) } else { most };
    let room = || Vec::<u8>::new().try_reserve_exact(usize::try_from(bytes).unwrap_or(usize::MAX));
    if bytes > most || room().is_err() {
        return Err(damaged(format!(
            "a message claims to have {bytes} bytes once it is uncompressed, and there is no room for that"
        )));
    }
    Ok(())
}

/// As [`bytes_of_file`], of a stream of `length` bytes, as far as it can be followed. What is wrong with a message is an error, as in [`check`].
pub(super) fn bytes_of_stream(
    stream: &mut (impl Read + Seek),
    schema: &Schema,
    length: u64,
    columns: &[usize],
) -> Followed {
    let mut taken = Taken::new(schema, columns);
    let followed = taken.follow(stream, length);
    (taken.bytes(), followed)
}

/// The length of a message's marker, length and metadata, by its first bytes; 8 or less where it is the end.
fn metadata_bytes(prefix: [u8; 8]) -> u64 {
    let [a, b, c, d, e, f, g, h] = prefix;
    match [a, b, c, d] {
        CONTINUATION => 8 + u64::from(u32::from_le_bytes([e, f, g, h])),
        length => 4 + u64::from(u32::from_le_bytes(length)),
    }
}

/// A stream that is read from its start to its end, whose messages are checked before a decoder gets to see them. Each is in memory once more
/// for that.
pub(super) struct Checked<R> {
    stream: R,
    message: Cursor<Vec<u8>>,
    /// What a message may claim to have uncompressed.
    most: u64,
}

impl<R: Read> Checked<R> {
    pub(super) fn new(stream: R, most: u64) -> Self {
        Self { stream, message: Cursor::default(), most }
    }

    /// Reads the next message; what is none is for the decoder to tell.
    fn next(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        let stream = &mut self.stream;
        stream.take(8).read_to_end(&mut bytes)?;
        if let Ok(prefix) = <[u8; 8]>::try_from(&bytes[..])
            && metadata_bytes(prefix) > 8
        {
            let metadata = metadata_bytes(prefix);
            stream.take(metadata - 8).read_to_end(&mut bytes)?;
            let body = message(&bytes).ok().and_then(|message| u64::try_from(message.bodyLength()).ok());
            if let Some(body) = body.filter(|_| bytes.len() as u64 == metadata) {
                stream.take(body).read_to_end(&mut bytes)?;
                check(&bytes, metadata as usize, self.most).map_err(io::Error::other)?;
            }
        }
        self.message = Cursor::new(bytes);
        Ok(())
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.message.position() == self.message.get_ref().len() as u64 {
            self.next()?;
        }
        self.message.read(buffer)
    }
}

/// What was seen of the messages so far.
struct Taken<'a> {
    schema: &'a Schema,
    columns: &'a [usize],
    /// Of each dictionary, with what was added to it.
    dictionaries: HashMap<i64, u64>,
    /// Of the largest record batch.
    batch: u64,
}

impl<'a> Taken<'a> {
    fn new(schema: &'a Schema, columns: &'a [usize]) -> Self {
        Self { schema, columns, dictionaries: HashMap::new(), batch: 0 }
    }

    fn bytes(&self) -> u64 {
        self.dictionaries.values().fold(self.batch, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// Goes from message to message of a stream, as far as they are whole.
    fn follow(&mut self, stream: &mut (impl Read + Seek), length: u64) -> Result<(), ArrowError> {
        let mut start = 0;
        while length - start >= 8 {
            let mut prefix = [0; 8];
            stream.seek(SeekFrom::Start(start))?;
            stream.read_exact(&mut prefix)?;
            let metadata = metadata_bytes(prefix);
            if metadata <= 8 || metadata > length - start {
                break;
            }
            let mut bytes = vec![0; metadata as usize];
            stream.seek(SeekFrom::Start(start))?;
            stream.read_exact(&mut bytes)?;
            let message = message(&bytes)?;
            let body = u64::try_from(message.bodyLength()).map_err(|_| damaged("a message has a negative length"))?;
            if body > length - start - metadata {
                break;
            }
            let end = start + metadata + body;
            self.add(stream, &message, start, start + metadata..end)?;
            start = end;
        }
        Ok(())
    }

    /// Adds a message that begins at `start` and whose body has this extent.
    fn add(
        &mut self,
        file: &mut (impl Read + Seek),
        message: &Message<'_>,
        start: u64,
        body: Range<u64>,
    ) -> Result<(), ArrowError> {
        let stored = body.end - start;
        if let Some(batch) = message.header_as_record_batch() {
            // Buffers that are not compressed stay where they were read.
            let mut variadic = batch.variadicBufferCounts().unwrap_or_default().iter();
            let wanted = self.of_columns(&mut variadic);
            let decoded = uncompressed_bytes(file, &batch, body, Some(&wanted), u64::MAX)?;
            self.batch = self.batch.max(stored.saturating_add(decoded));
        } else if let Some((dictionary, batch)) =
            message.header_as_dictionary_batch().and_then(|dictionary| Some((dictionary, dictionary.data()?)))
        {
            let bytes = stored.saturating_add(uncompressed_bytes(file, &batch, body, None, u64::MAX)?);
            let known = self.dictionaries.entry(dictionary.id()).or_default();
            *known = if dictionary.isDelta() { known.saturating_add(bytes) } else { bytes.max(*known) };
        }
        Ok(())
    }

    /// Which of the buffers of a record batch are those of the columns, by their numbers.
    fn of_columns(&self, variadic: &mut dyn Iterator<Item = i64>) -> Vec<Range<usize>> {
        let mut read = vec![false; self.schema.fields().len()];
        self.columns.iter().for_each(|column| read[*column] = true);
        let mut start = 0_usize;
        let mut ranges = Vec::new();
        for (field, read) in self.schema.fields().iter().zip(read) {
            let end = start.saturating_add(buffers(field.data_type(), variadic));
            ranges.extend(read.then_some(start..end));
            start = end;
        }
        ranges
    }
}

/// Bytes of the buffers of a batch once they are no longer compressed: of those with the numbers `wanted`, in their order, or of all.
fn decoded_bytes(
    file: &mut (impl Read + Seek),
    batch: &RecordBatch<'_>,
    body: u64,
    wanted: Option<&[Range<usize>]>,
) -> Result<u64, ArrowError> {
    if batch.compression().is_none() {
        return Ok(0);
    }
    let is_wanted = |number: usize| {
        wanted.is_none_or(|ranges| {
            let next = ranges.partition_point(|range| range.end <= number);
            ranges.get(next).is_some_and(|range| range.contains(&number))
        })
    };
    let mut sum = 0_u64;
    for (number, buffer) in batch.buffers().unwrap_or_default().iter().enumerate() {
        let (Ok(offset), Ok(stored)) = (u64::try_from(buffer.offset()), u64::try_from(buffer.length())) else {
            return Err(damaged("a buffer has a negative extent"));
        };
        if stored < LENGTH || !is_wanted(number) {
            continue;
        }
        let mut length = [0; LENGTH as usize];
        file.seek(SeekFrom::Start(body.saturating_add(offset)))?;
        file.read_exact(&mut length)?;
        // −1 stands before a buffer that was left as it is.
        sum = sum.saturating_add(u64::try_from(i64::from_le_bytes(length)).unwrap_or(stored));
    }
    Ok(sum)
}

/// How many buffers a column has in a message: Columnar.rst, "Recursive flattening".
fn buffers(data_type: &DataType, variadic: &mut dyn Iterator<Item = i64>) -> usize {
    let layout = arrow_data::layout(data_type);
    let mut own = usize::from(layout.can_contain_null_mask) + layout.buffers.len();
    if layout.variadic {
        own = own.saturating_add(variadic.next().and_then(|count| usize::try_from(count).ok()).unwrap_or(0));
    }
    children(data_type).into_iter().fold(own, |sum, child| sum.saturating_add(buffers(child.data_type(), variadic)))
}

/// The columns within a column, as they lie in messages: what stands behind a dictionary is in another one.
pub(super) fn children(data_type: &DataType) -> Vec<&Field> {
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => vec![item],
        DataType::Struct(fields) => fields.iter().map(AsRef::as_ref).collect(),
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| field.as_ref()).collect(),
        DataType::RunEndEncoded(ends, values) => vec![ends, values],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array, StringViewArray};
    use arrow_ipc::CompressionType;
    use arrow_ipc::reader::StreamReader;
    use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
    use std::sync::Arc;

    fn batch() -> arrow_array::RecordBatch {
        let texts = (0..256).map(|row| format!("{:>40}", row % 3));
        let columns: [(&str, ArrayRef); 2] = [
            ("n", Arc::new(Int64Array::from(vec![7; 256]))),
            ("views", Arc::new(StringViewArray::from_iter_values(texts))),
        ];
        arrow_array::RecordBatch::try_from_iter(columns).unwrap()
    }

    fn stream(compression: Option<CompressionType>) -> Vec<u8> {
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch().schema(), options).unwrap();
        [batch(), batch()].iter().for_each(|batch| writer.write(batch).unwrap());
        writer.into_inner().unwrap()
    }

    #[test]
    fn a_stream_that_is_checked_message_by_message_is_the_same_and_keeps_to_what_it_may_claim() {
        for compression in [None, Some(CompressionType::ZSTD), Some(CompressionType::LZ4_FRAME)] {
            let bytes = stream(compression);
            let read = |bytes: &[u8], most| -> Result<Vec<_>, ArrowError> {
                StreamReader::try_new(Checked::new(bytes, most), None)?.collect()
            };
            assert_eq!(read(&bytes, 1 << 20).unwrap(), [batch(), batch()]);
            let refused = read(&bytes, 1 << 10).err().map(|error| error.to_string());
            assert_eq!(refused.is_some_and(|text| text.contains("no room")), compression.is_some());
            assert!(read(&bytes[..bytes.len() / 2], 1 << 20).is_err());
        }
    }

    #[test]
    fn whatever_stands_in_a_stream_is_weighed_in_little_memory_and_what_was_followed_counts() {
        let bytes = stream(Some(CompressionType::ZSTD));
        let schema = batch().schema();
        let weigh = |bytes: &[u8]| bytes_of_stream(&mut Cursor::new(bytes), &schema, bytes.len() as u64, &[0, 1]);
        let (whole, followed) = weigh(&bytes);
        assert!(followed.is_ok() && whole > 256 * 8 + 256 * 40, "{whole}");
        let mut stopped = 0;
        for start in (0..bytes.len() - 8).step_by(8) {
            for number in [1_i64 << 46, i64::MAX, -9] {
                let mut bad = bytes.clone();
                bad[start..start + 8].copy_from_slice(&number.to_le_bytes());
                let (bytes, followed) = weigh(&bad);
                // The second message is damaged: the first was weighed.
                stopped += usize::from(followed.is_err() && bytes >= whole / 2);
            }
        }
        assert!(stopped > 0);
    }
}
