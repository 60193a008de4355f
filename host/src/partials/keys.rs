//! Keys as bytes that compare as the keys do: ascending, nulls first, floats by total order.

use super::PartialTable;
use crate::Result;
use arrow_array::{ArrayRef, NullArray};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::DataType;
use std::cmp::Ordering;
use std::sync::Arc;

/// Turns the key columns of a table into comparable rows and back.
pub(super) struct KeyCodec {
    table: Arc<PartialTable>,
    converter: RowConverter,
}

impl KeyCodec {
    pub(super) fn new(table: Arc<PartialTable>) -> Result<Self> {
        let fields = table.schema().fields().iter().take(table.keys());
        let mut fields: Vec<_> = fields.map(|field| SortField::new(field.data_type().clone())).collect();
        if fields.is_empty() {
            // A converter without columns forgets how many rows there are.
            fields.push(SortField::new(DataType::Null));
        }
        let converter = RowConverter::new(fields).map_err(|error| table.broken(error))?;
        Ok(Self { table, converter })
    }

    /// The keys of `rows` rows, given all columns of the table.
    pub(super) fn encode(&self, columns: &[ArrayRef], rows: usize) -> Result<Rows> {
        let encoded = match self.table.keys() {
            0 => self.converter.convert_columns(&[Arc::new(NullArray::new(rows)) as ArrayRef]),
            keys => self.converter.convert_columns(&columns[..keys]),
        };
        encoded.map_err(|error| self.table.broken(error))
    }

    /// The key columns of the chosen rows, with nothing left of what lay under nulls.
    pub(super) fn decode(&self, rows: &Rows, chosen: impl Iterator<Item = usize>) -> Result<Vec<ArrayRef>> {
        let columns = self.converter.convert_rows(chosen.map(|row| rows.row(row)));
        let mut columns = columns.map_err(|error| self.table.broken(error))?;
        columns.truncate(self.table.keys());
        Ok(columns)
    }
}

/// The first 16 bytes of an encoded key: decides nearly all comparisons without a look at the row.
pub(super) fn prefix(key: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let length = key.len().min(16);
    bytes[..length].copy_from_slice(&key[..length]);
    u128::from_be_bytes(bytes)
}

/// Rows in ascending order of their keys, and the positions therein at which a new key starts.
pub(super) fn sorted(rows: &Rows) -> (Vec<u32>, Vec<u32>) {
    let mut order: Vec<(u128, u32)> = (0..).zip(rows.iter()).map(|(row, key)| (prefix(key.as_ref()), row)).collect();
    let compare = |a: &(u128, u32), b: &(u128, u32)| {
        a.0.cmp(&b.0).then_with(|| rows.row(a.1 as usize).cmp(&rows.row(b.1 as usize)))
    };
    order.sort_unstable_by(compare);
    let changes = order.windows(2).zip(1..).filter(|(pair, _)| compare(&pair[0], &pair[1]) != Ordering::Equal);
    let first = (!order.is_empty()).then_some(0);
    let starts = first.into_iter().chain(changes.map(|(_, position)| position)).collect();
    (order.into_iter().map(|(_, row)| row).collect(), starts)
}
