//! What a footer tells of the pages of a column chunk: how they are encoded, and how large they are.

use parquet::basic::{Encoding, PageType};
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};

/// Bytes of a page and a dictionary where a footer does not tell: most writers make no larger ones unless they are told to.
const MOST: u64 = 2 << 20;

/// How much larger than the mean a page is taken to be.
const LARGER: u64 = 2;

/// Whether all data pages of a chunk refer to its dictionary page.
pub(super) fn is_dictionary(chunk: &ColumnChunkMetaData) -> bool {
    let refers = |encoding| matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
    match chunk.page_encoding_stats() {
        Some(pages) => {
            pages.iter().any(is_data) && pages.iter().filter(|page| is_data(page)).all(|page| refers(page.encoding))
        }
        // Without statistics of pages, `PLAIN` may just be the encoding of the dictionary page itself.
        None => chunk.encodings().any(refers),
    }
}

fn is_data(page: &PageEncodingStats) -> bool {
    matches!(page.page_type, PageType::DATA_PAGE | PageType::DATA_PAGE_V2)
}

/// Bytes that are in memory while a chunk is read: a page and the dictionary, neither of them compressed.
pub(super) fn reading_bytes(chunk: &ColumnChunkMetaData) -> u64 {
    let size = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
    let (whole, stored) = (size(chunk.uncompressed_size()), size(chunk.compressed_size()));
    let before =
        chunk.dictionary_page_offset().map_or(0, |offset| size(chunk.data_page_offset().saturating_sub(offset)));
    // How large it is uncompressed no footer tells.
    let dictionary = share(whole, before, stored);
    let data = whole - dictionary;
    let Some(pages) = chunk.page_encoding_stats() else { return whole.min(MOST) };
    let pages =
        pages.iter().filter(|page| is_data(page)).map(|page| u64::try_from(page.count).unwrap_or(0)).sum::<u64>();
    let page = (data / pages.max(1)).saturating_mul(LARGER).min(data);
    dictionary + page
}

/// As much of `whole` as `part` is of `all`, and all of it at most.
fn share(whole: u64, part: u64, all: u64) -> u64 {
    let share = u128::from(whole) * u128::from(part) / u128::from(all.max(1));
    u64::try_from(share).unwrap_or(whole).min(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Float64Array, RecordBatch};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
    use parquet::file::properties::WriterProperties;
    use std::sync::Arc;

    fn read(values: impl Iterator<Item = f64>, properties: WriterProperties) -> u64 {
        let column: ArrayRef = Arc::new(Float64Array::from_iter_values(values));
        let batch = RecordBatch::try_from_iter([("x", column)]).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let options = ArrowReaderOptions::new().with_encoding_stats_as_mask(false);
        let footer = ArrowReaderMetadata::load(&bytes::Bytes::from(bytes), options).unwrap();
        reading_bytes(footer.metadata().row_group(0).column(0))
    }

    #[test]
    fn what_a_chunk_takes_while_it_is_read_is_a_page_and_its_dictionary_and_not_the_whole() {
        let rows = 100_000;
        let plain = |page_rows| {
            WriterProperties::builder()
                .set_dictionary_enabled(false)
                .set_data_page_row_count_limit(page_rows)
                .set_write_batch_size(1_000)
                .build()
        };
        let numbers = || (0..rows).map(f64::from);
        let page = 8 * 10_000;
        let taken = read(numbers(), plain(10_000));
        assert!((page..3 * page).contains(&taken), "{taken}");
        let whole = read(numbers(), plain(usize::MAX));
        assert!((8 * rows as u64..9 * rows as u64).contains(&whole), "{whole}");
        let builder = WriterProperties::builder().set_dictionary_page_size_limit(1 << 20);
        let distinct = 50_000;
        let taken = read((0..rows).map(|row| f64::from(row % distinct)), builder.build());
        assert!(taken >= 8 * distinct as u64, "{taken}");
    }
}
