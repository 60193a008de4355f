//! Encodes columns of single bytes, such as the zeros and ones of categories, as Parquet.
//!
//! They are laid out as Parquet's own writer lays them out, as indices into a dictionary (Parquet's Encodings.md, "Dictionary Encoding" and
//! "RLE / Bit-Packing Hybrid"). That writer looks every value up by its hash, which costs ten times as much where there are 256 words at most:
//! a quarter of the whole run for a table with some fifty such columns.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, Type};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// Rows from which on a page ends, as in Parquet's writer.
const PAGE_ROWS: usize = 20_000;

/// Indices that are packed together.
const GROUP: usize = 8;

/// Encodes one column of a row group: of UInt8, without nulls.
pub(super) struct ByteColumn {
    descriptor: ColumnDescPtr,
    /// Snappy, or none.
    compression: Compression,
    /// The dictionary, in the order in which its words came; those of one call in that of their values.
    words: Vec<u8>,
    /// The position of each word that came.
    indices: [Option<u8>; 256],
    /// The values of the open page.
    open: Vec<u8>,
    pages: Vec<EncodedPage>,
    /// Bytes of all pages that are complete.
    encoded: usize,
}

struct EncodedPage {
    page: CompressedPage,
    rows: usize,
    least: u8,
    most: u8,
}

/// A column of a row group that is complete.
pub(super) struct ByteColumnChunk {
    /// Its pages with their headers, the dictionary first.
    pub(super) bytes: Bytes,
    /// What they are.
    pub(super) close: ColumnCloseResult,
}

impl ByteColumn {
    /// A column of a row group; nothing for another compression than these.
    pub(super) fn new(descriptor: ColumnDescPtr, compression: Compression) -> Option<Self> {
        if !matches!(compression, Compression::SNAPPY | Compression::UNCOMPRESSED) {
            return None;
        }
        let (words, open, pages) = (Vec::new(), Vec::new(), Vec::new());
        Some(Self { descriptor, compression, words, indices: [None; 256], open, pages, encoded: 0 })
    }

    /// Takes the next values. Where pages end is a function of how the values are divided among the calls.
    pub(super) fn write(&mut self, values: &[u8]) -> Result<()> {
        self.learn(values)?;
        self.open.extend_from_slice(values);
        if self.open.len() >= PAGE_ROWS { self.end_page() } else { Ok(()) }
    }

    /// Adds the words that are new to the dictionary. Indices of a page have the same width.
    fn learn(&mut self, values: &[u8]) -> Result<()> {
        let (least, most) = extremes(values);
        if (least..=most).all(|word| self.indices[usize::from(word)].is_some()) {
            return Ok(());
        }
        let mut present = [false; 256];
        values.iter().for_each(|value| present[usize::from(*value)] = true);
        let new: Vec<u8> = (0..=u8::MAX)
            .filter(|word| present[usize::from(*word)] && self.indices[usize::from(*word)].is_none())
            .collect();
        if index_bits(self.words.len() + new.len()) != index_bits(self.words.len()) {
            self.end_page()?;
        }
        for word in new {
            self.indices[usize::from(word)] = Some(self.words.len() as u8);
            self.words.push(word);
        }
        Ok(())
    }

    fn end_page(&mut self) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let bits = index_bits(self.words.len());
        let mut packed = Vec::with_capacity(self.open.len() * bits / 8 + 16);
        packed.push(bits as u8);
        pack_header(self.open.len(), &mut packed);
        match self.words.get(1) {
            Some(second) if bits == 1 => pack_bits(&self.open, *second, &mut packed),
            _ => pack(&self.open, &self.indices, bits, &mut packed),
        }
        let (rows, uncompressed) = (self.open.len(), packed.len());
        let (least, most) = extremes(&self.open);
        self.open.clear();
        let page = Page::DataPage {
            buf: self.compress(packed)?,
            num_values: rows as u32,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let page = CompressedPage::new(page, uncompressed);
        self.encoded += page.compressed_size();
        self.pages.push(EncodedPage { page, rows, least, most });
        Ok(())
    }

    fn compress(&self, bytes: Vec<u8>) -> Result<Bytes> {
        if self.compression == Compression::UNCOMPRESSED {
            return Ok(bytes.into());
        }
        // An encoder of its own for each page: it has a table of 32 KiB, which each of many columns would keep.
        let compressed = snap::raw::Encoder::new().compress_vec(&bytes);
        // Its buffer is large enough for the worst case; as many bytes as it has are kept.
        Ok(Bytes::copy_from_slice(&compressed.map_err(|error| ParquetError::External(Box::new(error)))?))
    }

    /// Bytes in the file to come; a function of the values so far.
    pub(super) fn estimated_bytes(&self) -> usize {
        self.encoded + self.open.len() * index_bits(self.words.len()) / 8
    }

    /// Bytes in memory.
    pub(super) fn memory_size(&self) -> usize {
        size_of::<Self>() + self.open.capacity() + self.encoded + self.pages.capacity() * size_of::<EncodedPage>()
    }

    /// Ends the column.
    pub(super) fn close(mut self) -> Result<ByteColumnChunk> {
        self.end_page()?;
        let mut sink = TrackedWrite::new(Vec::with_capacity(self.encoded + 64 * (self.pages.len() + 1)));
        let mut writer = SerializedPageWriter::new(&mut sink);
        let words: Vec<u8> = self.words.iter().flat_map(|word| i32::from(*word).to_le_bytes()).collect();
        let uncompressed = words.len();
        let dictionary = Page::DictionaryPage {
            buf: self.compress(words)?,
            num_values: self.words.len() as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let dictionary = writer.write_page(CompressedPage::new(dictionary, uncompressed))?;
        let mut uncompressed = dictionary.uncompressed_size;
        let (mut columns, mut offsets) = (ColumnIndexBuilder::new(Type::INT32), OffsetIndexBuilder::new());
        let stored = |value: u8| i32::from(value).to_le_bytes().to_vec();
        let (mut rows, mut least, mut most) = (0, u8::MAX, 0);
        let data_pages = self.pages.len();
        for EncodedPage { page, rows: of_page, least: page_least, most: page_most } in self.pages {
            let spec = writer.write_page(page)?;
            uncompressed += spec.uncompressed_size;
            columns.append(false, stored(page_least), stored(page_most), 0, None);
            offsets.append_row_count(of_page as i64);
            offsets.append_offset_and_size(spec.offset as i64, spec.compressed_size as i32);
            (rows, least, most) = (rows + of_page, least.min(page_least), most.max(page_most));
        }
        let bytes = Bytes::from(sink.into_inner()?);
        let pages = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
        let metadata = ColumnChunkMetaData::builder(self.descriptor)
            .set_compression(self.compression)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
            .set_page_encoding_stats(vec![
                pages(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1),
                pages(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, data_pages as i32),
            ])
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(uncompressed as i64)
            .set_num_values(rows as i64)
            .set_dictionary_page_offset(Some(0))
            .set_data_page_offset(dictionary.compressed_size as i64)
            .set_statistics(Statistics::int32(Some(least.into()), Some(most.into()), None, Some(0), false))
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows as u64,
            metadata,
            bloom_filter: None,
            column_index: Some(columns.build()?),
            offset_index: Some(offsets.build()),
        };
        Ok(ByteColumnChunk { bytes, close })
    }
}

fn extremes(values: &[u8]) -> (u8, u8) {
    values.iter().fold((u8::MAX, 0), |(least, most), value| (least.min(*value), most.max(*value)))
}

/// Bits of an index into so many words.
fn index_bits(words: usize) -> usize {
    (usize::BITS - words.saturating_sub(1).leading_zeros()).max(1) as usize
}

/// What one run of bit-packed indices begins with: its length in groups of eight, the last of which is filled up.
fn pack_header(values: usize, packed: &mut Vec<u8>) {
    let mut header = values.div_ceil(GROUP) << 1 | 1;
    while header > 0x7f {
        packed.push(header as u8 | 0x80);
        header >>= 7;
    }
    packed.push(header as u8);
}

/// Indices of some bits, one behind the other.
fn pack(values: &[u8], indices: &[Option<u8>; 256], bits: usize, packed: &mut Vec<u8>) {
    let indices = indices.map(|index| u64::from(index.unwrap_or_default()));
    for group in values.chunks(GROUP) {
        let places = group.iter().enumerate();
        let word = places.fold(0, |word, (place, value)| word | indices[usize::from(*value)] << (place * bits));
        packed.extend_from_slice(&word.to_le_bytes()[..bits]);
    }
}

/// Indices of one bit: which values are the second of two words.
fn pack_bits(values: &[u8], second: u8, packed: &mut Vec<u8>) {
    const ALL_BUT_HIGHEST: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    // The lowest bit of the byte at each place comes to that place of the highest byte, and none of the products meet there.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let second = u64::from_le_bytes([second; GROUP]);
    let pack = |group: [u8; GROUP]| {
        // The highest bit of each byte says whether any bit of it is another one than that of the word.
        let other = u64::from_le_bytes(group) ^ second;
        let is_other = (((other & ALL_BUT_HIGHEST) + ALL_BUT_HIGHEST) | other) & !ALL_BUT_HIGHEST;
        let is_second = (is_other ^ !ALL_BUT_HIGHEST) >> 7;
        (is_second.wrapping_mul(GATHER) >> 56) as u8
    };
    let (groups, rest) = values.as_chunks();
    packed.extend(groups.iter().map(|group| pack(*group)));
    if !rest.is_empty() {
        // Any other word fills it up.
        let mut last = (!second).to_le_bytes();
        last[..rest.len()].copy_from_slice(rest);
        packed.push(pack(last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::UInt8Type;
    use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
    use parquet::file::metadata::PageIndexPolicy;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    /// A file with one row group, written in pieces of `size`.
    fn file(values: &[u8], size: usize, compression: Compression) -> Bytes {
        let schema = parse_message_type("message m { required int32 x (INTEGER(8, false)); }").unwrap();
        let properties = WriterProperties::builder().set_compression(compression).build();
        let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).unwrap();
        let mut column = ByteColumn::new(file.schema_descr().column(0), compression).unwrap();
        values.chunks(size).for_each(|piece| column.write(piece).unwrap());
        let chunk = column.close().unwrap();
        let mut group = file.next_row_group().unwrap();
        group.append_column(&chunk.bytes, chunk.close).unwrap();
        group.close().unwrap();
        file.into_inner().unwrap().into()
    }

    #[test]
    fn values_come_back_however_many_words_there_are_and_whenever_they_come() {
        let bits = |row: usize| (row % 7 == 3) as u8;
        let tables: [Vec<u8>; 6] = [
            vec![0; 30_000],
            vec![5],
            (0..50_000).map(bits).collect(),
            (0..50_000).map(|row| if row < 30_000 { 1 } else { bits(row) }).collect(),
            (0..60_000_u64).map(|row| (row * row / 10_000 % 256) as u8).collect(),
            (0..30_003).map(|row| [0, 255, 3][row % 3]).collect(),
        ];
        for values in &tables {
            for (size, compression) in
                [(8_192, Compression::SNAPPY), (8_192, Compression::UNCOMPRESSED), (1_001, Compression::SNAPPY)]
            {
                let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
                let reader =
                    ParquetRecordBatchReaderBuilder::try_new_with_options(file(values, size, compression), options)
                        .unwrap();
                let chunk = reader.metadata().row_group(0).column(0).clone();
                let (least, most) = extremes(values);
                let wanted = Statistics::int32(Some(least.into()), Some(most.into()), None, Some(0), false);
                assert_eq!(chunk.statistics(), Some(&wanted));
                let pages = reader.metadata().page_index_for_row_group(0).page_locations(0).unwrap().clone();
                assert_eq!(pages[0].offset, chunk.data_page_offset());
                let read = reader.build().unwrap().map(Result::unwrap);
                let read: Vec<u8> =
                    read.flat_map(|batch| batch.column(0).as_primitive::<UInt8Type>().values().to_vec()).collect();
                assert!(read == *values, "{} values in pieces of {size}", values.len());
            }
        }
    }

    #[test]
    fn the_file_is_as_small_as_that_of_parquets_writer() {
        let values: Vec<u8> = (0..131_072_u32).map(|row| (row.wrapping_mul(2_654_435_761) >> 16) as u8 & 1).collect();
        assert!(file(&values, 8_192, Compression::SNAPPY).len() < values.len() / 8 + 1_500);
    }
}
