//! BigQuery's REST API beside the Storage Read API: tables, their rows, and query jobs.
//!
//! Source: the reference of the BigQuery API, v2. Only what a reader needs is here, and no SQL: the command line says what a query gives.

mod break_off;
mod call;
mod cell;
mod civil;
mod fault;
mod job;
mod number;
mod options;
mod page;
mod queries;
mod refusal;
mod schema;
mod selection;
mod size;
mod storage;
mod table;

pub(crate) use options::Options;

use crate::catalog::Catalog;
use anyhow::Result;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use call::Call;
use fault::{Faults, Kind};
use http::Method;
use http::header::CONTENT_TYPE;
use job::Jobs;
use queries::Queries;
use refusal::Refusal;
use serde_json::Value;
use std::sync::Arc;
use std::time::SystemTime;
use storage::StorageApi;
use tonic::service::Routes;

/// The most that a request's body may have; a query's text has at most 1 MB.
const BODY_BYTES: usize = 10 << 20;

/// What the REST API tells of.
pub(crate) struct Rest {
    catalog: Catalog,
    queries: Queries,
    jobs: Jobs,
    faults: Faults,
    storage_api: StorageApi,
    billing_project: String,
    location: String,
    /// When all tables were made.
    created: SystemTime,
}

impl Rest {
    /// Adds the results of all queries to a catalog, so that both APIs read them.
    pub(crate) fn new(options: Options, billing_project: &str, catalog: &mut Catalog) -> Result<Self> {
        let (jobs, faults) = (Jobs::new(options.job_polls, options.query_fails), Faults::new(options.rest_faults));
        let queries = Queries::new(options.queries, options.views, billing_project, catalog)?;
        let storage_api = StorageApi::new(options.no_storage_api, options.storage_api_disabled);
        let (billing_project, location) = (billing_project.to_owned(), options.location);
        let created = SystemTime::now();
        Ok(Self { catalog: catalog.clone(), queries, jobs, faults, storage_api, billing_project, location, created })
    }

    /// Answers what the services over gRPC don't.
    pub(crate) fn beside(self, services: Routes) -> Routes {
        let rest = Arc::new(self);
        let storage_api = rest.storage_api;
        let router = storage_api.guard(services.into_axum_router());
        Routes::from(router.fallback(move |request| {
            let rest = rest.clone();
            async move { rest.answer(request).await }
        }))
    }

    async fn answer(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let Ok(body) = to_bytes(body, BODY_BYTES).await else {
            return Refusal::invalid("The request's body could not be read.").into_response();
        };
        let Ok(mut call) = Call::new(&head) else {
            return Refusal::invalid("The request's address could not be read.").into_response();
        };
        let fault = self.faults.strike(&call);
        if let Some(fault) = fault
            && let Some(response) = fault.instead().await
        {
            return response;
        }
        call.fault = fault;
        let answered = self.dispatch(&call, &body).map_or_else(Refusal::into_response, |value| json(200, &value));
        match fault {
            Some(Kind::Reset) => break_off::halfway(answered).await,
            _ => answered,
        }
    }

    fn dispatch(&self, call: &Call, body: &[u8]) -> Result<Value, Refusal> {
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        let ["bigquery", "v2", "projects", project, path @ ..] = &path[..] else {
            return Err(Refusal::unknown_address());
        };
        match (&call.method, path) {
            (&Method::GET, ["datasets", dataset, "tables", table]) => {
                self.table(&table::name(project, dataset, table), call)
            }
            (&Method::GET, ["datasets", dataset, "tables", table, "data"]) => {
                self.table_data(&table::name(project, dataset, table), call)
            }
            (&Method::POST, ["jobs"]) => self.insert_job(project, body),
            (&Method::GET, ["jobs", id]) => self.get_job(project, id, call),
            (&Method::GET, ["queries", id]) => self.query_results(project, id, call),
            _ => Err(Refusal::unknown_address()),
        }
    }
}

/// A response that carries JSON.
fn json(status: u16, value: &Value) -> Response {
    let response = Response::builder().status(status).header(CONTENT_TYPE, "application/json; charset=UTF-8");
    response.body(Body::from(value.to_string())).expect("the header is well formed")
}
