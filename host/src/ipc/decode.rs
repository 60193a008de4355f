//! Messages from plugins and files, which are not trusted: all that arrow-rs would panic on is checked first, and its own
//! validation of offsets, UTF-8 and dictionary keys stays on.

use super::layout::check;
use super::verify::verified_message;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_ipc::Message;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::read_record_batch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The continuation marker and the length of the metadata.
pub(super) const PREFIX: usize = 8;

/// Of bodies and buffers, as the format asks for it.
pub(super) const ALIGNMENT: usize = 8;

/// Bytes that the texts of one column may have once each row has its own, instead of a number in a dictionary.
const UNFOLDED: usize = 256 << 20;

/// Reads one message that holds a schema of at most so many columns.
///
/// # Errors
/// Where it is damaged, has more of them, or names one twice.
pub(crate) fn decode_schema(bytes: &[u8], most: usize) -> Result<Schema, Cause> {
    let (metadata, _) = split(bytes)?;
    let message = verified_message(metadata)?;
    let schema = message.header_as_schema().ok_or("a message is no schema")?;
    let columns = schema.fields().unwrap_or_default().len();
    if columns > most {
        return Err(format!("a schema has {columns} columns, more than {most}").into());
    }
    let schema = try_fb_to_schema(schema)?;
    let mut names = HashSet::new();
    match schema.fields().iter().find(|field| !names.insert(field.name())) {
        Some(field) => Err(format!("two columns have the name `{}`", start_of(field.name())).into()),
        None => Ok(schema),
    }
}

/// The start of a text that may be long.
fn start_of(text: &str) -> String {
    text.chars().take(100).collect()
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
        let message = verified_message(metadata)?;
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
    batch.columns().iter().try_for_each(check_unfolded)?;
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

/// Checks that a column behind a dictionary does not come to more than it may.
fn check_unfolded(column: &ArrayRef) -> Result<(), Cause> {
    let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() else { return Ok(()) };
    let Some(texts) = dictionary.values().as_string_opt::<i32>() else { return Ok(()) };
    let longest = (0..texts.len()).map(|text| texts.value_length(text) as usize).max().unwrap_or(0);
    if longest.saturating_mul(dictionary.len()) <= UNFOLDED {
        return Ok(());
    }
    let texts_of_rows = dictionary.keys().iter().flatten().map(|key| texts.value_length(key as usize) as usize);
    match texts_of_rows.sum::<usize>() <= UNFOLDED {
        true => Ok(()),
        false => Err(format!("the texts behind a dictionary come to more than {UNFOLDED} bytes").into()),
    }
}

pub(super) fn is_dictionary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(_, _))
}

/// The metadata of the first message, and where its body begins.
pub(crate) fn split(bytes: &[u8]) -> Result<(&[u8], usize), Cause> {
    let (marker, length) = bytes.get(..PREFIX).ok_or("a message is too short")?.split_at(4);
    if marker != [0xff; 4] {
        return Err("a message has no continuation marker".into());
    }
    let length = usize::try_from(u32::from_le_bytes(length.try_into()?))?;
    let end = PREFIX.checked_add(length).ok_or("a message is too long")?;
    if !end.is_multiple_of(ALIGNMENT) {
        return Err("a body does not begin at a multiple of 8".into());
    }
    Ok((bytes.get(PREFIX..end).ok_or("a message's metadata is cut short")?, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::{BatchEncoder, encode_schema};
    use arrow_array::builder::{FixedSizeListBuilder, Int64Builder};
    use arrow_array::{BooleanArray, DictionaryArray, Float64Array, StringArray};

    fn batch() -> RecordBatch {
        let mut lists =
            FixedSizeListBuilder::new(Int64Builder::new(), 2).with_field(Field::new("item", DataType::Int64, false));
        for row in 0..4 {
            lists.values().append_slice(&[row, -row]);
            lists.append(true);
        }
        let words: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("bc"), Some("a")].into_iter().collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("number", Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN), Some(-0.0)]))),
            ("flag", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]))),
            ("text", Arc::new(StringArray::from(vec![Some("é"), Some(""), None, Some("long enough")]))),
            ("word", Arc::new(words)),
            ("limbs", Arc::new(lists.finish())),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
            .unwrap()
    }

    fn message(batch: &RecordBatch) -> Vec<u8> {
        BatchEncoder::default().encode(batch).unwrap().clone()
    }

    #[test]
    fn what_is_encoded_is_decoded_again_sliced_or_not() {
        for batch in [batch(), batch().slice(1, 2), batch().slice(2, 0)] {
            let decoded = decode_batch(&batch.schema(), Buffer::from_vec(message(&batch))).unwrap();
            assert_eq!(format!("{decoded:?}"), format!("{batch:?}"));
        }
        let schema = batch().schema();
        assert_eq!(decode_schema(&encode_schema(&schema).unwrap(), 9).unwrap().fields().len(), schema.fields().len());
    }

    #[test]
    fn damaged_messages_never_panic_and_cut_ones_are_refused() {
        let (schema, whole) = (batch().schema(), message(&batch()));
        for position in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[position] ^= 1 << bit;
                // A flipped value is another value; all else must be an error.
                if let Ok(decoded) = decode_batch(&schema, Buffer::from_vec(damaged)) {
                    decoded.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
                }
            }
            assert!(decode_batch(&schema, Buffer::from_vec(whole[..position].to_vec())).is_err(), "{position}");
        }
    }

    #[test]
    fn damaged_schemas_never_panic() {
        let whole = encode_schema(&batch().schema()).unwrap();
        for position in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[position] ^= 1 << bit;
                let _ = decode_schema(&damaged, 9);
            }
            let _ = decode_schema(&whole[..position], 9);
        }
    }

    #[test]
    fn messages_of_another_schema_are_refused() {
        let batch = batch();
        let other = Arc::new(Schema::new(vec![Field::new("number", DataType::Float64, true)]));
        assert!(decode_batch(&other, Buffer::from_vec(message(&batch))).is_err());
        let narrow = batch.project(&[0]).unwrap();
        assert!(decode_batch(&batch.schema(), Buffer::from_vec(message(&narrow))).is_err());
        let mut two = message(&narrow);
        two.extend(message(&narrow));
        assert!(decode_batch(&narrow.schema(), Buffer::from_vec(two)).is_err());
    }

    #[test]
    fn tables_with_columns_that_cannot_cross_are_refused() {
        let small: ArrayRef = Arc::new(arrow_array::Int8Array::from(vec![1, 2, 3]));
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
        let sent = message(&RecordBatch::try_from_iter([("x", small), ("y", text)]).unwrap());
        // As many buffers in all, but none of them is the first column's.
        let fields = [("x", DataType::Null), ("y", DataType::Utf8)];
        let fields = fields.map(|(name, data_type)| Field::new(name, data_type, true));
        let error = decode_batch(&Arc::new(Schema::new(fields.to_vec())), Buffer::from_vec(sent)).unwrap_err();
        assert_eq!(error.to_string(), "a column has the type Null, which cannot cross");
    }

    #[test]
    fn a_false_count_of_nulls_is_refused() {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(2.0)]));
        let batch = RecordBatch::try_from_iter_with_nullable([("x", column, true)]).unwrap();
        let whole = message(&batch);
        // The field node is the pair (3 rows, 1 null) as two little-endian words.
        let node = [3_u64.to_le_bytes(), 1_u64.to_le_bytes()].concat();
        let at = whole.windows(16).position(|window| window == node).unwrap();
        let mut lying = whole;
        lying[at + 8] = 2;
        let error = decode_batch(&batch.schema(), Buffer::from_vec(lying)).unwrap_err();
        assert!(error.to_string().contains("null_count value (2)"), "{error}");
    }

    #[test]
    fn texts_behind_a_dictionary_are_counted_for_each_row() {
        let word = |rows: usize| {
            let texts: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1 << 20), "y".to_owned()]));
            let column = DictionaryArray::<Int32Type>::try_new((0..rows).map(|_| Some(0)).collect(), texts).unwrap();
            RecordBatch::try_from_iter_with_nullable([("word", Arc::new(column) as ArrayRef, true)]).unwrap()
        };
        let (few, many) = (word(256), word(257));
        assert!(decode_batch(&few.schema(), Buffer::from_vec(message(&few))).is_ok());
        let error = decode_batch(&many.schema(), Buffer::from_vec(message(&many))).unwrap_err();
        assert!(error.to_string().contains("the texts behind a dictionary"), "{error}");
    }
}
