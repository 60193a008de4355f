//! Projects in which the Storage Read API can't be used: read sessions are refused with Google's texts and details.

use axum::Router;
use axum::extract::Request;
use axum::routing::post;
use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as api;
use googleapis_tonic_google_rpc::google::rpc;
use std::future::{Ready, ready};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Response, Status};
use tonic_prost::ProstCodec;
use tonic_prost::prost::Message;

const CREATE_READ_SESSION: &str = "/google.cloud.bigquery.storage.v1.BigQueryRead/CreateReadSession";

/// Whether read sessions can be created.
#[derive(Clone, Copy)]
pub(crate) enum StorageApi {
    Allowed,
    Forbidden,
    Disabled,
}

impl StorageApi {
    pub(crate) fn new(forbidden: bool, disabled: bool) -> Self {
        match (forbidden, disabled) {
            (true, _) => Self::Forbidden,
            (_, true) => Self::Disabled,
            _ => Self::Allowed,
        }
    }

    /// Puts a refusal in front of the service where it is wanted.
    pub(crate) fn guard(self, services: Router) -> Router {
        if let Self::Allowed = self {
            return services;
        }
        let refuse = async move |request: Request| Grpc::new(ProstCodec::default()).unary(self, request).await;
        services.route(CREATE_READ_SESSION, post(refuse))
    }

    fn refusal(self, parent: &str) -> Status {
        if let Self::Disabled = self {
            return disabled(parent);
        }
        let message = "request failed: the user does not have 'bigquery.readsessions.create' permission for";
        Status::permission_denied(format!("{message} '{parent}'"))
    }
}

impl UnaryService<api::CreateReadSessionRequest> for StorageApi {
    type Response = api::ReadSession;
    type Future = Ready<Result<Response<api::ReadSession>, Status>>;

    fn call(&mut self, request: tonic::Request<api::CreateReadSessionRequest>) -> Self::Future {
        ready(Err(self.refusal(&request.get_ref().parent)))
    }
}

fn disabled(parent: &str) -> Status {
    let project = parent.trim_start_matches("projects/");
    let page = "https://console.developers.google.com/apis/api/bigquerystorage.googleapis.com/overview";
    let message = format!(
        "BigQuery Storage API has not been used in project {project} before or it is disabled. Enable it by visiting \
         {page}?project={project} then retry. If you enabled this API recently, wait a few minutes for the action to \
         propagate to our systems and retry."
    );
    let info = rpc::ErrorInfo {
        reason: "SERVICE_DISABLED".to_owned(),
        domain: "googleapis.com".to_owned(),
        metadata: [("service", "bigquerystorage.googleapis.com"), ("consumer", parent)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    };
    let type_url = "type.googleapis.com/google.rpc.ErrorInfo".to_owned();
    let details = vec![prost_types::Any { type_url, value: info.encode_to_vec() }];
    let status = rpc::Status { code: Code::PermissionDenied as i32, message: message.clone(), details };
    Status::with_details(Code::PermissionDenied, message, status.encode_to_vec().into())
}
