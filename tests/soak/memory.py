#!/usr/bin/env python3
"""Runs whole pipelines in a control group of 512 MiB with that budget, and prints the peak of their memory.

usage: memory.py [MILLION_ROWS]     (environment: WAFERMILL, WAFERMILL_PLUGINS, WAFERMILL_TEST_BIGQUERY: release builds)

A served table of 20 columns at 1, 4 and 16 times MILLION_ROWS rows, in three passes: the peak must not grow by more than a tenth. Then the same
rows shuffled, a table of 2,000 columns, and one with texts of 10 MB. Where no control group can be made, the peak is only measured.
"""
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1] / "judge"))
import served  # noqa: E402
from customers import ROWS, table  # noqa: E402

LIMIT = 512 << 20
BUDGET = "448MiB"
GROUP = Path("/sys/fs/cgroup/wafermill-soak")

SPLIT = """
[split]
key = ["KEY"]
params = { parts = { train = 0.8, val = 0.1, test = 0.1 } }
"""

STEPS = """
[[steps]]
plugin = "impute"
columns = ["x*"]
params = { strategy = "median" }

[[steps]]
plugin = "scale"
columns = ["x*"]

[[steps]]
plugin = "encode"
columns = ["s*"]
params = { method = "ordinal", unseen = "code" }
"""

WIDE = """
[[steps]]
plugin = "impute"
columns = ["x*"]
params = { strategy = "mean" }

[[steps]]
plugin = "scale"
columns = ["x*"]
"""

LONG = """
[[steps]]
plugin = "scale"
columns = ["x"]

[[steps]]
plugin = "impute"
columns = ["s"]
params = { strategy = "constant", value = "none" }
"""


def write_wide(path: Path) -> None:
    rng = np.random.default_rng(1)
    schema = pa.schema([("id", pa.int64())] + [(f"x{index}", pa.float64()) for index in range(2_000)])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, 30_000, 5_000):
            columns = {f"x{index}": rng.standard_normal(5_000) for index in range(2_000)}
            writer.write_table(pa.table({"id": np.arange(start, start + 5_000), **columns}, schema=schema))


def write_long(path: Path) -> None:
    schema = pa.schema([("id", pa.int64()), ("x", pa.float64()), ("s", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, 120, 4):
            texts = [f"{row:010d}" * 1_000_000 for row in range(start, start + 4)]
            writer.write_table(pa.table({"id": list(range(start, start + 4)), "x": [float(row) for row in range(4)], "s": texts}, schema=schema))


def can_limit() -> bool:
    """Makes the control group, if that is allowed here."""
    try:
        GROUP.mkdir(exist_ok=True)
        (GROUP / "memory.max").write_text(str(LIMIT))
        (GROUP / "memory.swap.max").write_text("0")
    except OSError as error:
        print(f"no control group: {error}")
        return False
    return True


def run(name: str, pipeline: Path, limited: bool) -> float:
    """Runs a pipeline; its peak of resident memory, in MiB."""
    out = pipeline.parent / "out"
    command = [os.environ["WAFERMILL"], "run", pipeline, "--out", out, "--overwrite", "--memory", BUDGET, "--quiet"]
    enter = (lambda: (GROUP / "cgroup.procs").write_text(str(os.getpid()))) if limited else None
    began = time.monotonic()
    process = subprocess.Popen(command, preexec_fn=enter)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss / 1024
    print(f"{name}: exit status {process.returncode}, {peak:.0f} MiB at most, {time.monotonic() - began:.0f} s", flush=True)
    if process.returncode != 0:
        sys.exit(f"missed: {name} did not complete")
    return peak


def main() -> None:
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 7
    limited, peaks = can_limit(), []
    rows = table()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        pipeline = Path(folder) / "pipeline.toml"
        for times, output in [(1, ""), (4, ""), (16, ""), (4, '[output]\norder = "hash"\n')]:
            repeat = round(times * millions * 1_000_000 / ROWS)
            with served.serve(folder, {"t": rows}, "--message-rows", 10_000, "--repeat", f"data.set.t={repeat}") as address:
                source = served.toml(served.source(address, "t", max_streams=8))
                pipeline.write_text("[source]\n" + source + SPLIT.replace("KEY", "n0") + STEPS + output)
                size = repeat * rows.nbytes / 1e9
                peak = run(f"{repeat * ROWS / 1e6:g} million rows, {size:.1f} GB{', shuffled' if output else ''}", pipeline, limited)
                if not output:
                    peaks.append(peak)
        for name, write, steps in (("2,000 columns", write_wide, WIDE), ("texts of 10 MB", write_long, LONG)):
            write(Path(folder) / "t.parquet")
            pipeline.write_text('[source]\npath = "t.parquet"\n' + SPLIT.replace("KEY", "id") + steps)
            run(name, pipeline, limited)
    growth = max(peaks) / min(peaks) - 1
    print(f"the peak differs by {growth:.1%}")
    if growth > 0.1:
        sys.exit("missed: memory grows with the table")


if __name__ == "__main__":
    main()
