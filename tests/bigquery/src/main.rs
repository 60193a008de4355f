//! A BigQuery for tests: the Storage Read API over gRPC, on tables from Parquet and Arrow files.
//!
//! It imitates what Google documents: sessions, streams, offsets, estimates, and what is refused with which status. Google's own
//! clients for Python judge it (`tests/judge/test_bigquery*.py`). It listens on the loopback
//! interface only, says where on its first line of output, and ends when its standard input does, so that no test leaves it behind.

mod body;
mod catalog;
mod connection;
mod content;
mod fault;
mod filter;
mod ipc;
mod message;
mod random;
mod reading;
mod rest;
mod selection;
mod service;
mod serving;
mod session;
mod sizes;
mod stream;
mod types;

use anyhow::{Context, Result};
use catalog::{Catalog, State, TableName};
use clap::Parser;
use connection::connections;
use rest::Rest;
use service::BigQueryRead;
use serving::Serving;
use session::Sessions;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tonic::service::Routes;

/// Serves tables over the BigQuery Storage Read API until standard input ends.
#[derive(Debug, Parser)]
struct Arguments {
    /// A table, as PROJECT.DATASET.TABLE=FILE, a Parquet file or an Arrow file (.arrow); may be given several times
    ///
    /// PROJECT.DATASET.TABLE@TIME=FILE is what the table has been since a time, such as 2026-01-01T00:00:00Z. Sessions read the
    /// newest state, or the one of their snapshot time.
    #[arg(long = "table", value_name = "TABLE[@TIME]=FILE", value_parser = State::parse)]
    tables: Vec<State>,
    /// A table's rows are served N times, as PROJECT.DATASET.TABLE=N; each message is encoded once and kept
    #[arg(long = "repeat", value_name = "TABLE=N", value_parser = repeat)]
    repeats: Vec<(TableName, usize)>,
    /// The project in which sessions may be created
    #[arg(long, default_value = "billing")]
    billing_project: String,
    #[command(flatten)]
    serving: Serving,
    #[command(flatten)]
    rest: rest::Options,
}

fn repeat(text: &str) -> Result<(TableName, usize)> {
    let (name, times) = text.split_once('=').with_context(|| format!("`{text}` is not PROJECT.DATASET.TABLE=N"))?;
    let times = times.parse().with_context(|| format!("`{times}` is no number of times"))?;
    Ok((TableName::parse_dotted(name)?, times))
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut catalog = Catalog::default();
    for state in arguments.tables {
        let repeated = arguments.repeats.iter().find(|(name, _)| *name == state.name);
        state.enter(&mut catalog, repeated.map_or(1, |(_, times)| *times))?;
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
