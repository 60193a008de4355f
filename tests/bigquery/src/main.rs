//! A BigQuery for tests: the Storage Read API over gRPC and the REST API beside it, on tables from Parquet files.
//!
//! It imitates what Google documents: sessions, streams, offsets, estimates, and what is refused with which status. Google's own
//! clients for Python judge it (`tests/judge/test_bigquery*.py`). It listens on the loopback interface only, says where on its first
//! line of output, and ends when its standard input does, so that no test leaves it behind.

mod body;
mod catalog;
mod connection;
mod content;
mod fault;
mod ipc;
mod message;
mod random;
mod reading;
mod rest;
mod service;
mod serving;
mod session;
mod sizes;
mod stream;
mod types;

use anyhow::{Context, Result, bail};
use catalog::{Catalog, Entry, TableName};
use clap::Parser;
use connection::connections;
use rest::Rest;
use service::BigQueryRead;
use serving::Serving;
use session::Sessions;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tonic::service::Routes;

/// Serves tables over the BigQuery Storage Read API and, on the same port, BigQuery's REST API, until standard input ends.
#[derive(Debug, Parser)]
struct Arguments {
    /// A table, as PROJECT.DATASET.TABLE=FILE.parquet; may be given several times
    #[arg(long = "table", value_parser = table)]
    tables: Vec<(TableName, PathBuf)>,
    /// The project in which sessions may be created
    #[arg(long, default_value = "billing")]
    billing_project: String,
    #[command(flatten)]
    serving: Serving,
    #[command(flatten)]
    rest: rest::Options,
}

fn table(text: &str) -> Result<(TableName, PathBuf)> {
    match text.split_once('=') {
        Some((name, path)) => Ok((TableName::parse_dotted(name)?, path.into())),
        None => bail!("`{text}` is not PROJECT.DATASET.TABLE=FILE.parquet"),
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut catalog = Catalog::default();
    for (name, path) in arguments.tables {
        let table = catalog::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        catalog.insert(name, Entry::Table(Arc::new(table)));
    }
    let rest = Rest::new(arguments.rest, &arguments.billing_project, &mut catalog)?;
    let sessions = Sessions::new(catalog, arguments.billing_project, arguments.serving);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("http://{}", listener.local_addr()?);
    let server = tonic::transport::Server::builder()
        .accept_http1(true)
        .add_routes(rest.beside(Routes::new(BigQueryRead::new(Arc::new(sessions)))))
        .serve_with_incoming(connections(listener));
    // A stalled call would keep a server that ends politely.
    tokio::select! {
        served = server => served.context("the server failed"),
        () = input_ends() => Ok(()),
    }
}

async fn input_ends() {
    let mut bytes = [0; 64];
    // An error ends it as well.
    while let Ok(1..) = tokio::io::stdin().read(&mut bytes).await {}
}
