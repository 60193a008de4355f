#!/usr/bin/env python3
"""Runs whole pipelines in a control group of 512 MiB with that budget, and prints the peak of their memory.

usage: memory.py [MILLION_ROWS]     (environment: WAFERMILL, WAFERMILL_PLUGINS, WAFERMILL_TEST_BIGQUERY: release builds)

A served table of 20 columns at 1, 4 and 16 times MILLION_ROWS rows, in three passes: the peak must not grow by more than a tenth. Then such
rows shuffled, from 3 and from 16 streams to the same bytes, a table of 2,000 columns, and one with texts of 10 MB. Where no control group can be made,
the peak is only measured.
"""
import hashlib
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

# Of both versions of control groups: where groups are made, the limit, and what it is set to zero of or as well.
GROUPS = [
    (Path("/sys/fs/cgroup/wafermill-soak"), "memory.max", "memory.swap.max", "0"),
    (Path("/sys/fs/cgroup/memory/wafermill-soak"), "memory.limit_in_bytes", "memory.swappiness", "0"),
]

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


def limited_group() -> Path | None:
    """Makes a control group with the limit, if that is allowed here."""
    for group, limit, swap, none in GROUPS:
        try:
            group.mkdir(exist_ok=True)
            # Where its parent is none, a folder is no control group, and has no files of its own.
            if (group / limit).exists():
                (group / limit).write_text(str(LIMIT))
                (group / swap).write_text(none)
                return group
            group.rmdir()
        except OSError as error:
            print(f"no control group: {error}")
    return None


def run(name: str, pipeline: Path, group: Path | None) -> float:
    """Runs a pipeline; its peak of resident memory, in MiB."""
    out = pipeline.parent / "out"
    command = [os.environ["WAFERMILL"], "run", pipeline, "--out", out, "--overwrite", "--memory", BUDGET, "--quiet"]
    enter = (lambda: (group / "cgroup.procs").write_text(str(os.getpid()))) if group else None
    began = time.monotonic()
    process = subprocess.Popen(command, preexec_fn=enter)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss / 1024
    print(f"{name}: exit status {process.returncode}, {peak:.0f} MiB at most, {time.monotonic() - began:.0f} s", flush=True)
    if process.returncode != 0:
        sys.exit(f"missed: {name} did not complete")
    # What a group does not allow is killed; resident memory counts pages of the program too, which others pay for.
    if group is None and peak > LIMIT >> 20:
        sys.exit(f"missed: {name} took more than {LIMIT >> 20} MiB")
    return peak


def digest(dataset: Path) -> str:
    """Of the names and bytes of all files of a dataset but its report, which tells times."""
    sum = hashlib.sha256()
    for path in sorted(path for path in dataset.rglob("*") if path.is_file() and path.name != "report.json"):
        sum.update(str(path.relative_to(dataset)).encode())
        with path.open("rb") as file:
            sum.update(hashlib.file_digest(file, "sha256").digest())
    return sum.hexdigest()


def main() -> None:
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 7
    group, peaks, shuffled = limited_group(), [], []
    print(f"in {group} with {LIMIT >> 20} MiB" if group else "without a limit", flush=True)
    rows = table()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        pipeline = Path(folder) / "pipeline.toml"
        for times, order, streams in [(1, "stream", 8), (4, "stream", 8), (16, "stream", 8), (4, "hash", 3), (4, "hash", 16)]:
            repeat = round(times * millions * 1_000_000 / ROWS)
            with served.serve(folder, {"t": rows}, "--message-rows", 10_000, "--repeat", f"data.set.t={repeat}") as address:
                source = served.toml(served.source(address, "t", max_streams=streams))
                pipeline.write_text("[source]\n" + source + SPLIT.replace("KEY", "n0") + STEPS + f'[output]\norder = "{order}"\n')
                name = f"{repeat * ROWS / 1e6:g} million rows, {repeat * rows.nbytes / 1e9:.1f} GB, {streams} streams, order {order}"
                peak = run(name, pipeline, group)
                if order == "hash":
                    shuffled.append(digest(Path(folder) / "out"))
                else:
                    peaks.append(peak)
        for name, write, steps in (("2,000 columns", write_wide, WIDE), ("texts of 10 MB", write_long, LONG)):
            write(Path(folder) / "t.parquet")
            pipeline.write_text('[source]\npath = "t.parquet"\n' + SPLIT.replace("KEY", "id") + steps)
            run(name, pipeline, group)
    growth = max(peaks) / peaks[0] - 1
    print(f"the peak grows by {growth:.1%} from the smallest table; shuffled bytes are {'the same' if len(set(shuffled)) == 1 else 'different'}")
    if growth > 0.1 or len(set(shuffled)) > 1:
        sys.exit("missed: memory grows with the table, or the order of the streams shows in shuffled rows")


if __name__ == "__main__":
    main()
