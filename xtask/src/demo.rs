//! `cargo xtask demo`: from a fresh clone to training sets.

use std::process::Command;

use anyhow::Result;

use crate::plugins;
use crate::process;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    plugins::build(workspace)?;
    let wafermill = workspace.build_host()?;
    let output = workspace.target.join("demo");

    let mut run = Command::new(&wafermill);
    run.current_dir(&workspace.root)
        .args(["run", "examples/penguins/pipeline.toml", "--overwrite", "--out"])
        .arg(&output);
    process::run(&mut run)?;
    process::run(Command::new(&wafermill).args(["model", "show"]).arg(output.join("model")))?;

    println!(
        "\nThe training sets are in {0}, the model is in {0}/model. Look at them with one of

  python3 -c \"import pyarrow.dataset as ds; print(ds.dataset('{0}/train').to_table().to_pandas())\"
  python3 -c \"import polars as pl; print(pl.read_parquet('{0}/train/*.parquet'))\"
  duckdb -c \"from '{0}/train/*.parquet'\"

For large tables, `cargo build --release --package wafermill` compiles a faster program, target/release/wafermill.",
        output.display()
    );
    Ok(())
}
