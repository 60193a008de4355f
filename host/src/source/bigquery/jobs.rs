//! Jobs that run queries, over the REST API.

use super::TableName;
use super::cloud::Cloud;
use super::explain::Refusal;
use crate::Error;
use google_cloud_bigquery::read::retry_policy::RetryableErrors;
use google_cloud_bigquery_v2::client::{JobService, TableService};
use google_cloud_bigquery_v2::model::{
    DataFormatOptions, GetQueryResultsResponse, Job, JobConfiguration, JobConfigurationQuery, JobReference, TableSchema,
};
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::exponential_backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use google_cloud_gax::options::RequestOptionsBuilder;
use google_cloud_gax::retry_policy::{RetryPolicy, RetryPolicyExt};
use google_cloud_gax::retry_result::RetryResult;
use google_cloud_gax::retry_state::RetryState;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Rows of a page at most; BigQuery ends pages at 10 MB too.
const PAGE_ROWS: u32 = 50_000;

/// How long BigQuery is asked to wait for a job before it answers.
const WAIT: Duration = Duration::from_secs(10);

/// The REST API, for one project.
pub(super) struct Jobs {
    jobs: JobService,
    tables: TableService,
    project: String,
    location: Option<String>,
}

/// What a query would do.
pub(super) struct DryRun {
    pub(super) schema: TableSchema,
    /// Bytes that it reads.
    pub(super) bytes: u64,
    /// Where it would run.
    pub(super) location: Option<String>,
}

/// A job that was started.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) id: String,
    location: String,
}

/// Why a job failed.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    /// One of the words of Google's list of errors, such as `backendError`.
    reason: String,
}

impl Failure {
    /// Whether the same query may succeed when it is run again.
    pub(super) fn passes(&self) -> bool {
        is_passing(&self.reason)
    }

    pub(super) fn explain(&self) -> Error {
        let hint = match self.reason.as_str() {
            reason if is_passing(reason) => "BigQuery failed several times: run again later",
            "resourcesExceeded" => {
                "the query needs more memory than BigQuery gives one: make it smaller, or write its result to a table in parts"
            }
            "bytesBilledLimitExceeded" => "let it read less, or allow more with `max_bytes` or `--max-bytes`",
            "quotaExceeded" => "a quota is used up: wait, or raise it in the Cloud console",
            "accessDenied" => "queries need `bigquery.tables.getData` on the tables (role `roles/bigquery.dataViewer`)",
            _ => "mend the query",
        };
        Error::source(format!("the query failed: {} ({})", self.message, self.reason)).hint(hint)
    }
}

/// Reasons that pass, by <https://cloud.google.com/bigquery/docs/error-messages>.
fn is_passing(reason: &str) -> bool {
    matches!(
        reason,
        "backendError"
            | "internalError"
            | "jobBackendError"
            | "jobInternalError"
            | "rateLimitExceeded"
            | "jobRateLimitExceeded"
    )
}

/// Retries what passes over REST: beside what the official policy knows, refusals that have the code of a missing permission, and for
/// reason that too much was asked at once.
#[derive(Debug)]
struct Passing;

impl RetryPolicy for Passing {
    fn on_error(&self, state: &RetryState, error: Refusal) -> RetryResult {
        // The reason itself is lost on the way here, but for what this refusal always says.
        let is_rate_limit = error.status().is_some_and(|status| status.message.starts_with("Exceeded rate limits"));
        if is_rate_limit { RetryResult::Continue(error) } else { RetryableErrors.on_error(state, error) }
    }
}

/// What else than a table a name may mean.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    View,
    MaterializedView,
    External,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::View => "a view",
            Self::MaterializedView => "a materialized view",
            Self::External => "an external table",
        })
    }
}

impl Jobs {
    pub(super) async fn connect(cloud: &Cloud) -> Result<Self, Refusal> {
        let credentials = &cloud.connector.credentials;
        let options = &cloud.options;
        let policy = || Passing.with_time_limit(options.patience);
        let mut jobs = JobService::builder().with_credentials(credentials.clone());
        let mut tables = TableService::builder().with_credentials(credentials.clone());
        if let Some(endpoint) = &options.access.rest_endpoint {
            jobs = jobs.with_endpoint(endpoint);
            tables = tables.with_endpoint(endpoint);
        }
        let jobs = jobs
            .with_retry_policy(policy())
            .with_backoff_policy(backoff())
            .with_attempt_timeout(options.silence.max(2 * WAIT));
        let tables =
            tables.with_retry_policy(policy()).with_backoff_policy(backoff()).with_attempt_timeout(options.silence);
        Ok(Self {
            jobs: jobs.build().await.map_err(Refusal::connect)?,
            tables: tables.build().await.map_err(Refusal::connect)?,
            project: cloud.billing_project.clone(),
            location: options.location.clone(),
        })
    }

    /// What else than a table a name means, where that is known.
    pub(super) async fn kind(&self, table: &TableName) -> Result<Option<Kind>, Refusal> {
        let request = self.tables.get_table().set_project_id(&table.project).set_dataset_id(&table.dataset);
        let found = request.set_table_id(&table.table).with_retry_policy(brief()).send().await?;
        Ok(match found.r#type.as_str() {
            "VIEW" => Some(Kind::View),
            "MATERIALIZED_VIEW" => Some(Kind::MaterializedView),
            "EXTERNAL" => Some(Kind::External),
            _ => None,
        })
    }

    /// The names of a table's columns, in its order.
    pub(super) async fn columns(&self, table: &TableName) -> Result<Vec<String>, Refusal> {
        let request = self.tables.get_table().set_project_id(&table.project).set_dataset_id(&table.dataset);
        let found = request.set_table_id(&table.table).with_retry_policy(brief()).send().await?;
        let fields = found.schema.unwrap_or_default().fields;
        Ok(fields.into_iter().map(|field| field.name).collect())
    }

    /// Asks what a query would do.
    pub(super) async fn dry_run(&self, sql: &str) -> Result<DryRun, Refusal> {
        let mut job = Job::new().set_configuration(configuration(sql, None).set_dry_run(true));
        if let Some(location) = &self.location {
            let reference = JobReference::new().set_project_id(&self.project).set_location(location.clone());
            job = job.set_job_reference(reference);
        }
        let request = self.jobs.insert_job().set_project_id(&self.project).set_job(job);
        let job = request.with_retry_policy(brief()).send().await?;
        let statistics = job.statistics.unwrap_or_default();
        let query = statistics.query.unwrap_or_default();
        let bytes = query.total_bytes_processed.or(statistics.total_bytes_processed).unwrap_or(0);
        let location = job.job_reference.and_then(|reference| reference.location);
        let bytes = u64::try_from(bytes).unwrap_or(0);
        Ok(DryRun { schema: query.schema.unwrap_or_default(), bytes, location })
    }

    /// Starts a query where a dry run said that it would run.
    pub(super) async fn start(
        &self,
        sql: &str,
        max_bytes: Option<u64>,
        location: Option<&str>,
    ) -> Result<Running, Refusal> {
        // With a name of its own it is one job, however often it is sent.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let id = format!("wafermill_{now:x}_{:x}", std::process::id());
        let mut reference = JobReference::new().set_project_id(&self.project).set_job_id(&id);
        if let Some(location) = location {
            reference = reference.set_location(location);
        }
        let job = Job::new().set_configuration(configuration(sql, max_bytes)).set_job_reference(reference);
        let sent = self.jobs.insert_job().set_project_id(&self.project).set_job(job);
        let sent = sent.with_retry_policy(brief()).send().await;
        let answered = match sent {
            Ok(job) => job.job_reference.and_then(|reference| reference.location),
            Err(refusal) if exists(&refusal) => None,
            Err(refusal) => return Err(refusal),
        };
        // Of a job that was there already only the dry run told where it is.
        let location = answered.or_else(|| location.map(str::to_owned)).unwrap_or_default();
        Ok(Running { id, location })
    }

    /// Waits until a job is done, and returns the table that has its result, or why it failed.
    pub(super) async fn finish(&self, running: &Running) -> Result<Result<TableName, Failure>, Refusal> {
        let mut wait = Duration::from_millis(100);
        loop {
            let request = self.jobs.get_job().set_project_id(&self.project).set_job_id(&running.id);
            let job = request.set_location(&running.location).send().await?;
            let status = job.status.unwrap_or_default();
            if matches!(status.state.as_str(), "PENDING" | "RUNNING") {
                tokio::time::sleep(wait).await;
                wait = (2 * wait).min(Duration::from_secs(5));
                continue;
            }
            if status.state != "DONE" {
                let message = format!("the job has the state `{}`", status.state);
                return Ok(Err(Failure { message, reason: String::new() }));
            }
            if let Some(error) = status.error_result {
                return Ok(Err(Failure { message: error.message, reason: error.reason }));
            }
            let query = job.configuration.and_then(|configuration| configuration.query);
            return Ok(match query.and_then(|query| query.destination_table) {
                None => {
                    Err(Failure { message: "the job has no table with its result".to_owned(), reason: String::new() })
                }
                Some(table) => {
                    Ok(TableName { project: table.project_id, dataset: table.dataset_id, table: table.table_id })
                }
            });
        }
    }

    /// Ends a job that nobody waits for any more, as far as that is still possible.
    pub(super) async fn cancel(&self, running: &Running) {
        let request = self.jobs.cancel_job().set_project_id(&self.project).set_job_id(&running.id);
        let _ = request.set_location(&running.location).send().await;
    }

    /// Rows of a finished job from a row on.
    pub(super) async fn page(&self, running: &Running, start: u64) -> Result<GetQueryResultsResponse, Refusal> {
        let request = self.jobs.get_query_results().set_project_id(&self.project).set_job_id(&running.id);
        let request = request.set_location(&running.location).set_start_index(start).set_max_results(PAGE_ROWS);
        request.set_format_options(DataFormatOptions::new().set_use_int64_timestamp(true)).send().await
    }
}

/// How often is asked before anything has begun: who waits there sits before a terminal.
fn brief() -> impl RetryPolicy + use<> {
    Passing.with_attempt_limit(5)
}

fn backoff() -> ExponentialBackoff {
    ExponentialBackoffBuilder::new()
        .with_initial_delay(Duration::from_millis(200))
        .with_maximum_delay(Duration::from_secs(30))
        .clamp()
}

fn configuration(sql: &str, max_bytes: Option<u64>) -> JobConfiguration {
    let mut query = JobConfigurationQuery::new().set_query(sql).set_use_legacy_sql(false);
    if let Some(max_bytes) = max_bytes {
        query = query.set_maximum_bytes_billed(i64::try_from(max_bytes).unwrap_or(i64::MAX));
    }
    JobConfiguration::new().set_query(query)
}

fn exists(refusal: &Refusal) -> bool {
    refusal.http_status_code() == Some(409) || refusal.status().is_some_and(|status| status.code == Code::AlreadyExists)
}
