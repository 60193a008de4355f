//! What goes wrong on purpose.

use super::call::Call;
use super::refusal::Refusal;
use anyhow::{Result, bail};
use axum::body::Body;
use axum::response::Response;
use clap::ValueEnum;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use std::future::pending;
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
        let retry = (RETRY_AFTER, HeaderValue::from_static("1"));
        let invalid = (WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
        Some(match self {
            Self::InternalError => refusal(500, "internalError", "An internal error occurred.", None),
            Self::BadGateway => page(502, HTML, "<title>Error 502 (Server Error)!!1</title>"),
            Self::BackendError => refusal(503, "backendError", "Service is temporarily unavailable.", None),
            Self::TooManyRequests => {
                refusal(429, "rateLimitExceeded", "Exceeded rate limits: too many api requests.", Some(retry))
            }
            Self::AccessDenied => refusal(403, "accessDenied", "Access Denied: User does not have permission.", None),
            Self::Unauthenticated => {
                let message = "Request had invalid authentication credentials.";
                refusal(401, "authError", message, Some(invalid))
            }
            Self::RateLimit => refusal(403, "rateLimitExceeded", "Exceeded rate limits: too many queries.", None),
            Self::Quota => refusal(403, "quotaExceeded", "Quota exceeded: tabledata.list bytes per second.", None),
            Self::Stall => pending().await,
            // Unwinding ends the task of the connection, and nothing else.
            Self::Close => resume_unwind(Box::new("a connection is closed")),
            Self::Garbage => page(200, JSON, "{\"kind\": \"bigquery#"),
            Self::Html => {
                page(403, HTML, "<html><title>Access blocked</title><h1>The proxy blocked this page.</h1></html>")
            }
            Self::Reset | Self::PageShort | Self::Truncated => return None,
        })
    }

    /// Whether it is a fault of pages of rows only.
    fn is_of_rows(self) -> bool {
        matches!(self, Self::PageShort | Self::Truncated)
    }
}

const JSON: &str = "application/json; charset=UTF-8";
const HTML: &str = "text/html; charset=UTF-8";

fn refusal(code: u16, reason: &str, message: &str, header: Option<(HeaderName, HeaderValue)>) -> Response {
    let mut response = Refusal::new(code, reason, message).into_response();
    response.headers_mut().extend(header);
    response
}

fn page(code: u16, content_type: &'static str, text: &'static str) -> Response {
    let response = Response::builder().status(code).header(CONTENT_TYPE, content_type);
    response.body(Body::from(text)).expect("the header is well formed")
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
