//! What the messages of an IPC file or stream take in memory once they are read.

use super::footer::{Footer, read_metadata, stored_bytes};
use arrow_ipc::{Block, Message, RecordBatch, root_as_message};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

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

/// Bytes that it takes to read some columns of a file: its dictionaries and the largest of its record batches.
pub(super) fn bytes_of_file(
    file: &mut (impl Read + Seek),
    footer: &Footer,
    columns: &[usize],
) -> Result<u64, ArrowError> {
    let mut taken = Taken::new(&footer.schema, columns);
    for block in footer.dictionaries.iter().chain(&footer.batches) {
        let metadata = read_metadata(file, block)?;
        taken.add(file, &message(&metadata)?, body_start(block), stored_bytes(block))?;
    }
    Ok(taken.bytes())
}

fn body_start(block: &Block) -> u64 {
    block.offset() as u64 + block.metaDataLength() as u64
}

/// As [`bytes_of_file`], of a stream of `length` bytes, as far as it can be followed.
pub(super) fn bytes_of_stream(
    stream: &mut (impl Read + Seek),
    schema: &Schema,
    length: u64,
    columns: &[usize],
) -> Result<u64, ArrowError> {
    let mut taken = Taken::new(schema, columns);
    let mut start = 0;
    while start + 8 <= length {
        let mut prefix = [0; 8];
        stream.seek(SeekFrom::Start(start))?;
        stream.read_exact(&mut prefix)?;
        let (marker, metadata) = match prefix.split_at(4) {
            (first, second) if first == CONTINUATION => (8, second),
            (first, _) => (4, first),
        };
        let metadata = marker + u64::from(u32::from_le_bytes(metadata.try_into().unwrap_or_default()));
        if metadata == marker || metadata > length - start {
            break;
        }
        let mut bytes = vec![0; metadata as usize];
        stream.seek(SeekFrom::Start(start))?;
        stream.read_exact(&mut bytes)?;
        let message = message(&bytes)?;
        let body = u64::try_from(message.bodyLength()).map_err(|_| damaged("a message has a negative length"))?;
        let end = start.saturating_add(metadata).saturating_add(body);
        if end > length {
            break;
        }
        taken.add(stream, &message, start + metadata, end - start)?;
        start = end;
    }
    Ok(taken.bytes())
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

    /// Adds a message whose body begins at `body` and which has `stored` bytes.
    fn add(
        &mut self,
        file: &mut (impl Read + Seek),
        message: &Message<'_>,
        body: u64,
        stored: u64,
    ) -> Result<(), ArrowError> {
        if let Some(batch) = message.header_as_record_batch() {
            // Buffers that are not compressed stay where they were read.
            let decoded = decoded_bytes(file, &batch, body, |buffers| self.of_columns(buffers))?;
            self.batch = self.batch.max(stored.saturating_add(decoded));
        } else if let Some((dictionary, batch)) =
            message.header_as_dictionary_batch().and_then(|dictionary| Some((dictionary, dictionary.data()?)))
        {
            let decoded = decoded_bytes(file, &batch, body, |_| Vec::new())?;
            let bytes = stored.saturating_add(decoded);
            let known = self.dictionaries.entry(dictionary.id()).or_default();
            *known = if dictionary.isDelta() { known.saturating_add(bytes) } else { bytes.max(*known) };
        }
        Ok(())
    }

    /// Which of the buffers of a record batch are those of the columns; all of them where that cannot be told.
    fn of_columns(&self, variadic: &mut dyn Iterator<Item = i64>) -> Vec<bool> {
        let mut read = vec![false; self.schema.fields().len()];
        self.columns.iter().for_each(|column| read[*column] = true);
        let fields = self.schema.fields().iter().zip(read);
        fields.flat_map(|(field, read)| vec![read; buffers(field.data_type(), variadic)]).collect()
    }
}

/// Bytes of the buffers of a batch once they are no longer compressed. `wanted` tells which are read, and all those are that it does not speak of.
fn decoded_bytes(
    file: &mut (impl Read + Seek),
    batch: &RecordBatch<'_>,
    body: u64,
    wanted: impl FnOnce(&mut dyn Iterator<Item = i64>) -> Vec<bool>,
) -> Result<u64, ArrowError> {
    if batch.compression().is_none() {
        return Ok(0);
    }
    let wanted = wanted(&mut batch.variadicBufferCounts().unwrap_or_default().iter());
    let mut sum = 0_u64;
    for (number, buffer) in batch.buffers().unwrap_or_default().iter().enumerate() {
        let (Ok(offset), Ok(stored)) = (u64::try_from(buffer.offset()), u64::try_from(buffer.length())) else {
            return Err(damaged("a buffer has a negative extent"));
        };
        if stored < LENGTH || !wanted.get(number).copied().unwrap_or(true) {
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
        own += variadic.next().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    }
    let mut of = |field: &Field| buffers(field.data_type(), variadic);
    own + match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => of(item),
        DataType::ListView(item) | DataType::LargeListView(item) => of(item),
        DataType::Struct(fields) => fields.iter().map(|field| of(field)).sum(),
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| of(field)).sum(),
        DataType::RunEndEncoded(ends, values) => of(ends) + of(values),
        _ => 0,
    }
}
