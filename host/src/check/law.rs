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
    /// What it learns and returns does not depend on its instance: not on where things lie in memory, nor on how much there may be.
    Instance,
    /// What it learns, or why it refuses to, depends on the rows only.
    Partition,
    /// Its model depends on the partials only.
    Finish,
    /// Only model, parameters and input decide which columns it announces.
    Outputs,
    /// A batch becomes the same rows whatever was applied before it.
    Repeat,
    /// A row becomes the same whatever rows are in its batch.
    Cut,
    /// Strings behind a dictionary count as plain ones do.
    Dictionary,
}

impl Law {
    /// All of them, in the order in which they rest on each other.
    pub const ALL: [Self; 10] = [
        Self::Describe,
        Self::Plan,
        Self::Contract,
        Self::Instance,
        Self::Partition,
        Self::Finish,
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
            Self::Instance => "instance",
            Self::Partition => "partition",
            Self::Finish => "finish",
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
            Self::Instance => "gives the same in another instance, whatever its memory looks like",
            Self::Partition => "learns the same from any batches, in any order, with any number of fitters",
            Self::Finish => "makes the same model of partials that come in other pieces",
            Self::Outputs => "announces the same columns for the same model",
            Self::Repeat => "applies a batch in the same way whatever was applied before",
            Self::Cut => "applies a row in the same way in any batch",
            Self::Dictionary => "takes strings behind a dictionary for what they are",
        }
    }

    /// What an author may look for where it does not hold.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Describe | Self::Plan => "make it a pure function of its arguments",
            Self::Contract => "wit/plugin.wit says what may be returned",
            Self::Instance => {
                "look for addresses, hash maps in their own order, and what is asked of the size of memory"
            }
            Self::Partition => {
                "learn what neither order nor grouping changes: sums of integers, least and largest values, counts by key"
            }
            Self::Finish => "keep what is needed of a piece until the next one comes",
            Self::Outputs => "decide it by model, parameters and input",
            Self::Repeat => "keep nothing from one call for the next",
            Self::Cut => "compute each row from its own values and the model",
            Self::Dictionary => {
                "look values up by their keys; a dictionary may hold a value twice, or one that no row has"
            }
        }
    }
}
