//! Reads single columns of an Arrow IPC file's batches: of a batch of which few columns are wanted, little is read, and all that is read
//! is checked.

use super::index::Index;
use super::layout::Layout;
use super::sums::{BatchSums, check};
use crate::guard::guard;
use crate::ipc::Cause;
use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::{Block, root_as_footer};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Columns that are not further apart are read at once.
const GAP: usize = 4 << 10;

/// Bytes behind the footer: its length and the magic.
const TRAILER: usize = 10;

/// An Arrow IPC file, of which some columns are read.
pub(super) struct Blocks {
    file: File,
    /// Where the batches end.
    end: u64,
    blocks: Vec<Block>,
    layout: Layout,
    decoder: FileDecoder,
    /// The columns that are read, in ascending order.
    columns: Vec<usize>,
}

impl Blocks {
    /// The rows of a complete spool, of which the columns at these positions are read, in this order.
    pub(super) fn new(file: File, index: &Index, columns: &[usize]) -> Result<Self, Cause> {
        let end = index.footer.start;
        let length = index.bytes.checked_sub(end).ok_or("it is too short")?;
        let mut tail = vec![0; usize::try_from(length)?];
        file.read_exact_at(&mut tail, end)?;
        check(index.footer.checksum, &tail)?;
        let footer = footer(&tail).ok_or("it has no footer")?;
        let footer = root_as_footer(footer).map_err(|error| error.to_string())?;
        let schema = try_fb_to_schema(footer.schema().ok_or("it has no schema")?)?;
        let blocks = footer.recordBatches().iter().flatten().copied().collect();
        let layout = Layout::of(&schema);
        if columns.iter().any(|column| *column >= layout.columns()) {
            return Err("it has too few columns".into());
        }
        let decoder = FileDecoder::new(Arc::new(schema), footer.version()).with_projection(columns.to_vec());
        let mut columns = columns.to_vec();
        columns.sort_unstable();
        columns.dedup();
        Ok(Self { file, end, blocks, layout, decoder, columns })
    }

    /// How many batches there are.
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Reads a batch.
    pub(super) fn read(&self, number: usize, sums: &BatchSums) -> Result<RecordBatch, Cause> {
        let block = self.blocks.get(number).ok_or("there is no such batch")?;
        let start = u64::try_from(block.offset())?;
        let head = usize::try_from(block.metaDataLength())?;
        let length = head.checked_add(usize::try_from(block.bodyLength())?).ok_or("a batch is too large")?;
        if start.checked_add(length as u64).is_none_or(|end| end > self.end) {
            return Err("a batch reaches beyond the rows".into());
        }
        // Pages that are not read are never touched, so that they take no memory.
        let mut bytes = MutableBuffer::from_len_zeroed(length);
        self.file.read_exact_at(&mut bytes[..head], start)?;
        sums.check_head(&bytes[..head])?;
        let spans = self.layout.spans(&bytes[..head])?;
        for range in together(self.columns.iter().map(|column| spans[*column].clone())) {
            let part = bytes.get_mut(head + range.start..head + range.end).ok_or("a buffer lies outside")?;
            self.file.read_exact_at(part, start + (head + range.start) as u64)?;
        }
        for column in &self.columns {
            let span = spans[*column].clone();
            let read = bytes.get(head + span.start..head + span.end).ok_or("a buffer lies outside")?;
            sums.check_column(*column, read)?;
        }
        let bytes = Buffer::from(bytes);
        let batch = guard(|| self.decoder.read_record_batch(block, &bytes))??;
        Ok(batch.ok_or("a batch is missing")?)
    }
}

/// The footer, of all that stands behind the batches.
fn footer(tail: &[u8]) -> Option<&[u8]> {
    let (before, trailer) = tail.split_last_chunk::<TRAILER>()?;
    let length = read_footer_length(*trailer).ok()?;
    before.get(before.len().checked_sub(length)?..)
}

/// What is to be read, in as few pieces as pays.
fn together(spans: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for span in spans.filter(|span| !span.is_empty()) {
        match ranges.last_mut() {
            Some(last) if span.start <= last.end + GAP => last.end = span.end,
            _ => ranges.push(span),
        }
    }
    ranges
}
