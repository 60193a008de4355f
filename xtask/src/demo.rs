//! `cargo xtask demo`: from a fresh clone to training sets.

use std::process::Command;

use anyhow::Result;

use crate::plugins;
use crate::process;
use crate::workspace::Workspace;

const WHAT_NEXT: &str = "
The training sets are in OUTPUT, the model is in OUTPUT/model. Look at them with any of

  python3 -c \"import pyarrow.parquet as pq; print(pq.read_table('OUTPUT/train').to_pandas())\"
  python3 -c \"import polars as pl; print(pl.read_parquet('OUTPUT/train/*.parquet'))\"
  duckdb -c \"from 'OUTPUT/train/*.parquet'\"

For large tables, compile a faster program, target/release/wafermill, with

  cargo build --release --package wafermill";

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

    println!("{}", WHAT_NEXT.replace("OUTPUT", &output.to_string_lossy()));
    Ok(())
}
