//! The columns of one batch on their way through the steps.

use crate::aggregate::Rows;
use crate::contract::{ColumnRole, Context, Read};
use crate::hash;
use crate::pipeline::{FilterParts, Step, TRAINING};
use crate::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt8Array, UInt64Array};
use arrow_buffer::BooleanBuffer;
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::dictionary::garbage_collect_any_dictionary;
use arrow_select::filter::FilterBuilder;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Columns by name, all with the same number of rows.
#[derive(Clone, Debug)]
pub(super) struct Table {
    rows: usize,
    columns: HashMap<String, ArrayRef>,
    /// The source's columns of these rows: all of them, where a step asks for the row hash.
    source: RecordBatch,
    /// Each time that rows were dropped, those that were not: of the rows that were left then.
    kept: Vec<BooleanBuffer>,
    parts: Option<UInt8Array>,
    folds: u8,
}

impl Table {
    pub(super) fn new(batch: RecordBatch, folds: u8) -> Self {
        let fields = batch.schema_ref().fields().iter().map(|field| field.name().clone());
        let columns = fields.zip(batch.columns().iter().cloned()).collect();
        Self { rows: batch.num_rows(), columns, source: batch, kept: Vec::new(), parts: None, folds }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The source's columns of these rows.
    pub(super) fn source(&self) -> &RecordBatch {
        &self.source
    }

    /// The same rows with some of the source's columns, each as `keep` has it, where nothing was written yet.
    pub(super) fn only(&self, columns: &BTreeSet<String>, keep: impl Fn(&ArrayRef) -> ArrayRef) -> Result<Self> {
        let columns_of = self.source.schema_ref().fields().iter().zip(self.source.columns());
        let wanted = columns_of.filter(|(field, _)| columns.contains(field.name()));
        let (fields, kept): (Vec<_>, Vec<_>) = wanted.map(|(field, column)| (field.clone(), keep(column))).unzip();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let source = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), kept, &options);
        let (kept, parts) = (self.kept.clone(), self.parts.clone());
        Ok(Self { kept, parts, ..Self::new(source.map_err(internal)?, self.folds) })
    }

    pub(super) fn set_parts(&mut self, parts: UInt8Array) {
        self.parts = Some(parts);
    }

    /// The rows of the training part; nothing where no split was applied.
    pub(super) fn training_rows(&self) -> Option<BooleanBuffer> {
        let parts = self.parts.as_ref()?;
        Some(BooleanBuffer::collect_bool(self.rows, |row| parts.value(row) == TRAINING))
    }

    /// Keeps the rows whose bits are set, all of the training part.
    pub(super) fn keep_as_training(&mut self, rows: BooleanBuffer) -> Result<()> {
        self.parts = None;
        self.keep(rows)?;
        self.parts = Some(UInt8Array::from_value(TRAINING, self.rows));
        Ok(())
    }

    /// Keeps the rows whose bits are set, and remembers where they stood in the source's batch.
    pub(super) fn keep(&mut self, rows: BooleanBuffer) -> Result<()> {
        if rows.count_set_bits() == self.rows {
            return Ok(());
        }
        let bits = BooleanArray::from(rows);
        let predicate = FilterBuilder::new(&bits).optimize().build();
        let keep = |array: &ArrayRef| predicate.filter(array).map_err(internal);
        // Most of the source's columns are still those of the table, and are filtered once.
        let schema = self.source.schema();
        let mut source = Vec::with_capacity(schema.fields().len());
        let mut places = HashMap::with_capacity(schema.fields().len());
        for (field, column) in schema.fields().iter().zip(self.source.columns()) {
            let name = field.name().as_str();
            source.push(keep(column)?);
            if self.columns.get(name).is_some_and(|own| Arc::ptr_eq(own, column)) {
                places.insert(name, source.len() - 1);
            }
        }
        for (name, column) in &mut self.columns {
            *column = match places.get(name.as_str()) {
                Some(position) => source[*position].clone(),
                None => keep(column)?,
            };
        }
        let options = RecordBatchOptions::new().with_row_count(Some(predicate.count()));
        self.source = RecordBatch::try_new_with_options(schema, source, &options).map_err(internal)?;
        if let Some(parts) = self.parts.take() {
            self.parts = Some(keep(&(Arc::new(parts) as ArrayRef))?.as_primitive().clone());
        }
        self.rows = predicate.count();
        self.kept.push(bits.values().clone());
        Ok(())
    }

    /// Where the rows stood in the source's batch; nothing where none was dropped.
    fn origin(&self) -> Option<Vec<u64>> {
        let (first, others) = self.kept.split_first()?;
        let mut origin: Vec<u64> = first.set_indices().map(|row| row as u64).collect();
        for kept in others {
            origin = kept.set_indices().map(|row| origin[row]).collect();
        }
        Some(origin)
    }

    /// Which rows are of some parts; nothing where all are.
    pub(super) fn rows_of(&self, parts: &FilterParts) -> Option<BooleanBuffer> {
        let numbers = self.parts.as_ref()?;
        let rows = BooleanBuffer::collect_bool(self.rows, |row| parts.contain(numbers.value(row)));
        (rows.count_set_bits() < self.rows).then_some(rows)
    }

    /// Of an error that names rows of this table: they become those of the source's batch.
    pub(super) fn place(&self, error: Error) -> Error {
        match self.origin() {
            Some(origin) => renumbered(error, &origin),
            None => error,
        }
    }

    fn column(&self, name: &str) -> Result<&ArrayRef> {
        self.columns.get(name).ok_or_else(|| Error::internal("a column was not read").column(name))
    }

    /// The batch that a step's plugin sees.
    pub(super) fn input(&self, step: &Step) -> Result<RecordBatch> {
        let mut fields = Vec::with_capacity(step.plan.reads.len());
        let mut columns = Vec::with_capacity(step.plan.reads.len());
        for read in &step.plan.reads {
            let (field, column) = match read {
                Read::Context(context) => (context.field(), self.context(*context, step)?),
                Read::Column { position, dictionary } => {
                    let field = step.selection.schema.field(*position);
                    let column = passable(self.column(field.name())?, *dictionary)?;
                    (Field::new(field.name(), column.data_type().clone(), field.is_nullable()), column)
                }
            };
            fields.push(field);
            columns.push(column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(internal)
    }

    /// Takes what a step wrote, and lets go of what it dropped.
    pub(super) fn take(&mut self, step: &Step, written: &RecordBatch) {
        for name in &step.plan.drops {
            self.columns.remove(name);
        }
        for (field, column) in written.schema_ref().fields().iter().zip(written.columns()) {
            self.columns.insert(field.name().clone(), column.clone());
        }
    }

    /// The columns of a schema, as they are; the source's batch had `of` rows.
    pub(super) fn into_rows(self, schema: &SchemaRef, of: u64) -> Result<Rows> {
        let columns =
            schema.fields().iter().map(|field| self.column(field.name()).cloned()).collect::<Result<Vec<_>>>()?;
        let physical = schema
            .fields()
            .iter()
            .zip(&columns)
            .map(|(field, column)| Arc::new(field.as_ref().clone().with_data_type(column.data_type().clone())));
        let physical = Arc::new(Schema::new(physical.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(physical, columns, &options).map_err(internal)?;
        let origin = self.origin();
        Ok(Rows { batch, parts: self.parts, source: self.source, of, origin })
    }

    fn context(&self, context: Context, step: &Step) -> Result<ArrayRef> {
        Ok(match context {
            Context::KeyHash => Arc::new(self.key_hash(step)?),
            Context::RowHash => Arc::new(self.row_hash()?),
            Context::Part => match &self.parts {
                Some(parts) => Arc::new(parts.clone()),
                None => Arc::new(UInt8Array::new_null(self.rows)),
            },
            Context::Fold => {
                let keyed = step.selection.roles.contains(&ColumnRole::Key);
                let hashes = if keyed { self.key_hash(step)? } else { self.row_hash()? };
                Arc::new(UInt8Array::from_iter_values(hashes.values().iter().map(|hash| fold(*hash, self.folds))))
            }
        })
    }

    fn key_hash(&self, step: &Step) -> Result<UInt64Array> {
        let keys = step.selection.schema.fields().iter().zip(&step.selection.roles);
        let keys =
            keys.filter(|(_, role)| **role == ColumnRole::Key).map(|(field, _)| self.column(field.name()).cloned());
        hash::key_hash(&keys.collect::<Result<Vec<_>>>()?)
    }

    fn row_hash(&self) -> Result<UInt64Array> {
        let names = self.source.schema_ref().fields().iter().map(|field| field.name().as_str());
        let columns: Vec<_> = names.zip(self.source.columns().iter().cloned()).collect();
        hash::row_hash(&columns)
    }
}

/// One of `folds` folds of equal size: the upper bits of the hash, spread once more so that splits by the same hash are independent
/// of it (finalizer of SplitMix64; Steele, Lea and Flood 2014). Documented in docs/hash.md.
fn fold(hash: u64, folds: u8) -> u8 {
    let mut mixed = hash ^ 0x666f_6c64_666f_6c64;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    ((u128::from(mixed) * u128::from(folds)) >> 64) as u8
}

/// A column in a form that the contract allows.
fn passable(column: &ArrayRef, dictionary: bool) -> Result<ArrayRef> {
    let DataType::Dictionary(_, values) = column.data_type() else { return Ok(column.clone()) };
    let typed = column.as_dictionary_opt::<Int32Type>();
    match typed {
        // Values that no row has are left out where there are many: the dictionary crosses with every batch.
        Some(typed) if dictionary && typed.values().null_count() == 0 => match typed.values().len() > typed.len() / 2 {
            true => garbage_collect_any_dictionary(typed).map_err(internal),
            false => Ok(column.clone()),
        },
        _ => cast(column, values).map_err(internal),
    }
}

/// Of an error that names rows of a selection of rows: they become those that were selected from.
pub(super) fn renumbered(error: Error, origin: &[u64]) -> Error {
    let place = |row| usize::try_from(row).ok().and_then(|row: usize| origin.get(row)).copied();
    error.map_rows(|row| place(row).unwrap_or(row))
}

pub(super) fn internal(error: arrow_schema::ArrowError) -> Error {
    Error::internal("a batch cannot be put together").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Int32Array;

    #[test]
    fn rows_that_are_left_know_where_they_stood() {
        let column: ArrayRef = Arc::new(Int32Array::from_iter_values(0..8));
        let mut table = Table::new(RecordBatch::try_from_iter([("x", column)]).unwrap(), 5);
        table.set_parts(UInt8Array::from(vec![0, 0, 1, 0, 0, 1, 0, 0]));
        table.keep_as_training(table.training_rows().unwrap()).unwrap();
        table.keep(BooleanBuffer::from(vec![false, true, true, true, false, true])).unwrap();
        table.keep(BooleanBuffer::from(vec![true, false, true, true])).unwrap();
        let values = |column: &ArrayRef| column.as_primitive::<Int32Type>().values().to_vec();
        assert_eq!(values(table.column("x").unwrap()), [1, 4, 7]);
        assert_eq!(values(table.source.column(0)), [1, 4, 7]);
        assert_eq!(table.place(Error::plugin("x").rows([0, 2])).place().rows, [1, 7]);
    }

    #[test]
    fn folds_are_of_equal_size() {
        let mut counts = [0; 5];
        (0..50_000_u64).for_each(|row| counts[fold(row.wrapping_mul(0x9e37_79b9_7f4a_7c15), 5) as usize] += 1);
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }
}
