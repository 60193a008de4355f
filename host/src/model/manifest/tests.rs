//! What is refused of manifests that somebody else wrote.

use super::*;

/// What is read of a manifest with the type of a column and the parameters of a step.
fn read(data_type: &str, params: &str) -> Result<Manifest> {
    let folder = tempfile::tempdir().unwrap();
    let step = format!(
        r#"{{"name": "s", "ordinal": 1, "plugin": "p", "version": "1.0.0", "digest": "", "params": {params}, "columns": [],
            "passes": 0, "model": [], "partials": []}}"#
    );
    let version = crate::hash::VERSION;
    let text = format!(
        r#"{{"format": 1, "wafermill": "", "hash_version": {version}, "folds": 5, "steps": [{step}], "columns": [],
            "source": [{{"name": "x", "type": "{data_type}"}}, {{"name": "y", "type": "Int64"}}]}}"#
    );
    std::fs::write(folder.path().join(MANIFEST), text).unwrap();
    Manifest::read(&ModelStore::new(folder.path()))
}

#[test]
fn a_type_of_very_many_levels_is_none() {
    for opening in ["List(", "Dictionary(Int32, ", r#"Struct(\"a\": "#] {
        let types = read(&opening.repeat(60_000), "{}").unwrap().source_types();
        assert_eq!(types.into_iter().collect::<Vec<_>>(), [("y".to_owned(), DataType::Int64)]);
    }
}

#[test]
fn a_manifest_of_very_many_values_is_refused_before_they_are_read() {
    assert!(read("Int64", "[0, 1]").is_ok());
    let error = read("Int64", &format!("[0{}]", ",0".repeat(8_000_000))).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!((error.message(), cause.as_str()), ("the manifest is damaged", "it has more than 8000000 values"));
}
