//! Connections to the Storage API.

use super::explain::Refusal;
use google_cloud_auth::credentials::Credentials;
use google_cloud_bigquery::client::Read;

/// Makes connections. A client has one, and a stream has a client of its own: the streams of one connection share its window,
/// so that some which nobody reads could hold up the one that is waited for.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) endpoint: Option<String>,
    pub(super) credentials: Credentials,
}

impl Connector {
    /// A new client. It connects when it is first used.
    pub(super) async fn connect(&self) -> Result<Read, Refusal> {
        let builder = Read::builder().with_credentials(self.credentials.clone());
        let builder = match &self.endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint),
            None => builder,
        };
        builder.build().await.map_err(Refusal::connect)
    }
}
