//! Write wafermill plugins in Rust.
//!
//! A plugin is a crate with `crate-type = ["cdylib", "rlib"]`: a type for its parameters, a [`Transform`] from columns to
//! columns, and one call of [`export!`]. `plan` says which columns are read and written, before any row is; `apply` then takes
//! batches and writes each column straight into the outgoing Arrow message.
//!
//! ```
//! use wafermill_sdk::{Batch, Error, Field, Output, Plan, Result, Selection, Task, Transform, export};
//!
//! /// Cuts numbers off at two bounds.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Params {
//!     low: f64,
//!     high: f64,
//! }
//!
//! struct Clip(Params);
//!
//! export!(Clip);
//!
//! impl Transform for Clip {
//!     const NAME: &'static str = "clip";
//!     const VERSION: &'static str = env!("CARGO_PKG_VERSION");
//!     const SUMMARY: &'static str = "cuts numbers off at two bounds";
//!     type Params = Params;
//!
//!     fn plan(params: &Params, selection: &Selection) -> Result<Plan> {
//!         if params.low > params.high {
//!             return Err(Error::invalid_params("`low` is above `high`"));
//!         }
//!         let mut plan = Plan::default();
//!         for field in selection.features()? {
//!             let clipped = Field::new(field.name(), wafermill_sdk::DataType::Float64, field.is_nullable());
//!             plan = plan.read(field, false).replace(field, clipped);
//!         }
//!         Ok(plan)
//!     }
//!
//!     fn open(task: Task<Params>) -> Result<Self> {
//!         Ok(Self(task.params))
//!     }
//!
//!     fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()> {
//!         for column in batch.columns() {
//!             let numbers = column.to_f64().ok_or_else(|| Error::unsupported_type("no numbers"))?;
//!             output.floats(column.nulls(), numbers.iter().map(|it| it.clamp(self.0.low, self.0.high)))?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! // The same code runs natively, through the same messages as in the sandbox.
//! use wafermill_sdk::{DataType, harness::Harness};
//!
//! let clip = Harness::<Clip>::new(r#"{"low": 0, "high": 1}"#, [Field::new("x", DataType::Float64, true)])?;
//! let batch = clip.batch(3, |output| output.primitives([Some(-7.0), None, Some(0.5)]))?;
//! let clipped = clip.apply(&batch)?;
//! assert_eq!(clipped.column(0).to_f64().unwrap()[0], 0.0);
//! assert!(clipped.column(0).is_null(1));
//! # Ok::<(), Error>(())
//! ```
//!
//! A plugin that learns from the training rows implements [`Fit`] too. A *fitter* sees some of the rows and gives away *partials*,
//! tables whose rows the host combines by key; a *finisher* turns the combined partials into the *model*, tables again, which
//! `load` takes before `apply`. The [`stats`] are fitters that give the same model however the rows were divided.
//!
//! ```
//! use wafermill_sdk::stats::{Moments, MomentsReader};
//! use wafermill_sdk::{
//!     Batch, DataType, Error, Field, Finisher, Fit, Outcome, Output, Pass, Passes, Plan, Result, Rows, Selection, Table, Task,
//!     Transform, export,
//! };
//!
//! /// Subtracts the mean of the training rows.
//! struct Center {
//!     means: Vec<f64>,
//! }
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Params {}
//!
//! fn model() -> Table {
//!     Table::model("means", [Field::new("column", DataType::Utf8, false), Field::new("mean", DataType::Float64, false)])
//! }
//!
//! export!(Center, fit);
//!
//! impl Transform for Center {
//!     const NAME: &'static str = "center";
//!     const VERSION: &'static str = env!("CARGO_PKG_VERSION");
//!     const SUMMARY: &'static str = "subtracts the mean";
//!     const PASSES: Passes = Passes::ONE;
//!     type Params = Params;
//!
//!     fn plan(_: &Params, selection: &Selection) -> Result<Plan> {
//!         let mut plan = Plan::default().passes(Passes::ONE).partials(Moments::tables()).model(model());
//!         for field in selection.features()? {
//!             let centered = Field::new(field.name(), DataType::Float64, field.is_nullable());
//!             plan = plan.read(field, false).replace(field, centered);
//!         }
//!         Ok(plan)
//!     }
//!
//!     fn open(_: Task<Params>) -> Result<Self> {
//!         Ok(Self { means: Vec::new() })
//!     }
//!
//!     fn load(&mut self, _: usize, rows: &Batch) -> Result<()> {
//!         let means = rows.column(1).to_f64().ok_or_else(|| Error::invalid_model("no means"))?;
//!         self.means.extend_from_slice(&means);
//!         Ok(())
//!     }
//!
//!     fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()> {
//!         for (column, mean) in batch.columns().iter().zip(&self.means) {
//!             let numbers = column.to_f64().ok_or_else(|| Error::unsupported_type("no numbers"))?;
//!             output.floats(column.nulls(), numbers.iter().map(|it| it - mean))?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! impl Fit for Center {
//!     type Fitter = Moments;
//!     type Finisher = Means;
//! }
//!
//! struct Means {
//!     names: Vec<String>,
//!     moments: MomentsReader,
//! }
//!
//! impl Finisher<Params> for Means {
//!     fn open(task: Task<Params>, _: Pass) -> Result<Self> {
//!         let names: Vec<_> = task.input.fields().map(|field| field.name().clone()).collect();
//!         Ok(Self { moments: MomentsReader::new(names.len()), names })
//!     }
//!
//!     fn push(&mut self, table: usize, partials: &Batch) -> Result<Vec<Rows>> {
//!         self.moments.push(table, partials)?;
//!         Ok(Vec::new())
//!     }
//!
//!     fn finish(self) -> Result<Outcome> {
//!         let moments = self.moments.finish();
//!         let rows = Rows::new(0, &model().schema, moments.len(), |output| {
//!             output.strings(self.names.iter().map(|name| Some(name.as_str())))?;
//!             output.primitives(moments.iter().map(|it| Some(it.mean().unwrap_or(0.0))))
//!         })?;
//!         Ok(Outcome::Model(vec![rows]))
//!     }
//! }
//!
//! use wafermill_sdk::harness::Harness;
//!
//! let mut center = Harness::<Center>::new("{}", [Field::new("x", DataType::Int32, true)])?;
//! let batch = center.batch(3, |output| output.primitives([Some(1_i32), None, Some(4)]))?;
//! center.fit(&[batch.clone(), batch.clone()])?;
//! assert_eq!(center.model("means")?[0].column(1).to_f64().unwrap()[0], 2.5);
//! assert_eq!(center.apply(&batch)?.column(0).to_f64().unwrap()[2], 1.5);
//! # Ok::<(), Error>(())
//! ```
//!
//! A *filter* is a plugin with the role [`PluginRole::Filter`]: its plan [`keeps_rows`](Plan::keeps_rows), and `apply` writes one
//! Boolean for each row. The host drops the rows where it is false or null. A filter may learn, as any plugin.
//!
//! ```
//! use wafermill_sdk::{Batch, Error, Output, Plan, PluginRole, Result, Selection, Task, Transform, export};
//!
//! /// Keeps the rows whose strings are all this long.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Params {
//!     at_least: usize,
//! }
//!
//! struct LongEnough(Params);
//!
//! export!(LongEnough);
//!
//! impl Transform for LongEnough {
//!     const NAME: &'static str = "long-enough";
//!     const VERSION: &'static str = env!("CARGO_PKG_VERSION");
//!     const SUMMARY: &'static str = "drops rows with short strings";
//!     const ROLE: PluginRole = PluginRole::Filter;
//!     type Params = Params;
//!
//!     fn plan(_: &Params, selection: &Selection) -> Result<Plan> {
//!         let features = selection.features()?.into_iter();
//!         Ok(features.fold(Plan::default(), |plan, field| plan.read(field, false)).keeps_rows())
//!     }
//!
//!     fn open(task: Task<Params>) -> Result<Self> {
//!         Ok(Self(task.params))
//!     }
//!
//!     fn apply(&self, batch: &Batch, output: &mut Output<'_>) -> Result<()> {
//!         let columns: Option<Vec<_>> = batch.columns().iter().map(|column| column.bytes()).collect();
//!         let columns = columns.ok_or_else(|| Error::unsupported_type("no strings"))?;
//!         output.booleans(None, |row| columns.iter().all(|strings| strings.get(row).len() >= self.0.at_least))
//!     }
//! }
//!
//! use wafermill_sdk::{DataType, Field, harness::Harness};
//!
//! let filter = Harness::<LongEnough>::new(r#"{"at_least": 2}"#, [Field::new("word", DataType::Utf8, true)])?;
//! let batch = filter.batch(3, |output| output.strings([Some("ox"), Some("a"), None]))?;
//! assert_eq!(filter.kept(&batch)?, [true, false, false]);
//! # Ok::<(), Error>(())
//! ```
//!
//! An *aggregate* learns from the rows of all parts that come out of a pipeline, and its model is the result: see [`Aggregate`].
//!
//! ```
//! use wafermill_sdk::{
//!     Aggregate, Batch, ContextColumn, DataType, Error, Field, Finisher, Fitter, Operator, Outcome, Pass, Passes, Plan, Result, Rows,
//!     Selection, Table, Task, Values, export,
//! };
//!
//! /// Counts the rows of each part.
//! struct Sizes;
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Params {}
//!
//! fn fields() -> [Field; 2] {
//!     [Field::new("wafermill:part", DataType::UInt8, true), Field::new("rows", DataType::Int64, false)]
//! }
//!
//! export!(Sizes, fit);
//!
//! impl Aggregate for Sizes {
//!     const NAME: &'static str = "sizes";
//!     const VERSION: &'static str = env!("CARGO_PKG_VERSION");
//!     const SUMMARY: &'static str = "counts the rows of each part";
//!     const PASSES: Passes = Passes::ONE;
//!     type Params = Params;
//!     type Fitter = Counter;
//!     type Finisher = PassOn;
//!
//!     fn plan(_: &Params, _: &Selection) -> Result<Plan> {
//!         let partials = Table::partials("sizes", fields().into_iter().zip([Operator::Key, Operator::Sum]));
//!         let plan = Plan::default().passes(Passes::ONE).partials([partials]).model(Table::model("sizes", fields()));
//!         Ok(plan.read_context(ContextColumn::Part))
//!     }
//! }
//!
//! #[derive(Default)]
//! struct Counter(Vec<(Option<u8>, i64)>);
//!
//! fn rows(sizes: &[(Option<u8>, i64)]) -> Result<Rows> {
//!     Rows::new(0, &Table::model("sizes", fields()).schema, sizes.len(), |output| {
//!         output.primitives(sizes.iter().map(|(part, _)| *part))?;
//!         output.primitives(sizes.iter().map(|(_, rows)| Some(*rows)))
//!     })
//! }
//!
//! impl Fitter<Params> for Counter {
//!     fn open(_: Task<Params>, _: Pass) -> Result<Self> {
//!         Ok(Self::default())
//!     }
//!
//!     fn update(&mut self, batch: &Batch) -> Result<()> {
//!         let column = batch.column(0);
//!         let Values::UInt8(parts) = column.values() else { return Err(Error::internal("no parts")) };
//!         for (row, part) in parts.iter().enumerate() {
//!             let part = (!column.is_null(row)).then_some(*part);
//!             match self.0.iter_mut().find(|(known, _)| *known == part) {
//!                 Some((_, rows)) => *rows += 1,
//!                 None => self.0.push((part, 1)),
//!             }
//!         }
//!         Ok(())
//!     }
//!
//!     fn drain(&mut self) -> Result<Option<Rows>> {
//!         let sizes = std::mem::take(&mut self.0);
//!         if sizes.is_empty() { Ok(None) } else { rows(&sizes).map(Some) }
//!     }
//! }
//!
//! struct PassOn;
//!
//! impl Finisher<Params> for PassOn {
//!     fn open(_: Task<Params>, _: Pass) -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     fn push(&mut self, _: usize, partials: &Batch) -> Result<Vec<Rows>> {
//!         let (Values::UInt8(parts), Some(sizes)) = (partials.column(0).values(), partials.column(1).to_i64()) else {
//!             return Err(Error::invalid_model("no sizes"));
//!         };
//!         let part = |row: usize| (!partials.column(0).is_null(row)).then(|| parts[row]);
//!         let combined: Vec<_> = (0..partials.rows()).map(|row| (part(row), sizes[row])).collect();
//!         Ok(vec![rows(&combined)?])
//!     }
//!
//!     fn finish(self) -> Result<Outcome> {
//!         Ok(Outcome::Model(Vec::new()))
//!     }
//! }
//!
//! use wafermill_sdk::harness::Harness;
//!
//! let mut sizes = Harness::<Sizes>::new("{}", [])?;
//! let batch = sizes.batch(3, |output| output.primitives([Some(0_u8), Some(1), Some(0)]))?;
//! sizes.fit(&[batch.clone(), batch])?;
//! assert_eq!(sizes.model("sizes")?[0].column(1).to_i64().unwrap()[..], [4, 2]);
//! # Ok::<(), Error>(())
//! ```

mod aggregate;
mod allocator;
mod batch;
#[doc(hidden)]
pub mod bindings;
mod calendar;
mod column;
mod error;
mod exact;
mod export;
mod flatbuffer;
mod float;
#[cfg(not(target_family = "wasm"))]
pub mod harness;
mod integer;
mod log;
mod message;
mod native;
mod natural;
mod output;
mod plan;
mod plugin;
mod rational;
mod schema;
pub mod stats;
#[cfg(test)]
mod tests;

pub use aggregate::Aggregate;
pub use allocator::AlignedAllocator;
pub use arrow_buffer::{BooleanBuffer, NullBuffer};
pub use arrow_schema::{DataType, Field, Schema, TimeUnit};
pub use batch::{Batch, Input};
pub use calendar::{date, instant};
pub use column::{Bytes, Column, Dictionary, Values};
pub use error::{Error, ErrorCode, Result};
pub use export::Component;
pub use float::Float;
pub use integer::integer_fits;
pub use log::{Level, log};
pub use native::Native;
pub use output::Output;
pub use plan::{ColumnRole, ContextColumn, Operator, Passes, Plan, PluginRole, Selection, Table};
pub use plugin::{Finisher, Fit, Fitter, Never, Outcome, Pass, Rows, Task, Transform};
pub use schemars::JsonSchema;
pub use {schemars, serde, serde_json};
