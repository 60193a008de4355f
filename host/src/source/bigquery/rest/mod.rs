//! The result of a query over the REST API: page after page, as text.

mod schema;
pub(super) mod values;

pub(super) use schema::schema;

use super::cloud::Cloud;
use super::explain::{BROKEN, explain};
use super::jobs::{Jobs, Running};
use crate::ipc::Cause;
use crate::source::{Position, SourceBatch};
use crate::{Error, Result};
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use google_cloud_bigquery_v2::model::GetQueryResultsResponse;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Before a page that came without rows is asked for again.
const PAUSE: Duration = Duration::from_millis(500);

/// The batches of a result.
pub(super) struct Pages<'a> {
    cloud: &'a Cloud,
    jobs: &'a Jobs,
    running: &'a Running,
    schema: &'a SchemaRef,
    columns: Vec<usize>,
    batch_rows: usize,
    name: Arc<str>,
    /// Rows that were given.
    row: u64,
    /// Rows that there are, as the first page says.
    rows: Option<u64>,
    /// What is left of a page.
    rest: Option<SourceBatch>,
    ended: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn new(
        cloud: &'a Cloud,
        jobs: &'a Jobs,
        running: &'a Running,
        schema: &'a SchemaRef,
        columns: &[usize],
        batch_rows: usize,
    ) -> Self {
        let name = format!("job {}", running.id).into();
        let (columns, batch_rows) = (columns.to_vec(), batch_rows.max(1));
        Self { cloud, jobs, running, schema, columns, batch_rows, name, row: 0, rows: None, rest: None, ended: false }
    }

    fn next_batch(&mut self) -> Result<Option<SourceBatch>> {
        let rest = self.rest.take().map(|rest| Ok(Some(rest)));
        let Some(mut read) = rest.unwrap_or_else(|| self.fetch())? else { return Ok(None) };
        self.rest = read.split_off(self.batch_rows);
        self.row += read.batch.num_rows() as u64;
        Ok(Some(read))
    }

    /// The next page that has rows; none at the end.
    fn fetch(&mut self) -> Result<Option<SourceBatch>> {
        let start = Instant::now();
        loop {
            if self.rows == Some(self.row) {
                return Ok(None);
            }
            let project = &self.cloud.billing_project;
            let page = self.cloud.ask(self.jobs.page(self.running, self.row))?;
            let page = page.map_err(|refusal| explain("no page of the result", refusal, project))?;
            let broken = |why: Cause| Error::source("a page of the result is damaged").because(why).hint(BROKEN);
            if page.job_complete == Some(false) {
                return Err(broken("its job is not complete".into()));
            }
            let total = page.total_rows.ok_or_else(|| broken("it does not tell how many rows there are".into()))?;
            let announced = *self.rows.get_or_insert(total);
            if announced != total {
                return Err(broken(format!("there are {total} rows now, and were {announced}").into()));
            }
            if self.row + page.rows.len() as u64 > total {
                return Err(broken("there are more rows than were announced".into()));
            }
            if !page.rows.is_empty() {
                let position = Position::new(0, self.name.clone(), self.row);
                return Ok(Some(SourceBatch { position, batch: self.decode(&page).map_err(broken)? }));
            }
            if total > self.row {
                if start.elapsed() > self.cloud.options.patience {
                    let message = format!("the result ends after {} of its {total} rows", self.row);
                    return Err(Error::source(message).hint("run again; if it happens again, report it to Google"));
                }
                self.cloud.wait(async { tokio::time::sleep(PAUSE).await })?;
            }
        }
    }

    fn decode(&self, page: &GetQueryResultsResponse) -> Result<RecordBatch, Cause> {
        let arrays = self.columns.iter().map(|column| {
            let field = self.schema.field(*column);
            let named = |why: Cause| -> Cause { format!("column `{}`: {why}", field.name()).into() };
            let values = values::column(&page.rows, *column).map_err(named)?;
            values::array(field, &values).map_err(named)
        });
        let arrays = arrays.collect::<Result<Vec<_>, Cause>>()?;
        let schema = Arc::new(self.schema.project(&self.columns)?);
        let options = RecordBatchOptions::new().with_row_count(Some(page.rows.len()));
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }
}

impl Iterator for Pages<'_> {
    type Item = Result<SourceBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_batch();
        self.ended = !matches!(next, Ok(Some(_)));
        let place = |error: Error| error.rows([self.row]).fragment(0).file(&*self.name);
        next.map_err(place).transpose()
    }
}
