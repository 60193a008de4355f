//! The body of a message: the buffers of its columns, of which only what is a value of a row is written. Bits behind the last row and what
//! lies beneath nulls may be of rows that the plugin does not get, and no result may depend on it: they become zero, and texts empty.

use super::decode::Cause;
use super::encode::ALIGNMENT;
use crate::copy_values::copy_values;
use arrow_buffer::{ArrowNativeType, BooleanBuffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_ipc::{Buffer, FieldNode};
use arrow_schema::DataType;

/// Where the buffers of some columns will lie, and what they will hold.
#[derive(Default)]
pub(super) struct Pieces<'a> {
    nodes: Vec<FieldNode>,
    buffers: Vec<Buffer>,
    pieces: Vec<Piece<'a>>,
    /// Of the body so far, buffers padded.
    bytes: usize,
}

/// One buffer.
enum Piece<'a> {
    /// A bit for each row.
    Bits(BooleanBuffer),
    /// So many bytes for each row.
    Fixed(&'a [u8], usize, Option<NullBuffer>),
    /// Where the texts of rows begin and end, with the first one at zero.
    Offsets(Offsets<'a>),
    /// The texts.
    Texts(&'a [u8]),
}

#[derive(Clone, Copy)]
enum Offsets<'a> {
    Small(&'a [i32]),
    Large(&'a [i64]),
}

impl<'a> Pieces<'a> {
    /// Of some columns with the same number of rows, whose texts have no bytes beneath nulls.
    ///
    /// # Errors
    /// Where a type cannot cross.
    pub(super) fn of(columns: &'a [ArrayData]) -> Result<Self, Cause> {
        let mut pieces = Self::default();
        columns.iter().try_for_each(|column| pieces.add(column, None))?;
        Ok(pieces)
    }

    pub(super) fn nodes(&self) -> &[FieldNode] {
        &self.nodes
    }

    pub(super) fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// Bytes of the body.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends the body.
    pub(super) fn write(&self, message: &mut Vec<u8>) {
        for piece in &self.pieces {
            piece.write(message);
            message.resize(message.len().next_multiple_of(ALIGNMENT), 0);
        }
    }

    /// Adds a column; of the items of lists, `lists` tells which of them lie in one.
    fn add(&mut self, column: &'a ArrayData, lists: Option<&NullBuffer>) -> Result<(), Cause> {
        let (rows, nulls) = (column.len(), column.nulls().filter(|nulls| nulls.null_count() > 0));
        self.nodes.push(FieldNode::new(rows as i64, nulls.map_or(0, NullBuffer::null_count) as i64));
        match nulls {
            Some(nulls) => self.push(rows.div_ceil(8), Piece::Bits(nulls.inner().clone())),
            None => self.buffers.push(Buffer::new(self.bytes as i64, 0)),
        }
        let nulls = NullBuffer::union(nulls, lists);
        match column.data_type() {
            DataType::Boolean => {
                let bits = BooleanBuffer::new(column.buffers()[0].clone(), column.offset(), rows);
                let bits = nulls.map_or(bits.clone(), |nulls| &bits & nulls.inner());
                self.push(rows.div_ceil(8), Piece::Bits(bits));
            }
            DataType::Utf8 | DataType::Binary => self.texts(column, Offsets::Small(offsets(column))),
            DataType::LargeUtf8 | DataType::LargeBinary => self.texts(column, Offsets::Large(offsets(column))),
            DataType::FixedSizeList(item, size) if item.data_type().is_primitive() => {
                let items = nulls.map(|nulls| nulls.expand(*size as usize));
                self.add(&column.child_data()[0], items.as_ref())?;
            }
            other => {
                let stored = if let DataType::Dictionary(keys, _) = other { keys } else { other };
                let width = stored.primitive_width().ok_or_else(|| format!("a column of type {other} cannot cross"))?;
                let bytes = &column.buffers()[0][column.offset() * width..][..rows * width];
                self.push(bytes.len(), Piece::Fixed(bytes, width, nulls));
            }
        }
        Ok(())
    }

    fn texts(&mut self, column: &'a ArrayData, offsets: Offsets<'a>) {
        let texts = match column.len() {
            0 => &[],
            rows => &column.buffers()[1][offsets.at(0)..offsets.at(rows)],
        };
        self.push(offsets.bytes(), Piece::Offsets(offsets));
        self.push(texts.len(), Piece::Texts(texts));
    }

    fn push(&mut self, length: usize, piece: Piece<'a>) {
        self.buffers.push(Buffer::new(self.bytes as i64, length as i64));
        self.bytes += length.next_multiple_of(ALIGNMENT);
        self.pieces.push(piece);
    }
}

/// A column whose texts are empty beneath nulls: as it is, where they are.
///
/// # Errors
/// Where it cannot be put together.
pub(super) fn without_texts_beneath_nulls(column: ArrayData) -> Result<ArrayData, Cause> {
    let Some(nulls) = column.nulls().filter(|nulls| nulls.null_count() > 0) else { return Ok(column) };
    let offsets = match column.data_type() {
        DataType::Utf8 | DataType::Binary => Offsets::Small(offsets(&column)),
        DataType::LargeUtf8 | DataType::LargeBinary => Offsets::Large(offsets(&column)),
        _ => return Ok(column),
    };
    let mut any = false;
    missing(nulls, |row| any |= offsets.at(row) != offsets.at(row + 1));
    if any { Ok(copy_values(&[column])?) } else { Ok(column) }
}

/// Where the texts of a column begin and end: no offset where there are no rows, and one more than there are otherwise.
fn offsets<O: ArrowNativeType>(column: &ArrayData) -> &[O] {
    match column.len() {
        0 => &[],
        rows => &column.buffer(0)[..=rows],
    }
}

impl Offsets<'_> {
    fn at(self, row: usize) -> usize {
        match self {
            Self::Small(offsets) => offsets[row].as_usize(),
            Self::Large(offsets) => offsets[row].as_usize(),
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Small(offsets) => size_of_val(offsets),
            Self::Large(offsets) => size_of_val(offsets),
        }
    }
}

impl Piece<'_> {
    fn write(&self, message: &mut Vec<u8>) {
        let start = message.len();
        match self {
            Self::Bits(bits) => append(message, bits.len().div_ceil(64), words(bits).map(u64::to_le_bytes)),
            Self::Fixed(bytes, width, nulls) => {
                message.extend_from_slice(bytes);
                if let Some(nulls) = nulls {
                    clear_fixed(&mut message[start..], *width, nulls);
                }
            }
            Self::Offsets(Offsets::Small(offsets)) => {
                let first = offsets.first().copied().unwrap_or_default();
                append(message, offsets.len(), offsets.iter().map(|offset| (offset - first).to_le_bytes()));
            }
            Self::Offsets(Offsets::Large(offsets)) => {
                let first = offsets.first().copied().unwrap_or_default();
                append(message, offsets.len(), offsets.iter().map(|offset| (offset - first).to_le_bytes()));
            }
            Self::Texts(texts) => message.extend_from_slice(texts),
        }
    }
}

/// Appends so many values.
fn append<const WIDTH: usize>(message: &mut Vec<u8>, count: usize, values: impl Iterator<Item = [u8; WIDTH]>) {
    let start = message.len();
    message.resize(start + count * WIDTH, 0);
    let (targets, _) = message[start..].as_chunks_mut();
    targets.iter_mut().zip(values).for_each(|(target, value)| *target = value);
}

/// Bits, 64 at a time, and zeros behind the last one.
fn words(bits: &BooleanBuffer) -> impl Iterator<Item = u64> {
    let chunks = bits.bit_chunks();
    chunks.iter().chain(std::iter::once(chunks.remainder_bits()))
}

/// Clears the values of rows that are null.
fn clear_fixed(values: &mut [u8], width: usize, nulls: &NullBuffer) {
    fn clear<const WIDTH: usize>(values: &mut [u8], nulls: &NullBuffer) {
        let (values, _) = values.as_chunks_mut::<WIDTH>();
        missing(nulls, |row| values[row] = [0; WIDTH]);
    }
    match width {
        1 => clear::<1>(values, nulls),
        2 => clear::<2>(values, nulls),
        4 => clear::<4>(values, nulls),
        8 => clear::<8>(values, nulls),
        16 => clear::<16>(values, nulls),
        width => missing(nulls, |row| values[row * width..][..width].fill(0)),
    }
}

/// Calls `each` for each row that is null, which are found 64 rows at a time.
fn missing(nulls: &NullBuffer, mut each: impl FnMut(usize)) {
    for (start, valid) in (0..nulls.len()).step_by(64).zip(words(nulls.inner())) {
        let rows = (nulls.len() - start).min(64);
        let mut missing = !valid & u64::MAX >> (64 - rows);
        while missing != 0 {
            each(start + missing.trailing_zeros() as usize);
            missing &= missing - 1;
        }
    }
}
