//! A spool gives what its source gave, in any columns, from any row on.

use super::*;
use crate::source::{Limit, Position, SourceBatch};
use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int64Array, NullArray, RecordBatch, StringArray, StructArray,
};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const ROWS: usize = 1_000;

/// A table in two fragments whose rows come in turns; it counts how often it is read.
struct Turns {
    rows: RecordBatch,
    schema: SchemaRef,
    reads: Arc<AtomicUsize>,
    /// After which row it fails.
    fails: Option<usize>,
    bytes: u64,
}

fn table() -> RecordBatch {
    let mut lists = ListBuilder::new(Int64Builder::new());
    for row in 0..ROWS as i64 {
        (0..row % 4).for_each(|value| lists.values().append_option((value != 2).then_some(row)));
        lists.append(row % 5 != 0);
    }
    let inner: ArrayRef =
        Arc::new(StringArray::from_iter((0..ROWS).map(|row| (row % 3 > 0).then(|| format!("{row}")))));
    let number: ArrayRef = Arc::new(Float64Array::from_iter((0..ROWS).map(|row| (row % 7 > 0).then_some(row as f64))));
    let structs = StructArray::try_from(vec![("s", inner.clone()), ("x", number.clone())]).unwrap();
    let columns: [(&str, ArrayRef); 6] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..ROWS as i64))),
        ("list", Arc::new(lists.finish())),
        ("none", Arc::new(NullArray::new(ROWS))),
        ("both", Arc::new(structs)),
        ("text", inner),
        ("number", number),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, name != "id"))).unwrap()
}

impl Turns {
    fn new() -> (Self, Arc<AtomicUsize>) {
        let (rows, reads) = (table(), Arc::new(AtomicUsize::new(0)));
        (Self { schema: rows.schema(), rows, reads: reads.clone(), fails: None, bytes: 0 }, reads)
    }
}

impl Source for Turns {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn fragments(&self) -> &[Fragment] {
        &[]
    }

    fn pass_bytes(&self) -> Option<u64> {
        Some(self.bytes)
    }

    fn read(&self, columns: &[usize], _: usize) -> Result<BatchReader<'_>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let rows = self.rows.project(columns).unwrap();
        let batches = (0..ROWS).step_by(30).enumerate().map(move |(turn, start)| {
            if self.fails.is_some_and(|row| start >= row) {
                return Err(Error::source("on purpose"));
            }
            let position = Position::new(turn % 2, ["a", "b"][turn % 2].into(), (turn / 2 * 30) as u64);
            let batch = rows.slice(start, 30.min(ROWS - start));
            // Text comes behind a dictionary now and then.
            let columns = batch.columns().iter().map(|column| match column.data_type() {
                DataType::Utf8 if turn % 3 == 0 => {
                    Arc::new(column.as_string::<i32>().iter().collect::<DictionaryArray<Int32Type>>()) as ArrayRef
                }
                _ => column.clone(),
            });
            let columns: Vec<ArrayRef> = columns.collect();
            let fields = batch.schema_ref().fields().iter().zip(&columns);
            let fields =
                fields.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), field.is_nullable()));
            let batch = RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).unwrap();
            Ok(SourceBatch { position, batch })
        });
        Ok(Box::new(batches))
    }
}

fn options(home: &tempfile::TempDir, compression: SpoolCompression) -> SpoolOptions {
    SpoolOptions { folder: home.path().join("spool"), compression }
}

fn read(source: &dyn Source, start: u64, columns: &[usize], batch_rows: usize) -> (RecordBatch, Vec<(usize, u64)>) {
    let read: Vec<_> = source.read_from(start, columns, batch_rows).unwrap().map(|batch| batch.unwrap()).collect();
    assert!(start == 0 || read.iter().all(|read| read.batch.num_rows() <= batch_rows));
    let schema = Arc::new(source.schema().project(columns).unwrap());
    let plain: Vec<_> = read.iter().map(|read| crate::source::conform(read.batch.clone(), &schema).unwrap()).collect();
    let places = read.iter().map(|read| (read.position.fragment, read.position.start)).collect();
    (concat_batches(&schema, &plain).unwrap(), places)
}

#[test]
fn later_passes_read_their_columns_from_disk_in_the_same_order() {
    for compression in [SpoolCompression::None, SpoolCompression::Lz4, SpoolCompression::Zstd] {
        let (home, (source, reads)) = (tempfile::tempdir().unwrap(), Turns::new());
        let spool = Spool::open(Box::new(source), vec![0, 1, 2, 3, 4], options(&home, compression)).unwrap();
        let (first, places) = read(&spool, 0, &[0, 4], 30);
        assert!(spool.is_complete());
        assert_eq!(first, table().project(&[0, 4]).unwrap());
        for columns in [vec![0], vec![1, 3], vec![2], vec![0, 1, 2, 3, 4], vec![4]] {
            let (rows, found) = read(&spool, 0, &columns, 30);
            assert_eq!((rows, found), (table().project(&columns).unwrap(), places.clone()));
        }
        let counted: usize = spool.read(&[], 30).unwrap().map(|batch| batch.unwrap().batch.num_rows()).sum();
        assert_eq!(counted, ROWS);
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        let error = spool.read(&[5], 30).err().unwrap();
        assert_eq!(error.place().column.as_deref(), Some("number"));
    }
}

#[test]
fn reading_starts_at_any_row_with_the_right_place() {
    let (home, (source, _)) = (tempfile::tempdir().unwrap(), Turns::new());
    let spool = Spool::open(Box::new(source), vec![0, 3], options(&home, SpoolCompression::None)).unwrap();
    let expected = read(&spool, 0, &[0, 3], 30).0;
    for start in [1, 29, 30, 31, 500, 999] {
        for batch_rows in [7, 30, 1_000] {
            let (rows, places) = read(&spool, start as u64, &[0, 3], batch_rows);
            assert_eq!(rows, expected.slice(start, ROWS - start));
            let (turn, within) = (start / 30, start % 30);
            assert_eq!(places[0], (turn % 2, (turn / 2 * 30 + within) as u64), "{start}");
        }
    }
    assert_eq!(spool.read_from(ROWS as u64, &[0], 30).unwrap().count(), 0);
    assert!(spool.read_from(ROWS as u64 + 1, &[0], 30).is_err());
}

#[test]
fn a_spool_that_was_completed_is_found_again_and_another_is_not() {
    let (home, (source, reads)) = (tempfile::tempdir().unwrap(), Turns::new());
    let open = |source, columns| Spool::open(source, columns, options(&home, SpoolCompression::None)).unwrap();
    read(&open(Box::new(source), vec![0, 1]), 0, &[0], 30);
    let recorded = Recorded { schema: table().schema(), origin: Some("there".to_owned()), rows: 0, bytes: 0 };
    let found = open(Box::new(recorded.clone()), vec![0, 1]);
    assert!(found.is_complete() && found.keeps_order());
    assert_eq!((found.estimated_rows(), found.origin().as_deref()), (Some(ROWS as u64), Some("there")));
    assert_eq!(read(&found, 0, &[1], 30).0, table().project(&[1]).unwrap());
    assert_eq!(reads.load(Ordering::Relaxed), 1);
    assert!(!open(Box::new(recorded), vec![0, 2]).is_complete());
}

#[test]
fn a_pass_that_is_broken_off_leaves_no_spool() {
    let (home, (source, reads)) = (tempfile::tempdir().unwrap(), Turns::new());
    let source = Turns { fails: Some(600), ..source };
    let spool = Spool::open(Box::new(source), vec![0], options(&home, SpoolCompression::None)).unwrap();
    for _ in 0..2 {
        let read: Vec<_> = spool.read(&[0], 30).unwrap().collect();
        assert!(read.len() == 21 && read[20].is_err());
        assert!(!spool.is_complete());
    }
    drop(spool.read(&[0], 30).unwrap().next());
    assert!(!spool.is_complete());
    assert_eq!(reads.load(Ordering::Relaxed), 3);
}

#[test]
fn a_disk_without_room_is_told_before_the_first_row() {
    let (home, (source, _)) = (tempfile::tempdir().unwrap(), Turns::new());
    let source = Turns { bytes: 1 << 60, ..source };
    let spool = Spool::open(Box::new(source), vec![0], options(&home, SpoolCompression::None)).unwrap();
    let error = spool.read(&[0], 30).err().unwrap();
    // with what describes each batch
    assert!(error.message().starts_with("the spool needs about 1048598 TiB"), "{error:?}");
    assert!(error.hint_text().unwrap().contains("spool = \"never\""));
}

#[test]
fn what_batches_take_beside_their_rows_has_their_checksums_in_it() {
    let home = tempfile::tempdir().unwrap();
    let (_spool, files) = small(&home, SpoolCompression::None);
    let written = files.iter().find(|(path, _)| path.ends_with(sums::SUMS)).unwrap().1.len() as u64;
    assert_eq!(written, 3 * sums::record_bytes(4));
    assert!(fill::beside(3, 4) > written);
}

/// A spool of a few batches, complete, and the names and bytes of its files.
fn small(home: &tempfile::TempDir, compression: SpoolCompression) -> (Spool, Vec<(PathBuf, Vec<u8>)>) {
    let source = Box::new(Limit::new(Box::new(Turns::new().0), 70));
    let spool = Spool::open(source, vec![0, 1, 2, 4], options(home, compression)).unwrap();
    spool.read(&[0], 30).unwrap().for_each(|batch| drop(batch.unwrap()));
    let files = std::fs::read_dir(home.path().join("spool")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect();
    assert_eq!(files.len(), 3);
    (spool, files)
}

#[test]
fn a_damaged_spool_is_an_error_or_gives_the_very_same_rows() {
    for compression in [SpoolCompression::None, SpoolCompression::Lz4] {
        let home = tempfile::tempdir().unwrap();
        let (spool, files) = small(&home, compression);
        let projections: [&[usize]; 3] = [&[0, 1, 2, 4], &[4], &[0]];
        let rows = |columns| spool.read(columns, 30)?.collect::<Result<Vec<_>>>();
        let expected = projections.map(|columns| format!("{:?}", rows(columns).unwrap()));
        let mut failures = [0; 3];
        for (path, whole) in files.iter().filter(|(path, _)| !path.ends_with(INDEX)) {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            for at in 0..whole.len() {
                file.write_all_at(&[whole[at] ^ (1 << (at % 8))], at as u64).unwrap();
                for ((columns, expected), failures) in projections.iter().zip(&expected).zip(&mut failures) {
                    match rows(columns) {
                        Ok(rows) => assert_eq!(format!("{rows:?}"), *expected, "byte {at} of {}", path.display()),
                        Err(error) => {
                            assert_eq!(
                                (error.message(), &error.place().file),
                                ("the spool is damaged", &Some(path.clone()))
                            );
                            *failures += 1;
                        }
                    }
                }
                file.write_all_at(&whole[at..=at], at as u64).unwrap();
            }
        }
        // A pass checks what it reads.
        assert!(failures[0] > failures[1] && failures[0] > failures[2] && failures[2] > 500, "{failures:?}");
    }
}

#[test]
fn a_spool_without_a_whole_index_or_with_a_damaged_batch_is_read_anew_from_its_source() {
    let home = tempfile::tempdir().unwrap();
    let (spool, files) = small(&home, SpoolCompression::None);
    let folder = home.path().join("spool");
    let (index, whole) = files.iter().find(|(path, _)| path.ends_with(INDEX)).unwrap();
    assert!(Spool::is_in(&folder).unwrap());
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(index, bytes).unwrap();
        assert!(!Spool::is_in(&folder).unwrap(), "byte {at}");
    }
    std::fs::write(index, whole).unwrap();
    let (rows, mut bytes) = files.iter().find(|(path, _)| path.ends_with(super::ROWS)).cloned().unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xa5);
    std::fs::write(&rows, bytes).unwrap();
    let read: Result<Vec<_>> = spool.read(&[0, 1, 2, 4], 30).unwrap().collect();
    assert!(read.is_err() && !Spool::is_in(&folder).unwrap());
}
