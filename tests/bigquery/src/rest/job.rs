//! Query jobs: `jobs.insert`, `jobs.get` and `jobs.getQueryResults`.

use super::call::Call;
use super::refusal::Refusal;
use super::table::{bytes, etag, milliseconds, reference, rows};
use super::{Rest, page, schema};
use crate::catalog::{Entry, Table, TableName};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The least that a query is billed.
const LEAST_BILLED: u64 = 10 << 20;

/// All jobs, by their project and name.
pub(crate) struct Jobs {
    jobs: Mutex<HashMap<(String, String), Job>>,
    /// How often a job is found running.
    polls: usize,
    /// The errors of the next jobs, and of how many of them.
    fails: Vec<(String, AtomicUsize)>,
}

impl Jobs {
    pub(crate) fn new(polls: usize, fails: Vec<(String, usize)>) -> Self {
        let fails = fails.into_iter().map(|(reason, times)| (reason, AtomicUsize::new(times))).collect();
        Self { jobs: Mutex::default(), polls, fails }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error in which the next job is to end.
    fn next_error(&self) -> Option<(String, String)> {
        let take = |left: &AtomicUsize| {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        };
        let (reason, _) = self.fails.iter().find(|(_, left)| take(left))?;
        Some((
            reason.clone(),
            "The job encountered an error during execution. Retrying the job may solve the problem.".to_owned(),
        ))
    }
}

/// A query that runs or has ended.
#[derive(Clone)]
struct Job {
    reference: Value,
    configuration: Value,
    table: Arc<Table>,
    created: String,
    /// How often it will still be found running.
    polls: usize,
    /// Reason and message.
    error: Option<(String, String)>,
}

impl Job {
    fn running(&self) -> bool {
        self.polls > 0
    }

    fn described(&self) -> Value {
        let mut status = json!({ "state": if self.running() { "RUNNING" } else { "DONE" } });
        let mut statistics = json!({ "creationTime": self.created, "startTime": self.created });
        if !self.running() {
            statistics["endTime"] = self.created.clone().into();
            match &self.error {
                Some((reason, message)) => {
                    let error = json!({ "reason": reason, "message": message });
                    status["errorResult"] = error.clone();
                    status["errors"] = json!([error]);
                }
                None => add_query(&mut statistics, &self.table, billed(&self.table)),
            }
        }
        let text = |key: &str| self.reference[key].as_str().unwrap_or_default();
        json!({
            "kind": "bigquery#job",
            "etag": etag((text("jobId"), status["state"].as_str())),
            "id": format!("{}:{}.{}", text("projectId"), text("location"), text("jobId")),
            "configuration": self.configuration,
            "jobReference": self.reference,
            "statistics": statistics,
            "status": status,
        })
    }
}

fn add_query(statistics: &mut Value, table: &Table, billed: u64) {
    let processed = bytes(table).to_string();
    statistics["totalBytesProcessed"] = processed.clone().into();
    statistics["query"] = json!({
        "totalBytesProcessed": processed,
        "totalBytesBilled": billed.to_string(),
        "totalBytesProcessedAccuracy": "PRECISE",
        "cacheHit": false,
        "statementType": "SELECT",
    });
}

/// Bytes are billed in megabytes.
fn billed(table: &Table) -> u64 {
    bytes(table).next_multiple_of(1 << 20).max(LEAST_BILLED)
}

impl Rest {
    /// `jobs.insert`.
    pub(crate) fn insert_job(&self, project: &str, body: &[u8]) -> Result<Value, Refusal> {
        let request: Value = serde_json::from_slice(body)
            .map_err(|error| Refusal::new(400, "parseError", format!("Invalid JSON payload received. {error}")))?;
        self.may_create_jobs(project)?;
        let mut configuration = request["configuration"].clone();
        let Some(text) = configuration["query"]["query"].as_str() else {
            let message = "Job configuration must contain exactly one job-specific configuration object";
            return Err(Refusal::invalid(format!("{message} (e.g., query, load, extract, spark), but there were 0: ")));
        };
        let (read, result) = self.query(text, &configuration["query"]["useLegacySql"])?.clone();
        let location = request["jobReference"]["location"].as_str().unwrap_or(&self.location);
        if !location.eq_ignore_ascii_case(&self.location) {
            let TableName { project, dataset, .. } = read;
            return Err(Refusal::not_found(format!(
                "Dataset {project}:{dataset} was not found in location {location}"
            )));
        }
        let Some(Entry::Table(table)) = self.catalog.get(&result) else {
            return Err(Refusal::not_found(format!("Table {result}")));
        };
        let created = milliseconds(SystemTime::now());
        configuration["jobType"] = "QUERY".into();
        configuration["query"]["destinationTable"] = reference(&result);
        let mut job_reference = json!({ "projectId": project, "location": self.location });
        if is_true(&configuration["dryRun"]) {
            let mut statistics = json!({ "creationTime": created });
            add_query(&mut statistics, table, 0);
            statistics["query"]["schema"] = schema::schema(table.schema.fields().iter().map(AsRef::as_ref));
            statistics["query"]["referencedTables"] = json!([reference(&read)]);
            return Ok(json!({
                "kind": "bigquery#job",
                "configuration": configuration,
                "jobReference": job_reference,
                "statistics": statistics,
                "status": { "state": "DONE" },
            }));
        }
        let error = too_dear(&configuration["query"]["maximumBytesBilled"], table)?.or_else(|| self.jobs.next_error());
        let mut jobs = self.jobs.lock();
        let id = request["jobReference"]["jobId"].as_str();
        let id = id.map_or_else(|| format!("job_{:027}", jobs.len()), ToOwned::to_owned);
        job_reference["jobId"] = id.clone().into();
        let key = (project.to_owned(), id);
        if jobs.contains_key(&key) {
            let message = format!("Already Exists: Job {project}:{}.{}", self.location, key.1);
            return Err(Refusal::new(409, "duplicate", message));
        }
        let (table, polls) = (table.clone(), self.jobs.polls);
        let job = Job { reference: job_reference, configuration, table, created, polls, error };
        let described = job.described();
        jobs.insert(key, job);
        Ok(described)
    }

    /// `jobs.get`.
    pub(crate) fn get_job(&self, project: &str, id: &str, call: &Call) -> Result<Value, Refusal> {
        Ok(self.poll(project, id, call)?.described())
    }

    /// `jobs.getQueryResults`, which does not wait for the job.
    pub(crate) fn query_results(&self, project: &str, id: &str, call: &Call) -> Result<Value, Refusal> {
        let job = self.poll(project, id, call)?;
        let mut answer = Map::new();
        answer.insert("kind".to_owned(), "bigquery#getQueryResultsResponse".into());
        answer.insert("etag".to_owned(), etag((id, job.running())).into());
        answer.insert("jobReference".to_owned(), job.reference.clone());
        answer.insert("jobComplete".to_owned(), (!job.running()).into());
        if job.running() {
            return Ok(answer.into());
        }
        if let Some((reason, message)) = &job.error {
            return Err(Refusal::of_job(reason, message));
        }
        answer.insert("schema".to_owned(), schema::schema(job.table.schema.fields().iter().map(AsRef::as_ref)));
        answer.insert("totalRows".to_owned(), rows(&job.table).to_string().into());
        answer.insert("totalBytesProcessed".to_owned(), bytes(&job.table).to_string().into());
        answer.insert("cacheHit".to_owned(), false.into());
        page::add(&mut answer, &job.table, call)?;
        Ok(answer.into())
    }

    fn may_create_jobs(&self, project: &str) -> Result<(), Refusal> {
        if project == self.billing_project {
            return Ok(());
        }
        let message = "User does not have bigquery.jobs.create permission in project";
        Err(Refusal::new(403, "accessDenied", format!("Access Denied: Project {project}: {message} {project}.")))
    }

    /// The table that a query reads, and the one that holds its result.
    fn query(&self, text: &str, legacy: &Value) -> Result<&(TableName, TableName), Refusal> {
        // SQL is BigQuery's old dialect unless the request says otherwise.
        if text.contains('`') && !is_false(legacy) {
            let message = "Invalid table name: `[Try using standard SQL";
            let page = "https://cloud.google.com/bigquery/docs/reference/standard-sql/enabling-standard-sql";
            return Err(Refusal::invalid_query(format!("{message} ({page})].")));
        }
        self.queries.result(text).ok_or_else(|| {
            let message = "Syntax error: this server knows no SQL but the texts that its option --query gives; not";
            Refusal::invalid_query(format!("{message}: {text}"))
        })
    }

    /// A job as it is now, which is asked for once more.
    fn poll(&self, project: &str, id: &str, call: &Call) -> Result<Job, Refusal> {
        let location = call.parameter("location").unwrap_or(&self.location);
        let mut jobs = self.jobs.lock();
        let job = jobs.get_mut(&(project.to_owned(), id.to_owned()));
        let job = job.filter(|_| location.eq_ignore_ascii_case(&self.location));
        let job = job.ok_or_else(|| Refusal::not_found(format!("Job {project}:{location}.{id}")))?;
        let now = job.clone();
        job.polls = job.polls.saturating_sub(1);
        Ok(now)
    }
}

/// The error of a query that would be billed more than it may be.
fn too_dear(most: &Value, table: &Table) -> Result<Option<(String, String)>, Refusal> {
    // 64-bit integers are text, but numbers are taken as well.
    let most = match most {
        Value::Null => return Ok(None),
        Value::String(text) => text.parse().ok(),
        most => most.as_u64(),
    };
    let most: u64 = most.ok_or_else(|| Refusal::invalid("Invalid value for maximum_bytes_billed."))?;
    let message = format!("Query exceeded limit for bytes billed: {most}. {} or higher required.", billed(table));
    Ok((billed(table) > most).then(|| ("bytesBilledLimitExceeded".to_owned(), message)))
}

fn is_true(value: &Value) -> bool {
    *value == Value::Bool(true) || *value == "true"
}

fn is_false(value: &Value) -> bool {
    *value == Value::Bool(false) || *value == "false"
}
