//! What BigQuery's refusals mean, and what to do about them.

use crate::Error;
use google_cloud_gax::error::rpc::{Code, StatusDetails};
use std::time::Duration;

pub(super) type Refusal = google_cloud_bigquery::Error;

/// What to do about a server that sends what BigQuery never does.
pub(super) const BROKEN: &str =
    "the server does not keep to the protocol of BigQuery: check the endpoint, and report it";

/// An error that says `what` failed, why, and what to do next.
pub(super) fn explain(what: impl Into<String>, refusal: Refusal, billing_project: &str) -> Error {
    let refusal = root(&refusal);
    let hint = hint(refusal, billing_project);
    let message = match refusal.status() {
        Some(status) if !status.message.is_empty() => {
            format!("{}: {} ({})", what.into(), first_line(&status.message), status.code.name())
        }
        _ => format!("{}: {}", what.into(), innermost(refusal)),
    };
    Error::source(message).hint(hint)
}

/// What was refused in the end, where it was tried several times.
fn root(refusal: &Refusal) -> &Refusal {
    let mut found = refusal;
    let mut cause = std::error::Error::source(refusal);
    while let Some(next) = cause {
        found = next.downcast_ref().unwrap_or(found);
        cause = next.source();
    }
    found
}

/// Servers may send anything.
fn first_line(message: &str) -> String {
    const MOST: usize = 500;
    message.lines().next().unwrap_or_default().chars().filter(|sign| !sign.is_control()).take(MOST).collect()
}

/// The innermost cause is what tells; the ones around it repeat it.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    // The query of an address may hold a secret.
    let words = text.split(' ').map(|word| match word.split_once('?') {
        Some((address, _)) if address.contains("://") => address,
        _ => word,
    });
    first_line(&words.collect::<Vec<_>>().join(" "))
}

fn hint(refusal: &Refusal, billing_project: &str) -> String {
    if refusal.is_authentication() {
        return "the credentials are not accepted: `wafermill doctor` tells which are used".to_owned();
    }
    if is_disabled(refusal) {
        return format!(
            "enable it: `gcloud services enable bigquerystorage.googleapis.com --project {billing_project}`"
        );
    }
    match refusal.status().map(|status| status.code) {
        Some(Code::PermissionDenied) => format!(
            "reading needs `bigquery.readsessions.create` in the billing project `{billing_project}` (role `roles/bigquery.readSessionUser`) and `bigquery.tables.getData` on the table (role `roles/bigquery.dataViewer`); another project pays with `billing_project` or `--billing-project`"
        ),
        Some(Code::Unauthenticated) => {
            "the credentials are not accepted: `wafermill doctor` tells which are used".to_owned()
        }
        Some(Code::NotFound) => {
            "check project, dataset and table, and that the billing project is in the same region".to_owned()
        }
        Some(Code::ResourceExhausted) => {
            "a quota is used up: wait, ask for fewer streams, or raise it in the Cloud console".to_owned()
        }
        Some(Code::InvalidArgument) => "check columns, filter and snapshot; views are read by a `query`".to_owned(),
        Some(Code::Unavailable | Code::Internal | Code::Aborted | Code::DeadlineExceeded) => {
            "BigQuery may have an outage: run again later".to_owned()
        }
        Some(_) => "docs/bigquery.md explains the messages of BigQuery".to_owned(),
        None => "check the network, a proxy, and the endpoint; `wafermill doctor` tries each".to_owned(),
    }
}

/// Whether the API is not enabled in the project.
pub(super) fn is_disabled(refusal: &Refusal) -> bool {
    let details = refusal.status().into_iter().flat_map(|status| &status.details);
    details
        .into_iter()
        .any(|detail| matches!(detail, StatusDetails::ErrorInfo(info) if info.reason == "SERVICE_DISABLED"))
}

/// Whether sessions may not be created, which is no fault of the table.
pub(super) fn forbids_sessions(refusal: &Refusal) -> bool {
    refusal.status().is_some_and(|status| {
        status.code == Code::PermissionDenied
            && (is_disabled(refusal) || status.message.contains("bigquery.readsessions.create"))
    })
}

/// How long the server asks to wait.
pub(super) fn asked_delay(refusal: &Refusal) -> Option<Duration> {
    let details = refusal.status().into_iter().flat_map(|status| &status.details);
    let delay = details.into_iter().find_map(|detail| match detail {
        StatusDetails::RetryInfo(info) => info.retry_delay,
        _ => None,
    })?;
    Duration::try_from(delay).ok()
}
