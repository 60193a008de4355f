//! CSV files.

use super::*;
use arrow_schema::TimeUnit;
use std::collections::BTreeMap;

fn types(source: &dyn Source) -> Vec<DataType> {
    source.schema().fields().iter().map(|field| field.data_type().clone()).collect()
}

fn open_with(folder: &Folder, name: &str, options: CsvOptions) -> Result<Box<dyn Source>> {
    open(folder.path(name).to_str().unwrap(), None, &options)
}

#[test]
fn a_table_is_read_back_with_guessed_types() {
    let folder = Folder::new();
    let mut text = String::from("id,city,x\n");
    for id in 0..10 {
        text += &format!("{id},{},{}\n", ["", "Łódź", "\"Oslo, N\""][id % 3], id as f64 / 2.0);
    }
    folder.write("x.csv", text);
    let source = folder.open("x.csv").unwrap();
    assert_eq!(types(source.as_ref()), [DataType::Int64, DataType::Utf8, DataType::Float64]);
    let cities: StringArray = (0..10).map(|id| [None, Some("Łódź"), Some("Oslo, N")][id % 3]).collect();
    let columns = vec![Arc::clone(super::cities().column(0)), Arc::new(cities), Arc::clone(super::cities().column(2))];
    assert_reads(source.as_ref(), &RecordBatch::try_new(super::cities().schema(), columns).unwrap());
}

#[test]
fn types_are_guessed_over_all_files() {
    let folder = Folder::new();
    folder.write("1.csv", "a,b,c,d\n1,2020-01-01,,true\n");
    folder.write("2.csv", "a,b,c,d\n1.5,2020-01-01T00:00:00.001,,7\n");
    let source = folder.open("").unwrap();
    let timestamp = DataType::Timestamp(TimeUnit::Millisecond, None);
    assert_eq!(types(source.as_ref()), [DataType::Float64, timestamp, DataType::Utf8, DataType::Utf8]);
    assert_eq!(read_all(source.as_ref(), &[0, 1, 2, 3], 10).unwrap().num_rows(), 2);
}

#[test]
fn options_state_delimiter_header_nulls_and_types() {
    let folder = Folder::new();
    folder.write("x.csv", "1;NA;\n?;2;007\n");
    let stated = |name: &str, data_type: &str| (name.to_owned(), data_type.to_owned());
    let options = CsvOptions {
        delimiter: Some(b';'),
        header: false,
        nulls: vec!["NA".into(), "?".into()],
        types: [stated("column_1", "int8"), stated("column_2", "decimal(10, 2)"), stated("column_3", "string")].into(),
        ..CsvOptions::default()
    };
    let source = open_with(&folder, "x.csv", options).unwrap();
    assert_eq!(types(source.as_ref()), [DataType::Int8, DataType::Decimal128(10, 2), DataType::Utf8]);
    let all = read_all(source.as_ref(), &[0, 1, 2], 10).unwrap();
    assert_eq!(all.columns().iter().map(|column| column.null_count()).collect::<Vec<_>>(), [1, 1, 0]);
    assert_eq!(all.column(2).as_string::<i32>().iter().collect::<Vec<_>>(), [Some(""), Some("007")]);

    folder.write("x.tsv", "a\tb\n,\t\n");
    let options = CsvOptions { nulls: Vec::new(), ..CsvOptions::default() };
    let all = read_all(open_with(&folder, "x.tsv", options).unwrap().as_ref(), &[0, 1], 10).unwrap();
    assert_eq!((all.num_rows(), all.column(1).null_count()), (1, 0));
}

#[test]
fn stated_types_cover_time_and_refuse_what_is_unknown() {
    let folder = Folder::new();
    folder.write("x.csv", "t,d\n2020-01-01T12:00:00+02:00,12:30:00\n");
    let state = |name: &str, data_type: &str| CsvOptions {
        types: [(name.to_owned(), data_type.to_owned())].into(),
        ..CsvOptions::default()
    };
    let source = open_with(&folder, "x.csv", state("t", "timestamp[us, +00:00]")).unwrap();
    let all = read_all(source.as_ref(), &[0], 10).unwrap();
    let instant = all.column(0).as_primitive::<arrow_array::types::TimestampMicrosecondType>();
    assert_eq!(instant.value(0), 1_577_872_800_000_000);
    assert!(open_with(&folder, "x.csv", state("d", "time")).is_ok());
    for (name, data_type) in [("t", "varchar"), ("t", "decimal(2, 5)"), ("t", "timestamp[h]"), ("u", "bool")] {
        let error = open_with(&folder, "x.csv", state(name, data_type)).err().unwrap();
        assert_eq!((error.kind(), error.place().column.as_deref()), (ErrorKind::Usage, Some(name)));
    }
}

#[test]
fn a_value_that_breaks_the_guess_names_line_and_column() {
    let folder = Folder::new();
    // The quoted line break makes lines and records differ.
    let mut text = String::from("note,n\n\"two\nlines\",1\n");
    (0..20).for_each(|n| text += &format!("x,{n}\n"));
    text += "x,many\n";
    let path = folder.write("x.csv", text);
    let options = CsvOptions { infer_rows: 5, ..CsvOptions::default() };
    let source = open_with(&folder, "x.csv", options).unwrap();
    let error = read_error(source.as_ref()).unwrap();
    assert_eq!(error.message(), "`many` is no value of type `Int64`");
    let place = error.place();
    assert_eq!((place.file.as_ref(), place.position, &place.rows[..]), (Some(&path), Some((24, 2)), &[21][..]));
    assert_eq!((place.column.as_deref(), place.fragment), (Some("n"), Some(0)));
    assert!(error.hint_text().unwrap().contains("infer_rows"));
    assert_eq!(read_all(source.as_ref(), &[0], 4).unwrap().num_rows(), 22, "the column is not read");
}

#[test]
fn the_hint_of_a_value_knows_where_the_type_comes_from() {
    let folder = Folder::new();
    folder.write("x.csv", "seen,stated,guessed\n1,1,1\n181.0,1,1\n1,x,1\n1,1,1e3\n");
    let types = BTreeMap::from([("stated".to_owned(), "int64".to_owned())]);
    let assumed = BTreeMap::from([("seen".to_owned(), DataType::Int64)]);
    let told = |assumed: &BTreeMap<String, DataType>, column: usize| {
        let options =
            CsvOptions { infer_rows: 1, types: types.clone(), assumed: assumed.clone(), ..CsvOptions::default() };
        let source = open_with(&folder, "x.csv", options).unwrap();
        let error = read_all(source.as_ref(), &[column], 4).unwrap_err();
        (error.message().to_owned(), error.hint_text().unwrap().to_owned())
    };
    let (message, hint) = told(&assumed, 0);
    assert_eq!(message, "`181.0` is no whole number, as they are in a column of type `Int64`");
    assert!(hint.contains("the model was fitted on whole numbers") && hint.contains("`float64`"), "{hint}");
    assert!(told(&assumed, 1).1.starts_with("state another type for the column"));
    assert!(told(&assumed, 2).1.contains("the model knows no such column"));
    let (message, hint) = told(&BTreeMap::new(), 2);
    assert!(message.contains("`1e3` is no whole number") && hint.contains("`infer_rows`"), "{message} {hint}");
}

#[test]
fn ragged_lines_and_broken_text_name_the_line() {
    let folder = Folder::new();
    folder.write("ragged.csv", "a,b\n1,2\n3\n");
    let error = folder.error("ragged.csv");
    assert_eq!(error.message(), "the line has 1 fields, but there are 2 columns");
    assert_eq!(error.place().position.map(|(line, _)| line), Some(3));

    folder.write("long.csv", "a,b\n1,2\n1,2\n1,2,3\n");
    let options = CsvOptions { infer_rows: 1, ..CsvOptions::default() };
    let error = read_error(open_with(&folder, "long.csv", options.clone()).unwrap().as_ref()).unwrap();
    assert_eq!(
        (error.message(), error.place().position.unwrap().0),
        ("the line has 3 fields, but there are 2 columns", 4)
    );

    folder.write("latin.csv", b"a,b\n1,x\n2,\xe9\n");
    let error = read_error(open_with(&folder, "latin.csv", options).unwrap().as_ref()).unwrap();
    assert_eq!((error.message(), error.place().position), ("a value of `b` is no UTF-8", Some((3, 2))));
}

#[test]
fn headers_must_name_every_column_once() {
    let folder = Folder::new();
    folder.write("twice.csv", "a,b,a\n1,2,3\n");
    folder.write("none.csv", "a,\n1,2\n");
    folder.write("empty.csv", "");
    assert_eq!(folder.error("twice.csv").message(), "there are two columns named `a`");
    assert_eq!(folder.error("none.csv").message(), "column 2 has no name");
    assert_eq!(folder.error("empty.csv").message(), "the file is empty");
    folder.write("header.csv", "a,b\n");
    let source = folder.open("header.csv").unwrap();
    assert_eq!(read_all(source.as_ref(), &[0, 1], 10).unwrap().num_rows(), 0);
}

#[test]
fn a_quote_that_is_never_closed_loses_no_rows_in_silence() {
    let folder = Folder::new();
    folder.write("open.csv", "a,b\n1,2\n3,\"x\n4,5\n6,7\n");
    let error = read_error(folder.open("open.csv").unwrap().as_ref()).unwrap();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("a quote in line 3 or behind it is never closed"), "{cause}");
    folder.write("bare.csv", "a,b\n1,5\" pipe\n2,x\n");
    let source = folder.open("bare.csv").unwrap();
    assert_eq!(read_all(source.as_ref(), &[0, 1], 10).unwrap().num_rows(), 2);
}

#[test]
fn a_record_without_end_is_refused_before_it_fills_the_memory() {
    let folder = Folder::new();
    folder.write("long.csv", "a\n\"".to_owned() + &"x".repeat(65 << 20));
    let options = CsvOptions { types: [("a".to_owned(), "string".to_owned())].into(), ..CsvOptions::default() };
    let source = open_with(&folder, "long.csv", options);
    let error = source.and_then(|source| read_all(source.as_ref(), &[0], 10)).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("more than 64 MiB"), "{cause}");
}
