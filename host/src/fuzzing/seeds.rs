//! Well-formed inputs, from which the corpus was begun: `cargo test -p wafermill --lib fuzzing -- --ignored` writes them to it anew.

use super::guests::SCHEMAS;
use super::models::manifest_of_a_step;
use crate::ipc::{BatchEncoder, encode_schema};
use arrow_array::builder::{FixedSizeListBuilder, Int64Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_cast::cast;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{
    DictionaryTracker, FileWriter, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, StreamWriter, write_message,
};
use arrow_schema::{DataType, Field, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// Bytes of an input at most.
const MOST: usize = 8 << 10;

#[test]
#[ignore = "writes the corpus"]
fn write_the_seeds() {
    for (target, name, input) in all() {
        assert!(input.len() <= MOST, "{target}/{name} has {} bytes", input.len());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), input).unwrap();
    }
}

/// Inputs with their targets and names.
fn all() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut add = |target, name: String, input| seeds.push((target, name, input));
    for (number, schema) in SCHEMAS.iter().enumerate() {
        let batch = rows(schema, 3);
        let message = BatchEncoder::default().encode(&batch).unwrap().clone();
        add("batch", format!("announced-{number}"), with_first(number, &message));
        add("metadata", format!("schema-{number}"), with_first(2, &encode_schema(schema).unwrap()));
        if number > 0 {
            let is_dictionary = |field: &Arc<Field>| matches!(field.data_type(), DataType::Dictionary(..));
            let batches = if schema.fields().iter().any(is_dictionary) { 1 } else { 2 };
            let file = arrow_file(&batch, batches);
            add("table", format!("saved-{number}"), with_first(1, &file));
        }
    }
    for (name, params) in [
        ("none", json!({})),
        (
            "some",
            json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/x" } }, "required": ["a"],
            "$defs": { "x": { "anyOf": [{ "const": "mean" }, { "type": "array", "items": { "pattern": "^a+$" } }] } } }),
        ),
    ] {
        let text = format!("scale\0{}\0scales columns\0{params}", "0.1.0");
        add("metadata", format!("description-{name}"), with_first(1, text.as_bytes()));
    }
    let table = table();
    add("arrow", "file".into(), arrow_file(&table, 2));
    add("arrow", "stream".into(), arrow_stream(&table));
    for codec in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        add("arrow", format!("compressed-{codec:?}"), compressed_arrow_file(codec));
    }
    add("arrow", "odd-types".into(), arrow_file(&odd(), 1));
    add("arrow", "odd-types-stream".into(), arrow_stream(&odd()));
    for (name, codec) in [
        ("plain", Compression::UNCOMPRESSED),
        ("snappy", Compression::SNAPPY),
        ("zstd", Compression::ZSTD(ZstdLevel::default())),
        ("lz4", Compression::LZ4_RAW),
    ] {
        let version = if name == "plain" { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
        let properties = WriterProperties::builder().set_compression(codec).set_writer_version(version);
        add("parquet", name.into(), parquet_file(&table, properties.set_dictionary_enabled(name != "zstd").build()));
    }
    for codec in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        let batch = nested();
        let schema = encode_schema(batch.schema_ref()).unwrap();
        let answer = [&(schema.len() as u16).to_le_bytes()[..], &schema, &message(&batch, codec)].concat();
        add("bigquery", format!("storage-{codec:?}"), with_first(usize::from(codec.is_some()), &answer));
    }
    add("bigquery", "page".into(), with_first(2, page().as_bytes()));
    for (choice, name, text) in [
        (0, "plain", "id,city,x\n1,Oslo,0.5\n2,\"Ł,\"\"ódź\",\n3,,1e3\n"),
        (1, "semicolons", "a;b\r\n2024-01-02;true\r\n2024-02-30;false\r\n"),
        (6, "no-header", "1\t2024-01-01T00:00:00Z\n-1\t2024-01-01 12:30:00.5\n"),
        (8, "nulls", "n,t\nNA,\"NA\"\n9223372036854775808,x\n"),
        (16, "broken-guess", "n,d\n1,2024-01-01\n2,2024-01-02\nx,y\n\"\n"),
        (3, "bars", "\u{feff}a|a b|\"c\nd\"\n1|2|3\n4|5\n"),
    ] {
        add("csv", name.into(), with_first(choice, text.as_bytes()));
    }
    add("model", "manifest".into(), with_first(0, manifest_of_a_step().to_string().as_bytes()));
    let fitted = json!({ "passes": 1, "model": [{ "rows": 3, "digest": "sha256:00" }], "partials": [] });
    add("model", "sealed".into(), with_first(1, &crate::sealed::seal(&fitted).unwrap()));
    add("model", "json".into(), with_first(2, fitted.to_string().as_bytes()));
    seeds
}

fn with_first(choice: usize, rest: &[u8]) -> Vec<u8> {
    [&[choice as u8], rest].concat()
}

/// Rows of any announced type.
fn rows(schema: &SchemaRef, rows: usize) -> RecordBatch {
    let columns = schema.fields().iter().map(|field| column(field, rows)).collect();
    RecordBatch::try_new_with_options(schema.clone(), columns, &RecordBatchOptions::new().with_row_count(Some(rows)))
        .unwrap()
}

fn column(field: &Field, rows: usize) -> ArrayRef {
    let value = |row: usize| (!field.is_nullable() || row % 3 != 1).then_some(row as i64 * 7);
    match field.data_type() {
        DataType::FixedSizeList(item, size) => {
            let mut lists = FixedSizeListBuilder::new(Int64Builder::new(), *size).with_field(item.clone());
            for row in 0..rows {
                lists.values().append_slice(&[row as i64, -1]);
                lists.append(value(row).is_some());
            }
            Arc::new(lists.finish())
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary | DataType::Dictionary(..) => {
            let texts: ArrayRef =
                Arc::new(StringArray::from_iter((0..rows).map(|row| value(row).map(|value| format!("é{value}")))));
            cast(&texts, field.data_type()).unwrap()
        }
        DataType::Boolean => Arc::new(BooleanArray::from_iter((0..rows).map(|row| value(row).map(|value| value > 3)))),
        data_type => {
            let narrow: ArrayRef =
                Arc::new(Int32Array::from_iter((0..rows).map(|row| value(row).map(|value| value as i32))));
            let wide: ArrayRef = Arc::new(Int64Array::from_iter((0..rows).map(value)));
            cast(&wide, data_type).or_else(|_| cast(&narrow, data_type)).unwrap()
        }
    }
}

/// What tables of files have.
fn table() -> RecordBatch {
    let words: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("bc"), Some("a")].into_iter().collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))),
        ("city", Arc::new(StringArray::from(vec![Some("Oslo"), None, Some(""), Some("Łódź")]))),
        ("word", Arc::new(words)),
        ("x", Arc::new(Float64Array::from(vec![Some(0.5), None, Some(f64::NAN), Some(-0.0)]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, name != "id"))).unwrap()
}

/// Types that sources convert.
fn odd() -> RecordBatch {
    let views: ArrayRef = Arc::new(StringViewArray::from(vec![Some("short"), None, Some("longer than twelve bytes")]));
    let ends = Int32Array::from(vec![2, 3]);
    let runs: ArrayRef = Arc::new(RunArray::try_new(&ends, &StringArray::from(vec!["a", "b"])).unwrap());
    let nulls: ArrayRef = Arc::new(NullArray::new(3));
    let fixed = FixedSizeBinaryArray::try_from_iter([[1_u8, 2], [3, 4], [5, 6]].into_iter()).unwrap();
    let columns: [(&str, ArrayRef); 4] = [("v", views), ("r", runs), ("n", nulls), ("f", Arc::new(fixed))];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

/// What tables of BigQuery have.
fn nested() -> RecordBatch {
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.append_value([Some(1), None, Some(3)]);
    lists.append_null();
    lists.append_value([Some(4)]);
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None, Some(-0.0)]));
    let record = StructArray::from(vec![(Arc::new(Field::new("n", DataType::Float64, true)), numbers.clone())]);
    let columns: [(&str, ArrayRef); 5] = [
        ("number", numbers),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("text", Arc::new(StringArray::from(vec![Some("é"), None, Some("long enough")]))),
        ("list", Arc::new(lists.finish())),
        ("record", Arc::new(record)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn page() -> String {
    let field = |name: &str, data_type: &str, mode: &str| json!({ "name": name, "type": data_type, "mode": mode });
    let mut record = field("r", "RECORD", "REPEATED");
    record["fields"] = json!([field("a", "NUMERIC", "NULLABLE"), field("b", "INTERVAL", "NULLABLE")]);
    let mut range = field("p", "RANGE", "NULLABLE");
    range["rangeElementType"] = json!({ "type": "DATE" });
    let fields = [
        field("i", "INTEGER", "NULLABLE"),
        field("t", "TIMESTAMP", "REQUIRED"),
        field("y", "BYTES", "NULLABLE"),
        record,
        range,
    ];
    let row = json!({ "f": [{ "v": "1" }, { "v": "1700000000000000" }, { "v": "AQI=" },
        { "v": [{ "v": { "f": [{ "v": "1.5" }, { "v": "1-2 3 4:5:6.7" }] } }] }, { "v": "[2024-01-01, UNBOUNDED)" }] });
    json!({ "fields": fields, "rows": [row] }).to_string()
}

fn arrow_file(batch: &RecordBatch, batches: usize) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
    (0..batches).for_each(|_| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

/// A file whose buffers are long enough to be stored compressed, among them views and a dictionary.
fn compressed_arrow_file(codec: CompressionType) -> Vec<u8> {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..256).map(|row| format!("{:>20}", row % 2))));
    let columns: [(&str, ArrayRef); 3] = [
        ("number", Arc::new(Int64Array::from(vec![7; 256]))),
        ("views", cast(&texts, &DataType::Utf8View).unwrap()),
        ("words", cast(&texts, &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))).unwrap()),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let options = IpcWriteOptions::default().try_with_compression(Some(codec)).unwrap();
    let mut writer = FileWriter::try_new_with_options(Vec::new(), batch.schema_ref(), options).unwrap();
    writer.write(&batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    assert!(bytes.len() < batch.get_array_memory_size(), "nothing is compressed");
    bytes
}

fn arrow_stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn parquet_file(batch: &RecordBatch, properties: WriterProperties) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn message(batch: &RecordBatch, codec: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(codec).unwrap();
    let (mut tracker, mut context) = (DictionaryTracker::new(false), IpcWriteContext::default());
    let encoded = IpcDataGenerator::default().encode(batch, &mut tracker, &options, &mut context).unwrap().1;
    let mut bytes = Vec::new();
    write_message(&mut bytes, encoded, &options).unwrap();
    bytes
}
