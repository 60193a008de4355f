//! Tables and queries of BigQuery: over its Storage Read API, and over REST where that is not possible.

mod cloud;
mod connector;
mod credentials;
mod doctor;
mod end;
mod explain;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod jobs;
mod name;
mod options;
mod query;
mod read_ahead;
mod recycled;
mod rest;
mod session;
mod sql;
mod storage;
mod stream;
mod turns;
mod types;

pub use doctor::{Finding, State, examine};
pub use name::{SCHEME, TableName};
pub use options::{
    Access, BigQueryOptions, BufferCompression, CredentialsFrom, MAX_STREAMS, MOST_STREAMS, parse_snapshot,
};

use super::{Context, Source, price};
use crate::{ErrorKind, Result};
use cloud::Cloud;
use explain::{Refusal, explain, forbids_sessions};
use google_cloud_gax::error::rpc::Code;
use jobs::{Jobs, Kind};
use query::{QuerySource, Way};
use std::sync::Arc;
use std::time::Duration;
use storage::{Selection, Snapshot, StorageSource};

/// How long it is waited to learn what a name means.
const LOOK: Duration = Duration::from_secs(10);

/// What is read.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A table, or a view.
    Table(TableName),
    /// The result of a query.
    Query(String),
}

/// Opens a table or a query. Nothing is read and nothing is billed yet.
///
/// # Errors
/// Where there are no credentials, BigQuery refuses, or more would be read than the options allow.
pub fn open(subject: Subject, options: BigQueryOptions, context: Context) -> Result<Box<dyn Source>> {
    match subject {
        Subject::Query(sql) => {
            let way = if options.storage_api { Way::Storage } else { Way::Rest };
            let cloud = Arc::new(Cloud::new(None, options, context)?);
            cloud.authenticate()?;
            if way == Way::Rest {
                cloud.warn(&format!("the Storage API is not used, as asked: {}", slow()));
            }
            Ok(Box::new(QuerySource::open(cloud, "the query", sql, way)?))
        }
        Subject::Table(table) => open_table(table, options, context),
    }
}

/// The price of REST.
fn slow() -> String {
    format!(
        "the rows come as text, one page after the other, about ten times slower, and by a query, which is billed at {}",
        price::instead()
    )
}

fn open_table(table: TableName, options: BigQueryOptions, context: Context) -> Result<Box<dyn Source>> {
    let cloud = Arc::new(Cloud::new(Some(&table), options, context)?);
    cloud.authenticate()?;
    let options = &cloud.options;
    let selection = Selection {
        columns: options.columns.clone(),
        filter: options.filter.clone(),
        snapshot: options.snapshot.map_or(Snapshot::Now, Snapshot::At),
        max_bytes: options.max_bytes,
    };
    let by_query = |way| {
        let sql = sql::select(&table, &in_order_of_table(&cloud, &table)?, &cloud.options)?;
        Ok(Box::new(QuerySource::open(cloud.clone(), &format!("{SCHEME}{table}"), sql, way)?) as Box<dyn Source>)
    };
    if !options.storage_api {
        cloud.warn(&format!("`{table}`: the Storage API is not used, as asked: {}", slow()));
        return by_query(Way::Rest);
    }
    let refusal = match StorageSource::open(cloud.clone(), table.clone(), selection)? {
        Ok(source) => return Ok(Box::new(source)),
        Err(refusal) => refusal,
    };
    if forbids_sessions(&refusal) {
        cloud.warn(&format!("`{table}`: {}: {}", why_forbidden(&refusal, &cloud.billing_project), slow()));
        return by_query(Way::Rest);
    }
    if is_invalid(&refusal)
        && let Some(kind) = kind(&cloud, &table)?
    {
        let price = price::instead();
        cloud.warn(&format!("`{table}` is {kind}: it is read by a query, which is billed at {price}"));
        return by_query(Way::Storage);
    }
    let error = explain("no read session", refusal, &cloud.billing_project);
    Err(error.file(format!("{SCHEME}{table}")))
}

/// The columns that the options state, in the order in which sessions give them.
fn in_order_of_table(cloud: &Cloud, table: &TableName) -> Result<Vec<String>> {
    let mut columns = cloud.options.columns.clone();
    if columns.len() > 1 {
        let found = cloud.ask(async { Jobs::connect(cloud).await?.columns(table).await })?;
        let known =
            found.map_err(|refusal| explain("the table cannot be looked at", refusal, &cloud.billing_project))?;
        let root = |column: &str| column.split('.').next().unwrap_or_default().to_lowercase();
        columns.sort_by_key(|column| known.iter().position(|name| name.to_lowercase() == root(column)));
    }
    Ok(columns)
}

/// What is missing where sessions may not be created.
fn why_forbidden(refusal: &Refusal, billing_project: &str) -> String {
    if explain::is_disabled(refusal) {
        format!("the Storage API is not enabled in the project `{billing_project}`")
    } else {
        format!("the permission `bigquery.readsessions.create` is missing in the project `{billing_project}`")
    }
}

fn is_invalid(refusal: &Refusal) -> bool {
    refusal.status().is_some_and(|status| matches!(status.code, Code::InvalidArgument | Code::FailedPrecondition))
}

/// What else than a table a name means, where that is known; what was refused before says more than that this fails too.
fn kind(cloud: &Cloud, table: &TableName) -> Result<Option<Kind>> {
    let asked = async { Jobs::connect(cloud).await?.kind(table).await };
    match cloud.ask(async { tokio::time::timeout(LOOK, asked).await }) {
        Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
        Ok(Ok(Ok(kind))) => Ok(kind),
        _ => Ok(None),
    }
}
