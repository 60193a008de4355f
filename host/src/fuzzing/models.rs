//! What a model is read from: tables, of which partials are combined once more, and the manifest; and JSON with its checksum.

use super::{check_batch, choice, folder, with_file};
use crate::ipc::open_table;
use crate::model::{Fitted, MANIFEST, Manifest, ModelStore};
use crate::partials::{Combiner, Operator, PartialTable};
use crate::{Stop, sealed};
use arrow_array::RecordBatch;
use arrow_row::{RowConverter, SortField};
use arrow_schema::{Schema, SchemaRef};
use serde_json::Value;
use std::sync::Arc;

/// How many columns of a table are keys, and its file.
pub(super) fn table(input: &[u8]) {
    let Some((keys, file)) = choice(input) else { return };
    with_file("table.arrow", file, |path| {
        let Ok(reader) = open_table(path, None) else { return };
        let schema = reader.schema().clone();
        let mut batches = Vec::new();
        for batch in reader {
            let Ok(batch) = batch else { return };
            check_batch(&batch);
            batches.push(batch);
        }
        combine(schema, keys, batches);
    });
}

/// Combines the rows as partials, if they can be such: keys ascend, each once.
fn combine(schema: SchemaRef, keys: usize, batches: Vec<RecordBatch>) {
    let keys = keys % (schema.fields().len() + 1);
    let values = [Operator::Sum, Operator::Min, Operator::Max];
    let operators = (0..schema.fields().len()).map(|at| if at < keys { Operator::Key } else { values[at % 3] });
    let Ok(table) = PartialTable::new("t", schema, operators.collect()) else { return };
    let table = Arc::new(table);
    let scratch = folder();
    let combiner = Combiner::new(table.clone(), 1 << 20, scratch.path(), Stop::default());
    let combiner = combiner.expect("keys can be compared");
    for batch in batches {
        if combiner.push(batch).is_err() {
            return;
        }
    }
    let Ok(combined) = combiner.finish() else { return };
    let fields = table.schema().fields()[..keys].iter().map(|field| SortField::new(field.data_type().clone()));
    let converter = RowConverter::new(fields.collect()).expect("keys can be compared");
    let mut last: Option<Vec<u8>> = None;
    for batch in combined {
        let Ok(batch) = batch else { return };
        check_batch(&batch);
        let rows = converter.convert_columns(&batch.columns()[..keys]).expect("keys can be compared");
        for row in rows.iter().filter(|_| keys > 0) {
            assert!(last.as_deref().is_none_or(|last| last < row.as_ref()), "keys ascend, each once");
            last = Some(row.as_ref().to_vec());
        }
    }
}

/// A manifest as it is read and written again; or JSON that is sealed, or claims to be.
pub(super) fn manifest(input: &[u8]) {
    let Some((choice, text)) = choice(input) else { return };
    match choice % 3 {
        0 => read_manifest(text),
        1 => {
            let _ = sealed::open::<Fitted>(text);
        }
        _ => {
            let Ok(value) = serde_json::from_slice::<Value>(text) else { return };
            let sealed = sealed::seal(&value).expect("JSON can be sealed");
            let _ = sealed::open::<Fitted>(&sealed);
            let opened: Value = sealed::open(&sealed).expect("what was sealed can be opened");
            assert_eq!(opened, value);
        }
    }
}

fn read_manifest(text: &[u8]) {
    let folder = folder();
    std::fs::write(folder.path().join(MANIFEST), text).expect("a file can be written");
    let store = ModelStore::new(folder.path());
    let Ok(manifest) = Manifest::read(&store) else { return };
    let _ = (manifest.digests(), manifest.source_types());
    let _ = manifest.check_source(&Schema::empty());
    let _ = manifest.joint_schema(&Schema::empty());
    manifest.write(&store).expect("a manifest can be written");
    let again = Manifest::read(&store).expect("what was written can be read");
    assert_eq!(again.digest().unwrap(), manifest.digest().unwrap(), "a copy of a model is the same model");
}

/// A manifest with one step.
#[cfg(test)]
pub(super) fn manifest_of_a_step() -> Value {
    let column = |role: &str| serde_json::json!({ "name": "age", "type": "Int64", "role": role });
    let table =
        serde_json::json!({ "name": "t", "file": "steps/01-scale/model/t.arrow", "rows": 3, "digest": "sha256:00" });
    serde_json::json!({
        "format": 1, "wafermill": "0.1.0", "hash_version": crate::hash::VERSION, "folds": 5,
        "csv": { "delimiter": ";" },
        "source": [{ "name": "age", "type": "Int64" }],
        "steps": [{
            "ordinal": 1, "name": "scale", "plugin": "scale", "version": "0.1.0", "digest": "sha256:00",
            "params": { "method": "standard", "by": 0.1 }, "select": [{ "role": "feature", "columns": { "names": ["a*"] } }],
            "columns": [column("feature")], "passes": 1, "model": [table], "partials": []
        }],
        "columns": [{ "name": "age", "type": "Float64" }]
    })
}
