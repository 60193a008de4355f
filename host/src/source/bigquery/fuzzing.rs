//! What a server answers: a schema and a batch of the Storage API, or a page of the REST API.

use super::rest::{self, values};
use super::types;
use crate::fuzzing::{check_batch, choice};
use crate::ipc::{MOST_COLUMNS, decode_foreign_batch, decode_schema};
use crate::source::agree::distinct;
use crate::source::bounds;
use crate::source::normalize::{conform, convert, logical_type};
use arrow_array::{RecordBatch, RecordBatchOptions};
use google_cloud_bigquery_v2::model::TableFieldSchema;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Bytes of a batch once it is uncompressed.
const LARGEST: usize = 1 << 20;

/// Which of the two it is, and the answer.
pub(crate) fn response(input: &[u8]) {
    match choice(input) {
        Some((choice, rest)) if choice % 3 < 2 => storage(rest, (choice % 3 == 1).then_some(LARGEST)),
        Some((_, rest)) => page(rest),
        None => {}
    }
}

/// The length of the schema in two bytes, the schema, and a batch.
fn storage(input: &[u8], uncompressed: Option<usize>) {
    let Some((length, rest)) = input.split_first_chunk::<2>() else { return };
    let Some((schema, batch)) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length))) else { return };
    let Ok(sent) = decode_schema(schema, MOST_COLUMNS) else { return };
    if types::check(&sent).is_err() {
        return;
    }
    let schema = Arc::new(convert(&sent, logical_type));
    if distinct(&schema).and_then(|()| bounds::check(&schema)).is_err() {
        return;
    }
    let Ok(batch) = decode_foreign_batch(&Arc::new(sent), batch, uncompressed, |body| body.into()) else { return };
    check_batch(&batch);
    if let Ok(batch) = conform(batch, &schema) {
        check_batch(&batch);
    }
}

/// `{"fields": […], "rows": […]}`, as they stand in a schema and in a page.
fn page(input: &[u8]) {
    let Ok(Value::Object(mut page)) = serde_json::from_slice(input) else { return };
    let mut take = |key: &str| page.remove(key).unwrap_or_default();
    let Ok(fields) = serde_json::from_value::<Vec<TableFieldSchema>>(take("fields")) else { return };
    let Ok(rows) = serde_json::from_value::<Vec<Map<String, Value>>>(take("rows")) else { return };
    let Ok(schema) = rest::schema(&fields) else { return };
    if distinct(&schema).is_err() {
        return;
    }
    let array = |(column, field)| values::array(field, &values::column(&rows, column)?);
    let arrays = schema.fields().iter().map(|field| field.as_ref()).enumerate().map(array);
    let Ok(arrays) = arrays.collect::<Result<Vec<_>, crate::ipc::Cause>>() else { return };
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    if let Ok(batch) = RecordBatch::try_new_with_options(Arc::new(schema), arrays, &options) {
        check_batch(&batch);
    }
}
