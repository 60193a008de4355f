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
    resolve(plan, store, |index, step| {
        let is_fitted = fitted[index].passes > 0;
        if step.outputs.is_some() || step.plan.passes.any() && !is_fitted {
            return Ok(false);
        }
        if is_fitted {
            check(index, step)?;
        }
        Ok(true)
    })
}

/// Completes a plan whose steps were fitted before, from their models; `check` is asked about each step.
///
/// # Errors
/// Where a model cannot be read or does not fit the columns, or `check` fails.
pub fn restore(plan: &mut Plan, store: &ModelStore, check: impl Fn(&Step) -> Result<()>) -> Result<()> {
    resolve(plan, store, |_, step| check(step).map(|()| true))
}

/// Tells the plan what the steps write that are ready; more of them may be known with each.
fn resolve(plan: &mut Plan, store: &ModelStore, is_ready: impl Fn(usize, &Step) -> Result<bool>) -> Result<()> {
    let mut index = 0;
    while let Some(step) = plan.steps().get(index) {
        if is_ready(index, step)? {
            let outputs = outputs(step, store)?;
            plan.resolve(index, outputs)?;
        }
        index += 1;
    }
    Ok(())
}
