//! Bits of a message that no row has: they are cleared before a plugin gets them, since they may be those of rows that it does not get.

use super::decode::{Cause, split};
use super::verify::verified_message;
use arrow_schema::{DataType, Field};
use std::sync::Arc;

/// Clears them in a message with one record batch, at the end of `bytes` from `start` on, whose columns have these fields.
///
/// # Errors
/// Where there is no such message.
pub(super) fn clear_unused_bits(bytes: &mut [u8], start: usize, fields: &[Arc<Field>]) -> Result<(), Cause> {
    let mut ends = Vec::new();
    let body = {
        let bytes = bytes.get(start..).ok_or("there is no message")?;
        let (metadata, body) = split(bytes)?;
        let message = verified_message(metadata)?;
        let batch = message.header_as_record_batch().or_else(|| message.header_as_dictionary_batch()?.data());
        let batch = batch.ok_or("a message is neither record batch nor dictionary")?;
        let mut lengths = batch.nodes().unwrap_or_default().iter().map(|node| node.length());
        let mut buffers = batch.buffers().unwrap_or_default().iter();
        for field in fields {
            bitmaps(field.data_type(), &mut lengths, &mut buffers, &mut ends)?;
        }
        start + body
    };
    for (buffer, rows) in ends {
        let (offset, rows) = (usize::try_from(buffer.offset())?, usize::try_from(rows)?);
        let length = usize::try_from(buffer.length())?;
        let bits = bytes.get_mut(body + offset..).and_then(|bytes| bytes.get_mut(..length));
        let unused = bits.and_then(|bits| bits.get_mut(rows / 8..)).unwrap_or_default();
        if let Some((last, beyond)) = unused.split_first_mut() {
            *last &= (1 << (rows % 8)) - 1;
            beyond.fill(0);
        }
    }
    Ok(())
}

/// The bitmaps of a column, each with its number of rows.
fn bitmaps<'b>(
    data_type: &DataType,
    lengths: &mut impl Iterator<Item = i64>,
    buffers: &mut impl Iterator<Item = &'b arrow_ipc::Buffer>,
    ends: &mut Vec<(arrow_ipc::Buffer, i64)>,
) -> Result<(), Cause> {
    let rows = lengths.next().ok_or("a column is missing")?;
    let mut next = || buffers.next().copied().ok_or("a buffer is missing");
    ends.push((next()?, rows));
    match data_type {
        DataType::Boolean => ends.push((next()?, rows)),
        DataType::Utf8 | DataType::Binary | DataType::LargeUtf8 | DataType::LargeBinary => {
            next()?;
            next()?;
        }
        DataType::FixedSizeList(item, _) => bitmaps(item.data_type(), lengths, buffers, ends)?,
        _ => {
            next()?;
        }
    }
    Ok(())
}
