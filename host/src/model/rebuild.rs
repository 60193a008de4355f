//! The steps of a model again: to apply it to another table, or to add the rows of one to what they learned.

use super::manifest::{RESTORE, column};
use super::{Manifest, SourceEntry, StepEntry};
use crate::contract::{ColumnRole, Role};
use crate::pipeline::{Columns, OF_STEPS, Plugins, Selector, Step, StepDefinition, first_violation};
use crate::sandbox::Plugin;
use crate::{Error, Result};
use arrow_schema::{Field, Schema, SchemaRef};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

impl Manifest {
    /// Checks that a table has the columns that the steps were fitted on.
    ///
    /// # Errors
    /// Where one is missing or has another type.
    pub fn check_source(&self, schema: &Schema) -> Result<()> {
        let steps = self.steps.iter().filter(|step| step.is_applied());
        let used: HashSet<_> = steps.flat_map(|step| &step.columns).map(|column| &column.name).collect();
        let found: HashMap<_, _> = schema.fields().iter().map(|field| (field.name(), field)).collect();
        for known in self.source.iter().filter(|column| used.contains(&column.name)) {
            let (name, data_type) = (&known.name, &known.data_type);
            let message = match found.get(name) {
                Some(field) if field.data_type().to_string() == *data_type => continue,
                Some(field) => {
                    format!("`{name}` is of type {}, and the model was fitted on {data_type}", field.data_type())
                }
                None => format!("the table lacks the column `{name}`, which the model was fitted on"),
            };
            return Err(Error::model(message)
                .column(name)
                .hint("apply the model to a table like that which it was fitted on"));
        }
        Ok(())
    }

    /// The steps again, with the plugins that they were fitted with. The split and filters of some of its parts are left out: a table
    /// to apply a model to is one part, which is none of them.
    ///
    /// # Errors
    /// Where a plugin is missing or is not the one that the model was fitted with.
    pub fn definitions(&self, plugins: &Plugins) -> Result<Vec<StepDefinition>> {
        let mut definitions = Vec::new();
        for step in self.steps.iter().filter(|step| step.is_applied()) {
            let plugin = pinned(step, plugins).map_err(|error| error.step(&step.name).in_plugin(&step.plugin))?;
            definitions.push(definition(step, plugin));
        }
        Ok(definitions)
    }

    /// Checks that a step is given columns of the types that it was fitted on.
    ///
    /// # Errors
    /// Where one has another type.
    pub fn check_columns(&self, step: &Step) -> Result<()> {
        let fields = step.selection.schema.fields().iter().zip(&step.selection.roles);
        let known = self.steps.iter().filter(|entry| entry.ordinal == step.ordinal).flat_map(|entry| &entry.columns);
        for ((field, role), known) in fields.zip(known) {
            let found = column(field, Some(*role));
            if found != *known {
                let message = format!(
                    "the step was fitted on `{}` of type {}, and it is {} here",
                    known.name, known.data_type, found.data_type
                );
                return Err(Error::model(message).step(&step.name).column(field.name()));
            }
        }
        Ok(())
    }

    /// All steps again, the split and filters of some parts among them, which choose their columns as they did when the model was fitted:
    /// a glob may mean columns that the added rows bring about.
    ///
    /// # Errors
    /// As for [`definitions`](Self::definitions), and where the manifest does not tell how columns were chosen.
    pub fn all_definitions(&self, plugins: &Plugins) -> Result<Vec<StepDefinition>> {
        let again = |step: &StepEntry| {
            let select = step.select.as_ref().ok_or_else(|| {
                let message = format!("wafermill {} kept too little of this model to add rows to it", self.wafermill);
                Error::model(message).hint("fit it again, on the old and the new rows together")
            })?;
            let columns = select.iter().map(|it| (it.role, Columns::Selector(it.columns.clone())));
            let definition = StepDefinition { parts: step.parts.clone(), ..definition(step, pinned(step, plugins)?) };
            Ok(StepDefinition { columns: columns.collect(), ..definition })
        };
        let placed =
            |step: &StepEntry| again(step).map_err(|error: Error| error.step(&step.name).in_plugin(&step.plugin));
        self.steps.iter().map(placed).collect()
    }

    /// The schema of the rows that the model was fitted on and those of a table together, which must have the very same columns. As in a
    /// source of several files, one can be null if it can be so in either.
    ///
    /// # Errors
    /// Where a column is missing, stands elsewhere, has another type or is not the model's.
    pub fn joint_schema(&self, schema: &Schema) -> Result<SchemaRef> {
        let refused = |message: String, column: &str| {
            let hint = "add a table with the columns that the model was fitted on, in their order and of their types";
            Err(Error::model(message).column(column).hint(hint))
        };
        let known: HashSet<_> = self.source.iter().map(|column| &column.name).collect();
        let found: HashSet<_> = schema.fields().iter().map(|field| field.name()).collect();
        if let Some(SourceEntry { name, .. }) = self.source.iter().find(|column| !found.contains(&column.name)) {
            return refused(format!("the table lacks the column `{name}`, which the model was fitted on"), name);
        }
        if let Some(name) = schema.fields().iter().map(|field| field.name()).find(|name| !known.contains(name)) {
            return refused(format!("the table has a column `{name}`, which the model was not fitted on"), name);
        }
        let mut fields = Vec::with_capacity(self.source.len());
        for (field, SourceEntry { name, data_type, nullable }) in schema.fields().iter().zip(&self.source) {
            if field.name() != name {
                let message = format!("column {} is `{}`, and was `{name}` where", fields.len() + 1, field.name());
                return refused(format!("{message} the model was fitted"), name);
            }
            if field.data_type().to_string() != *data_type {
                let found = field.data_type();
                return refused(format!("`{name}` is of type {found}, and the model was fitted on {data_type}"), name);
            }
            fields.push(Field::clone(field).with_nullable(*nullable || field.is_nullable()));
        }
        Ok(Arc::new(Schema::new(fields)))
    }

    /// Checks that a step is given the very columns that it was fitted on.
    ///
    /// # Errors
    /// Where they are others, which means that the manifest does not fit itself.
    pub fn check_selection(&self, step: &Step, entry: &StepEntry) -> Result<()> {
        let fields = step.selection.schema.fields().iter().zip(&step.selection.roles);
        match fields.map(|(field, role)| column(field, Some(*role))).eq(entry.columns.iter().cloned()) {
            true => Ok(()),
            false => {
                let message = "the manifest is damaged: it chooses other columns than the step was fitted on";
                Err(step.place(Error::model(message).hint(RESTORE)))
            }
        }
    }
}

impl StepEntry {
    /// Whether it is part of applying the model to another table.
    fn is_applied(&self) -> bool {
        self.ordinal > 0 && self.parts.is_none()
    }
}

/// The plugin of a step, which must take the step's parameters.
fn pinned(step: &StepEntry, plugins: &Plugins) -> Result<Arc<Plugin>> {
    let plugin = plugins.get_pinned(&step.plugin, &step.digest)?;
    let description = plugin.description();
    if description.name != step.plugin {
        let message =
            format!("the manifest is damaged: the plugin with the digest of this step is `{}`", description.name);
        return Err(Error::model(message).hint(RESTORE));
    }
    let (roles, wanted): (&[Role], _) = if step.ordinal == 0 { (&[Role::Split], "split") } else { (&OF_STEPS, "step") };
    if !roles.contains(&description.role) {
        let found = description.role.name_with_article();
        return Err(Error::model(format!("the plugin is {found}, which is no {wanted}")).hint(RESTORE));
    }
    match first_violation(&description.params_schema, &step.params)? {
        None => Ok(plugin),
        Some(violation) => {
            Err(Error::model(format!("the model's parameters are damaged: {}", violation.message)).hint(RESTORE))
        }
    }
}

/// Selects by the very names: globs and types were resolved when the model was fitted.
fn definition(step: &StepEntry, plugin: Arc<Plugin>) -> StepDefinition {
    let mut columns: Vec<(ColumnRole, Columns)> = Vec::new();
    for column in &step.columns {
        let role = column.role.unwrap_or(ColumnRole::Feature);
        match columns.last_mut() {
            Some((last, Columns::Selector(selector))) if *last == role => selector.names.push(column.name.clone()),
            _ => {
                let selector = Selector { names: vec![column.name.clone()], ..Selector::default() };
                columns.push((role, Columns::Selector(selector)));
            }
        }
    }
    StepDefinition {
        name: step.name.clone(),
        ordinal: step.ordinal,
        plugin,
        columns,
        parts: None,
        params: step.params.clone(),
        pointer: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::CsvSection;
    use arrow_schema::{DataType, TimeUnit};

    fn fields() -> Vec<Field> {
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        vec![
            Field::new("id", DataType::Int64, false),
            Field::new("at", instant, true),
            Field::new("money", DataType::Decimal128(10, 2), false),
        ]
    }

    fn fitted_on(fields: &[Field]) -> Manifest {
        let source = fields.iter().map(|field| SourceEntry {
            name: field.name().clone(),
            data_type: field.data_type().to_string(),
            nullable: field.is_nullable(),
        });
        Manifest {
            format: 1,
            wafermill: String::new(),
            hash_version: 1,
            folds: 5,
            csv: CsvSection::default(),
            source: source.collect(),
            steps: Vec::new(),
            columns: Vec::new(),
        }
    }

    #[test]
    fn a_column_of_both_tables_can_be_null_if_it_can_be_so_in_either() {
        let (manifest, mut added) = (fitted_on(&fields()), fields());
        assert_eq!(*manifest.joint_schema(&Schema::new(added.clone())).unwrap(), Schema::new(fields()));
        added[0].set_nullable(true);
        added[1].set_nullable(false);
        let joint = manifest.joint_schema(&Schema::new(added)).unwrap();
        let nullable: Vec<bool> = joint.fields().iter().map(|field| field.is_nullable()).collect();
        assert_eq!(nullable, [true, true, false]);
    }

    #[test]
    fn tables_with_other_columns_than_the_models_are_refused_with_the_column() {
        let manifest = fitted_on(&fields());
        let refused = |change: fn(&mut Vec<Field>)| {
            let mut added = fields();
            change(&mut added);
            let error = manifest.joint_schema(&Schema::new(added)).unwrap_err();
            (error.message().to_owned(), error.place().column.clone().unwrap())
        };
        let told = |message: &str, column: &str| (message.to_owned(), column.to_owned());
        assert_eq!(
            refused(|fields| drop(fields.pop())),
            told("the table lacks the column `money`, which the model was fitted on", "money")
        );
        assert_eq!(
            refused(|fields| fields.push(Field::new("more", DataType::Utf8, true))),
            told("the table has a column `more`, which the model was not fitted on", "more")
        );
        assert_eq!(
            refused(|fields| fields.swap(0, 1)),
            told("column 1 is `at`, and was `id` where the model was fitted", "id")
        );
        assert_eq!(
            refused(|fields| fields[2].set_data_type(DataType::Decimal128(12, 2))),
            told("`money` is of type Decimal128(12, 2), and the model was fitted on Decimal128(10, 2)", "money")
        );
        // One in front of all others does not make theirs another order.
        let (message, _) = refused(|fields| fields.insert(0, Field::new("more", DataType::Utf8, true)));
        assert_eq!(message, "the table has a column `more`, which the model was not fitted on");
    }

    #[test]
    fn manifests_of_earlier_versions_say_nothing_of_nulls() {
        let entry: SourceEntry = serde_json::from_str(r#"{"name": "x", "type": "Int64"}"#).unwrap();
        assert!(entry.nullable);
        assert_eq!(serde_json::to_string(&entry).unwrap(), r#"{"name":"x","type":"Int64"}"#);
    }
}
