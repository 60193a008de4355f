//! What goes wrong on purpose.

use super::call::Call;
use super::refusal::Refusal;
use anyhow::{Result, bail};
use axum::body::Body;
use axum::response::Response;
use clap::ValueEnum;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The kinds of faults, with their names on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    #[value(name = "500")]
    InternalError,
    #[value(name = "502")]
    BadGateway,
    #[value(name = "503")]
    BackendError,
    /// `rateLimitExceeded` with `Retry-After: 1`
    #[value(name = "429")]
    TooManyRequests,
    /// `accessDenied`
    #[value(name = "403")]
    AccessDenied,
    #[value(name = "401")]
    Unauthenticated,
    /// `rateLimitExceeded` with the status 403, as BigQuery documents it
    RateLimit,
    /// `quotaExceeded`, with the status 403
    Quota,
    /// No answer ever
    Stall,
    /// The connection is closed without an answer
    Close,
    /// The request is carried out, and the connection breaks in the middle of the answer
    Reset,
    /// An answer that begins like JSON and is none
    Garbage,
    /// The error page of a proxy, as HTML
    Html,
    /// A page of rows without rows, but with a page token
    PageShort,
    /// Half of a page's rows, and no page token
    Truncated,
}

impl Kind {
    /// The answer that is given instead of the right one, if any.
    pub(crate) async fn instead(self) -> Option<Response> {
        Some(match self {
            Self::InternalError => {
                refusal(500, "internalError", "An internal error occurred and the request could not be completed.")
            }
            Self::BadGateway => {
                html(502, "<title>Error 502 (Server Error)!!1</title><p>The server encountered a temporary error.")
            }
            Self::BackendError => refusal(503, "backendError", "Service is temporarily unavailable. Please try again."),
            Self::TooManyRequests => {
                let mut response = refusal(
                    429,
                    "rateLimitExceeded",
                    "Exceeded rate limits: too many api requests per user per method for this user_method.",
                );
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
            Self::AccessDenied => refusal(
                403,
                "accessDenied",
                "Access Denied: User does not have permission to do this, or perhaps it does not exist.",
            ),
            Self::Unauthenticated => {
                let mut response = refusal(
                    401,
                    "authError",
                    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
                );
                response.headers_mut().insert(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\""),
                );
                response
            }
            Self::RateLimit => {
                refusal(403, "rateLimitExceeded", "Exceeded rate limits: too many concurrent queries for this project.")
            }
            Self::Quota => refusal(
                403,
                "quotaExceeded",
                "Quota exceeded: Your project exceeded quota for tabledata.list bytes per second per project.",
            ),
            Self::Stall => std::future::pending().await,
            // Unwinding ends the task of the connection, and nothing else.
            Self::Close => resume_unwind(Box::new("a connection is closed")),
            Self::Garbage => html(200, "{\"kind\": \"bigquery#"),
            Self::Html => html(
                403,
                "<!DOCTYPE html><html><head><title>Access blocked</title></head><body><h1>The proxy blocked this page.</h1></body></html>",
            ),
            Self::Reset | Self::PageShort | Self::Truncated => return None,
        })
    }

    /// Whether it is a fault of pages of rows only.
    fn is_of_rows(self) -> bool {
        matches!(self, Self::PageShort | Self::Truncated)
    }
}

fn refusal(code: u16, reason: &str, message: &str) -> Response {
    Refusal::new(code, reason, message).into_response()
}

fn html(code: u16, text: &'static str) -> Response {
    let kind = if text.starts_with('{') { "application/json; charset=UTF-8" } else { "text/html; charset=UTF-8" };
    Response::builder()
        .status(code)
        .header(CONTENT_TYPE, kind)
        .body(Body::from(text))
        .expect("the header is well formed")
}

/// A fault as the command line gives it: which requests it strikes, and how many of them.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    path_part: String,
    kind: Kind,
    times: usize,
}

impl Fault {
    /// Parses `[PATH_PART:]KIND[*TIMES]`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (rest, times) = times(text)?;
        let (path_part, kind) = rest.rsplit_once(':').unwrap_or(("", rest));
        match Kind::from_str(kind, false) {
            Ok(kind) => Ok(Self { path_part: path_part.to_owned(), kind, times }),
            Err(_) => {
                let kinds: Vec<_> = Kind::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.get_name()).collect();
                bail!("no fault is called `{kind}`, there are: {}", kinds.join(", "))
            }
        }
    }
}

/// Splits `…[*TIMES]`.
pub(crate) fn times(text: &str) -> Result<(&str, usize)> {
    Ok(match text.rsplit_once('*') {
        Some((rest, times)) => (rest, times.parse()?),
        None => (text, 1),
    })
}

/// All faults, with the times that they still strike.
pub(crate) struct Faults(Vec<(Fault, AtomicUsize)>);

impl Faults {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        let left = |fault: Fault| {
            let times = AtomicUsize::new(fault.times);
            (fault, times)
        };
        Self(faults.into_iter().map(left).collect())
    }

    /// The fault that strikes a request: the first that fits it and has times left.
    pub(crate) fn strike(&self, call: &Call) -> Option<Kind> {
        let path = format!("/{}", call.path.join("/"));
        let fits = |fault: &Fault| path.contains(&fault.path_part) && (call.gives_rows() || !fault.kind.is_of_rows());
        let take = |left: &AtomicUsize| {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        };
        self.0.iter().find(|(fault, left)| fits(fault) && take(left)).map(|(fault, _)| fault.kind)
    }
}
