#!/usr/bin/env python3
"""Fits an encoder on 20 million distinct keys, under 256 MiB for the guest and 1 GiB for the run, and prints what it took.

usage: distinct_keys.py [ROWS]     (environment: WAFERMILL, WAFERMILL_PLUGINS)
"""
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

PIPELINE = """
[source]
path = "keys.parquet"

[[steps]]
plugin = "encode"
columns = ["{column}"]
params = {{ method = "ordinal" }}

[limits]
memory = "256MiB"
"""


def write_keys(path: Path, rows: int) -> None:
    """Writes a shuffled Int64 key and a string made of it."""
    keys = np.random.default_rng(1).permutation(rows).astype(np.int64) * 1_000_003
    schema = pa.schema([("key", pa.int64()), ("word", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, 1 << 20):
            chunk = keys[start : start + (1 << 20)]
            words = pa.array([f"user-{key}" for key in chunk])
            writer.write_table(pa.table({"key": chunk, "word": words}))


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000_000
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_keys(folder / "keys.parquet", rows)
        for column, table in (("key", "categories-signed"), ("word", "categories-text")):
            pipeline = folder / f"{column}.toml"
            pipeline.write_text(PIPELINE.format(column=column))
            start, before = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
            model = folder / f"{column}-model"
            command = [os.environ["WAFERMILL"], "fit", str(pipeline), "--out", str(model), "--memory", "1GiB"]
            subprocess.run(command, check=True)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            with ipc.open_file(model / "steps/01-encode/model" / f"{table}.arrow") as reader:
                learned = sum(reader.get_batch(index).num_rows for index in range(reader.num_record_batches))
            assert learned == rows, f"{learned} of {rows} categories"
            cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
            # The largest of the children so far, in KiB.
            print(f"{column}: {learned} categories, {time.time() - start:.1f} s wall, {cpu:.1f} s CPU, {used.ru_maxrss >> 10} MiB peak")


if __name__ == "__main__":
    main()
