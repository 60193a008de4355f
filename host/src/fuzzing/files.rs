//! Files of tables: opened, and their first rows read twice, in batches of two sizes.

use super::{check_batch, choice, with_file};
use crate::source::{CsvOptions, Format, Source, SourceBatch, open};
use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use std::sync::Arc;

/// Rows that are read: a few bytes may stand for billions.
const ROWS: usize = 4_096;

/// What reading a file may take, as `--memory` has it: a table that says it takes more is refused before its first row.
const MEMORY: u64 = 64 << 20;

/// An Arrow IPC file or stream.
pub(super) fn arrow(input: &[u8]) {
    read("table.arrow", input, Format::Arrow, &CsvOptions::default());
}

/// A Parquet file.
pub(super) fn parquet(input: &[u8]) {
    read("table.parquet", input, Format::Parquet, &CsvOptions::default());
}

/// How a CSV file was written, and the file.
pub(super) fn csv(input: &[u8]) {
    let Some((choice, text)) = choice(input) else { return };
    let options = CsvOptions {
        delimiter: [None, Some(b';'), Some(b'\t'), Some(b'|')].get(choice % 4).copied().flatten(),
        header: choice & 4 == 0,
        nulls: if choice & 8 == 0 { vec![String::new()] } else { vec!["NA".to_owned(), String::new()] },
        infer_rows: if choice & 16 == 0 { 1_000 } else { 2 },
        ..CsvOptions::default()
    };
    read("table.csv", text, Format::Csv, &options);
}

fn read(name: &str, bytes: &[u8], format: Format, options: &CsvOptions) {
    with_file(name, bytes, |path| {
        let path = path.to_str().expect("the folder's name is text");
        let Ok(source) = open(path, Some(format), options) else { return };
        let columns: Vec<usize> = (0..source.schema().fields().len()).collect();
        if source.reading_bytes(&columns) > MEMORY {
            return;
        }
        let (small, large) = (rows(&*source, 3), rows(&*source, 1_000));
        match (&small, &large) {
            (Some(small), Some(large)) => assert_eq!(small, large, "rows depend on the size of batches"),
            (None, None) => {}
            _ => panic!("whether rows can be read depends on the size of batches"),
        }
    });
}

/// The first rows, if they can be read.
fn rows(source: &dyn Source, batch_rows: usize) -> Option<RecordBatch> {
    let columns: Vec<usize> = (0..source.schema().fields().len()).collect();
    let _ = (source.estimated_rows(), source.estimated_bytes());
    let (mut batches, mut rows) = (Vec::new(), 0);
    for read in source.read(&columns, batch_rows).ok()? {
        let SourceBatch { batch, .. } = read.ok()?;
        assert!((1..=batch_rows).contains(&batch.num_rows()), "a batch has rows, and not too many");
        check_batch(&batch);
        let batch = crate::source::conform(batch, source.schema()).ok()?;
        check_batch(&batch);
        let missing = ROWS - rows;
        let batch = batch.slice(0, batch.num_rows().min(missing));
        rows += batch.num_rows();
        batches.push(batch);
        if rows == ROWS {
            break;
        }
    }
    concat_batches(&Arc::clone(source.schema()), &batches).ok()
}
