//! Turns what was learned into what the next pass must know, and at last into the tables.

use crate::Params;
use crate::carry::{Carry, Counting, GroupPlan};
use crate::kind::Kind;
use crate::learn::{kinds, place};
use crate::partials::{BINS, BUCKETS, EXTREMES, MOMENTS, RANGE, REGISTERS, VALUES};
use crate::sketch;
use crate::summary::Summary;
use crate::tables::{self, Described};
use wafermill_sdk::stats::{ColumnQuantiles, MomentsReader, QuantilesReader, Refined};
use wafermill_sdk::{Batch, Error, Field, Finisher, Outcome, Pass, Result, Rows, Task, Values};

/// Ends a pass.
#[derive(Debug)]
pub struct Finish {
    task: Task<Params>,
    kinds: Vec<Kind>,
    groups: Vec<GroupPlan>,
    stage: Stage,
    /// Nothing where there are none, or they are known.
    quantiles: Option<QuantilesReader>,
}

#[derive(Debug)]
enum Stage {
    /// The registers of the group whose rows come now.
    First(Option<usize>, Vec<(u32, u8, i64)>),
    Middle,
    Last(Vec<Summary>),
}

fn malformed() -> Error {
    Error::invalid_model("these partials are not those of `profile`")
}

fn internal() -> Error {
    Error::internal("quantiles want another number of passes than was planned")
}

impl Finisher<Params> for Finish {
    fn open(task: Task<Params>, pass: Pass) -> Result<Self> {
        let kinds = kinds(&task)?;
        let percentiles = task.params.percentiles();
        let Some(carry) = pass.carry else {
            let wanted = !percentiles.is_empty();
            let quantiles = wanted.then(|| QuantilesReader::open(0, &percentiles, None)).transpose()?;
            return Ok(Self { task, kinds, groups: Vec::new(), stage: Stage::First(None, Vec::new()), quantiles });
        };
        let carry = Carry::read(&carry)?;
        let stage = match carry.is_last_pass()? {
            true => Stage::Last(carry.groups.iter().map(|_| Summary::default()).collect()),
            false => Stage::Middle,
        };
        let quantiles = carry.quantiles.as_ref();
        let quantiles = quantiles.map(|bytes| QuantilesReader::open(carry.groups.len(), &percentiles, Some(bytes)));
        Ok(Self { task, kinds, groups: carry.groups, stage, quantiles: quantiles.transpose()? })
    }

    fn push(&mut self, table: usize, partials: &Batch) -> Result<Vec<Rows>> {
        if table == BUCKETS {
            let quantiles = self.quantiles.as_mut().ok_or_else(malformed)?;
            if matches!(self.stage, Stage::First(..)) {
                quantiles.grow(self.groups.len());
            }
            quantiles.push(partials)?;
        } else if let Stage::Last(summaries) = &mut self.stage {
            summarize(table, partials, summaries, &self.task.params).ok_or_else(malformed)?;
        } else {
            self.survey(table, partials).ok_or_else(malformed)?;
        }
        Ok(Vec::new())
    }

    fn finish(mut self) -> Result<Outcome> {
        self.conclude();
        if let Some(quantiles) = self.quantiles.as_mut().filter(|_| matches!(self.stage, Stage::First(..))) {
            quantiles.grow(self.groups.len());
        }
        let refined = self.quantiles.take().map(QuantilesReader::finish).transpose()?;
        match (self.stage, refined) {
            (Stage::First(..), None | Some(Refined::Done(_))) => {
                Ok(Outcome::Again(Carry { groups: self.groups, quantiles: None }.write()?))
            }
            (Stage::First(..) | Stage::Middle, Some(Refined::Again(carry))) => {
                Ok(Outcome::Again(Carry { groups: self.groups, quantiles: Some(carry) }.write()?))
            }
            (Stage::Last(summaries), None) => model(&self.task, &self.kinds, &self.groups, summaries, Vec::new()),
            (Stage::Last(summaries), Some(Refined::Done(quantiles))) => {
                model(&self.task, &self.kinds, &self.groups, summaries, quantiles)
            }
            _ => Err(internal()),
        }
    }
}

impl Finish {
    /// Takes partials of the first pass.
    fn survey(&mut self, table: usize, partials: &Batch) -> Option<()> {
        let groups = partials.column(0).to_i64()?;
        if table == RANGE {
            let [_, low, high] = partials.columns() else { return None };
            let (lows, highs) = (low.to_f64()?, high.to_f64()?);
            for (row, group) in groups.iter().enumerate() {
                let group = usize::try_from(*group).ok()?;
                if self.groups.len() <= group {
                    // As long as no register is known of, there are no values to count.
                    let none = GroupPlan { counting: Counting::All, ..GroupPlan::default() };
                    self.groups.resize(group + 1, none);
                }
                self.groups[group].range = (!low.is_null(row) && !high.is_null(row)).then(|| (lows[row], highs[row]));
            }
            return Some(());
        }
        let [_, registers, ranks, rows] = partials.columns() else { return None };
        let (Values::UInt32(registers), Values::UInt8(ranks)) = (registers.values(), ranks.values()) else {
            return None;
        };
        let rows = rows.to_i64()?;
        for (row, group) in groups.iter().enumerate().filter(|_| table == REGISTERS) {
            let group = usize::try_from(*group).ok().filter(|group| *group < self.groups.len())?;
            if registers[row] as usize >= sketch::REGISTERS {
                return None;
            }
            if !matches!(&self.stage, Stage::First(Some(current), _) if *current == group) {
                self.conclude();
            }
            let Stage::First(current, gathered) = &mut self.stage else { return None };
            *current = Some(group);
            gathered.push((registers[row], ranks[row], rows[row]));
        }
        Some(())
    }

    /// Decides what is counted of the group whose registers came, once they all did.
    fn conclude(&mut self) {
        if let Stage::First(current, registers) = &mut self.stage
            && let Some(group) = current.take()
        {
            let (distinct, counting) = Counting::choose(registers, &self.task.params);
            registers.clear();
            self.groups[group].distinct = distinct;
            self.groups[group].counting = counting;
        }
    }
}

/// Takes partials of the last pass.
fn summarize(table: usize, partials: &Batch, summaries: &mut [Summary], params: &Params) -> Option<()> {
    if MOMENTS.contains(&table) {
        for (group, moments) in MomentsReader::read_keyed(table - MOMENTS.start, partials)? {
            summaries.get_mut(group as usize)?.moments.merge(&moments)?;
        }
        return Some(());
    }
    let groups = partials.column(0).to_i64()?;
    let [_, keys, values] = partials.columns() else { return None };
    for (row, group) in groups.iter().enumerate() {
        let summary = summaries.get_mut(usize::try_from(*group).ok()?)?;
        match table {
            EXTREMES => {
                let bytes = |text: &str| {
                    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
                    digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect::<Option<Vec<u8>>>()
                };
                summary.extremes = Some((bytes(keys.bytes()?.text(row))?, bytes(values.bytes()?.text(row))?));
            }
            BINS => {
                let Values::UInt32(bins) = keys.values() else { return None };
                let bin = bins[row] as usize;
                if bin >= params.bins as usize {
                    return None;
                }
                summary.bins.resize(params.bins as usize, 0);
                summary.bins[bin] = values.to_i64()?[row];
            }
            VALUES => summary.take_value(keys.bytes()?.get(row), values.to_i64()?[row], params),
            _ => return None,
        }
    }
    Some(())
}

/// The tables, of the groups that have any rows.
fn model(
    task: &Task<Params>,
    kinds: &[Kind],
    plans: &[GroupPlan],
    summaries: Vec<Summary>,
    quantiles: Vec<ColumnQuantiles>,
) -> Result<Outcome> {
    let fields: Vec<&Field> = task.input.fields().take(kinds.len()).collect();
    let quantiles = quantiles.into_iter().map(|it| it.values).chain(std::iter::repeat(Vec::new()));
    let groups = summaries.into_iter().zip(plans).zip(quantiles).enumerate();
    let described = groups.map(|(group, ((mut summary, plan), quantiles))| {
        let (part, column) = place(group, kinds.len());
        summary.settle(kinds[column]);
        Described { part, field: fields[column], kind: kinds[column], plan, summary, quantiles }
    });
    let described: Vec<Described<'_>> = described.filter(|group| group.summary.rows > 0).collect();
    Ok(Outcome::Model(tables::write(described, &task.params)?))
}
