//! The options of the REST API.

use super::fault::{self, Fault};
use crate::catalog::TableName;
use anyhow::{Context, Result};

/// The options of the REST API, which is served on the same port.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A view, as PROJECT.DATASET.VIEW, or as PROJECT.DATASET.VIEW=PROJECT.DATASET.TABLE to say which table's rows a query of it gives; the
    /// Storage Read API and tabledata.list refuse to read it; may be given several times
    #[arg(long = "view", value_name = "NAME[=TABLE]", value_parser = view)]
    pub(crate) views: Vec<(TableName, Option<TableName>)>,
    /// What a query gives, as 'SQL=PROJECT.DATASET.TABLE'; spaces in the SQL don't matter; may be given several times. SELECT * FROM `a.b.c`
    /// is known for all tables and views
    #[arg(long = "query", value_name = "SQL=TABLE", value_parser = query)]
    pub(crate) queries: Vec<(String, TableName)>,
    /// How often a job is still running when it is asked for
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) job_polls: usize,
    /// The error in which the next query jobs end, such as backendError or jobRateLimitExceeded*2; may be given several times
    #[arg(long, value_name = "REASON[*N]", value_parser = query_fails)]
    pub(crate) query_fails: Vec<(String, usize)>,
    /// What goes wrong with the next N requests (default 1) whose path contains PATH_PART: 500, 502, 503, 429, 403, 401, rate-limit, quota,
    /// stall, close (no answer), reset (half of one), garbage, html, and for pages of rows page-short (none, but a token) and truncated (half,
    /// and no token); may be given several times, and strikes in this order
    #[arg(long = "rest-fault", value_name = "[PATH_PART:]KIND[*N]", value_parser = Fault::parse)]
    pub(crate) rest_faults: Vec<Fault>,
    /// Where all tables and jobs are
    #[arg(long, default_value = "US")]
    pub(crate) location: String,
    /// Refuses read sessions as for an account without bigquery.readsessions.create
    #[arg(long)]
    pub(crate) no_storage_api: bool,
    /// Refuses read sessions as for a project in which the Storage API is not enabled
    #[arg(long, conflicts_with = "no_storage_api")]
    pub(crate) storage_api_disabled: bool,
}

fn view(text: &str) -> Result<(TableName, Option<TableName>)> {
    match text.split_once('=') {
        Some((name, table)) => Ok((TableName::parse_dotted(name)?, Some(TableName::parse_dotted(table)?))),
        None => Ok((TableName::parse_dotted(text)?, None)),
    }
}

fn query(text: &str) -> Result<(String, TableName)> {
    // The SQL may have equals signs as well.
    let (sql, table) = text.rsplit_once('=').with_context(|| format!("`{text}` is not SQL=PROJECT.DATASET.TABLE"))?;
    Ok((sql.to_owned(), TableName::parse_dotted(table)?))
}

fn query_fails(text: &str) -> Result<(String, usize)> {
    let (reason, times) = fault::times(text)?;
    Ok((reason.to_owned(), times))
}
