//! The laws of the contract that a machine can check.

use serde::Serialize;

/// What must hold for every plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Law {
    /// It describes itself in the same way each time.
    Describe,
    /// It makes the same plan of the same columns and parameters.
    Plan,
    /// It neither traps, nor breaks a limit, nor returns what it did not announce.
    Contract,
    /// What it learns, or why it refuses to, depends on the rows only.
    Partition,
    /// Only model, parameters and input decide which columns it announces.
    Outputs,
    /// A batch becomes the same rows whatever was applied before it, and in any instance.
    Repeat,
    /// A row becomes the same whatever rows are in its batch.
    Cut,
    /// Strings behind a dictionary count as plain ones do.
    Dictionary,
}

impl Law {
    /// All of them, in the order of a step's life.
    pub const ALL: [Self; 8] = [
        Self::Describe,
        Self::Plan,
        Self::Contract,
        Self::Partition,
        Self::Outputs,
        Self::Repeat,
        Self::Cut,
        Self::Dictionary,
    ];

    /// A word to name it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Plan => "plan",
            Self::Contract => "contract",
            Self::Partition => "partition",
            Self::Outputs => "outputs",
            Self::Repeat => "repeat",
            Self::Cut => "cut",
            Self::Dictionary => "dictionary",
        }
    }

    /// What it demands.
    pub fn text(self) -> &'static str {
        match self {
            Self::Describe => "describes itself in the same way each time",
            Self::Plan => "makes the same plan each time",
            Self::Contract => "neither traps nor breaks limits, and returns what it announced",
            Self::Partition => "learns the same from any batches, in any order, with any number of fitters",
            Self::Outputs => "announces the same columns for the same model",
            Self::Repeat => "applies a batch in the same way in any order and any instance",
            Self::Cut => "applies a row in the same way in any batch",
            Self::Dictionary => "takes strings behind a dictionary for what they are",
        }
    }
}
