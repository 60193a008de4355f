//! Messages from plugins and files, which are not trusted: all that arrow-rs would panic on is checked first, and its own
//! validation of offsets, UTF-8 and dictionary keys stays on.

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::read_record_batch;
use arrow_ipc::{Message, root_as_message};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

const PREFIX: usize = 8;

/// Reads one message that holds a schema.
///
/// # Errors
/// Where it is damaged, or names a column twice.
pub(crate) fn decode_schema(bytes: &[u8]) -> Result<Schema, Cause> {
    let (metadata, _) = split(bytes)?;
    let message = root_as_message(metadata).map_err(|error| error.to_string())?;
    let schema = try_fb_to_schema(message.header_as_schema().ok_or("a message is no schema")?)?;
    let mut names = HashSet::new();
    match schema.fields().iter().find(|field| !names.insert(field.name())) {
        Some(field) => Err(format!("two columns have the name `{}`", field.name()).into()),
        None => Ok(schema),
    }
}

/// Reads dictionary batches and the one record batch behind them; every dictionary field of `schema` has one of its own,
/// numbered in the order of the fields.
///
/// # Errors
/// Where a message is damaged, compressed, or not of this schema.
pub(crate) fn decode_batch(schema: &SchemaRef, bytes: Buffer) -> Result<RecordBatch, Cause> {
    let expected = schema.fields().iter().filter(|field| is_dictionary(field.data_type())).count();
    let mut dictionaries: HashMap<i64, ArrayRef> = HashMap::new();
    let mut rest = bytes;
    loop {
        let (metadata, start) = split(&rest)?;
        let message = root_as_message(metadata).map_err(|error| error.to_string())?;
        let length = usize::try_from(message.bodyLength())?;
        if rest.len() - start < length {
            return Err("a body is cut short".into());
        }
        let body = rest.slice_with_length(start, length);
        if message.header_as_record_batch().is_some() {
            if rest.len() != start + length {
                return Err("there are bytes behind the record batch".into());
            }
            if dictionaries.len() != expected {
                return Err(format!("{expected} dictionaries are needed, and {} came", dictionaries.len()).into());
            }
            return record_batch(schema, &message, &body, &dictionaries);
        }
        let (id, values) = dictionary(&message, &body)?;
        if !(0..expected as i64).contains(&id) || dictionaries.insert(id, values).is_some() {
            return Err(format!("dictionary {id} was not announced, or came twice").into());
        }
        let next = rest.slice(start + length);
        rest = next;
    }
}

fn dictionary(message: &Message<'_>, body: &Buffer) -> Result<(i64, ArrayRef), Cause> {
    let header = message.header_as_dictionary_batch().ok_or("a message is neither record batch nor dictionary")?;
    if header.isDelta() {
        return Err("a dictionary is a delta".into());
    }
    let schema = Arc::new(Schema::new(vec![Field::new("values", DataType::Utf8, false)]));
    let data = header.data().ok_or("a dictionary has no data")?;
    check(&schema, &data, body)?;
    let batch = read_record_batch(body, data, schema, &HashMap::new(), None, &message.version())?;
    Ok((header.id(), batch.column(0).clone()))
}

fn record_batch(
    schema: &SchemaRef,
    message: &Message<'_>,
    body: &Buffer,
    dictionaries: &HashMap<i64, ArrayRef>,
) -> Result<RecordBatch, Cause> {
    let header = message.header_as_record_batch().ok_or("a message is no record batch")?;
    check(schema, &header, body)?;
    let numbered = numbered(schema);
    let batch = read_record_batch(body, header, numbered, dictionaries, None, &message.version())?;
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        check_nulls(field, column)?;
    }
    // A batch without columns has rows too.
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options)?)
}

/// The schema with its dictionaries numbered as arrow-rs looks them up.
fn numbered(schema: &SchemaRef) -> SchemaRef {
    if !schema.fields().iter().any(|field| is_dictionary(field.data_type())) {
        return schema.clone();
    }
    let mut next = 0;
    let fields = schema.fields().iter().map(|field| {
        if !is_dictionary(field.data_type()) {
            return field.clone();
        }
        next += 1;
        #[expect(deprecated, reason = "arrow-ipc's reader looks dictionaries up by the id in the field")]
        Arc::new(Field::new_dict(field.name(), field.data_type().clone(), field.is_nullable(), next - 1, false))
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The announced null count is what kernels rely on, so it must be the true one.
fn check_nulls(field: &Field, column: &ArrayRef) -> Result<(), Cause> {
    let Some(nulls) = column.nulls() else { return Ok(()) };
    let missing = nulls.len() - nulls.inner().count_set_bits();
    if missing != nulls.null_count() {
        return Err(format!("column `{}` announces {} nulls and has {missing}", field.name(), nulls.null_count()).into());
    }
    Ok(())
}

/// Checks a record batch's metadata against the schema and the body.
fn check(schema: &Schema, batch: &arrow_ipc::RecordBatch<'_>, body: &Buffer) -> Result<(), Cause> {
    if batch.compression().is_some() {
        return Err("a batch is compressed".into());
    }
    let mut units = Vec::new();
    let mut lengths = Vec::new();
    for field in schema.fields() {
        extent(field.data_type(), batch.length(), &mut units, &mut lengths)?;
    }
    let (nodes, buffers) = (batch.nodes().unwrap_or_default(), batch.buffers().unwrap_or_default());
    if nodes.len() != lengths.len() || buffers.len() != units.len() {
        return Err("a batch has more or fewer columns than its schema".into());
    }
    for (buffer, unit) in buffers.iter().zip(units) {
        let (start, length) = (usize::try_from(buffer.offset())?, usize::try_from(buffer.length())?);
        if start.checked_add(length).is_none_or(|end| end > body.len()) {
            return Err("a buffer reaches beyond its batch".into());
        }
        if !length.is_multiple_of(unit) {
            return Err("a buffer ends within an offset".into());
        }
    }
    // Every row of a column takes a bit at least, so this also bounds what arrow-rs multiplies.
    let most = i64::try_from(body.len())?.saturating_mul(8);
    for (node, length) in nodes.iter().zip(lengths) {
        if node.length() != length || !(0..=most).contains(&length) || !(0..=length).contains(&node.null_count()) {
            return Err("a column has an impossible length".into());
        }
    }
    if batch.length() < 0 {
        return Err("a batch has an impossible length".into());
    }
    Ok(())
}

/// Of each buffer of a column, what its length is a multiple of: arrow-rs panics on a piece of an offset. Of each node its length.
fn extent(data_type: &DataType, rows: i64, units: &mut Vec<usize>, lengths: &mut Vec<i64>) -> Result<(), Cause> {
    lengths.push(rows);
    match data_type {
        DataType::Utf8 | DataType::Binary => units.extend([1, 4, 1]),
        DataType::LargeUtf8 | DataType::LargeBinary => units.extend([1, 8, 1]),
        DataType::FixedSizeList(item, size) => {
            units.push(1);
            let rows = rows.checked_mul(i64::from(*size)).ok_or("a list is too long")?;
            extent(item.data_type(), rows, units, lengths)?;
        }
        _ => units.extend([1, 1]),
    }
    Ok(())
}

fn is_dictionary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(_, _))
}

/// The metadata of the first message, and where its body begins.
fn split(bytes: &[u8]) -> Result<(&[u8], usize), Cause> {
    let (marker, length) = bytes.get(..PREFIX).ok_or("a message is too short")?.split_at(4);
    if marker != [0xff; 4] {
        return Err("a message has no continuation marker".into());
    }
    let length = usize::try_from(u32::from_le_bytes(length.try_into()?))?;
    let end = PREFIX.checked_add(length).ok_or("a message is too long")?;
    Ok((bytes.get(PREFIX..end).ok_or("a message's metadata is cut short")?, end))
}
