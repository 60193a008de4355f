//! A bucket, and what can be asked of it.

use super::address::{Address, Scheme};
use super::explain::{explain, is_missing, no_credentials};
use super::wait::Threads;
use crate::{Error, ErrorKind, Result, Stop};
use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::ClientConfigKey;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::list::PaginatedListStore;
use object_store::multipart::MultipartStore;
use object_store::path::Path as Key;
use object_store::{
    BackoffConfig, Error as Refusal, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutPayload, RetryConfig,
};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// How long a request is tried again for: what is down for longer is for people to look at.
const PATIENCE: Duration = Duration::from_secs(120);
const RETRIES: usize = 8;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long it is waited for the proof of who asks. The metadata server of a machine is near; where there is none, nothing answers.
const PROOF: Duration = Duration::from_secs(10);

/// All that is asked of a store.
pub(super) trait Client: ObjectStore + MultipartStore + PaginatedListStore {}
impl<T: ObjectStore + MultipartStore + PaginatedListStore> Client for T {}

/// An object as a listing shows it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) key: String,
    pub(crate) bytes: u64,
    /// Names its content: another content has another one.
    pub(crate) tag: Option<String>,
    pub(crate) modified: std::time::SystemTime,
}

/// A bucket of a store.
pub struct Bucket {
    address: Address,
    pub(super) client: Arc<dyn Client>,
    pub(super) threads: Threads,
    /// Of the errors that it gives.
    pub(super) kind: ErrorKind,
}

impl Bucket {
    /// Finds credentials, in the environment, for the bucket of an address. `kind` is that of errors: of a source or of an output.
    ///
    /// # Errors
    /// Where there are no credentials, or the settings of the environment make no sense.
    pub fn connect(address: &Address, kind: ErrorKind, stop: Stop) -> Result<Arc<Self>> {
        let root = address.at("");
        // reqwest takes the process's cryptography; it may be set already
        let _ = rustls::crypto::ring::default_provider().install_default();
        let threads = Threads::new(stop)?;
        let bad = |refusal: Refusal| {
            let error = Error::usage("the settings of the object store cannot be used")
                .because(super::explain::reason(&refusal));
            error.file(root.to_string()).hint("see the variables `AWS_…` and `GOOGLE_…` of the environment")
        };
        let entered = threads.handle.enter();
        let brief = RetryConfig { max_retries: 1, retry_timeout: PROOF, ..RetryConfig::default() };
        let patient = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: PATIENCE,
            backoff: BackoffConfig { max_backoff: LONGEST_PAUSE, ..BackoffConfig::default() },
        };
        let client: Arc<dyn Client> = match address.scheme {
            Scheme::S3 => {
                let builder = s3(&root)?;
                if !is_true(builder.get_config_value(&AmazonS3ConfigKey::SkipSignature)) {
                    let asks = builder.clone().with_retry(brief).build().map_err(bad)?.credentials().clone();
                    prove(&threads, &root, async move { asks.get_credential().await.map(drop) })?;
                }
                Arc::new(builder.with_retry(patient).build().map_err(bad)?)
            }
            Scheme::Gcs => {
                let builder = gcs(&root)?;
                if !is_true(builder.get_config_value(&GoogleConfigKey::SkipSignature)) {
                    let asks = builder.clone().with_retry(brief).build().map_err(bad)?.credentials().clone();
                    prove(&threads, &root, async move { asks.get_credential().await.map(drop) })?;
                }
                Arc::new(builder.with_retry(patient).build().map_err(bad)?)
            }
        };
        drop(entered);
        Ok(Arc::new(Self { address: root, client, threads, kind }))
    }

    /// The address of a key.
    pub(crate) fn at(&self, key: &str) -> Address {
        self.address.at(key)
    }

    /// The key as the store wants it.
    pub(crate) fn key(&self, key: &str) -> Result<Key> {
        Key::parse(key).map_err(|error| self.explain("the key cannot be used", key, &error.into()))
    }

    pub(super) fn explain(&self, what: &str, key: &str, refusal: &Refusal) -> Error {
        explain(self.kind, what, &self.at(key), refusal)
    }

    /// The object with a key, if there is one.
    pub(crate) fn look(&self, key: &str) -> Result<Option<Found>> {
        let path = self.key(key)?;
        match self.threads.wait(self.client.head(&path))? {
            Ok(meta) => Ok(Some(meta.into())),
            Err(refusal) if is_missing(&refusal) => Ok(None),
            Err(refusal) => {
                // An answer to a HEAD has no body that would tell why; that to a listing has.
                self.list(key, true)?;
                Err(self.explain("the object cannot be looked at", key, &refusal))
            }
        }
    }

    /// What a small object holds, if there is one.
    pub(crate) fn read(&self, key: &str, most: u64) -> Result<Option<Bytes>> {
        let path = self.key(key)?;
        let read = self.threads.wait(async {
            let result = self.client.get(&path).await?;
            if result.meta.size > most {
                return Ok(None);
            }
            result.bytes().await.map(Some)
        })?;
        match read {
            Ok(Some(bytes)) => Ok(Some(bytes)),
            Ok(None) => {
                Err(Error::new(self.kind, format!("it has more than {most} bytes")).file(self.at(key).to_string()))
            }
            Err(refusal) if is_missing(&refusal) => Ok(None),
            Err(refusal) => Err(self.explain("the object cannot be read", key, &refusal)),
        }
    }

    /// Writes a small object; with `fresh` only where there is none. Tells whether it was written.
    pub(crate) fn write(&self, key: &str, content: Vec<u8>, fresh: bool) -> Result<bool> {
        let path = self.key(key)?;
        let payload = PutPayload::from(content);
        let mode = if fresh { PutMode::Create } else { PutMode::Overwrite };
        let put = self.threads.wait(self.client.put_opts(&path, payload.clone(), mode.into()))?;
        let put = match put {
            // the server knows no conditions: what was looked for before must do
            Err(Refusal::NotImplemented { .. } | Refusal::NotSupported { .. }) if fresh => {
                self.threads.wait(self.client.put(&path, payload))?
            }
            put => put,
        };
        match put {
            Ok(_) => Ok(true),
            Err(Refusal::AlreadyExists { .. }) if fresh => Ok(false),
            Err(refusal) => Err(self.explain("the object cannot be written", key, &refusal)),
        }
    }

    /// Removes an object, which need not be there.
    pub(crate) fn remove(&self, key: &str) -> Result<()> {
        let path = self.key(key)?;
        match self.threads.wait(self.client.delete(&path))? {
            Ok(()) => Ok(()),
            Err(refusal) if is_missing(&refusal) => Ok(()),
            Err(refusal) => Err(self.explain("the object cannot be removed", key, &refusal)),
        }
    }
}

impl From<ObjectMeta> for Found {
    fn from(meta: ObjectMeta) -> Self {
        Self { key: meta.location.to_string(), bytes: meta.size, tag: meta.e_tag, modified: meta.last_modified.into() }
    }
}

/// Whether two names of contents are the same; nothing is told where one is missing. Servers write them in more than one way.
pub(super) fn same(one: &Option<String>, other: &Option<String>) -> bool {
    let bare = |tag: &String| tag.trim_start_matches("W/").trim_matches('"').to_owned();
    one.as_ref().zip(other.as_ref()).is_none_or(|(one, other)| bare(one) == bare(other))
}

/// Gives some bytes of an object, as it was when it had that tag.
pub(super) async fn get(
    client: &dyn Client,
    key: &Key,
    tag: Option<String>,
    range: Range<u64>,
) -> Result<(ObjectMeta, Bytes), Refusal> {
    let options = GetOptions { if_match: tag, range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
    let result = client.get_opts(key, options).await?;
    let meta = result.meta.clone();
    Ok((meta, result.bytes().await?))
}

/// As the environment states it. Plain HTTP is for endpoints that say so.
fn s3(root: &Address) -> Result<AmazonS3Builder> {
    let mut builder = AmazonS3Builder::new();
    for (key, value) in settings("AWS_") {
        builder = builder.with_config(key, value);
    }
    let builder = builder.with_bucket_name(&root.bucket);
    let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
    let endpoint = endpoint.iter().find_map(|key| builder.get_config_value(key));
    Ok(builder.with_allow_http(is_plain(endpoint, root)?))
}

fn gcs(root: &Address) -> Result<GoogleCloudStorageBuilder> {
    let mut builder = GoogleCloudStorageBuilder::new();
    for (key, value) in settings("GOOGLE_") {
        builder = builder.with_config(key, value);
    }
    builder = builder.with_bucket_name(&root.bucket);
    // what Google's own clients look at
    if let Some(emulator) = std::env::var("STORAGE_EMULATOR_HOST").ok().filter(|host| !host.is_empty()) {
        let url = if emulator.contains("://") { emulator } else { format!("http://{emulator}") };
        builder = builder.with_base_url(&url).with_skip_signature(true);
    }
    let plain = is_plain(builder.get_config_value(&GoogleConfigKey::BaseUrl), root)?;
    Ok(builder.with_config(GoogleConfigKey::Client(ClientConfigKey::AllowHttp), plain.to_string()))
}

/// The variables of the environment that a store knows. An empty one is none, as for other programs.
fn settings<K: FromStr>(prefix: &'static str) -> impl Iterator<Item = (K, String)> {
    std::env::vars_os().filter_map(move |(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        let key = name.starts_with(prefix).then(|| name.to_ascii_lowercase().parse().ok())??;
        (!value.is_empty()).then_some((key, value))
    })
}

/// Whether an endpoint is to be spoken to in plain HTTP, which it must say.
fn is_plain(endpoint: Option<String>, root: &Address) -> Result<bool> {
    let Some(endpoint) = endpoint else { return Ok(false) };
    let address = endpoint.parse::<http::Uri>().ok().filter(|address| address.host().is_some());
    match address.as_ref().and_then(http::Uri::scheme_str) {
        Some("http") => Ok(true),
        Some("https") => Ok(false),
        // it may hold a password, and is not shown
        _ => Err(Error::usage("the endpoint of the object store is no URL").file(root.to_string()).hint(
            "`AWS_ENDPOINT_URL`, `GOOGLE_BASE_URL` or `STORAGE_EMULATOR_HOST` is to be such as `https://host:port`",
        )),
    }
}

fn is_true(value: Option<String>) -> bool {
    value.is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on" | "y"))
}

/// Fetches what proves who asks, so that a failure there is told as one, and soon.
fn prove(threads: &Threads, address: &Address, asked: impl Future<Output = Result<(), Refusal>>) -> Result<()> {
    match threads.wait(async { tokio::time::timeout(2 * PROOF, asked).await })? {
        Ok(Ok(())) => Ok(()),
        Ok(Err(refusal)) => Err(no_credentials(address, &refusal)),
        Err(_) => Err(no_credentials(address, &Refusal::Generic { store: "", source: "nobody answers".into() })),
    }
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // the client would show its settings
        f.debug_struct("Bucket").field("address", &self.address).finish_non_exhaustive()
    }
}
