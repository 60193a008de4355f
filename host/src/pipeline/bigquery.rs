//! How the pipeline file states a table of BigQuery.

use super::ipc_compression::IpcCompression;
use crate::memory::parse_size;
use crate::source::bigquery::{Access, BigQueryOptions, CredentialsFrom, parse_snapshot};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// Credentials that are in no file: Application Default Credentials, and none at all.
const ADC: &str = "adc";
const ANONYMOUS: &str = "anonymous";

/// How a table of BigQuery is read.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BigQuerySection {
    /// The columns to read, where a field of a struct is `column.field`; all of them by default.
    #[serde(default)]
    pub columns: Vec<String>,
    /// A condition on rows, as after `WHERE` in SQL.
    pub filter: Option<String>,
    /// The table's state at this time, such as `2026-11-01T08:30:00Z`; as it is now by default.
    pub snapshot: Option<String>,
    /// The project that pays.
    pub billing_project: Option<String>,
    /// Where queries run, such as `EU`; where their tables are by default.
    pub location: Option<String>,
    /// Whether the Storage API is used; without it rows come over REST, which is slow.
    pub storage_api: Option<bool>,
    /// Streams that are read at once at most; the order of rows depends on it.
    #[schemars(range(min = 1, max = 256))]
    pub max_streams: Option<u16>,
    /// What all passes together may be billed for, such as `10GiB`.
    pub max_bytes: Option<String>,
    /// `none`, `lz4` or `zstd`: of buffers, on their way.
    pub compression: Option<IpcCompression>,
    /// `adc` (Application Default Credentials), `anonymous`, or a file such as a service account's key, relative to the pipeline file.
    pub credentials: Option<String>,
    /// A service account in whose name is asked.
    pub impersonate: Option<String>,
    /// Another address of the Storage API.
    pub storage_endpoint: Option<String>,
    /// Another address of the REST API.
    pub rest_endpoint: Option<String>,
    /// How much is fetched before it is asked for, such as `256MiB`.
    pub read_ahead: Option<String>,
    /// How long a stream may be silent before it is opened anew.
    #[schemars(range(min = 1, max = 3_600))]
    pub silence_seconds: Option<u64>,
    /// How long a stream is tried again and again, without a row in between, before it is given up.
    #[schemars(range(min = 1, max = 21_600))]
    pub patience_seconds: Option<u64>,
}

fn check_endpoint(key: &str, endpoint: Option<&str>) -> Result<()> {
    match endpoint {
        Some(endpoint) if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") => {
            let error = Error::usage(format!("`{endpoint}` is no address")).at(format!("/source/bigquery/{key}"));
            Err(error.hint("write it with `https://`, or with `http://` where it speaks plain text"))
        }
        _ => Ok(()),
    }
}

impl BigQuerySection {
    /// The file of its credentials, if they are in one.
    pub fn credentials_file(&self) -> Option<&str> {
        self.credentials.as_deref().filter(|from| !matches!(*from, ADC | ANONYMOUS))
    }

    /// With the defaults filled in; files of credentials are relative to `folder`.
    ///
    /// # Errors
    /// Where a size or a time is none.
    pub fn options(&self, folder: &Path) -> Result<BigQueryOptions> {
        let defaults = BigQueryOptions::default();
        check_endpoint("storage_endpoint", self.storage_endpoint.as_deref())?;
        check_endpoint("rest_endpoint", self.rest_endpoint.as_deref())?;
        if self.billing_project.as_deref() == Some("") {
            return Err(Error::usage("the billing project has no name").at("/source/bigquery/billing_project"));
        }
        let size = |key: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(parse_size).transpose();
            parsed.map_err(|error| error.at(format!("/source/bigquery/{key}")))
        };
        let snapshot = self.snapshot.as_deref().map(parse_snapshot).transpose();
        let credentials = match self.credentials.as_deref() {
            None | Some(ADC) => CredentialsFrom::Environment,
            Some(ANONYMOUS) => CredentialsFrom::Anonymous,
            Some(file) => CredentialsFrom::File(folder.join(file)),
        };
        Ok(BigQueryOptions {
            columns: self.columns.clone(),
            filter: self.filter.clone(),
            snapshot: snapshot.map_err(|error: Error| error.at("/source/bigquery/snapshot"))?,
            billing_project: self.billing_project.clone(),
            access: Access {
                credentials,
                impersonate: self.impersonate.clone(),
                storage_endpoint: self.storage_endpoint.clone(),
                rest_endpoint: self.rest_endpoint.clone(),
            },
            location: self.location.clone(),
            storage_api: self.storage_api.unwrap_or(true),
            max_streams: self.max_streams.unwrap_or(defaults.max_streams),
            max_bytes: size("max_bytes", &self.max_bytes)?.map(|bytes| bytes as u64),
            compression: self.compression.map_or(defaults.compression, Into::into),
            read_ahead: size("read_ahead", &self.read_ahead)?.unwrap_or(defaults.read_ahead),
            silence: self.silence_seconds.map_or(defaults.silence, Duration::from_secs),
            patience: self.patience_seconds.map_or(defaults.patience, Duration::from_secs),
        })
    }
}
