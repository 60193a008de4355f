//! Where a batch says that its columns lie: what arrow-rs would panic on, or believe.

use super::decode::{ALIGNMENT, Cause};
use arrow_buffer::Buffer;
use arrow_schema::{DataType, Schema};

/// Checks a record batch's metadata against the schema and the body.
pub(super) fn check(schema: &Schema, batch: &arrow_ipc::RecordBatch<'_>, body: &Buffer) -> Result<(), Cause> {
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
    let mut end_before = 0;
    for (buffer, unit) in buffers.iter().zip(&units) {
        let (start, length) = (usize::try_from(buffer.offset())?, usize::try_from(buffer.length())?);
        let end = start.checked_add(length).filter(|end| *end <= body.len());
        let end = end.ok_or("a buffer reaches beyond its batch")?;
        if !length.is_multiple_of(*unit) || !start.is_multiple_of(ALIGNMENT) {
            return Err("a buffer ends within a value, or does not begin at a multiple of 8".into());
        }
        // A few bytes that stand for many columns would have the host write them many times.
        if length > 0 && start < end_before {
            return Err("a buffer does not lie behind the one before it".into());
        }
        end_before = end_before.max(end);
    }
    // Every row of a column takes a bit at least, so this also bounds what arrow-rs multiplies.
    let most = i64::try_from(body.len())?.saturating_mul(8);
    let mut first_buffer = 0;
    for (node, (length, count)) in nodes.iter().zip(lengths) {
        if node.length() != length || !(0..=most).contains(&length) || !(0..=length).contains(&node.null_count()) {
            return Err("a column has an impossible length".into());
        }
        if node.null_count() == 0 {
            check_no_nulls(buffers.get(first_buffer), body, length)?;
        }
        first_buffer += count;
    }
    if batch.length() < 0 {
        return Err("a batch has an impossible length".into());
    }
    Ok(())
}

/// Checks that where a column says it has no nulls, its bitmap says so too: arrow-rs does not look at it then.
fn check_no_nulls(bitmap: &arrow_ipc::Buffer, body: &Buffer, rows: i64) -> Result<(), Cause> {
    let (start, length, rows) =
        (usize::try_from(bitmap.offset())?, usize::try_from(bitmap.length())?, usize::try_from(rows)?);
    if length == 0 {
        return Ok(());
    }
    let bits = body.slice_with_length(start, length);
    match rows <= 8 * length && bits.count_set_bits_offset(0, rows) == rows {
        true => Ok(()),
        false => Err("a column has more nulls than it says".into()),
    }
}

/// Of each buffer of a column, what its length is a multiple of: arrow-rs panics on a piece of an offset or of a key. Of each node its
/// length, and how many buffers are its own, the bitmap first.
fn extent(
    data_type: &DataType,
    rows: i64,
    units: &mut Vec<usize>,
    lengths: &mut Vec<(i64, usize)>,
) -> Result<(), Cause> {
    let buffers = match data_type {
        DataType::Utf8 | DataType::Binary | DataType::LargeUtf8 | DataType::LargeBinary => 3,
        DataType::FixedSizeList(_, _) => 1,
        DataType::Boolean | DataType::Dictionary(_, _) => 2,
        data_type if data_type.is_primitive() => 2,
        // Others have another number of buffers, and arrow-rs would take those of the next column.
        other => return Err(format!("a column has the type {other}, which cannot cross").into()),
    };
    lengths.push((rows, buffers));
    match data_type {
        DataType::Utf8 | DataType::Binary => units.extend([1, 4, 1]),
        DataType::LargeUtf8 | DataType::LargeBinary => units.extend([1, 8, 1]),
        DataType::FixedSizeList(item, size) => {
            units.push(1);
            let rows = rows.checked_mul(i64::from(*size)).ok_or("a list is too long")?;
            extent(item.data_type(), rows, units, lengths)?;
        }
        DataType::Dictionary(_, _) => units.extend([1, 4]),
        _ => units.extend([1, 1]),
    }
    Ok(())
}
