//! Errors, as Google's JSON has them.

use super::json;
use axum::response::Response;
use serde_json::{Value, json};
use std::fmt::Display;

/// Why a request is not carried out.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: u16,
    status: &'static str,
    reason: String,
    message: String,
    /// The parameter at fault.
    parameter: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(code: u16, reason: &str, message: impl Display) -> Self {
        let status = match code {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ALREADY_EXISTS",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            _ => "INTERNAL",
        };
        Self { code, status, reason: reason.to_owned(), message: message.to_string(), parameter: None }
    }

    pub(crate) fn invalid(message: impl Display) -> Self {
        Self::new(400, "invalid", message)
    }

    pub(crate) fn not_found(what: impl Display) -> Self {
        Self::new(404, "notFound", format!("Not found: {what}"))
    }

    pub(crate) fn invalid_query(message: impl Display) -> Self {
        Self { parameter: Some("q"), ..Self::new(400, "invalidQuery", message) }
    }

    pub(crate) fn unknown_address() -> Self {
        Self::new(404, "notFound", "The requested URL was not found on this server.")
    }

    /// The error of a job that failed, of which BigQuery documents the codes.
    pub(crate) fn of_job(reason: &str, message: &str) -> Self {
        let code = match reason {
            "accessDenied" | "quotaExceeded" | "rateLimitExceeded" | "responseTooLarge" => 403,
            "notFound" => 404,
            "duplicate" => 409,
            "internalError" => 500,
            "backendError" => 503,
            _ => 400,
        };
        Self::new(code, reason, message)
    }

    pub(crate) fn body(&self) -> Value {
        let mut error = json!({ "message": self.message, "domain": "global", "reason": self.reason });
        if let Some(parameter) = self.parameter {
            error["location"] = parameter.into();
            error["locationType"] = "parameter".into();
        }
        json!({ "error": {
            "code": self.code, "message": self.message, "errors": [error], "status": self.status
        } })
    }

    pub(crate) fn into_response(self) -> Response {
        json(self.code, &self.body())
    }
}
