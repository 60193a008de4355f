//! Runs a plugin natively, through the same bytes as in the sandbox: for unit tests.

mod merge;

use crate::bindings::exports::wafermill::plugin::guest::{GuestFinisher, GuestFitter, GuestTransformer};
use crate::bindings::wafermill::plugin::types;
use crate::export::{FinisherResource, FitterResource, TransformerResource};
use crate::message::encode_schema;
use crate::{Batch, ColumnRole, ContextColumn, Error, Fit, Input, Output, Pass, Plan, Result, Selection, Values};
use arrow_schema::{DataType, Field, Schema};
use std::marker::PhantomData;

pub(crate) use merge::merge;

/// One step of a pipeline: a plugin, its parameters, and the columns that it is to work on.
///
/// See the crate's first page for an example.
#[derive(Debug)]
pub struct Harness<P> {
    task: types::Task,
    plan: Plan,
    input: Schema,
    /// What each pass was given by the one before.
    carries: Vec<Option<Vec<u8>>>,
    model: Vec<types::TableBatch>,
    plugin: PhantomData<P>,
}

/// A transformer with its model loaded, whose batches are passed by reference: what the same plugin costs without a sandbox.
#[derive(Debug)]
pub struct Native<P>(TransformerResource<P>);

impl<P: Fit> Native<P> {
    /// The message of what becomes of a batch.
    ///
    /// # Errors
    /// Where the plugin refuses the rows.
    pub fn apply(&self, batch: &Batch) -> Result<Vec<u8>> {
        self.0.write(batch)
    }
}

impl<P: Fit> Harness<P> {
    /// Plans a step with parameters as JSON, for features with these fields.
    ///
    /// # Errors
    /// Where the plugin refuses them.
    pub fn new(params: &str, features: impl IntoIterator<Item = Field>) -> Result<Self> {
        Self::with_roles(params, features.into_iter().map(|field| (field, ColumnRole::Feature)))
    }

    /// Plans a step for columns of any role.
    ///
    /// # Errors
    /// Where the plugin refuses them.
    pub fn with_roles(params: &str, columns: impl IntoIterator<Item = (Field, ColumnRole)>) -> Result<Self> {
        let (fields, roles): (Vec<Field>, _) = columns.into_iter().unzip();
        let selection = types::Selection { schema: encode_schema(&Schema::new(fields))?, roles };
        let parsed = crate::export::parse::<P>(params)?;
        let selected = Selection::decode(&selection)?;
        let plan = P::plan(&parsed, &selected)?;
        let input = input(&plan, &selected, false)?;
        let task = types::Task { params: params.to_owned(), selection, input: encode_schema(&input)? };
        Ok(Self { task, plan, input, carries: Vec::new(), model: Vec::new(), plugin: PhantomData })
    }

    /// Has strings come behind dictionaries where the plan welcomes them.
    ///
    /// # Errors
    /// Where the columns cannot be described.
    pub fn with_dictionaries(mut self) -> Result<Self> {
        self.input = input(&self.plan, &Selection::decode(&self.task.selection)?, true)?;
        self.task.input = encode_schema(&self.input)?;
        Ok(self)
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The message of a batch of the columns that the plan reads, in its order, as `write` writes them.
    ///
    /// # Errors
    /// Where `write` fails.
    pub fn batch(&self, rows: usize, write: impl FnOnce(&mut Output<'_>) -> Result<()>) -> Result<Vec<u8>> {
        let mut output = Output::new(&self.input, rows);
        write(&mut output)?;
        output.finish()
    }

    /// Fits, each batch in a fitter of its own, as often as the plugin wants to see them. Gives the number of passes: none for
    /// a step that learns nothing.
    ///
    /// # Errors
    /// Where the plugin refuses the rows, or wants more passes than its plan says.
    pub fn fit(&mut self, batches: &[Vec<u8>]) -> Result<u32> {
        let most = self.plan.most_passes();
        if most == 0 {
            return Ok(0);
        }
        let mut carry = None;
        self.carries.clear();
        for number in 0..most {
            self.carries.push(carry.clone());
            let pass = types::Pass { number, carry };
            let mut partials = Vec::new();
            for batch in batches {
                let fitter = FitterResource::<P>::create(self.task.clone(), pass.clone())?;
                fitter.update(batch.clone())?;
                while let Some(rows) = fitter.drain()? {
                    partials.push(rows);
                }
            }
            match self.finish(pass, &partials)? {
                types::Outcome::Model => return Ok(number + 1),
                types::Outcome::Again(next) => carry = Some(next),
            }
        }
        Err(Error::internal("the plugin wants more passes than its plan says"))
    }

    fn finish(&mut self, pass: types::Pass, partials: &[types::TableBatch]) -> Result<types::Outcome> {
        let finisher = FinisherResource::<P>::create(self.task.clone(), pass)?;
        let mut model = Vec::new();
        for (index, table) in (0_u32..).zip(self.plan.partial_tables()) {
            let rows = partials.iter().filter(|rows| rows.table == index).map(|rows| rows.batch.clone());
            for batch in merge(table, rows)? {
                model.extend(finisher.push(types::TableBatch { table: index, batch })?);
            }
        }
        let outcome = finisher.finish()?;
        if matches!(outcome, types::Outcome::Model) {
            while let Some(rows) = finisher.drain()? {
                model.push(rows);
            }
            model.sort_by_key(|rows| rows.table);
            self.model = model;
        }
        Ok(outcome)
    }

    /// The batches of a table of the model.
    ///
    /// # Errors
    /// Where there is no such table, or what was written to it is malformed.
    pub fn model(&self, table: &str) -> Result<Vec<Batch>> {
        let tables = self.plan.model_tables();
        let index = tables.iter().position(|it| it.name == table);
        let index = index.ok_or_else(|| Error::internal(format!("the model has no table `{table}`")))?;
        let input = Input::decode(&encode_schema(&tables[index].schema)?)?;
        let rows = self.model.iter().filter(|rows| rows.table as usize == index);
        rows.map(|rows| input.batch(rows.batch.clone())).collect()
    }

    /// Transforms a batch.
    ///
    /// # Errors
    /// Where the plugin refuses the model or the rows.
    pub fn apply(&self, batch: &[u8]) -> Result<Batch> {
        let (transformer, outputs) = self.open()?;
        outputs.batch(transformer.apply(batch.to_vec())?)
    }

    fn open(&self) -> Result<(TransformerResource<P>, Input)> {
        let transformer = TransformerResource::<P>::create(self.task.clone())?;
        for rows in &self.model {
            transformer.load(rows.clone())?;
        }
        let outputs = Input::decode(&transformer.outputs()?.schema)?;
        Ok((transformer, outputs))
    }

    /// The columns of a batch's message.
    ///
    /// # Errors
    /// Where it is malformed.
    pub fn read(&self, batch: Vec<u8>) -> Result<Batch> {
        Input::decode(&self.task.input)?.batch(batch)
    }

    /// A transformer with the model that was fitted.
    ///
    /// # Errors
    /// Where the plugin refuses the model.
    pub fn transformer(&self) -> Result<Native<P>> {
        Ok(Native(self.open()?.0))
    }

    /// A fitter of one of the passes that fitting took; nothing where it took fewer.
    ///
    /// # Errors
    /// Where the plugin cannot open it.
    pub fn fitter(&self, pass: usize) -> Result<Option<P::Fitter>> {
        let Some(carry) = self.carries.get(pass) else { return Ok(None) };
        let task = crate::export::open_task::<P>(self.task.clone())?;
        crate::Fitter::open(task, Pass { number: pass as u32, carry: carry.clone() }).map(Some)
    }

    /// Which rows of a batch a filter keeps.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply), or where the plugin is no filter.
    pub fn kept(&self, batch: &[u8]) -> Result<Vec<bool>> {
        let applied = self.apply(batch)?;
        let [column] = applied.columns() else { return Err(no_filter()) };
        let Values::Boolean(verdict) = column.values() else { return Err(no_filter()) };
        Ok((0..column.len()).map(|row| !column.is_null(row) && verdict.value(row)).collect())
    }
}

fn no_filter() -> Error {
    Error::internal("a filter writes one Boolean column")
}

/// The fields that a plan reads.
fn input(plan: &Plan, selection: &Selection, dictionaries: bool) -> Result<Schema> {
    let unknown = |name: &str| Error::internal(format!("the plan reads `{name}`, which is not selected"));
    let field = |read: &types::Read| match read {
        types::Read::Column(types::ColumnRead { name, dictionary }) => {
            let field = selection.field(name).ok_or_else(|| unknown(name))?;
            Ok(match field.data_type() {
                DataType::Utf8 if *dictionary && dictionaries => {
                    let words = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
                    field.clone().with_data_type(words)
                }
                _ => field.clone(),
            })
        }
        types::Read::Context(context) => Ok(match context {
            ContextColumn::KeyHash => Field::new("wafermill:key-hash", DataType::UInt64, false),
            ContextColumn::RowHash => Field::new("wafermill:row-hash", DataType::UInt64, false),
            ContextColumn::Part => Field::new("wafermill:part", DataType::UInt8, true),
            ContextColumn::Fold => Field::new("wafermill:fold", DataType::UInt8, false),
        }),
    };
    Ok(Schema::new(plan.reads().iter().map(field).collect::<Result<Vec<_>>>()?))
}
