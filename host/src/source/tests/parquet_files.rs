//! Parquet files.

use super::*;
use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::Compression;
use ::parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

fn bytes(batch: &RecordBatch, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let mut bytes = Vec::new();
    let properties = properties.set_max_row_group_row_count(Some(4)).build();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn default_bytes(batch: &RecordBatch) -> Vec<u8> {
    bytes(batch, WriterProperties::builder())
}

#[test]
fn every_row_group_is_a_fragment_and_text_comes_as_a_dictionary() {
    let folder = Folder::new();
    folder.write("x.parquet", default_bytes(&cities()));
    let source = folder.open("x.parquet").unwrap();
    let rows: Vec<_> = source.fragments().iter().map(|fragment| fragment.rows).collect();
    assert_eq!(rows, [Some(4), Some(4), Some(2)]);
    assert!(source.fragments()[2].name.ends_with("x.parquet#2"));
    assert_eq!(source.schema().field(1).data_type(), &DataType::Utf8);
    assert_eq!(physical_types(source.as_ref())[1], normalize::text_dictionary());
    assert_reads(source.as_ref(), &cities());
}

#[test]
fn text_stored_plainly_comes_plainly() {
    let folder = Folder::new();
    folder.write("x.parquet", bytes(&cities(), WriterProperties::builder().set_dictionary_enabled(false)));
    let source = folder.open("x.parquet").unwrap();
    assert_eq!(physical_types(source.as_ref())[1], DataType::Utf8);
    assert_reads(source.as_ref(), &cities());
}

#[test]
fn text_whose_dictionary_its_writer_gave_up_comes_plainly() {
    let folder = Folder::new();
    let text: StringArray = (0..100).map(|n| Some(format!("value {n}"))).collect();
    let batch = RecordBatch::try_from_iter([("t", Arc::new(text) as ArrayRef)]).unwrap();
    let small = WriterProperties::builder().set_dictionary_page_size_limit(8).set_write_batch_size(1);
    folder.write("x.parquet", bytes(&batch, small));
    let source = folder.open("x.parquet").unwrap();
    assert_eq!(physical_types(source.as_ref()), [DataType::Utf8]);
    assert_eq!(read_all(source.as_ref(), &[0], 3).unwrap().column(0), batch.column(0));
}

#[test]
fn files_that_store_text_differently_come_as_one_table_with_one_physical_schema() {
    let folder = Folder::new();
    let large = arrow_cast::cast(cities().column(1), &DataType::LargeUtf8).unwrap();
    let view = arrow_cast::cast(cities().column(1), &DataType::Utf8View).unwrap();
    for (name, column) in [("a", Arc::clone(cities().column(1))), ("b", large), ("c", view)] {
        let columns = [("city", column)];
        folder.write(&format!("{name}.parquet"), default_bytes(&RecordBatch::try_from_iter(columns).unwrap()));
    }
    let plain = cities().project(&[1]).unwrap();
    folder.write("d.parquet", bytes(&plain, WriterProperties::builder().set_dictionary_enabled(false)));
    let source = folder.open("").unwrap();
    let all = read_all(source.as_ref(), &[0], 3).unwrap();
    assert_eq!(all.num_rows(), 40);
    assert_eq!(all.slice(30, 10).column(0), plain.column(0));
    assert_eq!(all.slice(20, 10).column(0), plain.column(0));
}

#[test]
fn a_required_and_a_nullable_column_make_a_nullable_one() {
    let folder = Folder::new();
    let batch = |nullable, values: Vec<Option<i64>>| {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, nullable)]));
        RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(values))]).unwrap()
    };
    folder.write("1.parquet", default_bytes(&batch(false, vec![Some(1)])));
    folder.write("2.parquet", default_bytes(&batch(true, vec![None])));
    let source = folder.open("").unwrap();
    assert!(source.schema().field(0).is_nullable());
    let all = read_all(source.as_ref(), &[0], 10).unwrap();
    assert_eq!(all.column(0).as_ref(), &Int64Array::from(vec![Some(1), None]));
}

#[test]
fn a_file_without_rows_has_a_schema_and_no_fragments() {
    let folder = Folder::new();
    folder.write("x.parquet", default_bytes(&cities().slice(0, 0)));
    let source = folder.open("x.parquet").unwrap();
    assert_eq!((source.schema().fields().len(), source.fragments().len()), (3, 0));
}

#[test]
fn truncated_empty_and_foreign_files_are_clear_errors() {
    let folder = Folder::new();
    let good = default_bytes(&cities());
    folder.write("empty.parquet", "");
    folder.write("text.parquet", "id,city\n1,Oslo\n");
    folder.write("short.parquet", &good[..good.len() - 9]);
    folder.write("head.parquet", &good[..20]);
    assert_eq!(folder.error("empty.parquet").message(), "the file is empty");
    for name in ["text.parquet", "short.parquet", "head.parquet"] {
        let error = folder.error(name);
        assert_eq!(error.message(), "this is no complete Parquet file");
        assert_eq!(error.place().file, Some(folder.path(name)));
        assert!(error.hint_text().is_some());
    }
}

#[test]
fn a_damaged_page_names_file_and_fragment() {
    let folder = Folder::new();
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let mut damaged = bytes(&cities(), properties);
    damaged[4..60].fill(0xff);
    let path = folder.write("x.parquet", damaged);
    let error = read_error(folder.open("x.parquet").unwrap().as_ref()).unwrap();
    assert_eq!(error.message(), "row group 0 cannot be decoded");
    assert_eq!((error.place().file.as_ref(), error.place().fragment), (Some(&path), Some(0)));
}

#[test]
fn flipped_bits_never_panic() {
    let folder = Folder::new();
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY] {
        let path =
            folder.write("x.parquet", bytes(&cities(), WriterProperties::builder().set_compression(compression)));
        assert_survives_flipped_bits(&folder, &path);
    }
}

#[test]
fn a_file_that_changes_between_two_passes_is_an_error() {
    let folder = Folder::new();
    folder.write("x.parquet", default_bytes(&cities()));
    let source = folder.open("x.parquet").unwrap();
    folder.write("x.parquet", default_bytes(&cities().slice(0, 9)));
    let error = read_error(source.as_ref()).unwrap();
    assert_eq!(error.message(), "the file changed while it was read");
}

#[test]
fn two_columns_of_one_name_are_an_error() {
    let folder = Folder::new();
    let schema = Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("a", DataType::Int64, true)]);
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    folder.write(
        "x.parquet",
        default_bytes(&RecordBatch::try_new(Arc::new(schema), vec![column.clone(), column]).unwrap()),
    );
    let error = folder.error("x.parquet");
    assert_eq!(error.message(), "there are two columns named `a`");
    assert_eq!(error.place().column.as_deref(), Some("a"));
}

#[test]
fn dictionaries_of_numbers_and_odd_keys_are_unpacked() {
    let folder = Folder::new();
    let numbers = DictionaryArray::<Int32Type>::new(vec![0, 1, 0].into(), Arc::new(Int64Array::from(vec![7, 8])));
    let text = arrow_cast::cast(
        &StringArray::from(vec!["a", "b", "a"]),
        &DataType::Dictionary(Box::new(DataType::UInt8), Box::new(DataType::LargeUtf8)),
    );
    let columns = [("n", Arc::new(numbers) as ArrayRef), ("t", text.unwrap())];
    folder.write("x.parquet", default_bytes(&RecordBatch::try_from_iter(columns).unwrap()));
    let source = folder.open("x.parquet").unwrap();
    assert_eq!(physical_types(source.as_ref()), [DataType::Int64, normalize::text_dictionary()]);
    let all = read_all(source.as_ref(), &[0, 1], 10).unwrap();
    assert_eq!(all.column(0).as_ref(), &Int64Array::from(vec![7, 8, 7]));
    assert_eq!(all.column(1).as_string::<i32>().value(2), "a");
}
