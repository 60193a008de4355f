//! `call.json`.

use super::Given;
use crate::contract::ColumnRole;
use crate::pipeline::LimitsSection;
use serde::{Deserialize, Serialize};

/// The version of the form.
pub(super) const FORMAT: u32 = 1;

/// A call that can be made again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Learning from a batch.
    #[serde(rename = "fitter.update")]
    Update,
    /// Transforming a batch.
    #[serde(rename = "transformer.apply")]
    Apply,
}

impl Call {
    /// For the name of a folder.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Apply => "apply",
        }
    }

    /// As in the contract.
    pub fn export(self) -> &'static str {
        match self {
            Self::Update => "fitter.update",
            Self::Apply => "transformer.apply",
        }
    }
}

/// A call of a plugin, but for the tables that it was given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub(super) format: u32,
    /// The version of the program that wrote it.
    pub wafermill: String,
    /// Which call it is.
    pub call: Call,
    /// The step's name.
    pub step: String,
    /// The plugin's name.
    pub plugin: String,
    /// Where its component was.
    pub component: String,
    /// `sha256:` and the digest of its component.
    pub digest: String,
    /// What it may take.
    pub limits: LimitsSection,
    /// The parameters, as JSON.
    pub params: String,
    /// Of the selected columns.
    pub(super) roles: Vec<ColumnRole>,
    /// Of a fitter: counted from zero.
    pub(super) pass: Option<u32>,
}

impl Record {
    pub(super) fn of(given: &Given<'_>) -> Self {
        let (step, plugin) = (given.step, &given.step.plugin);
        let component = std::path::absolute(plugin.path()).unwrap_or_else(|_| plugin.path().to_owned());
        Self {
            format: FORMAT,
            wafermill: env!("CARGO_PKG_VERSION").to_owned(),
            call: given.call,
            step: step.name.clone(),
            plugin: plugin.description().name.clone(),
            component: component.to_string_lossy().into_owned(),
            digest: plugin.digest().to_owned(),
            limits: LimitsSection::of(plugin.limits()),
            params: step.params.clone(),
            roles: step.selection.roles.clone(),
            pass: given.pass.map(|pass| pass.number),
        }
    }
}
