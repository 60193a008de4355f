//! Where the columns of a batch lie in its message.

use crate::ipc::Cause;
use arrow_ipc::root_as_message;
use arrow_schema::{DataType, FieldRef, Schema};
use std::ops::Range;

/// Bytes before the description of a message: a mark, and its length.
pub(super) const PREFIX: usize = 8;

/// Which of a batch's buffers are whose.
pub(super) struct Layout {
    /// For each column the numbers of its buffers, as the format lays them out.
    buffers: Vec<Range<usize>>,
}

impl Layout {
    pub(super) fn of(schema: &Schema) -> Self {
        let mut next = 0;
        let ranges = schema.fields().iter().map(|field| {
            let start = next;
            next += count(field.data_type());
            start..next
        });
        Self { buffers: ranges.collect() }
    }

    /// How many columns there are.
    pub(super) fn columns(&self) -> usize {
        self.buffers.len()
    }

    /// For each column, from where to where its buffers lie in the body of a message, which follow each other. The head of the message
    /// is its prefix and its description.
    pub(super) fn spans(&self, head: &[u8]) -> Result<Vec<Range<usize>>, Cause> {
        let description = head.get(PREFIX..).ok_or("a message is cut short")?;
        let message = root_as_message(description).map_err(|error| error.to_string())?;
        let batch = message.header_as_record_batch().ok_or("a message is no record batch")?;
        let all = batch.buffers().ok_or("a batch has no buffers")?;
        if self.buffers.last().is_some_and(|last| last.end > all.len()) {
            return Err("a batch has too few buffers".into());
        }
        let mut behind = 0;
        let mut spans = Vec::with_capacity(self.buffers.len());
        for numbers in &self.buffers {
            let start = behind;
            for buffer in numbers.clone().map(|number| all.get(number)) {
                let (offset, length) = (usize::try_from(buffer.offset())?, usize::try_from(buffer.length())?);
                if offset < behind {
                    return Err("buffers of a batch do not follow each other".into());
                }
                behind = offset.checked_add(length).ok_or("a buffer is too large")?;
            }
            spans.push(start..behind);
        }
        Ok(spans)
    }
}

/// Buffers of a column of a logical type: those have no views, run ends or dictionaries.
fn count(data_type: &DataType) -> usize {
    let of = |field: &FieldRef| count(field.data_type());
    match data_type {
        DataType::Null => 0,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => 3,
        DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => 2 + of(item),
        DataType::FixedSizeList(item, _) => 1 + of(item),
        DataType::Struct(fields) => 1 + fields.iter().map(of).sum::<usize>(),
        DataType::Union(fields, mode) => {
            let own = if *mode == arrow_schema::UnionMode::Dense { 2 } else { 1 };
            own + fields.iter().map(|(_, field)| of(field)).sum::<usize>()
        }
        _ => 2,
    }
}
