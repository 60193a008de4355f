//! The columns of the table between two steps.

use crate::contract::{Outputs, StepPlan};
use crate::{Error, Result};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::collections::{HashMap, HashSet};
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

    /// The columns after a step: what it drops and replaces of its selected columns is gone, what it writes stands where its plan
    /// says.
    ///
    /// # Errors
    /// Where two columns would have one name.
    pub fn after(&self, step: usize, selected: &Schema, plan: &StepPlan, outputs: Option<&Outputs>) -> Result<Self> {
        let written = written(step, plan, outputs);
        // There may be a hundred thousand columns, each of which is looked for.
        let exact = plan.writes.iter().filter(|write| write.family.is_none()).map(|write| write.field.name());
        let gone: HashSet<&String> = plan.drops.iter().chain(exact).collect();
        // A column that was not selected is not the step's to replace: one that is written with its name clashes with it.
        let replaced: HashSet<&String> =
            selected.fields().iter().map(|field| field.name()).filter(|name| gone.contains(name)).collect();
        let mut placed: HashMap<Option<&str>, Vec<Entry>> = HashMap::new();
        let mut entries = Vec::with_capacity(self.0.len() + written.len());
        for (write, written) in plan.writes.iter().zip(written) {
            placed.entry(write.place.as_deref()).or_default().extend(written);
        }
        for entry in &self.0 {
            let Entry::Column(column) = entry else {
                entries.push(entry.clone());
                continue;
            };
            if !replaced.contains(column.field.name()) {
                entries.push(entry.clone());
            }
            entries.extend(placed.remove(&Some(column.field.name().as_str())).unwrap_or_default());
        }
        entries.extend(placed.remove(&None).unwrap_or_default());
        let layout = Self(entries);
        let mut names = HashSet::new();
        if let Some(column) = layout.columns().find(|column| !names.insert(column.field.name())) {
            let message = format!("the step writes a column `{}`, which the table has already", column.field.name());
            return Err(Error::usage(message).hint("rename one of them, or leave the column out of the step"));
        }
        Ok(layout)
    }
}

fn written(step: usize, plan: &StepPlan, outputs: Option<&Outputs>) -> Vec<Vec<Entry>> {
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
    let mut fields = outputs.schema.fields().iter();
    let entries = plan.writes.iter().zip(&outputs.columns).map(|(write, count)| {
        let fields = fields.by_ref().take(*count);
        // A dictionary is a matter of passing a batch: a column that is known by name is what was planned.
        let entry = |field: &Arc<Field>| match write.family {
            None => column(write.field.clone(), false),
            Some(_) => column(field.as_ref().clone(), true),
        };
        fields.map(entry).collect()
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Passes, Write};

    fn schema(names: &[&str]) -> Schema {
        Schema::new(names.iter().map(|name| Field::new(*name, DataType::Float64, true)).collect::<Vec<_>>())
    }

    fn write(place: Option<&str>, name: &str, family: Option<u32>) -> Write {
        Write { place: place.map(str::to_owned), field: Field::new(name, DataType::UInt8, false), family }
    }

    fn plan(drops: &[&str], writes: Vec<Write>) -> StepPlan {
        let drops = drops.iter().map(|name| (*name).to_owned()).collect();
        let passes = Passes { least: 0, most: 0 };
        StepPlan { passes, reads: Vec::new(), drops, writes, partials: Vec::new(), model: Vec::new() }
    }

    fn names(layout: &Layout) -> Vec<&str> {
        layout.columns().map(|column| column.field.name().as_str()).collect()
    }

    #[test]
    fn written_columns_stand_where_the_plan_says() {
        let layout = Layout::of_source(&schema(&["a", "b", "c"]));
        let writes = vec![write(Some("a"), "a", None), write(Some("a"), "a2", None), write(None, "z", None)];
        let after = layout.after(0, &schema(&["a", "b"]), &plan(&["b"], writes), None).unwrap();
        assert_eq!(names(&after), ["a", "a2", "c", "z"]);
        assert_eq!(after.column("a").unwrap().writer, Some(0));
        assert_eq!(after.column("c").unwrap().writer, None);
    }

    #[test]
    fn a_column_that_was_not_selected_is_never_replaced() {
        let layout = Layout::of_source(&schema(&["x", "x_missing"]));
        let plan = plan(&[], vec![write(Some("x"), "x_missing", None)]);
        let error = layout.after(0, &schema(&["x"]), &plan, None).unwrap_err();
        assert_eq!(error.message(), "the step writes a column `x_missing`, which the table has already");
    }
}
