//! Which rows are of the training part, as the first pass behind the split found out: later ones neither read its columns nor ask it again.

use super::table::Table;
use crate::source::Position;
use crate::{Error, Result};
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_data::bit_mask::set_bits;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Bytes that it takes at most: 67 million rows. Beyond, each pass asks anew.
const MOST: usize = 8 << 20;

/// A bit for each row of the source.
#[derive(Debug, Default)]
pub(super) struct TrainingRows {
    found: Mutex<Found>,
    /// By fragment, once all are known.
    known: Option<HashMap<usize, Buffer>>,
}

#[derive(Debug, Default)]
struct Found {
    fragments: HashMap<usize, Vec<u8>>,
    bytes: usize,
    /// Whether some rows could not be noted.
    lacking: bool,
}

impl TrainingRows {
    /// Notes which rows of a batch the split has put into the training part.
    pub(super) fn note(&self, position: &Position, rows: &BooleanBuffer) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(position.start).ok().filter(|_| position.rows.is_none());
        let bytes = start.and_then(|start| start.checked_add(rows.len())).map_or(usize::MAX, |end| end.div_ceil(8));
        let Found { fragments, bytes: all, lacking } = &mut *found;
        let bits = fragments.entry(position.fragment).or_default();
        let more = bytes.saturating_sub(bits.len());
        let (Some(start), false) = (start, *lacking || more > MOST - *all) else {
            *found = Found { lacking: true, ..Found::default() };
            return;
        };
        *all += more;
        bits.resize(bits.len() + more, 0);
        set_bits(bits, rows.values(), start, rows.offset(), rows.len());
    }

    /// Ends the pass that noted them.
    pub(super) fn end_pass(&mut self) {
        let found = self.found.get_mut().unwrap_or_else(PoisonError::into_inner);
        if self.known.is_none() && !found.lacking && !found.fragments.is_empty() {
            let fragments = std::mem::take(&mut found.fragments).into_iter();
            self.known = Some(fragments.map(|(fragment, bits)| (fragment, Buffer::from_vec(bits))).collect());
        }
    }

    /// Whether the split need not be asked.
    pub(super) fn are_known(&self) -> bool {
        self.known.is_some()
    }

    /// Keeps the training rows of a table; `position` is where its batch begins.
    ///
    /// # Errors
    /// Where nothing is known of them.
    pub(super) fn keep(&self, position: &Position, table: &mut Table) -> Result<()> {
        let unknown = || Error::internal("it is not known which rows are of the training part");
        let bits = self.known.as_ref().and_then(|known| known.get(&position.fragment)).ok_or_else(unknown)?;
        let start = usize::try_from(position.start).ok();
        let end = start.and_then(|start| start.checked_add(table.rows()));
        let start = start.filter(|_| end.is_some_and(|end| end <= 8 * bits.len())).ok_or_else(unknown)?;
        table.keep_as_training(BooleanBuffer::new(bits.clone(), start, table.rows()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    use std::sync::Arc;

    fn at(fragment: usize, start: u64) -> Position {
        Position::new(fragment, "".into(), start)
    }

    fn table(rows: usize) -> Table {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
        Table::new(RecordBatch::try_from_iter([("x", column)]).unwrap(), 5)
    }

    #[test]
    fn rows_are_found_again_however_they_are_cut() {
        let is_training = |fragment: usize, row: usize| !(row * 7 + fragment).is_multiple_of(5);
        let bits = |fragment, rows: std::ops::Range<usize>| {
            rows.map(|row| is_training(fragment, row)).collect::<BooleanBuffer>()
        };
        let mut training = TrainingRows::default();
        for (fragment, rows) in [(1, 30..43), (0, 0..11), (1, 0..30), (0, 11..100)] {
            training.note(&at(fragment, rows.start as u64), &bits(fragment, rows));
        }
        assert!(!training.are_known());
        training.end_pass();
        assert!(training.are_known());
        for (fragment, rows) in [(0, 0..100), (1, 3..43), (1, 40..43)] {
            let mut table = table(rows.len());
            training.keep(&at(fragment, rows.start as u64), &mut table).unwrap();
            assert_eq!(table.rows(), rows.clone().filter(|row| is_training(fragment, *row)).count());
        }
        assert!(training.keep(&at(1, 40), &mut table(40)).is_err() && training.keep(&at(7, 0), &mut table(1)).is_err());
    }

    #[test]
    fn what_is_too_much_or_not_in_order_is_asked_for_anew() {
        let mut training = TrainingRows::default();
        let rows = BooleanBuffer::new_set(8);
        training.note(&at(0, 0), &rows);
        training.note(&at(1, 8 * MOST as u64), &rows);
        training.note(&at(2, 0), &rows);
        training.end_pass();
        assert!(!training.are_known());
        let mut training = TrainingRows::default();
        training.note(&Position { rows: Some([3, 9].into()), ..at(0, 0) }, &BooleanBuffer::new_set(2));
        training.end_pass();
        assert!(!training.are_known());
    }
}
