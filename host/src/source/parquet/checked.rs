//! The pages of a row group's columns, each looked at between its decompression and its decoding: the parquet crate makes room for
//! as many values as a page says that it has.

use super::chunk::{ChunkBytes, held};
use super::delta;
use super::pages::is_dictionary;
use crate::source::input::Chunks;
use bytes::Bytes;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::Length;
use parquet::file::serialized_reader::SerializedPageReader;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// Bytes of a value of a fixed length that no page needs to hold: of a column without values nothing is stored.
const WIDE: u64 = 1 << 20;

/// Bytes that the values of a batch may come to where they are copied from a dictionary that their footer does not speak of.
const COPIED: u64 = 256 << 20;

/// Rows of a batch at most, of which each may have one of them.
const COPIES: u64 = 8_192;

/// The column whose pages were refused.
pub(super) type Refused = Arc<OnceLock<String>>;

/// A row group as the parquet crate reads it.
pub(super) struct Group {
    file: Arc<Chunks>,
    metadata: Arc<ParquetMetaData>,
    index: usize,
    refused: Refused,
    /// Columns that were begun, by their leaves.
    begun: RefCell<HashMap<usize, Pages>>,
}

impl Group {
    pub(super) fn new(file: Chunks, metadata: Arc<ParquetMetaData>, index: usize, refused: Refused) -> Self {
        Self { file: Arc::new(file), metadata, index, refused, begun: RefCell::default() }
    }

    /// Bytes of the longest value in the dictionary of a column whose texts are copied from it; nothing where there is none.
    pub(super) fn longest_in_dictionary(&self, leaf: usize) -> Result<u64> {
        let mut pages = self.pages(leaf)?;
        let longest = pages.read_dictionary()?;
        pages.claims.stays = false;
        self.begun.borrow_mut().insert(leaf, pages);
        Ok(longest)
    }

    fn pages(&self, leaf: usize) -> Result<Pages> {
        let group = self.metadata.row_group(self.index);
        Pages::new(&self.file, group, leaf, Arc::clone(&self.refused))
    }
}

impl RowGroups for Group {
    fn num_rows(&self) -> usize {
        usize::try_from(self.metadata.row_group(self.index).num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, leaf: usize) -> Result<Box<dyn PageIterator>> {
        let begun = self.begun.borrow_mut().remove(&leaf);
        let pages = begun.map_or_else(|| self.pages(leaf), Ok)?;
        Ok(Box::new(OneChunk(Some(pages))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.metadata.row_group(self.index)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

struct OneChunk(Option<Pages>);

impl Iterator for OneChunk {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(Ok(Box::new(self.0.take()?)))
    }
}

impl PageIterator for OneChunk {}

/// The pages of a column chunk.
struct Pages {
    pages: SerializedPageReader<ChunkBytes>,
    /// The dictionary, where it was read before it was asked for.
    ahead: Option<Page>,
    claims: Claims,
    refused: Refused,
}

impl Pages {
    fn new(file: &Arc<Chunks>, group: &RowGroupMetaData, leaf: usize, refused: Refused) -> Result<Self> {
        let chunk = group.column(leaf);
        let rows = usize::try_from(group.num_rows())?;
        let claims = Claims::of(chunk);
        let held = held(chunk, file.len());
        if claims.width > held.max(WIDE) {
            let _ = refused.set(claims.column);
            let message = format!("values have {} bytes each, and all pages {held} at most", claims.width);
            return Err(ParquetError::General(message));
        }
        let bytes = Arc::new(ChunkBytes::new(Arc::clone(file), chunk));
        let pages = SerializedPageReader::new(bytes, chunk, rows, None)?;
        Ok(Self { pages, ahead: None, claims, refused })
    }

    fn read_dictionary(&mut self) -> Result<u64> {
        if !self.peek_next_page()?.is_some_and(|page| page.is_dict) {
            return Ok(0);
        }
        self.ahead = self.get_next_page()?;
        Ok(self.claims.dictionary.as_deref().map_or(0, longest))
    }

    /// Notes which column an error is about.
    fn named<T>(&self, result: Result<T>) -> Result<T> {
        result.inspect_err(|_| {
            // the first one is what is told
            let _ = self.refused.set(self.claims.column.clone());
        })
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        if let Some(page) = self.ahead.take() {
            return Ok(Some(page));
        }
        let page = self.pages.get_next_page();
        let page = self.named(page)?;
        let checked = page.as_ref().map_or(Ok(()), |page| self.claims.check(page).map_err(ParquetError::General));
        self.named(checked)?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        if self.ahead.is_some() {
            return Ok(Some(PageMetadata { num_rows: None, num_levels: None, is_dict: true }));
        }
        let page = self.pages.peek_next_page();
        self.named(page)
    }

    fn skip_next_page(&mut self) -> Result<()> {
        if self.ahead.take().is_some() {
            return Ok(());
        }
        let skipped = self.pages.skip_next_page();
        self.named(skipped)
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        if self.ahead.is_some() {
            return Ok(false);
        }
        let boundary = self.pages.at_record_boundary();
        self.named(boundary)
    }
}

/// What a footer says of a chunk, and what its pages said so far.
struct Claims {
    column: String,
    physical: Type,
    /// Bytes of a value, of `FIXED_LEN_BYTE_ARRAY`.
    width: u64,
    levels: (i16, i16),
    /// Values of all pages, where what a batch takes follows from that.
    values: Option<u64>,
    prefixes: bool,
    /// Whether its texts are left in their dictionary, as all its pages refer to it.
    stays: bool,
    rows: u64,
    dictionary: Option<Bytes>,
    /// Bytes of the largest page so far.
    largest: u64,
}

impl Claims {
    fn of(chunk: &ColumnChunkMetaData) -> Self {
        let descriptor = chunk.column_descr();
        let fixed = chunk.column_type() == Type::FIXED_LEN_BYTE_ARRAY;
        let counted = descriptor.max_rep_level() > 0 || fixed;
        Self {
            column: descriptor.path().parts().first().cloned().unwrap_or_default(),
            physical: chunk.column_type(),
            width: if fixed { u64::try_from(descriptor.type_length()).unwrap_or(0) } else { 0 },
            levels: (descriptor.max_rep_level(), descriptor.max_def_level()),
            values: counted.then(|| u64::try_from(chunk.num_values()).unwrap_or(0)),
            prefixes: chunk.encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY),
            stays: is_dictionary(chunk),
            rows: 0,
            dictionary: None,
            largest: 0,
        }
    }

    fn check(&mut self, page: &Page) -> std::result::Result<(), String> {
        let (held, values) = (page.buffer().len() as u64, u64::from(page.num_values()));
        self.largest = self.largest.max(held);
        if self.width > self.largest.max(WIDE) {
            return Err(format!("values have {} bytes each, and the largest page has {}", self.width, self.largest));
        }
        if let Page::DictionaryPage { buf, .. } = page {
            // each text begins with its length
            let bits = match self.physical {
                Type::BOOLEAN => 1,
                Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 32,
                Type::INT64 | Type::DOUBLE => 64,
                Type::INT96 => 96,
                Type::FIXED_LEN_BYTE_ARRAY => self.width.saturating_mul(8),
            };
            if values.saturating_mul(bits) > held.saturating_mul(8) {
                return Err(format!("a dictionary of {held} bytes says that it has {values} values"));
            }
            if self.physical == Type::BYTE_ARRAY {
                self.dictionary = Some(buf.clone());
            }
            return Ok(());
        }
        if let Some(left) = &mut self.values {
            *left = left.checked_sub(values).ok_or("pages have more values than their footer says")?;
        }
        self.check_encoding(page, values)
    }

    fn check_encoding(&mut self, page: &Page, values: u64) -> std::result::Result<(), String> {
        let encoding = page.encoding();
        let in_dictionary = matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
        self.rows = self.rows.saturating_add(values);
        if !in_dictionary
            && let Some(dictionary) = &self.dictionary
            && self.stays
        {
            let copied = longest(dictionary).saturating_mul(self.rows.min(COPIES));
            if copied > COPIED {
                return Err(format!(
                    "a page is stored as {encoding}, and its footer says that all are in a dictionary"
                ));
            }
        }
        let texts = matches!(self.physical, Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY);
        let prefixes = encoding == Encoding::DELTA_BYTE_ARRAY;
        if !texts || !(prefixes || encoding == Encoding::DELTA_LENGTH_BYTE_ARRAY) {
            return Ok(());
        }
        if prefixes && self.physical == Type::BYTE_ARRAY && !self.prefixes {
            return Err(format!("a page is stored as {encoding}, which its footer does not say"));
        }
        let data = behind_levels(page, self.levels).and_then(|start| page.buffer().get(start..));
        delta::check(data.ok_or("a page ends within its levels")?, prefixes, values).map_err(str::to_owned)
    }
}

/// Where the values of a page begin.
fn behind_levels(page: &Page, (repetition, definition): (i16, i16)) -> Option<usize> {
    let (encodings, values) = match page {
        Page::DataPage { rep_level_encoding, def_level_encoding, num_values, .. } => {
            ([(repetition, rep_level_encoding), (definition, def_level_encoding)], *num_values)
        }
        Page::DataPageV2 { rep_levels_byte_len, def_levels_byte_len, .. } => {
            return usize::try_from(rep_levels_byte_len.checked_add(*def_levels_byte_len)?).ok();
        }
        Page::DictionaryPage { .. } => return Some(0),
    };
    let mut start = 0_usize;
    for (most, encoding) in encodings.into_iter().filter(|(most, _)| *most > 0) {
        let bytes = if *encoding == Encoding::RLE {
            let length = page.buffer().get(start..)?.first_chunk().copied()?;
            usize::try_from(u32::from_le_bytes(length)).ok()?.checked_add(4)?
        } else {
            // BIT_PACKED, of old writers
            let bits = u64::from(i16::BITS - most.leading_zeros());
            usize::try_from((u64::from(values) * bits).div_ceil(8)).ok()?
        };
        start = start.checked_add(bytes)?;
    }
    Some(start)
}

/// Bytes of the longest text of a dictionary.
fn longest(mut dictionary: &[u8]) -> u64 {
    let mut longest = 0;
    while let Some((length, rest)) = dictionary.split_first_chunk() {
        let length = u32::from_le_bytes(*length);
        longest = longest.max(length);
        dictionary = rest.get(length as usize..).unwrap_or_default();
    }
    // one that is cut off is its decoder's to tell
    u64::from(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_of_a_dictionary_is_found() {
        assert_eq!(longest(b""), 0);
        assert_eq!(longest(b"\x01\0\0\0a\x03\0\0\0abc\0\0\0\0"), 3);
    }
}
