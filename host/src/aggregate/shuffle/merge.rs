//! Merges sorted runs, a piece at a time.

use super::super::spill::SpillReader;
use super::buffer::Fill;
use super::form::{Form, Piece};
use super::key::weights;
use super::run::Run;
use crate::Result;
use crate::tournament::Tournament;
use arrow_array::RecordBatch;
use std::sync::Arc;

/// The rows of some runs in the order of their keys. Rows of equal keys are equal, so that it does not matter which comes first.
pub(super) struct Merge {
    form: Arc<Form>,
    piece: usize,
    cursors: Vec<Cursor>,
    tournament: Tournament,
    /// What the cursors stand in, and what they left since the last piece was made.
    batches: Vec<RecordBatch>,
}

/// The next row of a run.
struct Cursor {
    reader: SpillReader,
    /// Position of its batch in `Merge::batches`.
    batch: usize,
    row: usize,
    keys: Vec<u128>,
    weights: Vec<u32>,
    /// None at the run's end.
    key: Option<u128>,
}

impl Cursor {
    fn open(run: Run, form: &Form, batches: &mut Vec<RecordBatch>) -> Result<Self> {
        let (keys, weights) = (Vec::new(), Vec::new());
        let mut cursor = Self { reader: run.open()?, batch: 0, row: 0, keys, weights, key: None };
        cursor.load(form, batches)?;
        Ok(cursor)
    }

    fn less(&self, other: &Self) -> bool {
        match (self.key, other.key) {
            (Some(key), Some(other)) => key < other,
            (key, _) => key.is_some(),
        }
    }

    /// Goes to the next row.
    fn step(&mut self, form: &Form, batches: &mut Vec<RecordBatch>) -> Result<()> {
        self.row += 1;
        self.key = self.keys.get(self.row).copied();
        if self.key.is_none() { self.load(form, batches) } else { Ok(()) }
    }

    /// Goes to the first row of the next batch, of which none is empty.
    fn load(&mut self, form: &Form, batches: &mut Vec<RecordBatch>) -> Result<()> {
        let Some(stored) = self.reader.next().transpose()? else { return Ok(()) };
        let Piece { keys, rows } = form.load(&stored)?;
        self.weights = weights(&rows);
        (self.row, self.key, self.keys) = (0, keys.first().copied(), keys);
        self.batch = batches.len();
        batches.push(rows);
        Ok(())
    }
}

impl Merge {
    /// Opens the runs, for pieces of about `piece` bytes.
    pub(super) fn open(runs: Vec<Run>, form: Arc<Form>, piece: usize) -> Result<Self> {
        let mut batches = Vec::new();
        let cursors = runs.into_iter().map(|run| Cursor::open(run, &form, &mut batches)).collect::<Result<Vec<_>>>()?;
        let tournament = Tournament::new(cursors.len(), |a, b| cursors[a].less(&cursors[b]));
        Ok(Self { form, piece, cursors, tournament, batches })
    }

    fn next_piece(&mut self) -> Result<Option<Piece>> {
        let (mut chosen, mut keys, mut fill) = (Vec::new(), Vec::new(), Fill::default());
        while let Some(cursor) = self.cursors.get_mut(self.tournament.winner()) {
            let Some(key) = cursor.key else { break };
            let weight = cursor.weights[cursor.row];
            if fill.refuses(weight, self.piece) {
                break;
            }
            fill.add(weight);
            keys.push(key);
            chosen.push((cursor.batch, cursor.row));
            cursor.step(&self.form, &mut self.batches)?;
            self.tournament.replay(|a, b| self.cursors[a].less(&self.cursors[b]));
        }
        if keys.is_empty() {
            return Ok(None);
        }
        let rows = self.form.gather(&self.batches, &chosen)?;
        self.forget();
        Ok(Some(Piece { keys, rows }))
    }

    /// Drops the batches that no cursor stands in.
    fn forget(&mut self) {
        let mut kept = Vec::with_capacity(self.cursors.len());
        for cursor in self.cursors.iter_mut().filter(|cursor| cursor.key.is_some()) {
            kept.push(self.batches[cursor.batch].clone());
            cursor.batch = kept.len() - 1;
        }
        self.batches = kept;
    }
}

impl Iterator for Merge {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_piece().transpose()
    }
}
