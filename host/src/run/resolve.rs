//! What steps write that are fitted, told to the plan: the steps behind them may wait for it.

use super::steps::outputs;
use crate::Result;
use crate::model::{Fitted, ModelStore};
use crate::pipeline::{Plan, Step};

/// Tells the plan what steps write that learn nothing, which is known at once, or that are fitted already.
/// `check` is asked about each of the latter.
pub(super) fn resolve_ready(
    plan: &mut Plan,
    fitted: &[Fitted],
    store: &ModelStore,
    check: impl Fn(usize, &Step) -> Result<()>,
) -> Result<()> {
    let mut index = 0;
    while index < plan.steps().len() {
        let step = &plan.steps()[index];
        if step.outputs.is_none() && (!step.plan.passes.any() || fitted[index].passes > 0) {
            if fitted[index].passes > 0 {
                check(index, step)?;
            }
            let outputs = outputs(step, store)?;
            plan.resolve(index, outputs)?;
        }
        index += 1;
    }
    Ok(())
}

/// Completes a plan whose steps were fitted before, from their models; `check` is asked about each step.
///
/// # Errors
/// Where a model cannot be read or does not fit the columns, or `check` fails.
pub fn restore(plan: &mut Plan, store: &ModelStore, check: impl Fn(&Step) -> Result<()>) -> Result<()> {
    let mut index = 0;
    while index < plan.steps().len() {
        let step = &plan.steps()[index];
        check(step)?;
        let outputs = outputs(step, store)?;
        plan.resolve(index, outputs)?;
        index += 1;
    }
    Ok(())
}
