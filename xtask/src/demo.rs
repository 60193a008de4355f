//! `cargo xtask demo`: from a fresh clone to training sets.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::plugins;
use crate::process;
use crate::served::Server;
use crate::workspace::Workspace;

const WHAT_NEXT: &str = "
The training sets are in OUTPUT, the model is in OUTPUT/model. Look at them with any of

  python3 -c \"import pyarrow.parquet as pq; print(pq.read_table('OUTPUT/train').to_pandas())\"
  python3 -c \"import polars as pl; print(pl.read_parquet('OUTPUT/train/*.parquet'))\"
  duckdb -c \"from 'OUTPUT/train/*.parquet'\"

For large tables, compile a faster program, target/release/wafermill, with

  cargo build --release --package wafermill";

const SERVED: &str = "
The same again from BigQuery: from a server on this machine that speaks its Storage Read API, in 4 streams.
";

const SAME: &str = "
The model from BigQuery is the same, byte for byte. With a table of yours, `wafermill doctor PROJECT.DATASET.TABLE` tells what is missing,
`wafermill inspect PROJECT.DATASET.TABLE` what it holds and costs; docs/bigquery.md tells the rest.";

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    plugins::build(workspace)?;
    let wafermill = workspace.build_program("wafermill")?;
    let output = workspace.target.join("demo");
    let output = output.strip_prefix(&workspace.root).unwrap_or(&output);

    let mut run = Command::new(&wafermill);
    run.current_dir(&workspace.root)
        .args(["run", "examples/penguins/pipeline.toml", "--out"])
        .arg(output)
        .arg("--overwrite");
    process::run(&mut run)?;
    let mut show = Command::new(&wafermill);
    show.current_dir(&workspace.root).args(["model", "show"]).arg(output.join("model"));
    process::run(&mut show)?;

    println!("{SERVED}");
    from_bigquery(workspace, &wafermill, output)?;
    println!("{SAME}");

    println!("{}", WHAT_NEXT.replace("OUTPUT", &output.to_string_lossy()));
    Ok(())
}

/// Runs the example on a served table, and compares its model with that of the file.
fn from_bigquery(workspace: &Workspace, wafermill: &Path, expected: &Path) -> Result<()> {
    let server = workspace.build_program("test-bigquery")?;
    let example = workspace.root.join("examples/penguins");
    let folder = workspace.target.join("demo-bigquery");
    std::fs::create_dir_all(&folder)?;

    // The server takes Parquet, which a pipeline without steps makes of the CSV file.
    let copy = folder.join("copy.toml");
    let path = example.join("penguins.csv");
    std::fs::write(&copy, format!("source = {{ path = {:?} }}\n", path.to_string_lossy()))?;
    let table = folder.join("table");
    process::run(
        Command::new(wafermill)
            .arg("run")
            .arg(&copy)
            .arg("--out")
            .arg(&table)
            .args(["--overwrite", "--json"])
            .stdout(Stdio::null()),
    )?;

    let options = ["--max-streams", "4", "--message-rows", "50"];
    let server = Server::start(&server, "data.example.penguins", &table.join("all/part-00000.parquet"), &options)?;
    let pipeline = folder.join("bigquery.toml");
    let text = std::fs::read_to_string(example.join("bigquery.toml"))?;
    std::fs::write(&pipeline, text.replace("ADDRESS", &server.address))?;
    let output = folder.join("sets");
    process::run(Command::new(wafermill).arg("run").arg(&pipeline).arg("--out").arg(&output).arg("--overwrite"))?;

    let manifest = |sets: &Path| std::fs::read(sets.join("model/manifest.json"));
    // It has the digests of all that is in the model.
    ensure!(manifest(&output)? == manifest(&workspace.root.join(expected))?, "the model from BigQuery is another one");
    Ok(())
}
