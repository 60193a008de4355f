//! wafermill's source.

use crate::{Arguments, BILLING};
use anyhow::Result;
use std::sync::Arc;
use wafermill::Stop;
use wafermill::source::Context;
use wafermill::source::bigquery::{Access, BigQueryOptions, CredentialsFrom, Subject, open};

/// Reads all columns in batches of the size that a run has, and returns the number of rows.
pub(crate) fn drain(arguments: &Arguments) -> Result<u64> {
    let options = BigQueryOptions {
        billing_project: Some(BILLING.to_owned()),
        max_streams: arguments.streams,
        read_ahead: arguments.read_ahead,
        access: Access {
            credentials: CredentialsFrom::Anonymous,
            storage_endpoint: Some(arguments.address.clone()),
            ..Access::default()
        },
        ..BigQueryOptions::default()
    };
    let context = Context { stop: Stop::default(), warn: Arc::new(|warning| eprintln!("warning: {warning}")) };
    let source = open(Subject::Table(arguments.table.parse()?), options, context)?;
    let columns: Vec<usize> = (0..source.schema().fields().len()).collect();
    let mut rows = 0;
    for batch in source.read(&columns, wafermill::run::BATCH_ROWS)? {
        rows += batch?.batch.num_rows() as u64;
    }
    Ok(rows)
}
