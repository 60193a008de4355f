//! Messages that are not as they should be.

use crate::content::Content;
use crate::ipc;
use crate::message::{Batch, Message};
use crate::random::Random;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_ipc::CompressionType;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use std::ops::Range;
use std::sync::Arc;
use tonic::codegen::Bytes;

/// The length that a compressed buffer claims to have.
const BOMB: i64 = 1 << 40;

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Damage {
    /// Some bits are flipped.
    Corrupt,
    /// The second half is missing.
    Truncated,
    /// Nothing in it is what it was.
    Garbage,
    /// The response says that there is a row more than there is.
    RowsLie,
    /// It says that there are less rows than none.
    NegativeRows,
    /// The first column has another type; the response has the new schema, or silently not.
    SchemaChange { silent: bool },
    /// A compressed buffer would be enormous.
    Bomb,
}

impl Damage {
    /// Damages the message with these rows of a stream.
    pub(crate) fn apply(
        self,
        message: &mut Message,
        content: &Content,
        rows: Range<usize>,
        random: &mut Random,
    ) -> Result<(), ArrowError> {
        let Some(batch) = &mut message.batch else {
            return Ok(());
        };
        match self {
            Self::Corrupt => batch.bytes = flipped(&batch.bytes, random),
            Self::Truncated => batch.bytes = batch.bytes.slice(..batch.bytes.len() / 2),
            Self::Garbage => batch.bytes = (0..batch.bytes.len()).map(|_| random.next() as u8).collect(),
            Self::RowsLie => message.rows += 1,
            Self::NegativeRows => message.rows = -message.rows.max(1),
            Self::SchemaChange { silent } => {
                let changed = changed(&content.slice(rows)?)?;
                let schema = ipc::schema(&changed.schema())?;
                *batch = content.codec.encode(&changed)?;
                if !silent {
                    message.schema = Some(schema.into());
                }
            }
            Self::Bomb => *batch = bomb(batch, &content.slice(rows)?)?,
        }
        Ok(())
    }
}

/// Flips between one and eight bits.
fn flipped(bytes: &[u8], random: &mut Random) -> Bytes {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + random.below(8) {
        let bit = random.below((bytes.len() * 8).max(1));
        if let Some(byte) = bytes.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
    }
    bytes.into()
}

/// The batch with numbers in place of a first column of text, and text in place of any other.
fn changed(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let Some(first) = schema.fields().first() else {
        return Ok(batch.clone());
    };
    let rows = batch.num_rows() as i64;
    let (data_type, column): (_, ArrayRef) = match first.data_type() {
        DataType::Utf8 => (DataType::Int64, Arc::new(Int64Array::from_iter_values(0..rows))),
        _ => {
            let texts = (0..rows).map(|row| row.to_string());
            (DataType::Utf8, Arc::new(StringArray::from_iter_values(texts)))
        }
    };
    let mut fields = schema.fields().to_vec();
    fields[0] = Arc::new(Field::new(first.name(), data_type, true));
    let mut columns = batch.columns().to_vec();
    columns[0] = column;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// The batch compressed, with a length that nobody should believe.
fn bomb(sent: &Batch, batch: &RecordBatch) -> Result<Batch, ArrowError> {
    if sent.uncompressed.is_some() {
        return Ok(Batch { uncompressed: Some(BOMB), ..sent.clone() });
    }
    let mut bytes = ipc::batch(batch, Some(CompressionType::LZ4_FRAME))?;
    if let Some(place) = ipc::first_buffer(&bytes) {
        bytes[place..place + 8].copy_from_slice(&BOMB.to_le_bytes());
    }
    Ok(Batch { bytes: bytes.into(), uncompressed: None })
}
