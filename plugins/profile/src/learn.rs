//! Learns from some of the rows, group by group.

use crate::Params;
use crate::carry::{Carry, GroupPlan};
use crate::gather::{self, Gathered};
use crate::keys::Keys;
use crate::kind::Kind;
use crate::partials::BUCKETS;
use crate::survey::{self, Survey};
use std::collections::VecDeque;
use wafermill_sdk::stats::{Adder, Quantiles};
use wafermill_sdk::{Batch, Column, Error, Fitter, Pass, Result, Rows, Task, Values};

/// Groups that are given away together.
const GROUPS: usize = 64;

/// Learns from some of the rows.
#[derive(Debug)]
pub struct Learn {
    params: Params,
    kinds: Vec<Kind>,
    stage: Stage,
    /// Nothing where there are none, or they are known.
    quantiles: Option<Quantiles>,
    adder: Adder,
    /// The first groups, which were given away since the last batch.
    drained: usize,
    ready: VecDeque<Rows>,
}

/// What the groups learn beside their quantiles.
#[derive(Debug)]
enum Stage {
    First(Vec<Option<Box<Survey>>>),
    /// Nothing.
    Middle,
    Last(Vec<GroupPlan>, Vec<Option<Box<Gathered>>>),
}

/// The kinds of the columns that are described.
pub(crate) fn kinds(task: &Task<Params>) -> Result<Vec<Kind>> {
    let described = task.input.fields().take(task.input.len().saturating_sub(1));
    let kind = |field: &wafermill_sdk::Field| {
        Kind::of(field.data_type()).ok_or_else(|| Error::internal("it cannot be described").column(field.name()))
    };
    described.map(kind).collect()
}

/// The number of a column's group: parts count from one, and zero is for rows of a table that has none.
pub(crate) fn group(part: Option<u8>, column: usize, columns: usize) -> u32 {
    (part.map_or(0, |part| usize::from(part) + 1) * columns + column) as u32
}

/// The part and the column of a group.
pub(crate) fn place(group: usize, columns: usize) -> (Option<u8>, usize) {
    ((group / columns).checked_sub(1).map(|part| part as u8), group % columns)
}

/// The rows of each part.
fn rows_of_parts(parts: &Column) -> Result<Vec<(Option<u8>, Vec<u32>)>> {
    let Values::UInt8(ids) = parts.values() else { return Err(Error::internal("parts are no UInt8")) };
    let mut rows: Vec<Vec<u32>> = Vec::new();
    let mut nowhere = Vec::new();
    for (row, id) in (0_u32..).zip(ids.iter()) {
        if parts.is_null(row as usize) {
            nowhere.push(row);
            continue;
        }
        let id = usize::from(*id);
        if rows.len() <= id {
            rows.resize_with(id + 1, Vec::new);
        }
        rows[id].push(row);
    }
    let known = (0..=u8::MAX).zip(rows).map(|(id, rows)| (Some(id), rows));
    Ok(std::iter::once((None, nowhere)).chain(known).filter(|(_, rows)| !rows.is_empty()).collect())
}

/// A group, which is made where it is missing.
fn entry<T>(groups: &mut Vec<Option<Box<T>>>, group: usize, make: impl FnOnce() -> T) -> &mut T {
    if groups.len() <= group {
        groups.resize_with(group + 1, || None);
    }
    groups[group].get_or_insert_with(|| Box::new(make()))
}

impl Fitter<Params> for Learn {
    fn open(task: Task<Params>, pass: Pass) -> Result<Self> {
        let kinds = kinds(&task)?;
        let (stage, quantiles) = match pass.carry {
            None => {
                let wanted = !task.params.quantiles.is_empty();
                (Stage::First(Vec::new()), wanted.then(|| Quantiles::open(0, None)).transpose()?)
            }
            Some(carry) => {
                let carry = Carry::read(&carry)?;
                let is_last = carry.is_last_pass()?;
                let Carry { groups, quantiles } = carry;
                let quantiles = quantiles.map(|carry| Quantiles::open(groups.len(), Some(&carry))).transpose()?;
                (if is_last { Stage::Last(groups, Vec::new()) } else { Stage::Middle }, quantiles)
            }
        };
        let (adder, ready) = (Adder::default(), VecDeque::new());
        Ok(Self { params: task.params, kinds, stage, quantiles, adder, drained: 0, ready })
    }

    fn update(&mut self, batch: &Batch) -> Result<()> {
        self.drained = 0;
        let Some((parts, columns)) = batch.columns().split_last() else { return Err(Error::internal("no parts")) };
        let parts = rows_of_parts(parts)?;
        for (index, ((column, kind), field)) in columns.iter().zip(self.kinds.clone()).zip(batch.fields()).enumerate() {
            if matches!(self.stage, Stage::Middle) && !kind.is_spread() {
                continue;
            }
            let keys = Keys::of(column, kind).ok_or_else(|| Error::internal("another type").column(field.name()))?;
            for (part, rows) in &parts {
                self.learn(group(*part, index, columns.len()) as usize, &keys, kind, rows)?;
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<Option<Rows>> {
        while self.ready.is_empty() {
            let first = self.drained;
            self.drained += GROUPS;
            let rows = match &mut self.stage {
                Stage::First(groups) if first < groups.len() => taken(groups, first, survey::rows)?,
                Stage::Last(_, groups) if first < groups.len() => taken(groups, first, gather::rows)?,
                _ => {
                    self.drained = first;
                    return self.quantiles.as_mut().map_or(Ok(None), |quantiles| quantiles.drain(BUCKETS));
                }
            };
            self.ready.extend(rows);
        }
        Ok(self.ready.pop_front())
    }
}

/// Takes some groups out, and lays out what they learned.
fn taken<T>(
    groups: &mut [Option<Box<T>>],
    first: usize,
    rows: impl FnOnce(&[(u32, Box<T>)]) -> Result<Vec<Rows>>,
) -> Result<Vec<Rows>> {
    let some = groups.iter_mut().enumerate().skip(first).take(GROUPS);
    let some: Vec<(u32, Box<T>)> = some.filter_map(|(group, it)| Some((group as u32, it.take()?))).collect();
    if some.is_empty() { Ok(Vec::new()) } else { rows(&some) }
}

impl Learn {
    /// Takes the rows of a part, of one column.
    fn learn(&mut self, group: usize, keys: &Keys<'_>, kind: Kind, all: &[u32]) -> Result<()> {
        let rows: Vec<u32> = all.iter().copied().filter(|row| !keys.is_null(*row as usize)).collect();
        match &mut self.stage {
            Stage::First(groups) => entry(groups, group, Survey::new).update(keys, &rows),
            Stage::Middle => {}
            Stage::Last(plans, groups) => {
                let plan = plans.get(group).ok_or_else(|| Error::invalid_data("the rows are others than before"))?;
                let gathered = entry(groups, group, || Gathered::new(kind, plan, &self.params));
                gathered.update(keys, kind, &rows, all.len() - rows.len(), &mut self.adder);
            }
        }
        if let (Some(quantiles), Some(numbers), true) = (&mut self.quantiles, keys.numbers(), kind.is_spread()) {
            if matches!(self.stage, Stage::First(_)) {
                quantiles.grow(group + 1);
            }
            quantiles.add(group, rows.iter().map(|row| numbers[*row as usize]));
        }
        Ok(())
    }
}
