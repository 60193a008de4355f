#!/usr/bin/env python3
"""Reads a served table under 500 random schedules of faults, and checks that exactly its rows are written each time.

usage: fault_schedules.py [SCHEDULES [FIRST_SEED]]     (environment: WAFERMILL, WAFERMILL_PLUGINS, WAFERMILL_TEST_BIGQUERY)
"""
import collections
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1] / "judge"))
import served  # noqa: E402

ROWS = 5_000


def table() -> pa.Table:
    rows = range(ROWS)
    text = pa.array([None if row % 5 == 0 else f"value {row}" * (row % 4) for row in rows])
    return pa.table({"id": pa.array(rows, pa.int64()), "x": pa.array([None if row % 7 == 0 else row / 3 for row in rows]), "s": text})


def main() -> None:
    schedules, first = map(int, (sys.argv[1:] + ["500", "0"][len(sys.argv) - 1 :])[:2])
    expected = collections.Counter(map(str, table().to_pylist()))
    start, reading = time.monotonic(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for seed in range(first, first + schedules):
            chance = random.Random(seed)
            streams, message = chance.choice([1, 2, 3, 7, 16]), chance.choice([1, 10, 64, 500, 5_000])
            # A stall takes a second of silence: one schedule in ten has some.
            options = ["--fault-seed", seed, "--message-rows", message, *(["--fault-stall-free"] if seed % 10 else [])]
            with served.serve(folder, {"t": table()}, *options) as address:
                source = served.source(address, "t", max_streams=streams, silence_seconds=1, patience_seconds=60)
                pipeline, out = folder / "pipeline.toml", folder / f"out-{seed}"
                pipeline.write_text("[source]\n" + served.toml(source))
                began = time.monotonic()
                ran = subprocess.run([os.environ["WAFERMILL"], "run", pipeline, "--out", out], capture_output=True, text=True)
                reading += time.monotonic() - began
            assert ran.returncode == 0, f"seed {seed}, {streams} streams, messages of {message} rows:\n{ran.stderr}"
            found = collections.Counter(map(str, pq.read_table(out / "all").to_pylist()))
            assert found == expected, f"seed {seed}, {streams} streams, messages of {message} rows: other rows"
    print(f"{schedules} schedules from seed {first}: all rows, each once, every time; {time.monotonic() - start:.0f} s, {reading / schedules:.2f} s a run")


if __name__ == "__main__":
    main()
