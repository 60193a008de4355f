//! Calls that fail: statuses in the words of Google.

use googleapis_tonic_google_rpc::google::rpc;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_prost::prost::Message as _;

/// The status of a call that fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Failure {
    Unavailable,
    Internal,
    Aborted,
    Cancelled,
    DeadlineExceeded,
    Unknown,
    /// With the milliseconds after which to try again, if any.
    ResourceExhausted(Option<u64>),
    PermissionDenied,
    NotFound,
    Unauthenticated,
    SessionExpired,
}

impl Failure {
    pub(super) fn parse(name: &str, value: Option<u64>) -> Option<Self> {
        Some(match (name, value) {
            ("unavailable", None) => Self::Unavailable,
            ("internal", None) => Self::Internal,
            ("aborted", None) => Self::Aborted,
            ("cancelled", None) => Self::Cancelled,
            ("deadline-exceeded", None) => Self::DeadlineExceeded,
            ("unknown", None) => Self::Unknown,
            ("resource-exhausted", milliseconds) => Self::ResourceExhausted(milliseconds),
            ("permission-denied", None) => Self::PermissionDenied,
            ("not-found", None) => Self::NotFound,
            ("unauthenticated", None) => Self::Unauthenticated,
            ("session-expired", None) => Self::SessionExpired,
            _ => return None,
        })
    }

    /// The status of a call that works on `resource`, for which it would need `permission`; `prefix` is how Google's messages begin.
    pub(crate) fn status(self, prefix: &str, resource: &str, permission: &str) -> Status {
        match self {
            Self::Unavailable => Status::unavailable(
                "Visibility check was unavailable. Please retry the request and contact support if the problem persists",
            ),
            Self::Internal => Status::internal("Received RST_STREAM with error code 2"),
            Self::Aborted => Status::aborted("The operation was aborted."),
            Self::Cancelled => Status::cancelled("The operation was cancelled."),
            Self::DeadlineExceeded => Status::deadline_exceeded("Deadline Exceeded"),
            Self::Unknown => Status::unknown("Unknown Error."),
            Self::ResourceExhausted(milliseconds) => exhausted(milliseconds),
            Self::PermissionDenied => Status::permission_denied(format!(
                "{prefix}: the user does not have '{permission}' permission for '{resource}'"
            )),
            Self::NotFound => Status::not_found(format!("{prefix}: Not found: '{resource}'")),
            Self::Unauthenticated => Status::unauthenticated(
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other \
                 valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
            ),
            Self::SessionExpired => {
                Status::failed_precondition(format!("{prefix}: session expired at 2024-11-23T09:59:13+00:00"))
            }
        }
    }
}

fn exhausted(milliseconds: Option<u64>) -> Status {
    let message = "Quota exceeded for quota metric 'ReadRows requests' and limit 'ReadRows requests per minute'.";
    let Some(milliseconds) = milliseconds else {
        return Status::resource_exhausted(message);
    };
    let (seconds, nanos) = ((milliseconds / 1000) as i64, (milliseconds % 1000) as i32 * 1_000_000);
    let retry = rpc::RetryInfo { retry_delay: Some(prost_types::Duration { seconds, nanos }) };
    let type_url = "type.googleapis.com/google.rpc.RetryInfo".to_owned();
    let details = rpc::Status {
        code: Code::ResourceExhausted as i32,
        message: message.to_owned(),
        details: vec![Any { type_url, value: retry.encode_to_vec() }],
    };
    Status::with_details(Code::ResourceExhausted, message, details.encode_to_vec().into())
}
