//! Files, folders and globs.

use super::*;

#[test]
fn a_folder_is_searched_in_the_order_of_its_paths_without_hidden_files() {
    let folder = Folder::new();
    for name in ["b.csv", "a/z.csv", "a/.part.csv", "_SUCCESS", "_temporary/x.csv", ".git/x.csv", "notes.txt"] {
        folder.write(name, "a\n1\n");
    }
    let source = folder.open("").unwrap();
    let names: Vec<_> = source.fragments().iter().map(|fragment| Path::new(&*fragment.name)).collect();
    assert_eq!(names, [folder.path("a/z.csv"), folder.path("b.csv")]);
}

#[test]
fn a_glob_takes_files_of_any_name_if_the_format_is_stated() {
    let folder = Folder::new();
    folder.write("part-1", "a\n1\n");
    folder.write("part-0", "a\n1\n");
    folder.write("part-2.csv", "a\n1\n");
    let glob = folder.path("part-*");
    let open_as = |format| open(glob.to_str().unwrap(), format, &CsvOptions::default()).unwrap().fragments().len();
    assert_eq!((open_as(None), open_as(Some(Format::Csv))), (1, 3));
}

#[test]
fn a_name_that_looks_like_a_glob_is_a_file_if_there_is_one() {
    let folder = Folder::new();
    folder.write("x[1].csv", "a\n1\n");
    assert_eq!(folder.open("x[1].csv").unwrap().fragments().len(), 1);
}

#[test]
fn nothing_found_says_where_and_what_to_do() {
    let folder = Folder::new();
    folder.write("notes.txt", "");
    folder.write("x.parquet/notes.txt", "");
    folder.write("empty/.hidden", "");
    for (name, message) in [
        ("nowhere.csv", "cannot read the file"),
        ("*.csv", "the glob matches no file"),
        ("nowhere/*.csv", "the glob matches no file"),
        ("*.txt", "no file of a known format is there"),
        ("empty", "the folder holds no file"),
        ("x.parquet", "no file of a known format is there"),
        ("notes.txt", "the name does not tell the format"),
    ] {
        let error = folder.error(name);
        assert_eq!((error.message(), error.place().file.clone()), (message, Some(folder.path(name))));
        assert!(error.hint_text().is_some(), "{name}");
    }
    assert!(folder.error("x*").hint_text().unwrap().contains("folders only"));
    assert!(folder.error("a***.csv").message().contains("is not a glob"));
}

#[test]
fn files_that_differ_are_named_with_the_column() {
    let folder = Folder::new();
    folder.write("1.csv", "a,b\n");
    folder.write("2.csv", "a,c\n");
    let error = folder.error("");
    let (first, second) = (folder.path("1.csv"), folder.path("2.csv"));
    let expected =
        format!("`{}` has another schema than `{}`: column 2 is `c`, not `b`", second.display(), first.display());
    assert_eq!((error.message(), error.place().column.as_deref()), (expected.as_str(), Some("b")));
    folder.write("2.csv", "a\n");
    assert!(folder.error("").message().ends_with("it lacks the column `b`"));
    folder.write("2.csv", "a,b,c\n");
    assert!(folder.error("").message().ends_with("it also has the column `c`"));
    folder.write("2.parquet", "");
    assert!(folder.error("").message().contains("has another format than"));
}
