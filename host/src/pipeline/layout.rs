//! The columns of the table between two steps.

use crate::contract::StepPlan;
use crate::{Error, Result};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::collections::HashSet;
use std::sync::Arc;

/// A column that is known by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its field, without a dictionary.
    pub field: Field,
    /// The step that wrote it last; the source where there is none.
    pub writer: Option<usize>,
    /// Whether its name was known only once its step was fitted.
    pub in_family: bool,
}

/// One column, or some whose names are not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A column.
    Column(Column),
    /// Columns that are known once a step is fitted.
    Family {
        /// What all their names begin with.
        prefix: String,
        /// The type of all.
        data_type: DataType,
        /// How many there are at most.
        most: u32,
        /// The step.
        writer: usize,
    },
}

/// The columns of the table at some point of the pipeline, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout(Vec<Entry>);

impl Layout {
    /// The source's columns.
    pub fn of_source(schema: &Schema) -> Self {
        let column = |field: &Arc<Field>| {
            Entry::Column(Column { field: field.as_ref().clone(), writer: None, in_family: false })
        };
        Self(schema.fields().iter().map(column).collect())
    }

    /// The entries, in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The columns that are known by name, in their order.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.0.iter().filter_map(|entry| match entry {
            Entry::Column(column) => Some(column),
            Entry::Family { .. } => None,
        })
    }

    /// The column with this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns().find(|column| column.field.name() == name)
    }

    /// The schema, once all columns are known by name.
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns().map(|column| column.field.clone()).collect::<Vec<_>>()))
    }

    #[cfg(test)]
    pub(super) fn push(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    /// The columns after a step: what it drops and replaces is gone, what it writes stands where its plan says.
    ///
    /// # Errors
    /// Where two columns would have one name.
    pub fn after(&self, step: usize, plan: &StepPlan, outputs: Option<&Schema>) -> Result<Self> {
        let written = written(step, plan, outputs);
        let replaced = |name: &str| {
            let exact = plan.writes.iter().filter(|write| write.family.is_none());
            plan.drops.iter().any(|drop| drop == name) || exact.clone().any(|write| write.field.name() == name)
        };
        let mut entries = Vec::with_capacity(self.0.len() + written.len());
        let at = |place: Option<&str>| -> Vec<Entry> {
            let pairs = plan.writes.iter().zip(&written);
            pairs.filter(|(write, _)| write.place.as_deref() == place).flat_map(|(_, entries)| entries.clone()).collect()
        };
        for entry in &self.0 {
            let Entry::Column(column) = entry else {
                entries.push(entry.clone());
                continue;
            };
            // Only what was selected can be dropped or replaced; a plan that names other columns was refused before.
            if !replaced(column.field.name()) {
                entries.push(entry.clone());
            }
            entries.extend(at(Some(column.field.name())));
        }
        entries.extend(at(None));
        let layout = Self(entries);
        let mut names = HashSet::new();
        if let Some(column) = layout.columns().find(|column| !names.insert(column.field.name())) {
            let message = format!("the step writes a column `{}`, which the table has already", column.field.name());
            return Err(Error::usage(message).hint("rename one of them, or leave the column out of the step"));
        }
        Ok(layout)
    }
}

/// The fields that each write of a plan makes, told from the step's outputs.
pub fn expand(plan: &StepPlan, outputs: &Schema) -> Vec<Vec<Field>> {
    let mut fields = outputs.fields().iter().map(AsRef::as_ref).peekable();
    let expanded = plan.writes.iter().map(|write| match write.family {
        None => fields.next().cloned().into_iter().collect(),
        Some(_) => {
            let belongs = |field: &&Field| {
                field.name().starts_with(write.field.name()) && field.data_type() == write.field.data_type()
            };
            std::iter::from_fn(|| fields.next_if(belongs)).cloned().collect()
        }
    });
    expanded.collect()
}

fn written(step: usize, plan: &StepPlan, outputs: Option<&Schema>) -> Vec<Vec<Entry>> {
    let column = |field: Field, in_family| Entry::Column(Column { field, writer: Some(step), in_family });
    let Some(outputs) = outputs else {
        let entry = |write: &crate::contract::Write| match write.family {
            None => column(write.field.clone(), false),
            Some(most) => Entry::Family {
                prefix: write.field.name().clone(),
                data_type: write.field.data_type().clone(),
                most,
                writer: step,
            },
        };
        return plan.writes.iter().map(|write| vec![entry(write)]).collect();
    };
    let expanded = expand(plan, outputs).into_iter().zip(&plan.writes);
    let entries = expanded.map(|(fields, write)| match write.family {
        // A dictionary is a matter of passing a batch: the column is what was planned.
        None => vec![column(write.field.clone(), false)],
        Some(_) => fields.into_iter().map(|field| column(field, true)).collect(),
    });
    entries.collect()
}
