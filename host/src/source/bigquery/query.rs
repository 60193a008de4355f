//! The result of a query: what it would be is known from a dry run, and it is run when rows are first asked for.

use super::cloud::Cloud;
use super::explain::{Refusal, explain, forbids_sessions};
use super::jobs::{Jobs, Running};
use super::rest::{self, Pages};
use super::storage::{Selection, Snapshot, StorageSource, check_bytes};
use super::{SCHEME, slow, types, why_forbidden};
use crate::source::agree::distinct;
use crate::source::normalize::conform;
use crate::source::{BatchReader, Fragment, Price, Source, bounds};
use crate::{Error, Result};
use arrow_schema::SchemaRef;
use google_cloud_gax::error::rpc::Code;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a job that is interrupted may take to hear of it.
const CANCEL: Duration = Duration::from_secs(1);

/// How often a query is run that fails through no fault of its own.
const ATTEMPTS: u32 = 3;

/// How the result is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Storage,
    Rest,
}

/// The result of a query.
pub(super) struct QuerySource {
    cloud: Arc<Cloud>,
    jobs: Jobs,
    /// What errors call it.
    name: String,
    sql: String,
    way: Way,
    schema: SchemaRef,
    /// That the query reads.
    bytes: u64,
    /// Where it would run.
    location: Option<String>,
    results: OnceLock<Results>,
}

/// Where the rows are.
enum Results {
    Table(Box<StorageSource>),
    Job(Running),
}

impl QuerySource {
    /// Asks what the query would do.
    ///
    /// # Errors
    /// Where it is wrong, or reads more than the options allow.
    pub(super) fn open(cloud: Arc<Cloud>, name: &str, sql: String, way: Way) -> Result<Self> {
        let project = cloud.billing_project.clone();
        let refused = |refusal| explain_query("the query is refused", refusal, &project).file(name);
        let jobs = cloud.ask(Jobs::connect(&cloud))?.map_err(refused)?;
        let dry_run = cloud.ask(jobs.dry_run(&sql))?.map_err(refused)?;
        let failed = |error: Error| error.file(name);
        let schema = rest::schema(&dry_run.schema.fields).map_err(failed)?;
        if schema.fields().is_empty() {
            return Err(failed(Error::source("the query has no result").hint("it needs to be one SELECT")));
        }
        distinct(&schema).and_then(|()| bounds::check(&schema)).map_err(failed)?;
        check_bytes(0, dry_run.bytes, cloud.options.max_bytes).map_err(failed)?;
        let (schema, bytes, location) = (Arc::new(schema), dry_run.bytes, dry_run.location);
        Ok(Self { cloud, jobs, name: name.to_owned(), sql, way, schema, bytes, location, results: OnceLock::new() })
    }

    /// The result, for which the query is run once.
    fn results(&self) -> Result<&Results> {
        if let Some(results) = self.results.get() {
            return Ok(results);
        }
        let results = self.run().map_err(|error| error.file(&self.name))?;
        Ok(self.results.get_or_init(|| results))
    }

    fn run(&self) -> Result<Results> {
        let (cloud, jobs) = (&self.cloud, &self.jobs);
        let refused = |refusal| explain_query("the query failed", refusal, &cloud.billing_project);
        let start = || jobs.start(&self.sql, cloud.options.max_bytes, self.location.as_deref());
        let mut attempts = 0;
        let (running, table) = loop {
            let running = cloud.ask(start())?.map_err(refused)?;
            let done = cloud.wait(jobs.finish(&running)).and_then(|done| done.map_err(refused)).inspect_err(|_| {
                // It would go on and be billed.
                let cancel = async { tokio::time::timeout(CANCEL, jobs.cancel(&running)).await };
                let _ = cloud.handle.block_on(cancel);
            })?;
            attempts += 1;
            match done {
                Ok(table) => break (running, table),
                Err(failure) if failure.passes() && attempts < ATTEMPTS => {}
                Err(failure) => return Err(failure.explain()),
            }
        };
        if self.way == Way::Rest {
            return Ok(Results::Job(running));
        }
        // What may be billed was checked before the query ran: a result that is refused now would be billed for nothing.
        let selection = Selection { snapshot: Snapshot::Only, ..Selection::default() };
        match StorageSource::open(cloud.clone(), table, selection)? {
            Ok(source) => Ok(Results::Table(Box::new(source))),
            Err(refusal) if forbids_sessions(&refusal) => {
                let why = why_forbidden(&refusal, &cloud.billing_project);
                cloud.warn(&format!("{}: {why}: {}", self.name, slow()));
                Ok(Results::Job(running))
            }
            Err(refusal) => Err(explain("no read session", refusal, &cloud.billing_project)),
        }
    }
}

/// As `explain` says it, but of queries.
pub(super) fn explain_query(what: &str, refusal: Refusal, billing_project: &str) -> Error {
    let is_forbidden = refusal.status().is_some_and(|status| status.code == Code::PermissionDenied);
    let error = explain(what, refusal, billing_project);
    if is_forbidden {
        return error.hint(format!(
            "queries need `bigquery.jobs.create` in the billing project `{billing_project}` (role `roles/bigquery.jobUser`) and `bigquery.tables.getData` on the tables (role `roles/bigquery.dataViewer`); another project pays with `billing_project` or `--billing-project`"
        ));
    }
    error
}

impl Source for QuerySource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn fragments(&self) -> &[Fragment] {
        &[]
    }

    fn estimated_rows(&self) -> Option<u64> {
        match self.results.get()? {
            Results::Table(source) => source.estimated_rows(),
            Results::Job(_) => None,
        }
    }

    fn estimated_bytes(&self) -> Option<u64> {
        Some(self.bytes)
    }

    /// The service counts each value, and stores them as it likes.
    fn value_bytes(&self) -> Option<u64> {
        Some(self.bytes)
    }

    fn pass_bytes(&self) -> Option<u64> {
        match self.results.get()? {
            Results::Table(source) => source.pass_bytes(),
            Results::Job(_) => None,
        }
    }

    fn keeps_order(&self) -> bool {
        false
    }

    fn origin(&self) -> Option<String> {
        Some(format!("{SCHEME} {}", self.sql))
    }

    fn restarts(&self) -> Option<u64> {
        match self.results.get()? {
            Results::Table(source) => source.restarts(),
            Results::Job(_) => None,
        }
    }

    fn billed_bytes(&self) -> Option<u64> {
        Some(if self.results.get().is_some() { self.bytes } else { 0 })
    }

    fn price(&self) -> Option<Price> {
        Some(Price::of_query(self.bytes))
    }

    fn read(&self, columns: &[usize], batch_rows: usize) -> Result<BatchReader<'_>> {
        let failed = |error: Error| error.file(&self.name);
        let schema = self.schema.project(columns).map_err(|error| Error::internal("no such column").because(error))?;
        let schema = Arc::new(schema);
        match self.results()? {
            Results::Job(running) => {
                let pages = Pages::new(&self.cloud, &self.jobs, running, &self.schema, columns, batch_rows);
                Ok(Box::new(pages))
            }
            Results::Table(source) => {
                let position = |column: &usize| source.schema().index_of(self.schema.field(*column).name());
                let positions = columns.iter().map(position).collect::<Result<Vec<_>, _>>();
                let changed = || {
                    let error = failed(Error::source("the result has other columns than were announced"));
                    error.hint("a table of the query was changed meanwhile: run again")
                };
                let positions = positions.map_err(|error| changed().because(error))?;
                for (position, announced) in positions.iter().zip(schema.fields()) {
                    let found = source.schema().field(*position);
                    if !types::are_alike(found.data_type(), announced.data_type()) {
                        return Err(changed().column(announced.name()));
                    }
                }
                let batches = source.read(&positions, batch_rows)?.map(move |read| {
                    let mut read = read?;
                    // What differs is whether there may be nulls.
                    read.batch = conform(read.batch, &schema).map_err(|error| {
                        let error = Error::source("the result has other types than were announced").because(error);
                        read.position.place(error)
                    })?;
                    Ok(read)
                });
                Ok(Box::new(batches))
            }
        }
    }
}
