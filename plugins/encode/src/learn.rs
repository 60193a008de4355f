//! Which categories there are, and which of them are frequent enough for a code of their own.

use crate::Params;
use crate::model::{Coded, Summary, write_coded, write_columns};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use wafermill_sdk::stats::{Category, CountsReader, KeyClass};
use wafermill_sdk::{Batch, Error, Finisher, Outcome, Pass, Result, Rows, Task};

/// Gives codes to categories: at once, or at the end where only the most frequent ones get one.
#[derive(Debug)]
pub struct Finish {
    task: Task<Params>,
    classes: Vec<KeyClass>,
    columns: Vec<Column>,
}

#[derive(Debug, Default)]
struct Column {
    summary: Summary,
    /// The most frequent categories so far, the rarest on top; of equally frequent ones the later.
    top: BinaryHeap<Reverse<Ranked>>,
    seen: u64,
}

/// A category, ordered by how often it occurs, then by how early it came.
#[derive(Debug)]
struct Ranked {
    count: i64,
    order: u64,
    value: Category,
}

impl Ranked {
    fn rank(&self) -> (i64, Reverse<u64>) {
        (self.count, Reverse(self.order))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl Column {
    /// Takes the next value and gives it back where it has a code at once.
    fn push(&mut self, value: Option<Category>, count: i64, params: &Params) -> Option<(Category, i32)> {
        self.summary.rows += count;
        let Some(value) = value else {
            self.summary.nulls += count;
            return None;
        };
        if params.min_frequency.is_some_and(|least| (count as u64) < least) {
            *self.summary.infrequent.get_or_insert(0) += count;
            return None;
        }
        let Some(most) = params.max_categories else {
            self.summary.categories += 1;
            return Some((value, self.summary.categories as i32 - 1));
        };
        self.top.push(Reverse(Ranked { count, order: self.seen, value }));
        self.seen += 1;
        // One more than may stay, so that the last one is dropped only where there are rare ones.
        if self.top.len() > most as usize {
            self.drop_rarest();
        }
        None
    }

    fn drop_rarest(&mut self) {
        if let Some(Reverse(rarest)) = self.top.pop() {
            *self.summary.infrequent.get_or_insert(0) += rarest.count;
        }
    }

    /// The categories that were held back, in the order of their values.
    fn held_back(&mut self, most: u32) -> Vec<Ranked> {
        if self.summary.infrequent.is_some() && self.top.len() == most as usize {
            self.drop_rarest();
        }
        let mut kept: Vec<Ranked> = std::mem::take(&mut self.top).into_iter().map(|Reverse(it)| it).collect();
        kept.sort_unstable_by_key(|it| it.order);
        self.summary.categories = kept.len() as i64;
        kept
    }
}

impl Finisher<Params> for Finish {
    fn open(task: Task<Params>, _: Pass) -> Result<Self> {
        let classes = KeyClass::of_all(task.input.fields())?;
        let mut columns = Vec::new();
        columns.resize_with(task.input.len(), Column::default);
        Ok(Self { task, classes, columns })
    }

    fn push(&mut self, table: usize, partials: &Batch) -> Result<Vec<Rows>> {
        let Self { task, classes, columns } = self;
        let names: Vec<&str> = task.input.fields().map(|field| field.name().as_str()).collect();
        let mut rows = Vec::new();
        CountsReader::new(classes.clone()).push(table, partials, |index, value, count| {
            let unknown = || Error::invalid_model("counts of an unknown column");
            let column = columns.get_mut(index).ok_or_else(unknown)?;
            if column.summary.categories == i64::from(i32::MAX) {
                return Err(Error::new(wafermill_sdk::ErrorCode::Limit, "more categories than 32-bit codes")
                    .column(names[index])
                    .hint("set `min_frequency` or `max_categories`, or use the method `hash`"));
            }
            if let Some((value, code)) = column.push(value, count, &task.params) {
                rows.push(Coded { column: names[index].to_owned(), value, code, count });
            }
            Ok(())
        })?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![write_coded(table, classes[table], &rows)?])
    }

    fn finish(mut self) -> Result<Outcome> {
        let mut last = Vec::new();
        if let Some(most) = self.task.params.max_categories {
            for (field, column) in self.task.input.fields().zip(&mut self.columns) {
                let coded = |(code, it): (usize, Ranked)| {
                    let Ranked { count, value, .. } = it;
                    Coded { column: field.name().clone(), value, code: code as i32, count }
                };
                let rows: Vec<Coded> = column.held_back(most).into_iter().enumerate().map(coded).collect();
                let class = KeyClass::of(field.data_type());
                let index = self.classes.iter().position(|it| Some(*it) == class);
                // A column without values has no rows to write.
                if let Some(index) = index.filter(|_| !rows.is_empty()) {
                    last.push(write_coded(index, self.classes[index], &rows)?);
                }
            }
        }
        let summaries: Vec<Summary> = self.columns.iter().map(|column| column.summary).collect();
        last.push(write_columns(self.task.input.fields(), &summaries)?);
        Ok(Outcome::Model(last))
    }
}
