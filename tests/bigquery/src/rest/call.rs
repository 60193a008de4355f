//! A request: its path and its parameters.

use super::fault::Kind;
use super::refusal::Refusal;
use anyhow::Result;
use http::{Method, request};
use percent_encoding::percent_decode_str;
use std::collections::HashMap;
use std::str::FromStr;

/// A request without its body.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The path's segments, decoded.
    pub(crate) path: Vec<String>,
    parameters: HashMap<String, String>,
    /// What is to go wrong with the answer.
    pub(crate) fault: Option<Kind>,
}

impl Call {
    pub(crate) fn new(head: &request::Parts) -> Result<Self> {
        let decoded = |text: &str| Ok(percent_decode_str(text).decode_utf8()?.into_owned());
        let path = head.uri.path().trim_start_matches('/').split('/').map(decoded).collect::<Result<_>>()?;
        let mut parameters = HashMap::new();
        for pair in head.uri.query().unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.insert(decoded(&name.replace('+', " "))?, decoded(&value.replace('+', " "))?);
        }
        Ok(Self { method: head.method.clone(), path, parameters, fault: None })
    }

    /// A parameter; one without a value is as good as none.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A parameter that is a number or a Boolean.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let parsed = self.parameter(name).map(|value| value.to_ascii_lowercase().parse());
        parsed.transpose().map_err(|_| Refusal::invalid(format!("Invalid value for {name}.")))
    }

    /// Whether the answer is a page of rows.
    pub(crate) fn gives_rows(&self) -> bool {
        let queries = self.path.iter().rev().nth(1).is_some_and(|segment| segment == "queries");
        self.method == Method::GET && (queries || self.path.last().is_some_and(|segment| segment == "data"))
    }
}
