//! What a store's refusal means, and what to do about it. Its own words are not passed on whole: they hold signatures and account keys.

use super::address::{Address, Scheme};
use crate::{Error, ErrorKind};
use object_store::Error as Refusal;

/// What to do about a key with empty parts (`a//b`), with `.` or `..` for one, or with control characters.
pub(crate) const ODD_KEY: &str =
    "requests name no such keys: copy the object to another key, or read a folder or a glob without it";

/// Whether something is not there, or a bucket isn't.
pub(super) fn is_missing(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::NotFound { .. })
}

/// An error of a kind that says what could not be done with an address, and why.
pub(super) fn explain(kind: ErrorKind, what: &str, address: &Address, refusal: &Refusal) -> Error {
    let code = tag(&refusal.to_string(), "Code");
    let bucket = &address.bucket;
    let (message, hint) = match (refusal, code.as_deref()) {
        (_, Some("NoSuchBucket")) => (format!("there is no bucket `{bucket}`"), "check its name, and the endpoint"),
        (Refusal::NotFound { .. }, _) => (format!("{what}: there is no such object"), "check the address"),
        (_, Some("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken")) => {
            (format!("the credentials for the bucket `{bucket}` are refused"), credentials_hint(address.scheme))
        }
        (Refusal::Unauthenticated { .. }, _) => {
            (format!("the credentials for the bucket `{bucket}` are refused"), credentials_hint(address.scheme))
        }
        (Refusal::PermissionDenied { .. }, _) => {
            (format!("{what}: permission is denied"), permission_hint(address.scheme, kind))
        }
        (Refusal::InvalidPath { .. }, _) => (what.to_owned(), ODD_KEY),
        (Refusal::Precondition { .. }, _) => {
            (format!("{what}: it has changed"), "start again once nothing writes to it")
        }
        _ => (what.to_owned(), "check the network, the endpoint and the region, then run again"),
    };
    Error::new(kind, message).because(reason(refusal)).file(address.to_string()).hint(hint)
}

/// Credentials could not be had at all.
pub(super) fn no_credentials(address: &Address, refusal: &Refusal) -> Error {
    let message = format!("there are no credentials for the bucket `{}`", address.bucket);
    Error::usage(message).because(reason(refusal)).file(address.to_string()).hint(credentials_hint(address.scheme))
}

fn credentials_hint(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::S3 => {
            "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` (and `AWS_SESSION_TOKEN`), or `AWS_SKIP_SIGNATURE=true` for public buckets"
        }
        Scheme::Gcs => {
            "run `gcloud auth application-default login`, or set `GOOGLE_APPLICATION_CREDENTIALS`; `GOOGLE_SKIP_SIGNATURE=true` is for public buckets"
        }
    }
}

fn permission_hint(scheme: Scheme, kind: ErrorKind) -> &'static str {
    match (scheme, kind) {
        (Scheme::S3, ErrorKind::Output) => {
            "writing needs `s3:ListBucket`, `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject` and `s3:AbortMultipartUpload`"
        }
        (Scheme::S3, _) => "reading needs `s3:ListBucket` and `s3:GetObject`",
        (Scheme::Gcs, ErrorKind::Output) => "writing needs the role `roles/storage.objectUser` of the bucket",
        (Scheme::Gcs, _) => "reading needs the role `roles/storage.objectViewer` of the bucket",
    }
}

/// What the store answered, in its own short words.
pub(super) fn reason(refusal: &Refusal) -> String {
    let text = refusal.to_string();
    if let Some(code) = tag(&text, "Code") {
        return match tag(&text, "Message") {
            Some(message) => format!("{code}: {message}"),
            None => code,
        };
    }
    const STATUS: &str = "status code: ";
    if let Some(at) = text.find(STATUS) {
        let status = &text[at + STATUS.len()..];
        return format!("the server answers {}", status.split(':').next().unwrap_or(status).trim());
    }
    let mut innermost: &dyn std::error::Error = refusal;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// What an element of an XML answer holds.
fn tag(text: &str, name: &str) -> Option<String> {
    const MOST: usize = 300;
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (content, _) = rest.split_once(&format!("</{name}>"))?;
    Some(content.chars().take(MOST).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> Refusal {
        Refusal::PermissionDenied { path: "key".to_owned(), source: body.to_owned().into() }
    }

    #[test]
    fn what_a_server_says_of_signatures_is_not_passed_on() {
        let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>no match</Message><AWSAccessKeyId>AKIAX</AWSAccessKeyId>\
                    <StringToSign>secret</StringToSign></Error>";
        let address = Address::parse("s3://bucket/key").unwrap();
        let error = explain(ErrorKind::Source, "cannot read the object", &address, &refused(body));
        assert_eq!(error.message(), "the credentials for the bucket `bucket` are refused");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "SignatureDoesNotMatch: no match");
    }

    #[test]
    fn a_status_without_a_body_is_told() {
        let refusal = Refusal::Generic {
            store: "S3",
            source: "Server returned non-2xx status code: 503 Service Unavailable: ".into(),
        };
        assert_eq!(reason(&refusal), "the server answers 503 Service Unavailable");
    }
}
