//! `tables.get` and `tabledata.list`.

use super::call::Call;
use super::refusal::Refusal;
use super::selection::Selection;
use super::{Rest, page, schema, size};
use crate::catalog::{Entry, Table, TableName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub(crate) fn name(project: &str, dataset: &str, table: &str) -> TableName {
    TableName { project: project.to_owned(), dataset: dataset.to_owned(), table: table.to_owned() }
}

/// A table's name as the REST API gives it.
pub(crate) fn reference(name: &TableName) -> Value {
    json!({ "projectId": name.project, "datasetId": name.dataset, "tableId": name.table })
}

/// Milliseconds since 1970, as text.
pub(crate) fn milliseconds(time: SystemTime) -> String {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis().to_string()
}

/// A mark that changes with what it is of.
pub(crate) fn etag(of: impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    STANDARD.encode(hasher.finish().to_be_bytes())
}

/// The rows of a table.
pub(crate) fn rows(table: &Table) -> usize {
    table.rows * table.times
}

/// The bytes of a table as they are billed.
pub(crate) fn bytes(table: &Table) -> u64 {
    table.batches.iter().map(size::batch).sum::<u64>() * table.times as u64
}

impl Rest {
    /// `tables.get`.
    pub(crate) fn table(&self, name: &TableName, call: &Call) -> Result<Value, Refusal> {
        let created = milliseconds(self.created);
        let mut answer = json!({
            "kind": "bigquery#table",
            "etag": etag((name, &created)),
            "id": name.to_string(),
            "tableReference": reference(name),
        });
        let view = matches!(self.entry(name)?, Entry::View);
        let table = self.contents(name);
        if let Some(table) = &table {
            let selection = Selection::new(table.schema.fields(), call.parameter("selectedFields"))?;
            answer["schema"] = schema::schema(selection.fields.iter().map(AsRef::as_ref));
        }
        // A view has no rows of its own.
        let table = table.filter(|_| !view);
        let (bytes, rows) = table.map_or((0, 0), |table| (bytes(&table), rows(&table)));
        for (key, value) in [
            ("numBytes", bytes.to_string()),
            ("numLongTermBytes", "0".to_owned()),
            ("numRows", rows.to_string()),
            ("creationTime", created.clone()),
            ("lastModifiedTime", created),
            ("type", if view { "VIEW" } else { "TABLE" }.to_owned()),
            ("location", self.location.clone()),
        ] {
            answer[key] = value.into();
        }
        if view {
            answer["view"] = json!({ "query": self.queries.of_view(name), "useLegacySql": false });
        }
        Ok(answer)
    }

    /// `tabledata.list`.
    pub(crate) fn table_data(&self, name: &TableName, call: &Call) -> Result<Value, Refusal> {
        let Entry::Table(table) = self.entry(name)? else {
            return Err(Refusal::invalid("Cannot list a table of type VIEW."));
        };
        let mut answer = Map::new();
        answer.insert("kind".to_owned(), "bigquery#tableDataList".into());
        answer.insert("etag".to_owned(), etag((name, self.created)).into());
        answer.insert("totalRows".to_owned(), rows(table).to_string().into());
        page::add(&mut answer, table, call)?;
        Ok(answer.into())
    }

    fn entry(&self, name: &TableName) -> Result<&Entry, Refusal> {
        self.catalog.get(name).ok_or_else(|| {
            let same = |other: &TableName| (&other.project, &other.dataset) == (&name.project, &name.dataset);
            match self.catalog.keys().any(same) {
                true => Refusal::not_found(format!("Table {name}")),
                false => Refusal::not_found(format!("Dataset {}:{}", name.project, name.dataset)),
            }
        })
    }

    /// The rows of a table, or those that a view gives, where the command line says so.
    pub(crate) fn contents(&self, name: &TableName) -> Option<Arc<Table>> {
        match self.catalog.get(self.queries.behind(name))? {
            Entry::Table(table) => Some(table.clone()),
            Entry::View => None,
        }
    }
}
