//! Makes the table of a finding smaller, as long as the law does not hold on it.

use super::case::Case;
use super::difference::show;
use super::examiner::against;
use super::report::{CounterColumn, Counterexample, Finding};
use super::{CheckOptions, Law};
use crate::sandbox::Plugin;
use crate::{ErrorKind, Result};
use arrow_array::RecordBatch;

/// Smaller tables that are tried for one finding.
const TRIES: usize = 200;

/// Random partitions of each of them: what two rows can show, it shows in one of a few.
const PARTITIONS: usize = 16;

/// Rows and columns of a counterexample that are listed.
const LISTED: usize = 20;

/// The smallest table that was found on which a law does not hold. Nothing where the finding has no table, or does not show on a second
/// look.
///
/// # Errors
/// Where something else than the plugin is to blame, or the user asks to stop.
pub(super) fn shrink(plugin: &Plugin, options: &CheckOptions, finding: &Finding) -> Result<Option<Counterexample>> {
    let Some(name) = &finding.table else { return Ok(None) };
    let case = match Case::new(plugin, &finding.params, name.clone()) {
        Ok(case) => case,
        // It is the plan that breaks the contract, of columns without rows.
        Err(error) if matches!(error.kind(), ErrorKind::Sandbox | ErrorKind::Plugin) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut search =
        Search { law: finding.law, outline: outline(&finding.detail), options, tries: TRIES, detail: None };
    if !search.shows(&case, options.partitions)? {
        return Ok(None);
    }
    let case = search.fewer_columns(case)?;
    let case = search.fewer_rows(case)?;
    let fields = case.selection.schema.fields().iter().zip(&case.selection.roles);
    let columns = fields.map(|(field, role)| CounterColumn {
        name: field.name().clone(),
        data_type: field.data_type().to_string(),
        role: *role,
    });
    Ok(Some(Counterexample {
        columns: columns.collect(),
        reads: case.input.schema().fields().iter().map(|field| field.name().clone()).collect(),
        rows: listed(&case.input),
        row_count: case.input.num_rows(),
        other_rows: listed(&case.other),
        detail: search.detail.unwrap_or_default(),
    }))
}

/// A search for a smaller table.
struct Search<'a> {
    law: Law,
    /// What breaks the contract must do so in the same way.
    outline: String,
    options: &'a CheckOptions,
    tries: usize,
    /// What is said of the smallest table.
    detail: Option<String>,
}

impl Search<'_> {
    /// Whether the law does not hold on a table.
    fn shows(&mut self, case: &Case<'_>, partitions: usize) -> Result<bool> {
        self.options.stop.check()?;
        if self.tries == 0 {
            return Ok(false);
        }
        self.tries -= 1;
        let found = against(case, self.law, partitions)?;
        let found = found.filter(|found| self.law != Law::Contract || outline(found) == self.outline);
        let shows = found.is_some();
        self.detail = found.or(self.detail.take());
        Ok(shows)
    }

    /// The same violation on fewer columns.
    fn fewer_columns<'a>(&mut self, mut case: Case<'a>) -> Result<Case<'a>> {
        let all: Vec<u32> = (0..case.selection.schema.fields().len() as u32).collect();
        let whole = case.clone();
        // One alone is enough as a rule, and it is named.
        let detail = self.detail.clone().unwrap_or_default();
        let mut alone = all.clone();
        alone.sort_by_key(|column| {
            !detail.contains(&format!("`{}", whole.selection.schema.field(*column as usize).name()))
        });
        if all.len() > 1 {
            for column in alone {
                if let Some(smaller) = whole.of_columns(&[column as usize]).ok().flatten()
                    && self.shows(&smaller, PARTITIONS)?
                {
                    return Ok(smaller);
                }
            }
        }
        reduce(all, |columns| {
            let columns: Vec<_> = columns.iter().map(|column| *column as usize).collect();
            let Some(smaller) = whole.of_columns(&columns).ok().flatten() else { return Ok(false) };
            let shows = self.shows(&smaller, PARTITIONS)?;
            if shows {
                case = smaller;
            }
            Ok(shows)
        })?;
        Ok(case)
    }

    /// The same violation on fewer rows.
    fn fewer_rows<'a>(&mut self, whole: Case<'a>) -> Result<Case<'a>> {
        let all = |batch: &RecordBatch| (0..batch.num_rows() as u32).collect::<Vec<_>>();
        let mut input = all(&whole.input);
        let mut other = all(&whole.other);
        other = reduce(other, |rows| self.shows(&whole.of_rows(&input, rows)?, PARTITIONS))?;
        input = reduce(input, |rows| self.shows(&whole.of_rows(rows, &other)?, PARTITIONS))?;
        other = reduce(other, |rows| self.shows(&whole.of_rows(&input, rows)?, PARTITIONS))?;
        whole.of_rows(&input, &other)
    }
}

/// Leaves items out, many at once at first and one at a time at last, as long as what is left `shows` it.
fn reduce(mut kept: Vec<u32>, mut shows: impl FnMut(&[u32]) -> Result<bool>) -> Result<Vec<u32>> {
    let mut size = kept.len();
    while size > 0 {
        let mut start = 0;
        while start < kept.len() {
            let end = (start + size).min(kept.len());
            let rest = [&kept[..start], &kept[end..]].concat();
            if shows(&rest)? {
                kept = rest;
            } else {
                start = end;
            }
        }
        size /= 2;
    }
    Ok(kept)
}

/// A message without what it says of one table: its numbers, and what stands in backticks.
fn outline(detail: &str) -> String {
    let outside = detail.split('`').step_by(2).collect::<String>();
    outside.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// The first rows, as text.
fn listed(batch: &RecordBatch) -> Vec<Vec<Option<String>>> {
    let row = |row| batch.columns().iter().take(LISTED).map(|column| show(column, row)).collect();
    (0..batch.num_rows().min(LISTED)).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_what_matters() {
        let mut tries = 0;
        let left = reduce((0..250).collect(), |rows| {
            tries += 1;
            Ok(rows.contains(&7) && rows.contains(&191))
        });
        assert_eq!(left.unwrap(), [7, 191]);
        assert!(tries < 100, "{tries}");
        assert_eq!(reduce((0..9).collect(), |_| Ok(true)).unwrap(), Vec::<u32>::new());
    }

    #[test]
    fn an_outline_tells_kinds_of_findings_apart() {
        assert_eq!(outline("`apply` gave 9 rows for 10"), outline("`apply` gave 1 rows for 2"));
        assert_ne!(outline("`apply` gave 9 rows for 10"), outline("`apply` trapped: 9"));
    }
}
