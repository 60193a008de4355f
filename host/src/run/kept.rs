//! What a model kept of the rows that it was fitted on, so that the rows of another table can be added to them.
//!
//! Only the partials of a step's last pass are kept. They stand for the rows as long as another look at these would give the same: the
//! step learns in one pass, and what it reads, and which rows it sees, depends on nothing that is learned anew.

use super::filters::filters_before;
use super::resolve::resolve_ready;
use super::{Run, Running, Stage};
use crate::memory::format_size;
use crate::model::{Fitted, Manifest, ModelStore, StepEntry};
use crate::partials::{Combined, Combiner};
use crate::pipeline::{Plan, Step};
use crate::{Error, Result};
use std::collections::{BTreeSet, HashSet};

/// What is told of missing memory is no finer.
const MIB: u64 = 1 << 20;

/// The partials of a model.
pub struct Kept<'a> {
    manifest: &'a Manifest,
    store: &'a ModelStore,
}

impl<'a> Kept<'a> {
    /// Those of the model in a store, which must be pinned to its manifest.
    pub fn new(manifest: &'a Manifest, store: &'a ModelStore) -> Self {
        Self { manifest, store }
    }

    /// Checks that rows can be added to all that the steps of a plan learned, which are the model's; the plan may know more of itself
    /// afterwards.
    ///
    /// # Errors
    /// Where a step would have to see the old rows again. All such steps are named.
    pub fn check(&self, plan: &mut Plan) -> Result<()> {
        resolve_ready(plan, &vec![Fitted::default(); plan.definitions().len()], self.store, |_, _| Ok(()))?;
        let steps = plan.steps();
        let learned = learned_by(steps);
        let mut reasons = Vec::new();
        for (index, entry) in self.manifest.steps.iter().enumerate() {
            let Some(step) = steps.get(index) else {
                reasons.extend((entry.passes > 0).then(|| waits(entry, steps)));
                continue;
            };
            self.manifest.check_selection(step, entry)?;
            if step.plan.passes.any() {
                let reason = passes(step, entry).or_else(|| depends(steps, index, &learned));
                let reason = reason.or_else(|| self.can_be_null_now(plan, index));
                reasons.extend(reason.map(|reason| format!("`{}` {reason}", step.name)));
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(self.refused(&reasons.join("; "))) }
    }

    /// Gives the partials of a step to its combiners.
    ///
    /// # Errors
    /// Where a table is damaged, is none of this step, or has more in one batch than wafermill puts there or than memory allows.
    pub(super) fn push(&self, step: &Step, combiners: &[Combiner], run: &Run<'_>) -> Result<()> {
        let entry = self.manifest.steps.iter().find(|entry| entry.ordinal == step.ordinal && entry.passes == 1);
        let entry = entry.ok_or_else(|| self.refused(&format!("`{}` has learned nothing in one pass", step.name)))?;
        let rows = entry.partials.iter().fold(0_u64, |sum, table| sum.saturating_add(table.rows));
        let stage = Stage { steps: vec![step.name.clone()], ..Stage::named("read partials") };
        let _reading = Running::begin(run.progress, &stage, Some(rows));
        for combiner in combiners {
            let file = || self.store.root().join(ModelStore::partials_file(step, combiner.table().name()));
            // Its bytes are counted here, and its rows below.
            let table = self.store.read_partials(step, combiner.table(), &mut |bytes| {
                run.progress.bytes(bytes);
                run.options.stop.check()
            })?;
            check_largest(table.largest(), run.options.shares.results as u64).map_err(|error| error.file(file()))?;
            for batch in table {
                run.options.stop.check()?;
                let batch = batch?;
                if batch.num_rows() > Combined::ROWS {
                    let message = format!("a saved table has {} rows in one batch", batch.num_rows());
                    return Err(Error::model(message).file(file()).hint("restore the model from a copy"));
                }
                run.progress.advance(batch.num_rows() as u64);
                combiner.push(batch)?;
            }
        }
        Ok(())
    }

    /// Of a step that, with the added rows, is not content with one pass.
    pub(super) fn again(&self, step: &Step) -> Error {
        self.refused(&format!("`{}` asks for another pass over all of them", step.name))
    }

    fn refused(&self, reasons: &str) -> Error {
        Error::model(format!("rows cannot be added to this model: {reasons}")).file(self.store.root()).hint(
            "fit the pipeline on the old and the new rows together; or have each step learn in one pass, as the mean \
             does and the median does not, from columns and rows that depend on nothing that is learned",
        )
    }

    /// Where a column could not be null and now can: a plugin may have learned otherwise.
    fn can_be_null_now(&self, plan: &Plan, index: usize) -> Option<String> {
        let required = self.manifest.source.iter().filter(|column| !column.nullable);
        let required: HashSet<&String> = required.map(|column| &column.name).collect();
        let steps = plan.steps();
        let mut open = vec![index];
        let mut seen = BTreeSet::from([index]);
        while let Some(index) = open.pop() {
            open.extend(before(steps, index).into_iter().map(|(step, _)| step).filter(|step| seen.insert(*step)));
            let fields = steps[index].selection.schema.fields().iter().zip(&steps[index].writers);
            let mut read = fields.filter(|(field, writer)| writer.is_none() && field.is_nullable());
            if let Some((field, _)) = read.find(|(field, _)| required.contains(field.name())) {
                return Some(format!(
                    "learned from `{}` when no row of it could be null, and added ones can",
                    field.name()
                ));
            }
        }
        None
    }
}

/// Checks that the largest batch of a saved table, of so many bytes, can be read with so much memory for results. Wafermill itself ends
/// batches with the row by which they come to [`Combined::BYTES`]: more is in one where that row has it, or where somebody else wrote it.
fn check_largest(bytes: u64, results: u64) -> Result<()> {
    // Beside the batch stand its rows while they are sorted, and those of other batches.
    match bytes <= (2 * Combined::BYTES).max(results / 4) {
        true => Ok(()),
        false => {
            let message = format!("a saved table has {} in one batch, more than the memory allows", format_size(bytes));
            // Results get half of what is added.
            let missing = bytes.saturating_mul(4).saturating_sub(results).saturating_mul(2) / MIB + 1;
            let hint = format!("raise `--memory` by {missing} MiB, or restore the model from a copy");
            // With more memory the run goes on from where it is: an error of usage would have its folder removed.
            Err(Error::source(message).hint(hint))
        }
    }
}

/// The steps that decide what a step sees, with what they decide.
fn before(steps: &[Step], index: usize) -> Vec<(usize, String)> {
    let step = &steps[index];
    let fields = step.selection.schema.fields().iter().zip(&step.writers);
    let read =
        fields.filter_map(|(field, writer)| Some(((*writer)?, format!("reads `{}`, which depends", field.name()))));
    let split = (index > 0 && steps[0].is_split()).then(|| (0, "sees the rows of a part, which depend".to_owned()));
    let filters = filters_before(steps, index)
        .map(|filter| (filter, format!("sees the rows that `{}` keeps, which depend", steps[filter].name)));
    read.chain(filters).chain(split).collect()
}

/// For each step one that learns and on which it depends, if only on itself.
fn learned_by(steps: &[Step]) -> Vec<Option<usize>> {
    let mut learned: Vec<Option<usize>> = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let behind = || before(steps, index).into_iter().find_map(|(before, _)| learned[before]);
        let by = if step.plan.passes.any() { Some(index) } else { behind() };
        learned.push(by);
    }
    learned
}

/// Why the old rows would be others to a step now.
fn depends(steps: &[Step], index: usize, learned: &[Option<usize>]) -> Option<String> {
    let mut before = before(steps, index).into_iter();
    before.find_map(|(before, how)| Some(format!("{how} on what `{}` learns", steps[learned[before]?].name)))
}

/// Why one pass is not enough for a step.
fn passes(step: &Step, entry: &StepEntry) -> Option<String> {
    match entry.passes.max(step.plan.passes.least) {
        0 | 1 => None,
        passes => Some(format!("takes {passes} passes over the rows, and what is kept is of the last")),
    }
}

/// Of a step that may mean columns whose names are learned, or stands behind one that does.
fn waits(entry: &StepEntry, planned: &[Step]) -> String {
    let families = planned.iter().filter(|step| step.outputs.is_none() && step.plan.known_outputs().is_none());
    let names: Vec<_> = families.map(|step| format!("`{}`", step.name)).collect();
    format!("`{}` may read columns whose names depend on what {} learns", entry.name, names.join(" or "))
}
