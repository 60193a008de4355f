//! What all reading of BigQuery shares: who asks, who pays, and the threads on which answers are waited for.

use super::connector::Connector;
use super::explain::innermost;
use super::options::BigQueryOptions;
use super::{TableName, credentials};
use crate::source::Context;
use crate::{Error, Result};
use http::Extensions;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};

/// How often it is asked whether to stop.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// How long it is waited for the proof of who asks. The metadata server is near; where there is none, nothing answers.
const PROOF: Duration = Duration::from_secs(30);

/// A way to BigQuery.
pub(super) struct Cloud {
    runtime: Option<Runtime>,
    pub(super) handle: Handle,
    pub(super) connector: Connector,
    pub(super) billing_project: String,
    pub(super) options: BigQueryOptions,
    pub(super) context: Context,
}

impl Cloud {
    /// Finds credentials and the project that pays; nothing is asked of the network yet.
    pub(super) fn new(table: Option<&TableName>, options: BigQueryOptions, context: Context) -> Result<Self> {
        let runtime = runtime()?;
        // Credentials refresh themselves, in a task of their own.
        let entered = runtime.enter();
        let connector = Connector {
            endpoint: options.access.storage_endpoint.clone(),
            credentials: credentials::credentials(&options.access)?,
        };
        drop(entered);
        let billing_project = credentials::billing_project(options.billing_project.as_deref(), &options.access, table)?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle, connector, billing_project, options, context })
    }

    /// Waits for what BigQuery answers, unless the user asks to stop.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        self.handle.block_on(async {
            tokio::pin!(work);
            loop {
                match tokio::time::timeout(TICK, work.as_mut()).await {
                    Ok(done) => return Ok(done),
                    Err(_) => self.context.stop.check()?,
                }
            }
        })
    }

    /// As [`Self::wait`], but no longer than patience lasts: what the crates below do before and between requests has no limits of its own.
    pub(super) fn ask<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let patience = self.options.patience;
        let asked = self.wait(async { tokio::time::timeout(patience, work).await })?;
        asked.map_err(|_| {
            let message = format!("no answer from BigQuery within {} s", patience.as_secs());
            Error::source(message).hint("check the network, a proxy, and the endpoint; `wafermill doctor` tries each")
        })
    }

    /// Fetches what proves who asks: a failure there is one of credentials, and not of BigQuery.
    ///
    /// # Errors
    /// Where nobody vouches for the credentials, or the user asks to stop.
    pub(super) fn authenticate(&self) -> Result<()> {
        let access = &self.options.access;
        let patience = self.options.patience.min(PROOF);
        let asked =
            async { tokio::time::timeout(patience, self.connector.credentials.headers(Extensions::new())).await };
        match self.wait(asked)? {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(credentials::unproven(access).because(innermost(&error))),
            Err(_) => Err(credentials::unproven(access)),
        }
    }

    pub(super) fn warn(&self, message: &str) {
        (self.context.warn)(message);
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // A look-up of a name cannot be interrupted, and nobody waits for it any more.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Threads that decode.
fn runtime() -> Result<Runtime> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let built = builder.worker_threads(threads).thread_name("bigquery").enable_all().build();
    built.map_err(|error| Error::internal("no threads for BigQuery").because(error))
}
