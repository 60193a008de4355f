//! Parquet files whose footers and pages say what is not so, written by hand: no writer writes them.

use super::*;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn number(value: i64) -> Vec<u8> {
    varint(((value << 1) ^ (value >> 63)) as u64)
}

/// A field of Thrift's compact protocol.
fn field(id: i64, kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind], &number(id)[..], value].concat()
}

fn int(id: i64, value: i64) -> Vec<u8> {
    field(id, 5, &number(value))
}

fn long(id: i64, value: i64) -> Vec<u8> {
    field(id, 6, &number(value))
}

fn text(id: i64, value: &str) -> Vec<u8> {
    field(id, 8, &[&varint(value.len() as u64)[..], value.as_bytes()].concat())
}

fn record(fields: &[Vec<u8>]) -> Vec<u8> {
    [&fields.concat()[..], &[0]].concat()
}

fn list(kind: u8, items: &[Vec<u8>]) -> Vec<u8> {
    [&[0xf0 | kind], &varint(items.len() as u64)[..], &items.concat()].concat()
}

/// A page of a type, with the field of its own head, that says what it has of uncompressed bytes.
fn page(kind: i64, own: (i64, Vec<u8>), uncompressed: i64, data: &[u8]) -> Vec<u8> {
    let head = [int(1, kind), int(2, uncompressed), int(3, data.len() as i64), field(own.0, 12, &own.1)];
    [record(&head), data.to_vec()].concat()
}

fn data_page(values: i64, encoding: i64, data: &[u8]) -> Vec<u8> {
    page(0, (5, record(&[int(1, values), int(2, encoding), int(3, 3), int(4, 3)])), data.len() as i64, data)
}

fn dictionary_page(values: i64, data: &[u8]) -> Vec<u8> {
    page(2, (7, record(&[int(1, values), int(2, 0)])), data.len() as i64, data)
}

/// What a footer says of its only column, `x`.
#[derive(Clone, Copy)]
struct Said {
    physical: i64,
    /// Of `FIXED_LEN_BYTE_ARRAY`.
    width: i64,
    codec: i64,
    rows: i64,
    encodings: &'static [i64],
    uncompressed: i64,
    /// What all texts come to, if it is told.
    texts: Option<i64>,
}

const BOOLEAN: i64 = 0;
const INT32: i64 = 1;
const INT64: i64 = 2;
const INT96: i64 = 3;
const BYTE_ARRAY: i64 = 6;
const FIXED: i64 = 7;
const PLAIN: i64 = 0;
const DELTA_LENGTHS: i64 = 6;
const DELTA_TEXTS: i64 = 7;
const IN_DICTIONARY: i64 = 8;
const PLAINLY: Said =
    Said { physical: INT64, width: 0, codec: 0, rows: 8, encodings: &[PLAIN], uncompressed: 100, texts: None };

fn file(said: Said, pages: &[Vec<u8>]) -> Vec<u8> {
    let body = pages.concat();
    let texts = said.texts.map(|texts| field(16, 12, &record(&[long(1, texts)])));
    let encodings: Vec<_> = said.encodings.iter().map(|encoding| number(*encoding)).collect();
    let chunk = [
        int(1, said.physical),
        field(2, 9, &list(5, &encodings)),
        field(3, 9, &list(8, &[vec![1, b'x']])),
        int(4, said.codec),
        long(5, said.rows),
        long(6, said.uncompressed),
        long(7, body.len() as i64),
        long(9, 4),
        texts.unwrap_or_default(),
    ];
    let group = record(&[
        field(1, 9, &list(12, &[record(&[long(2, 4), field(3, 12, &record(&chunk))])])),
        long(2, 100),
        long(3, said.rows),
    ]);
    let converted = if said.physical == BYTE_ARRAY { int(6, 0) } else { Vec::new() };
    let width = if said.physical == FIXED { int(2, said.width) } else { Vec::new() };
    let column = record(&[int(1, said.physical), width, int(3, 0), text(4, "x"), converted]);
    footed(&body, &[record(&[text(4, "root"), int(5, 1)]), column], said.rows, &[group])
}

fn footed(body: &[u8], schema: &[Vec<u8>], rows: i64, groups: &[Vec<u8>]) -> Vec<u8> {
    // the first two fields as all writers have them: by their distance to the one before
    let start = [&[0x15, 2, 0x19][..], &list(12, schema)].concat();
    let footer = record(&[start, long(3, rows), field(4, 9, &list(12, groups))]);
    [b"PAR1", body, &footer[..], &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

/// The error of reading a file, whose place must be told, and what caused it.
fn refused(bytes: &[u8]) -> String {
    let folder = Folder::new();
    let path = folder.write("x.parquet", bytes);
    let error = read_error(folder.open("x.parquet").unwrap().as_ref()).expect("it lies");
    assert_eq!(error.message(), "row group 0 cannot be decoded");
    let place = (error.place().file.as_ref(), error.place().column.as_deref(), error.place().fragment);
    assert_eq!(place, (Some(&path), Some("x"), Some(0)), "{error:?}");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("write it anew")));
    format!("{error:?}")
}

/// A run of so many indices 0, each in a bit.
fn first_of_dictionary(rows: u64) -> Vec<u8> {
    [&[1], &varint(rows << 1)[..], &[0]].concat()
}

#[test]
fn files_written_by_hand_are_read() {
    let folder = Folder::new();
    folder.write("x.parquet", file(PLAINLY, &[data_page(8, PLAIN, &[7; 64])]));
    let source = folder.open("x.parquet").unwrap();
    let read = read_all(source.as_ref(), &[0], 3).unwrap();
    assert_eq!(read.column(0).as_ref(), &Int64Array::from(vec![0x0707_0707_0707_0707; 8]));
}

#[test]
fn a_schema_that_would_overflow_a_stack_is_refused() {
    let root = record(&[text(4, "root"), int(5, 1)]);
    let leaf = record(&[int(1, INT32), int(3, 1), text(4, "x")]);
    let group = record(&[int(3, 1), text(4, "g"), int(5, 1)]);
    let folder = Folder::new();
    for groups in [200, 20_000] {
        let schema = [vec![root.clone()], vec![group.clone(); groups], vec![leaf.clone()]].concat();
        let path = folder.write("x.parquet", footed(&[], &schema, 0, &[]));
        let error = folder.error("x.parquet");
        assert_eq!(error.message(), "a column is nested more than 129 groups deep");
        assert_eq!((error.place().file.as_ref(), error.place().column.as_deref()), (Some(&path), Some("g")));
    }
    // more levels than the parquet crate can count
    folder.write("x.parquet", footed(&[], &[vec![root.clone()], vec![group; 100_000], vec![leaf]].concat(), 0, &[]));
    folder.error("x.parquet");
    let schema = vec![root; (1 << 18) + 1];
    folder.write("x.parquet", footed(&[], &schema, 0, &[]));
    assert_eq!(folder.error("x.parquet").message(), "the footer lists 262145 columns and groups, more than 262144");
}

#[test]
fn a_dictionary_with_more_values_than_bytes_is_refused() {
    for physical in [BOOLEAN, INT32, INT64, INT96, BYTE_ARRAY] {
        let said = Said { physical, encodings: &[PLAIN, IN_DICTIONARY], ..PLAINLY };
        let pages = |values| {
            [dictionary_page(values, b"\x01\0\0\0aaaaaaaa"), data_page(8, IN_DICTIONARY, &first_of_dictionary(8))]
        };
        assert!(
            refused(&file(said, &pages(i64::from(i32::MAX))))
                .contains("a dictionary of 12 bytes says that it has 2147483647 values")
        );
    }
}

#[test]
fn lengths_that_a_page_cannot_have_are_refused() {
    let run = |count: u64| [varint(128), varint(4), varint(count), number(1), number(0), vec![0; 4]].concat();
    for (encoding, encodings) in [(DELTA_LENGTHS, &[DELTA_LENGTHS][..]), (DELTA_TEXTS, &[DELTA_TEXTS])] {
        let said = Said { physical: BYTE_ARRAY, encodings, ..PLAINLY };
        let error = |data: &[u8]| refused(&file(said, &[data_page(8, encoding, data)]));
        for count in [9, 1 << 40, u64::from(u32::MAX)] {
            assert!(error(&run(count)).contains("more lengths than it can have"), "{count}");
        }
    }
    let said = Said { physical: BYTE_ARRAY, encodings: &[DELTA_TEXTS], ..PLAINLY };
    let error = refused(&file(said, &[data_page(8, DELTA_TEXTS, &[run(8), run(1 << 40)].concat())]));
    assert!(error.contains("more lengths than it can have"), "{error}");
    let error = refused(&file(Said { encodings: &[PLAIN], ..said }, &[data_page(8, DELTA_TEXTS, &run(8))]));
    assert!(error.contains("its footer does not say"), "{error}");
}

#[test]
fn a_page_larger_than_its_footer_or_its_bytes_allow_is_refused() {
    let own = || (5, record(&[int(1, 8), int(2, PLAIN), int(3, 3), int(4, 3)]));
    let huge = i64::from(i32::MAX);
    let bytes = [&varint(huge as u64)[..], &[0; 10]].concat();
    // snappy, gzip, zstd, LZ4
    for codec in [1, 2, 6, 7] {
        let said = |uncompressed| Said { codec, uncompressed, ..PLAINLY };
        let error = refused(&file(said(100), &[page(0, own(), huge, &bytes)]));
        assert!(error.contains("says that it has 2147483647 bytes, its footer that all have 100"), "{error}");
        let error = refused(&file(said(huge), &[page(0, own(), huge, &bytes)]));
        assert!(error.contains("become 2147483647, which they cannot"), "{error}");
    }
}

#[test]
fn values_longer_than_all_pages_are_refused() {
    let said = Said { physical: FIXED, width: 12 << 20, uncompressed: 1 << 40, ..PLAINLY };
    let error = refused(&file(said, &[data_page(8, PLAIN, &[7; 64])]));
    assert!(error.contains("values have 12582912 bytes each"), "{error}");
    let error = refused(&file(Said { width: 8, rows: 7, ..said }, &[data_page(8, PLAIN, &[7; 64])]));
    assert!(error.contains("more values than their footer says"), "{error}");
}

#[test]
fn a_long_value_in_a_dictionary_makes_short_batches_whatever_the_footer_says() {
    let (rows, length) = (100, 4 << 20);
    let dictionary = [&(length as u32).to_le_bytes()[..], &vec![b'a'; length]].concat();
    let pages = [dictionary_page(1, &dictionary), data_page(rows, IN_DICTIONARY, &first_of_dictionary(rows as u64))];
    let plainly = Said { physical: BYTE_ARRAY, rows, uncompressed: length as i64, ..PLAINLY };
    // that there is no dictionary, and that all texts have a byte
    for said in [plainly, Said { encodings: &[PLAIN], texts: Some(1), ..plainly }] {
        let folder = Folder::new();
        folder.write("x.parquet", file(said, &pages));
        let source = folder.open("x.parquet").unwrap();
        let rows: Vec<_> =
            source.read(&[0], 8_192).unwrap().map(|batch| batch.unwrap().batch.num_rows() as i64).collect();
        assert_eq!(rows.iter().sum::<i64>(), said.rows);
        assert!(rows.iter().all(|rows| *rows <= 4), "{rows:?}");
    }
}
