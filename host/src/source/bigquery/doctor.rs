//! Finds out what stands in the way of reading BigQuery, without reading anything.

use super::cloud::Cloud;
use super::explain::{Refusal, explain, forbids_sessions, is_disabled};
use super::jobs::Jobs;
use super::options::BigQueryOptions;
use super::session::{Retry, SessionRequest};
use super::{TableName, credentials, is_invalid, kind, price};
use crate::source::Context;
use crate::{Error, ErrorKind, Result};
use google_cloud_gax::error::rpc::Code;
use std::time::Duration;

/// A table that everybody may read; a session on it costs nothing.
const PUBLIC_TABLE: &str = "bigquery-public-data.samples.shakespeare";

/// How long an answer is waited for: somebody sits before a terminal.
const PATIENCE: Duration = Duration::from_secs(40);

/// What was found of one thing that reading needs.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Reading works without it, but not as well.
    Worse,
    /// Reading does not work.
    Bad,
    /// Not known, as something before it is bad.
    Unknown,
}

/// What is looked at, in this order.
const CREDENTIALS: &str = "credentials";
const PROJECT: &str = "billing project";
const ENDPOINT: &str = "Storage API reached";
const ENABLED: &str = "Storage API enabled";
const SESSIONS: &str = "read sessions permitted";
const TABLE: &str = "table readable";
const QUERIES: &str = "queries permitted";

/// Looks at all that reading a table needs.
///
/// # Errors
/// Where the user asks to stop; all else is a finding.
pub fn examine(table: Option<TableName>, mut options: BigQueryOptions, context: Context) -> Result<Vec<Finding>> {
    // Nobody but Google pays in the project of the public table.
    let payer = table.clone();
    let table = match table {
        Some(table) => table,
        None => PUBLIC_TABLE.parse()?,
    };
    options.patience = options.patience.min(PATIENCE);
    options.silence = options.silence.min(PATIENCE / 2);
    let found = credentials::describe(&options.access);
    let cloud = match Cloud::new(payer.as_ref(), options, context) {
        Ok(cloud) => cloud,
        Err(error) => {
            let mut findings = match error.kind() {
                ErrorKind::Usage => vec![good(CREDENTIALS, found), bad(PROJECT, &error)],
                _ => vec![bad(CREDENTIALS, &error), unknown(PROJECT)],
            };
            findings.extend([ENDPOINT, ENABLED, SESSIONS, TABLE, QUERIES].map(unknown));
            return Ok(findings);
        }
    };
    if let Err(error) = cloud.authenticate() {
        let mut findings = vec![silent(error, CREDENTIALS)?, good(PROJECT, cloud.billing_project.clone())];
        findings.extend([ENDPOINT, ENABLED, SESSIONS, TABLE, QUERIES].map(unknown));
        return Ok(findings);
    }
    let mut findings = vec![good(CREDENTIALS, found), good(PROJECT, cloud.billing_project.clone())];
    for finding in session(&cloud, &table)? {
        // What was taken for good may turn out not to be.
        match findings.iter_mut().find(|earlier| earlier.check == finding.check) {
            Some(earlier) => *earlier = finding,
            None => findings.push(finding),
        }
    }
    findings.push(queries(&cloud)?);
    let without_queries = findings.iter().any(|finding| finding.check == QUERIES && finding.state != State::Good);
    let by_query = findings.iter().any(|finding| finding.check != QUERIES && finding.state == State::Worse);
    if without_queries && by_query {
        findings
            .iter_mut()
            .filter(|finding| finding.state == State::Worse)
            .for_each(|finding| finding.state = State::Bad);
    }
    Ok(findings)
}

/// What a session that is asked for tells.
fn session(cloud: &Cloud, table: &TableName) -> Result<Vec<Finding>> {
    let endpoint = cloud.connector.endpoint.clone().unwrap_or_else(|| "bigquerystorage.googleapis.com".to_owned());
    let request = SessionRequest {
        table,
        billing_project: &cloud.billing_project,
        fields: Vec::new(),
        filter: None,
        snapshot: None,
        options: &cloud.options,
    };
    let refusal = match cloud.ask(request.create(&cloud.connector, Retry::Briefly)) {
        Err(error) => {
            return silent(error, ENDPOINT)
                .map(|finding| vec![finding, unknown(ENABLED), unknown(SESSIONS), unknown(TABLE)]);
        }
        Ok(answer) => answer,
    };
    let refusal = match refusal {
        Ok(Ok(session)) => {
            let streams = session.streams.len();
            return Ok(vec![
                good(ENDPOINT, endpoint),
                good(ENABLED, String::new()),
                good(SESSIONS, format!("in `{}`", cloud.billing_project)),
                good(TABLE, format!("`{table}`: about {} rows, {streams} streams", session.rows)),
            ]);
        }
        Ok(Err(error)) => {
            return Ok(vec![bad(ENDPOINT, &error), unknown(ENABLED), unknown(SESSIONS), unknown(TABLE)]);
        }
        Err(refusal) => refusal,
    };
    let (authentication, disabled, forbidden) =
        (is_authentication(&refusal), is_disabled(&refusal), forbids_sessions(&refusal));
    let answered = refusal.status().is_some();
    if is_invalid(&refusal)
        && let Some(kind) = kind(cloud, table)?
    {
        let detail = format!("`{table}` is {kind}: it is read by a query, at {}", price::instead());
        let by_query = Finding { check: TABLE, state: State::Worse, detail, fix: None };
        return Ok(vec![good(ENDPOINT, endpoint), good(ENABLED, String::new()), unknown(SESSIONS), by_query]);
    }
    let error = explain("refused", refusal, &cloud.billing_project);
    let reached = || good(ENDPOINT, endpoint.clone());
    // REST is left.
    let worse = |check| Finding { state: State::Worse, ..bad(check, &error) };
    Ok(match () {
        () if authentication => {
            vec![bad(CREDENTIALS, &error), unknown(ENDPOINT), unknown(ENABLED), unknown(SESSIONS), unknown(TABLE)]
        }
        () if !answered => vec![bad(ENDPOINT, &error), unknown(ENABLED), unknown(SESSIONS), unknown(TABLE)],
        () if disabled => vec![reached(), worse(ENABLED), unknown(SESSIONS), unknown(TABLE)],
        () if forbidden => vec![reached(), good(ENABLED, String::new()), worse(SESSIONS), unknown(TABLE)],
        () => vec![reached(), good(ENABLED, String::new()), unknown(SESSIONS), bad(TABLE, &error)],
    })
}

fn is_authentication(refusal: &Refusal) -> bool {
    let unauthenticated = refusal.status().is_some_and(|status| status.code == Code::Unauthenticated);
    refusal.is_authentication() || unauthenticated
}

/// Whether queries can be run, which `query`, views and the way over REST need.
fn queries(cloud: &Cloud) -> Result<Finding> {
    let found = match cloud.ask(async { Jobs::connect(cloud).await?.dry_run("SELECT 1").await }) {
        Err(error) => return silent(error, QUERIES),
        Ok(found) => found,
    };
    Ok(match found {
        Ok(_) => good(QUERIES, format!("in `{}`", cloud.billing_project)),
        Err(refusal) => {
            let error = super::query::explain_query("refused", refusal, &cloud.billing_project);
            Finding { state: State::Worse, ..bad(QUERIES, &error) }
        }
    })
}

/// Where no answer came, unless the user asked to stop.
fn silent(error: Error, check: &'static str) -> Result<Finding> {
    match error.kind() {
        ErrorKind::Interrupted => Err(error),
        _ => Ok(bad(check, &error)),
    }
}

fn good(check: &'static str, detail: impl Into<String>) -> Finding {
    Finding { check, state: State::Good, detail: detail.into(), fix: None }
}

fn bad(check: &'static str, error: &Error) -> Finding {
    let fix = error.hint_text().map(str::to_owned);
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    let detail = format!("{}{}", error.message(), cause.unwrap_or_default());
    Finding { check, state: State::Bad, detail, fix }
}

fn unknown(check: &'static str) -> Finding {
    Finding { check, state: State::Unknown, detail: "not looked at: see above".to_owned(), fix: None }
}
