//! Arrow IPC files and streams.

use super::*;
use arrow_array::{Int16Array, Int32Array, LargeStringArray, RunArray, StructArray};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};

fn file_bytes(batches: &[RecordBatch], compression: Option<CompressionType>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut writer = FileWriter::try_new_with_options(&mut bytes, &batches[0].schema(), options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    drop(writer);
    bytes
}

fn stream_bytes(batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    drop(writer);
    bytes
}

fn parts() -> [RecordBatch; 2] {
    [cities().slice(0, 6), cities().slice(6, 4)]
}

#[test]
fn every_batch_of_a_file_is_a_fragment_compressed_or_not() {
    let folder = Folder::new();
    for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        folder.write("x.arrow", file_bytes(&parts(), compression));
        let source = folder.open("x.arrow").unwrap();
        let rows: Vec<_> = source.fragments().iter().map(|fragment| fragment.rows).collect();
        assert_eq!(rows, [Some(6), Some(4)]);
        assert_reads(source.as_ref(), &cities());
    }
}

#[test]
fn a_stream_is_one_fragment_whatever_its_extension() {
    let folder = Folder::new();
    for name in ["x.arrows", "x.ipc"] {
        folder.write(name, stream_bytes(&parts()));
        let source = folder.open(name).unwrap();
        assert_eq!(source.fragments().len(), 1);
        assert_reads(source.as_ref(), &cities());
    }
}

#[test]
fn odd_encodings_become_logical_types_and_dictionaries_get_wide_keys() {
    let folder = Folder::new();
    let text = StringArray::from(vec!["a", "b", "a"]);
    let keyed = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
    let runs = RunArray::<Int32Type>::try_new(&vec![1, 3].into(), &Int16Array::from(vec![5, 6])).unwrap();
    let columns = [
        ("keyed", arrow_cast::cast(&text, &keyed).unwrap()),
        ("view", arrow_cast::cast(&text, &DataType::Utf8View).unwrap()),
        ("runs", Arc::new(runs) as ArrayRef),
    ];
    folder.write("x.feather", file_bytes(&[RecordBatch::try_from_iter(columns).unwrap()], None));
    let source = folder.open("x.feather").unwrap();
    let logical: Vec<_> = source.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(logical, [DataType::Utf8, DataType::Utf8, DataType::Int16]);
    assert_eq!(physical_types(source.as_ref()), [normalize::text_dictionary(), DataType::Utf8, DataType::Int16]);
    let all = read_all(source.as_ref(), &[0, 1, 2], 2).unwrap();
    assert_eq!(all.column(0).as_ref(), &text);
    assert_eq!(all.column(1).as_ref(), &text);
    assert_eq!(all.column(2).as_ref(), &Int16Array::from(vec![5, 6, 6]));
}

#[test]
fn a_file_or_stream_without_rows_is_fine() {
    let folder = Folder::new();
    let none = [cities().slice(0, 0)];
    folder.write("x.arrow", file_bytes(&none, None));
    folder.write("x.arrows", stream_bytes(&none));
    for name in ["x.arrow", "x.arrows"] {
        let source = folder.open(name).unwrap();
        assert_eq!(read_all(source.as_ref(), &[0, 1, 2], 10).unwrap().num_rows(), 0);
    }
}

#[test]
fn truncated_empty_and_foreign_files_are_clear_errors() {
    let folder = Folder::new();
    let good = file_bytes(&parts(), None);
    folder.write("empty.arrow", "");
    folder.write("short.arrow", &good[..good.len() - 20]);
    folder.write("magic.arrow", &good[..6]);
    folder.write("text.arrow", "id,city\n1,Oslo\n");
    for name in ["empty.arrow", "short.arrow", "magic.arrow", "text.arrow"] {
        let error = folder.error(name);
        assert_eq!(error.message(), "this is no complete Arrow IPC file or stream", "{name}");
        assert_eq!(error.place().file, Some(folder.path(name)));
    }
    let stream = stream_bytes(&parts());
    folder.write("short.arrows", &stream[..stream.len() - 40]);
    let error = read_error(folder.open("short.arrows").unwrap().as_ref()).unwrap();
    assert_eq!(error.message(), "the stream cannot be decoded after 6 rows");
    assert_eq!(error.place().fragment, Some(0));
}

#[test]
fn flipped_bits_never_panic() {
    let folder = Folder::new();
    let dictionary = arrow_cast::cast(cities().column(1), &normalize::text_dictionary()).unwrap();
    let batch = RecordBatch::try_from_iter([("city", dictionary), ("x", Arc::clone(cities().column(2)))]).unwrap();
    for bytes in [file_bytes(std::slice::from_ref(&batch), None), stream_bytes(&[batch])] {
        let path = folder.write("x.arrow", bytes);
        assert_survives_flipped_bits(&folder, &path);
    }
}

#[test]
fn what_reading_takes_is_told_by_the_messages_dictionaries_and_compression_included() {
    const ROWS: usize = 4_096;
    let texts: Vec<String> = (0..ROWS).map(|row| format!("{row:0256}")).collect();
    let dictionary = StringArray::from(texts.clone());
    let keys = Int32Array::from_iter_values(0..ROWS as i32);
    let table = RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from_iter_values(0..ROWS as i64)) as ArrayRef),
        ("views", Arc::new(arrow_array::StringViewArray::from_iter_values(&texts))),
        ("pair", Arc::new(StructArray::try_from(vec![("a", Arc::new(dictionary.clone()) as ArrayRef)]).unwrap())),
        ("word", Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(dictionary)))),
    ])
    .unwrap();
    let parts = [table.slice(0, ROWS / 2), table.slice(ROWS / 2, ROWS / 2)];
    let text = 256 * ROWS as u64;
    let folder = Folder::new();
    folder.write("plain.arrow", file_bytes(&parts, None));
    folder.write("small.arrow", file_bytes(&parts, Some(CompressionType::ZSTD)));
    folder.write("plain.arrows", stream_bytes(&parts));
    let taken = |name: &str, columns: &[usize]| folder.open(name).unwrap().reading_bytes(columns);
    for name in ["plain.arrow", "plain.arrows"] {
        // The dictionary, and the largest batch with all of its columns.
        let bytes = taken(name, &[0]);
        assert!((2 * text..3 * text).contains(&bytes), "{name}: {bytes}");
    }
    let stored = folder.path("small.arrow").metadata().unwrap().len();
    let dictionary = taken("small.arrow", &[0]);
    assert!((text..text + text / 4 + stored).contains(&dictionary), "{dictionary} {stored}");
    // Slices of views are written with all of their text.
    for (column, expected) in [(1, text), (2, text / 2)] {
        let more = taken("small.arrow", &[column]) - dictionary;
        assert!((expected * 3 / 4..expected * 5 / 4).contains(&more), "{column}: {more}");
    }
}

#[test]
fn of_a_large_dictionary_only_the_values_of_the_rows_are_converted() {
    let words: Vec<String> = (0..10_000).map(|word| format!("word {word}")).collect();
    let keys = Int32Array::from_iter_values((0..10_000).rev());
    let column: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(LargeStringArray::from(words))));
    let folder = Folder::new();
    folder.write("x.arrow", file_bytes(&[RecordBatch::try_from_iter([("x", column)]).unwrap()], None));
    let source = folder.open("x.arrow").unwrap();
    for read in source.read(&[0], 16).unwrap() {
        let batch = read.unwrap().batch;
        assert!(batch.column(0).as_dictionary::<Int32Type>().values().len() <= 16);
    }
    let all = read_all(source.as_ref(), &[0], 16).unwrap();
    assert_eq!((all.num_rows(), all.column(0).as_string::<i32>().value(1)), (10_000, "word 9998"));
}
