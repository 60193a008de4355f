//! Keeps the pages of an open row group in as much memory as they have bytes.
//!
//! The writer compresses a page into a buffer that is large enough for the worst case, and Parquet's own store keeps that buffer: pages that
//! compress well would take many times their size.

use bytes::Bytes;
use parquet::arrow::arrow_writer::{PageKey, PageStore, PageStoreArgs, PageStoreFactory};
use parquet::errors::{ParquetError, Result};

/// Makes a store for each column.
#[derive(Debug)]
pub(super) struct ExactPages;

impl PageStoreFactory for ExactPages {
    fn create(&self, _: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        Ok(Box::new(Pages::default()))
    }
}

/// The pages of one column, by their key.
#[derive(Default)]
struct Pages {
    pages: Vec<Bytes>,
    bytes: usize,
}

impl PageStore for Pages {
    fn put(&mut self, page: Bytes) -> Result<PageKey> {
        let key = PageKey::new(self.pages.len() as u64);
        self.bytes += page.len();
        self.pages.push(Bytes::copy_from_slice(&page));
        Ok(key)
    }

    fn take(&mut self, key: PageKey) -> Result<Bytes> {
        let page = usize::try_from(key.get()).ok().and_then(|key| self.pages.get_mut(key));
        let page = page.map(std::mem::take).ok_or_else(|| ParquetError::General("a page was not kept".to_owned()))?;
        self.bytes -= page.len();
        Ok(page)
    }

    fn memory_size(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_back_as_they_were_and_only_once() {
        let mut pages = Pages::default();
        let mut buffer = Vec::with_capacity(1 << 16);
        buffer.extend_from_slice(b"page");
        let keys = [pages.put(buffer.into()).unwrap(), pages.put(Bytes::from_static(b"another")).unwrap()];
        assert_eq!(pages.memory_size(), 11);
        assert_eq!(pages.take(keys[1]).unwrap(), "another");
        assert_eq!(pages.take(keys[0]).unwrap(), "page");
        assert_eq!(pages.memory_size(), 0);
        assert!(pages.take(PageKey::new(2)).is_err());
    }
}
