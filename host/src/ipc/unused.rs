//! What a message holds that is no value of a row: bits behind the last row, and what lies beneath nulls. It is cleared before a plugin gets it,
//! since it may be of rows that the plugin does not get, and no result may depend on it.

use super::decode::{Cause, split};
use super::verify::verified_message;
use arrow_schema::{DataType, Field};
use std::ops::Range;
use std::sync::Arc;

/// A column of a message, by where its buffers lie.
struct Column {
    rows: usize,
    /// Empty where there are no nulls.
    validity: Range<usize>,
    values: Values,
}

enum Values {
    Bits(Range<usize>),
    /// Values of so many bytes.
    Fixed(Range<usize>, usize),
    /// Offsets of so many bytes, and what they lead to.
    Varying(Range<usize>, usize, Range<usize>),
    /// What has no values of its own.
    None,
}

/// Clears it in a message with one record batch, at the end of `bytes` from `start` on, whose columns have these fields.
///
/// # Errors
/// Where there is no such message.
pub(super) fn clear_unused(bytes: &mut [u8], start: usize, fields: &[Arc<Field>]) -> Result<(), Cause> {
    let mut columns = Vec::with_capacity(fields.len());
    {
        let message = bytes.get(start..).ok_or("there is no message")?;
        let (metadata, body) = split(message)?;
        let message = verified_message(metadata)?;
        let batch = message.header_as_record_batch().or_else(|| message.header_as_dictionary_batch()?.data());
        let batch = batch.ok_or("a message is neither record batch nor dictionary")?;
        let mut lengths = batch.nodes().unwrap_or_default().iter().map(|node| node.length());
        let (start, end) = (start + body, bytes.len());
        let mut buffers = batch.buffers().unwrap_or_default().iter().map(|buffer| {
            let first = usize::try_from(buffer.offset())?.checked_add(start).ok_or("a buffer is too far")?;
            let last = first.checked_add(usize::try_from(buffer.length())?).filter(|last| *last <= end);
            Ok(first..last.ok_or("a buffer reaches beyond its message")?)
        });
        for field in fields {
            locate(field.data_type(), &mut lengths, &mut buffers, &mut columns)?;
        }
    }
    let mut validity = Vec::new();
    for Column { rows, validity: bitmap, values } in columns {
        clear_behind(&mut bytes[bitmap.clone()], rows);
        if let Values::Bits(bits) = &values {
            clear_behind(&mut bytes[bits.clone()], rows);
        }
        if !bitmap.is_empty() {
            validity.clear();
            validity.extend_from_slice(&bytes[bitmap]);
            clear_beneath(bytes, &validity, rows, &values);
        }
    }
    Ok(())
}

/// Clears the bits of a bitmap behind those of so many rows.
fn clear_behind(bits: &mut [u8], rows: usize) {
    if let Some((last, beyond)) = bits.get_mut(rows / 8..).unwrap_or_default().split_first_mut() {
        *last &= (1 << (rows % 8)) - 1;
        beyond.fill(0);
    }
}

/// Clears the values of rows that are null.
fn clear_beneath(bytes: &mut [u8], validity: &[u8], rows: usize, values: &Values) {
    match values {
        Values::Bits(bits) => bytes[bits.clone()].iter_mut().zip(validity).for_each(|(byte, valid)| *byte &= valid),
        Values::Fixed(values, width) => {
            let values = &mut bytes[values.clone()];
            match width {
                1 => clear_fixed::<1>(values, validity, rows),
                2 => clear_fixed::<2>(values, validity, rows),
                4 => clear_fixed::<4>(values, validity, rows),
                8 => clear_fixed::<8>(values, validity, rows),
                16 => clear_fixed::<16>(values, validity, rows),
                width => nulls(validity, rows, |row| values[row * width..][..*width].fill(0)),
            }
        }
        Values::Varying(offsets, width, data) => nulls(validity, rows, |row| {
            let offset = |row: usize| {
                let mut offset = [0; 8];
                offset[..*width].copy_from_slice(&bytes[offsets.start + row * width..][..*width]);
                data.start.saturating_add(usize::try_from(u64::from_le_bytes(offset)).unwrap_or(usize::MAX))
            };
            let (first, last) = (offset(row), offset(row + 1));
            if first < last && last <= data.end {
                bytes[first..last].fill(0);
            }
        }),
        Values::None => {}
    }
}

/// Clears the values of `WIDTH` bytes of rows that are null.
fn clear_fixed<const WIDTH: usize>(values: &mut [u8], validity: &[u8], rows: usize) {
    let (values, _) = values.as_chunks_mut::<WIDTH>();
    nulls(validity, rows, |row| values[row] = [0; WIDTH]);
}

/// Calls `clear` for each row whose bit is not set, which are found 64 rows at a time.
fn nulls(validity: &[u8], rows: usize, mut clear: impl FnMut(usize)) {
    for (start, bytes) in (0..rows).step_by(64).zip(validity.chunks(8)) {
        let mut valid = [u8::MAX; 8];
        valid[..bytes.len()].copy_from_slice(bytes);
        let mut missing = !u64::from_le_bytes(valid);
        while missing != 0 {
            let row = start + missing.trailing_zeros() as usize;
            // Behind the last row there may be bits, but no values.
            if row >= rows {
                break;
            }
            clear(row);
            missing &= missing - 1;
        }
    }
}

/// Finds the buffers of a column.
fn locate(
    data_type: &DataType,
    lengths: &mut impl Iterator<Item = i64>,
    buffers: &mut impl Iterator<Item = Result<Range<usize>, Cause>>,
    columns: &mut Vec<Column>,
) -> Result<(), Cause> {
    let rows = usize::try_from(lengths.next().ok_or("a column is missing")?)?;
    let mut next = |least: usize| match buffers.next().ok_or("a buffer is missing")?? {
        buffer if buffer.len() < least => Err(Cause::from("a buffer is too short")),
        buffer => Ok(buffer),
    };
    let validity = next(0)?;
    if !validity.is_empty() && validity.len() < rows.div_ceil(8) {
        return Err("a bitmap is too short".into());
    }
    let offsets = |width: usize| if rows == 0 { 0 } else { (rows + 1) * width };
    let values = match data_type {
        DataType::Boolean => Values::Bits(next(rows.div_ceil(8))?),
        DataType::Utf8 | DataType::Binary => Values::Varying(next(offsets(4))?, 4, next(0)?),
        DataType::LargeUtf8 | DataType::LargeBinary => Values::Varying(next(offsets(8))?, 8, next(0)?),
        DataType::FixedSizeList(..) => Values::None,
        DataType::Dictionary(keys, _) => {
            let width = keys.primitive_width().unwrap_or_default();
            Values::Fixed(next(rows * width)?, width)
        }
        other => {
            let width = other.primitive_width().unwrap_or_default();
            Values::Fixed(next(rows * width)?, width)
        }
    };
    columns.push(Column { rows, validity, values });
    match data_type {
        DataType::FixedSizeList(item, _) => locate(item.data_type(), lengths, buffers, columns),
        _ => Ok(()),
    }
}
