//! The bare client: a task for each stream, the official reader, arrow-rs's decoder of streams, and nothing else.

use crate::{Arguments, BILLING};
use anyhow::{Context, Result, ensure};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use google_cloud_auth::credentials::anonymous;
use google_cloud_bigquery::client::Read;
use google_cloud_bigquery::model::read_rows_response::Rows;
use google_cloud_bigquery::model::read_session::Schema;
use google_cloud_bigquery::model::{DataFormat, ReadSession};

/// Reads all streams and returns the number of rows.
pub(crate) fn drain(arguments: &Arguments) -> Result<u64> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(read(arguments))
}

async fn connect(address: &str) -> Result<Read> {
    Ok(Read::builder().with_endpoint(address).with_credentials(anonymous::Builder::new().build()).build().await?)
}

async fn read(arguments: &Arguments) -> Result<u64> {
    let parts: Vec<&str> = arguments.table.split('.').collect();
    ensure!(parts.len() == 3, "`{}` is not PROJECT.DATASET.TABLE", arguments.table);
    let table = format!("projects/{}/datasets/{}/tables/{}", parts[0], parts[1], parts[2]);
    let session = connect(&arguments.address)
        .await?
        .create_read_session()
        .set_parent(format!("projects/{BILLING}"))
        .set_read_session(ReadSession::new().set_table(table).set_data_format(DataFormat::Arrow))
        .set_max_stream_count(arguments.streams)
        .send()
        .await?;
    let Some(Schema::ArrowSchema(schema)) = session.schema else { anyhow::bail!("there is no schema") };
    let mut tasks = Vec::new();
    for stream in session.streams {
        // A connection each, as wafermill has.
        let client = connect(&arguments.address).await?;
        let schema = Buffer::from(&schema.serialized_schema[..]);
        tasks.push(tokio::spawn(async move {
            let mut reader = client.read_rows().set_read_stream(stream.name).into_reader();
            let mut decoder = StreamDecoder::new();
            let mut schema = schema;
            decoder.decode(&mut schema)?;
            let mut rows = 0;
            while let Some(response) = reader.next().await.transpose()? {
                let Some(Rows::ArrowRecordBatch(message)) = response.rows else { continue };
                let mut message = Buffer::from(message.serialized_record_batch);
                let batch = decoder.decode(&mut message)?.context("a message holds no batch")?;
                rows += batch.num_rows() as u64;
            }
            anyhow::Ok(rows)
        }));
    }
    let mut rows = 0;
    for task in tasks {
        rows += task.await??;
    }
    Ok(rows)
}
