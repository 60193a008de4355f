//! Copies of columns, with nothing of what lies beneath nulls or around the rows.

use arrow_data::ArrayData;
use arrow_data::transform::MutableArrayData;
use arrow_schema::ArrowError;

/// Copies the values that are there and writes empty ones for the nulls, down to the leaves.
///
/// # Errors
/// Where the pieces are not of one type, or have more bytes together than their offsets can tell.
pub(crate) fn copy_values(pieces: &[ArrayData]) -> Result<ArrayData, ArrowError> {
    let rows = pieces.iter().map(ArrayData::len).sum();
    let has_nulls = pieces.iter().any(|piece| piece.null_count() > 0);
    let mut target = MutableArrayData::try_new(pieces.iter().collect(), has_nulls, rows)?;
    for (index, piece) in pieces.iter().enumerate() {
        let Some(nulls) = piece.nulls().filter(|nulls| nulls.null_count() > 0) else {
            target.try_extend(index, 0, piece.len())?;
            continue;
        };
        let mut done = 0;
        for (start, end) in nulls.valid_slices() {
            target.try_extend_nulls(start - done)?;
            target.try_extend(index, start, end)?;
            done = end;
        }
        target.try_extend_nulls(piece.len() - done)?;
    }
    let joined = target.freeze();
    if joined.child_data().is_empty() {
        return Ok(joined);
    }
    let children =
        joined.child_data().iter().map(|child| copy_values(std::slice::from_ref(child))).collect::<Result<_, _>>()?;
    joined.into_builder().child_data(children).build()
}
