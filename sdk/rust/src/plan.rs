//! What a plugin says of itself and of what it will do.

use crate::bindings::wafermill::plugin::types as wit;
use crate::message;
use crate::{Error, Result};
use arrow_schema::{DataType, Field, Schema};

pub use wit::{ColumnRole, ContextColumn, Operator, Passes, PluginRole};

impl Passes {
    /// Learns nothing.
    pub const NONE: Self = Self { least: 0, most: 0 };

    /// Sees the training rows once.
    pub const ONE: Self = Self { least: 1, most: 1 };

    /// Sees the training rows from `least` to `most` times.
    pub const fn between(least: u32, most: u32) -> Self {
        Self { least, most }
    }
}

/// The columns that the pipeline selected for a step.
#[derive(Clone, Debug)]
pub struct Selection {
    schema: Schema,
    roles: Vec<ColumnRole>,
}

impl Selection {
    pub(crate) fn decode(selection: &wit::Selection) -> Result<Self> {
        let (schema, _) = message::decode_schema(&selection.schema)?;
        if schema.fields().len() != selection.roles.len() {
            return Err(Error::internal("a selection needs one role for each column"));
        }
        Ok(Self { schema, roles: selection.roles.clone() })
    }

    /// The column with a name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.schema.fields().iter().find(|field| field.name() == name).map(AsRef::as_ref)
    }

    /// The columns with a role, in the order of the table.
    pub fn with_role(&self, role: ColumnRole) -> impl Iterator<Item = &Field> {
        let fields = self.schema.fields().iter().zip(&self.roles);
        fields.filter(move |(_, it)| **it == role).map(|(field, _)| field.as_ref())
    }

    /// The columns to be transformed.
    ///
    /// # Errors
    /// Where there are none.
    pub fn features(&self) -> Result<Vec<&Field>> {
        let features: Vec<_> = self.with_role(ColumnRole::Feature).collect();
        if features.is_empty() {
            return Err(Error::invalid_params("the step selects no columns").hint("name them with `columns`"));
        }
        Ok(features)
    }
}

/// A table of partial results or of a model.
#[derive(Clone, Debug)]
pub struct Table {
    /// Lower case, digits and hyphens.
    pub name: String,
    /// Its columns.
    pub schema: Schema,
    /// For partials one for each column, keys first; empty for a model.
    pub operators: Vec<Operator>,
}

impl Table {
    /// A table of partial results: its columns and how they are combined, keys first.
    pub fn partials(name: &str, columns: impl IntoIterator<Item = (Field, Operator)>) -> Self {
        let (fields, operators): (Vec<_>, _) = columns.into_iter().unzip();
        Self { name: name.to_owned(), schema: Schema::new(fields), operators }
    }

    /// A table of the model.
    pub fn model(name: &str, fields: impl IntoIterator<Item = Field>) -> Self {
        let fields: Vec<_> = fields.into_iter().collect();
        Self { name: name.to_owned(), schema: Schema::new(fields), operators: Vec::new() }
    }
}

/// What a step will do with the columns it was given: start with [`Plan::default`] and add to it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    passes: Option<Passes>,
    reads: Vec<wit::Read>,
    drops: Vec<String>,
    writes: Vec<wit::Write>,
    outputs: Vec<Field>,
    partials: Vec<Table>,
    model: Vec<Table>,
}

impl Plan {
    /// Sees the training rows so often. Without it the step learns nothing.
    #[must_use]
    pub fn passes(mut self, passes: Passes) -> Self {
        self.passes = Some(passes);
        self
    }

    /// Reads a column; strings may come behind a dictionary where `dictionary` says so.
    #[must_use]
    pub fn read(mut self, field: &Field, dictionary: bool) -> Self {
        self.reads.push(wit::Read::Column(wit::ColumnRead { name: field.name().clone(), dictionary }));
        self
    }

    /// Reads a column that the host computes.
    #[must_use]
    pub fn read_context(mut self, context: ContextColumn) -> Self {
        self.reads.push(wit::Read::Context(context));
        self
    }

    /// Writes a column instead of the selected one that `place` names, which it drops, or at the end of the table.
    #[must_use]
    pub fn replace(mut self, place: &Field, field: Field) -> Self {
        if place.name() != field.name() {
            self = self.drop(place);
        }
        self.write(Some(place.name()), wit::Extent::One, field)
    }

    /// Writes a column behind the selected one that `place` names, or at the end of the table.
    #[must_use]
    pub fn add(self, place: Option<&Field>, field: Field) -> Self {
        self.write(place.map(|place| place.name().as_str()), wit::Extent::One, field)
    }

    /// Writes at most `most` columns whose names begin with `prefix` and are known once the step is fitted.
    #[must_use]
    pub fn add_family(self, place: &Field, prefix: &str, data_type: DataType, most: u32) -> Self {
        self.write(Some(place.name()), wit::Extent::Family(most), Field::new(prefix, data_type, false))
    }

    /// Writes the one column of a filter: true for each row that is kept. Rows with false or null are dropped.
    #[must_use]
    pub fn keeps_rows(self) -> Self {
        self.add(None, Field::new("keep", DataType::Boolean, true))
    }

    /// Removes a selected column from the table.
    #[must_use]
    pub fn drop(mut self, field: &Field) -> Self {
        self.drops.push(field.name().clone());
        self
    }

    /// Learns these partial results.
    #[must_use]
    pub fn partials(mut self, tables: impl IntoIterator<Item = Table>) -> Self {
        self.partials.extend(tables);
        self
    }

    /// Keeps this table in its model.
    #[must_use]
    pub fn model(mut self, table: Table) -> Self {
        self.model.push(table);
        self
    }

    fn write(mut self, place: Option<&str>, extent: wit::Extent, field: Field) -> Self {
        self.writes.push(wit::Write { place: place.map(str::to_owned), extent });
        self.outputs.push(field);
        self
    }

    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn most_passes(&self) -> u32 {
        self.passes.unwrap_or(Passes::NONE).most
    }

    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn reads(&self) -> &[wit::Read] {
        &self.reads
    }

    /// The fields that are written, families as their prefix.
    pub fn outputs(&self) -> &[Field] {
        &self.outputs
    }

    /// The tables of partial results.
    pub fn partial_tables(&self) -> &[Table] {
        &self.partials
    }

    /// The tables of the model.
    pub fn model_tables(&self) -> &[Table] {
        &self.model
    }

    pub(crate) fn encode(self) -> Result<wit::StepPlan> {
        let partials = self.partials.into_iter().map(|Table { name, schema, operators }| {
            Ok(wit::PartialTable { name, schema: message::encode_schema(&schema)?, operators })
        });
        let model = self
            .model
            .into_iter()
            .map(|Table { name, schema, .. }| Ok(wit::ModelTable { name, schema: message::encode_schema(&schema)? }));
        Ok(wit::StepPlan {
            passes: self.passes.unwrap_or(Passes::NONE),
            reads: self.reads,
            drops: self.drops,
            writes: self.writes,
            outputs: message::encode_schema(&Schema::new(self.outputs))?,
            partials: partials.collect::<Result<_>>()?,
            model: model.collect::<Result<_>>()?,
        })
    }
}
