//! Tables that cannot be written by hand: whole ones and damaged ones, in the formats that wafermill reads.

use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow_cast::display::array_value_to_string;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Rows of the tables.
pub const ROWS: usize = 40;

/// Rows of each row group, record batch and file.
const FRAGMENT: usize = 10;

/// Writes all tables into a folder, which is made.
///
/// # Panics
/// Where one cannot be written.
pub fn write_all(folder: &Path) {
    let table = people(ROWS);
    let whole = parquet(&table);
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder can be made");
        fs::write(path, bytes).expect("a table can be written");
    };
    write("people.parquet", &whole);
    write("people.csv", csv(&table).as_bytes());
    write("people.arrow", &arrow_file(&table));
    write("people.arrows", &arrow_stream(&table));
    for part in 0..ROWS / FRAGMENT {
        let piece = table.slice(part * FRAGMENT, FRAGMENT);
        write(&format!("parts-parquet/{part}.parquet"), &parquet(&piece));
        write(&format!("parts-arrow/{part}.arrow"), &arrow_file(&piece));
    }
    write("no-rows.parquet", &parquet(&table.slice(0, 0)));
    write("truncated.parquet", &whole[..whole.len() / 2]);
    write("text.parquet", b"id,age\n1,30\n");
    write("empty.parquet", b"");
    write("flipped.parquet", &flipped(&whole));
    write("truncated.arrow", &arrow_file(&table)[..600]);
    write("infinity.parquet", &parquet(&with_infinity()));
    write("list.parquet", &parquet(&with_list()));
    write("other-type.parquet", &parquet(&with_text_ids(&table)));
}

/// A small table: numbers, some of them missing, and words.
fn people(rows: usize) -> RecordBatch {
    let age = (0..rows).map(|row| (row % 7 != 3).then_some(20.0 + row as f64));
    let cities = ["Oslo", "Lima", "Bonn"];
    let city = (0..rows).map(|row| (row % 9 != 5).then(|| cities[row % 3]));
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        ("age", Arc::new(Float64Array::from_iter(age))),
        ("city", Arc::new(StringArray::from_iter(city))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, name != "id")))
        .expect("the columns are of one length")
}

fn with_infinity() -> RecordBatch {
    let x: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::INFINITY, 3.0]));
    RecordBatch::try_from_iter([("x", x)]).expect("there is one column")
}

/// The same columns, but `id` is text.
fn with_text_ids(table: &RecordBatch) -> RecordBatch {
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..table.num_rows()).map(|row| format!("p{row}"))));
    let columns = [("id", ids), ("age", table.column(1).clone()), ("city", table.column(2).clone())];
    RecordBatch::try_from_iter(columns).expect("the columns are of one length")
}

fn csv(table: &RecordBatch) -> String {
    let mut text = "id,age,city\n".to_owned();
    for row in 0..table.num_rows() {
        let values = table.columns().iter().map(|column| array_value_to_string(column, row));
        let values: Result<Vec<_>, _> = values.collect();
        text += &values.expect("every value has a text").join(",");
        text.push('\n');
    }
    text
}

fn with_list() -> RecordBatch {
    let lists = [Some(vec![Some(1)]), None];
    let tags: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
    RecordBatch::try_from_iter([("tags", tags)]).expect("there is one column")
}

fn parquet(table: &RecordBatch) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(FRAGMENT))
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), table.schema(), Some(properties)).expect("the types are known");
    writer.write(table).expect("memory can be written");
    writer.into_inner().expect("memory can be written")
}

/// With another byte in the first page's compressed values: the footer is whole, and the damage is found when the page is read.
fn flipped(parquet: &[u8]) -> Vec<u8> {
    let mut damaged = parquet.to_vec();
    damaged[40..60].iter_mut().for_each(|byte| *byte ^= 0xff);
    damaged
}

fn arrow_file(table: &RecordBatch) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), &table.schema()).expect("memory can be written");
    for start in (0..table.num_rows()).step_by(FRAGMENT) {
        writer.write(&table.slice(start, FRAGMENT.min(table.num_rows() - start))).expect("memory can be written");
    }
    writer.into_inner().expect("memory can be written")
}

fn arrow_stream(table: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &table.schema()).expect("memory can be written");
    writer.write(table).expect("memory can be written");
    writer.into_inner().expect("memory can be written")
}
