//! Plugins that learn tables and write no columns.

use crate::plan::{Passes, Plan, PluginRole, Selection};
use crate::{Batch, Error, Finisher, Fit, Fitter, Output, Result, Task, Transform};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// An aggregate: learns from the rows of all parts that come out of a pipeline. The tables of its model are the result.
///
/// Where a table has a UInt8 column `wafermill:part`, as [`ContextColumn::Part`](crate::ContextColumn::Part) has parts, the host writes
/// their names instead, in a column `part`.
pub trait Aggregate: Sized + 'static {
    /// Lower case, digits and hyphens.
    const NAME: &'static str;
    /// A semantic version.
    const VERSION: &'static str;
    /// One line for people.
    const SUMMARY: &'static str;
    /// How often the rows are seen, over all parameters: at least once.
    const PASSES: Passes;
    /// The parameters, as they stand in a pipeline file.
    type Params: DeserializeOwned + JsonSchema;
    /// Learns from some of the rows.
    type Fitter: Fitter<Self::Params>;
    /// Turns what was learned into the tables.
    type Finisher: Finisher<Self::Params>;

    /// What is read of the selected columns, and what is learned: it has at least one table of a model, and writes and drops nothing.
    ///
    /// # Errors
    /// Where the parameters make no sense for these columns.
    fn plan(params: &Self::Params, selection: &Selection) -> Result<Plan>;
}

/// No host applies an aggregate.
impl<A: Aggregate> Transform for A {
    const NAME: &'static str = A::NAME;
    const VERSION: &'static str = A::VERSION;
    const SUMMARY: &'static str = A::SUMMARY;
    const ROLE: PluginRole = PluginRole::Aggregate;
    const PASSES: Passes = A::PASSES;
    type Params = A::Params;

    fn plan(params: &Self::Params, selection: &Selection) -> Result<Plan> {
        A::plan(params, selection)
    }

    fn open(_: Task<Self::Params>) -> Result<Self> {
        Err(Error::internal("an aggregate is not applied to rows"))
    }

    fn apply(&self, _: &Batch, _: &mut Output<'_>) -> Result<()> {
        Err(Error::internal("an aggregate is not applied to rows"))
    }
}

impl<A: Aggregate> Fit for A {
    type Fitter = A::Fitter;
    type Finisher = A::Finisher;
}
