//! The gRPC service `google.cloud.bigquery.storage.v1.BigQueryRead`: the published crate of its messages has no stubs for servers.

use crate::session::Sessions;
use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as api;
use http::{Request as HttpRequest, Response as HttpResponse};
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio_stream::Stream;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

/// The service.
#[derive(Clone)]
pub(crate) struct BigQueryRead {
    sessions: Arc<Sessions>,
}

impl BigQueryRead {
    pub(crate) fn new(sessions: Arc<Sessions>) -> Self {
        Self { sessions }
    }
}

impl NamedService for BigQueryRead {
    const NAME: &'static str = "google.cloud.bigquery.storage.v1.BigQueryRead";
}

impl Service<HttpRequest<Body>> for BigQueryRead {
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        let sessions = self.sessions.clone();
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        Box::pin(async move {
            Ok(match method.as_str() {
                "CreateReadSession" => {
                    Grpc::new(ProstCodec::default()).unary(CreateReadSession(sessions), request).await
                }
                "ReadRows" => Grpc::new(ProstCodec::default()).server_streaming(ReadRows(sessions), request).await,
                _ => Status::unimplemented(format!("this server has no `{method}`")).into_http(),
            })
        })
    }
}

struct CreateReadSession(Arc<Sessions>);

impl UnaryService<api::CreateReadSessionRequest> for CreateReadSession {
    type Response = api::ReadSession;
    type Future = Ready<Result<Response<api::ReadSession>, Status>>;

    fn call(&mut self, request: Request<api::CreateReadSessionRequest>) -> Self::Future {
        ready(self.0.create(request.into_inner()).map(Response::new))
    }
}

struct ReadRows(Arc<Sessions>);

type Responses = Pin<Box<dyn Stream<Item = Result<api::ReadRowsResponse, Status>> + Send>>;

impl ServerStreamingService<api::ReadRowsRequest> for ReadRows {
    type Response = api::ReadRowsResponse;
    type ResponseStream = Responses;
    type Future = Ready<Result<Response<Responses>, Status>>;

    fn call(&mut self, request: Request<api::ReadRowsRequest>) -> Self::Future {
        let api::ReadRowsRequest { read_stream, offset } = request.into_inner();
        let responses = self.0.stream(&read_stream).and_then(|stream| stream.read(offset));
        ready(responses.map(|responses| Response::new(Box::pin(tokio_stream::iter(responses)) as Responses)))
    }
}
