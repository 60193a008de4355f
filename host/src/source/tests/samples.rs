//! Samples are the same rows in any format, cut and projection, and know where they stood.

use super::*;
use ::parquet::arrow::ArrowWriter;
use arrow_select::concat::concat_batches;

const ROWS: i64 = 1_000;

/// A CSV file and Parquet files with the same rows.
fn folder() -> Folder {
    let folder = Folder::new();
    let mut csv = "id,word\n".to_owned();
    (0..ROWS).for_each(|id| csv += &format!("{id},w{}\n", id % 7));
    folder.write("rows.csv", csv);
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS));
    let words: ArrayRef = Arc::new((0..ROWS).map(|id| Some(format!("w{}", id % 7))).collect::<StringArray>());
    let rows = RecordBatch::try_from_iter([("id", ids), ("word", words)]).unwrap();
    for (name, range) in [("parts/1.parquet", 0..300), ("parts/2.parquet", 300..ROWS)] {
        let path = folder.write(name, "");
        let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), rows.schema(), None).unwrap();
        writer.write(&rows.slice(range.start as usize, (range.end - range.start) as usize)).unwrap();
        writer.close().unwrap();
    }
    folder
}

fn sample(folder: &Folder, name: &str, fraction: f64) -> Sample {
    Sample::new(folder.open(name).unwrap(), Fraction::new(fraction).unwrap(), 1)
}

fn ids(source: &dyn Source, columns: &[usize], batch_rows: usize) -> Vec<i64> {
    let batches: Vec<RecordBatch> = source.read(columns, batch_rows).unwrap().map(|read| read.unwrap().batch).collect();
    let all = concat_batches(&batches[0].schema(), &batches).unwrap();
    let column = columns.iter().position(|column| *column == 0).unwrap();
    all.column(column).as_primitive::<arrow_array::types::Int64Type>().values().to_vec()
}

#[test]
fn a_sample_is_the_same_from_any_format_in_any_cut_and_projection() {
    let folder = folder();
    let expected = ids(&sample(&folder, "rows.csv", 0.2), &[0, 1], 100);
    assert!((120..280).contains(&expected.len()), "{}", expected.len());
    for name in ["rows.csv", "parts"] {
        let sampled = sample(&folder, name, 0.2);
        for (columns, batch_rows) in [(&[0][..], 1), (&[1, 0], 7), (&[0, 1], 10_000)] {
            assert_eq!(ids(&sampled, columns, batch_rows), expected, "{name}");
        }
        let counted: usize = sampled.read(&[], 50).unwrap().map(|read| read.unwrap().batch.num_rows()).sum();
        assert_eq!(counted, expected.len());
    }
    assert_eq!(sample(&folder, "parts", 0.2).estimated_rows(), Some(200));
    assert_eq!(ids(&sample(&folder, "parts", 1.0), &[0], 100), (0..ROWS).collect::<Vec<_>>());
    assert!(sample(&folder, "parts", 1e-30).read(&[0], 100).unwrap().next().is_none());
}

#[test]
fn errors_name_the_rows_of_the_fragment_that_were_sampled() {
    let folder = folder();
    let sampled = sample(&folder, "parts", 0.3);
    let starts = [0, 300];
    for start in [0, 5, 100] {
        for read in sampled.read_from(start, &[0], 64).unwrap() {
            let SourceBatch { position, batch } = read.unwrap();
            let ids = batch.column(0).as_primitive::<arrow_array::types::Int64Type>();
            for row in 0..ids.len() {
                let error = position.place(Error::plugin("x").rows([row as u64]));
                assert_eq!(error.place().rows, [(ids.value(row) - starts[position.fragment]) as u64]);
            }
        }
    }
}

#[test]
fn the_first_rows_of_a_sample_are_those_of_the_sample() {
    let folder = folder();
    let expected = ids(&sample(&folder, "parts", 0.3), &[0], 64);
    let limited = Limit::new(Box::new(sample(&folder, "parts", 0.3)), 50);
    assert_eq!(ids(&limited, &[0], 64), expected[..50]);
    assert_eq!(limited.estimated_rows(), Some(50));
    let rest: usize = limited.read_from(20, &[0], 64).unwrap().map(|read| read.unwrap().batch.num_rows()).sum();
    assert_eq!(rest, 30);
}
