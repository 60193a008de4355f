//! The gRPC service `google.cloud.bigquery.storage.v1.BigQueryRead`: the published crate of its messages has no stubs for servers.

use crate::connection::Line;
use crate::reading;
use crate::session::Sessions;
use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as api;
use http::{Request as HttpRequest, Response as HttpResponse};
use http_body::Body as _;
use std::convert::Infallible;
use std::future::{Future, Ready, pending, poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tonic_prost::prost::Message;
use tower_service::Service;

/// Longer than any request to read rows.
const LONGEST_REQUEST: usize = 1 << 20;

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
                "ReadRows" => read_rows(&sessions, request).await.unwrap_or_else(Status::into_http),
                "SplitReadStream" => Grpc::new(ProstCodec::default()).unary(SplitReadStream(sessions), request).await,
                _ => Status::unimplemented(format!("this server has no `{method}`")).into_http(),
            })
        })
    }
}

struct CreateReadSession(Arc<Sessions>);

impl UnaryService<api::CreateReadSessionRequest> for CreateReadSession {
    type Response = api::ReadSession;
    type Future = Pin<Box<dyn Future<Output = Result<Response<api::ReadSession>, Status>> + Send>>;

    fn call(&mut self, request: Request<api::CreateReadSessionRequest>) -> Self::Future {
        let sessions = self.0.clone();
        Box::pin(async move {
            match sessions.fault() {
                None => sessions.create(request.into_inner()).map(Response::new),
                Some(Some(failure)) => {
                    Err(failure.status("request failed", &request.get_ref().parent, "bigquery.readsessions.create"))
                }
                Some(None) => pending().await,
            }
        })
    }
}

struct SplitReadStream(Arc<Sessions>);

impl UnaryService<api::SplitReadStreamRequest> for SplitReadStream {
    type Response = api::SplitReadStreamResponse;
    type Future = Ready<Result<Response<api::SplitReadStreamResponse>, Status>>;

    fn call(&mut self, request: Request<api::SplitReadStreamRequest>) -> Self::Future {
        ready(self.0.split(request.get_ref()).map(Response::new))
    }
}

/// Its body is not tonic's: faults cut it where no server would.
async fn read_rows(sessions: &Sessions, request: HttpRequest<Body>) -> Result<HttpResponse<Body>, Status> {
    let line = request.extensions().get::<Line>().cloned().unwrap_or_default();
    let api::ReadRowsRequest { read_stream, offset } = message(request.into_body()).await?;
    reading::read(sessions.stream(&read_stream)?, offset, line).await
}

/// The one message of a request.
async fn message<M: Message + Default>(mut body: Body) -> Result<M, Status> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > LONGEST_REQUEST {
            return Err(Status::resource_exhausted("the request is too long"));
        }
    }
    // Before the message stand whether it is compressed, which no client of this server has been told it may do, and its length.
    match bytes.get(5..) {
        Some(message) if bytes[0] == 0 => {
            M::decode(message).map_err(|error| Status::internal(format!("cannot decode the request: {error}")))
        }
        _ => Err(Status::internal("the request has no message that this server can read")),
    }
}
