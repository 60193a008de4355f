#!/usr/bin/env python3
"""Drains a served table by wafermill's source and by a bare client, in turn, and prints the ratio of their rates, and memory by size.

usage: drain.py [MILLION_ROWS [RUNS]]     (environment: WAFERMILL_DRAIN, WAFERMILL_TEST_BIGQUERY: release builds; WAFERMILL, WAFERMILL_PLUGINS)

The table has 20 columns, numbers and texts, as that of a customer might; a file of 500,000 rows is served over and over, so that the server
costs little. Server and client are processes of their own on the same machine.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "judge"))
import served  # noqa: E402
from customers import ROWS, table  # noqa: E402

# What the program takes beside its read-ahead: itself, and a few messages under way.
BESIDE = 100 << 20
STREAMS = 8


def drain(who: str, address: str, *options: str) -> dict:
    ran = subprocess.run([os.environ["WAFERMILL_DRAIN"], who, address, "data.set.t", "--streams", str(STREAMS), *options], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def main() -> None:
    missed = []
    millions, runs = map(int, (sys.argv[1:] + ["20", "5"][len(sys.argv) - 1 :])[:2])
    rows = table()
    with tempfile.TemporaryDirectory() as folder:
        repeat = millions * 1_000_000 // ROWS
        options = ["--message-rows", 10_000, "--repeat", f"data.set.t={repeat}"]
        with served.serve(folder, {"t": rows}, *options) as address:
            drain("bare", address)  # so that the server has encoded its messages
            rates = {"wafermill": [], "bare": []}
            for _ in range(runs):
                for who, found in rates.items():
                    ran = drain(who, address)
                    assert ran["rows"] == repeat * ROWS, ran
                    found.append(ran["rows"] / ran["seconds"] / 1e6)
            for who, found in rates.items():
                print(f"{who}: {statistics.median(found):.2f} million rows/s, {min(found):.2f} to {max(found):.2f}, {rows.nbytes / ROWS:.0f} bytes a row")
            ratios = [mine / theirs for mine, theirs in zip(rates["wafermill"], rates["bare"], strict=True)]
            if statistics.median(ratios) < 0.9:
                missed.append("the rate is less than 0.9 of a bare client's")
            print(f"ratio: {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")
            pipeline = Path(folder) / "pipeline.toml"
            pipeline.write_text("[source]\n" + served.toml(served.source(address, "t", max_streams=STREAMS)) + PIPELINE)
            began = time.monotonic()
            subprocess.run([os.environ["WAFERMILL"], "run", pipeline, "--out", Path(folder) / "out"], check=True, stdout=subprocess.DEVNULL)
            print(f"a whole pipeline (split, median impute, scale, encode): {millions / (time.monotonic() - began):.2f} million rows/s")
        for budget in ("32MiB", "256MiB"):
            for times in (1, 4, 16):
                options = ["--message-rows", 10_000, "--repeat", f"data.set.t={2 * times}"]
                with served.serve(folder, {"t": rows}, *options) as address:
                    bytes_ahead = int(budget.removesuffix("MiB")) << 20
                    ran = drain("wafermill", address, "--read-ahead", str(bytes_ahead))
                print(f"{times} million rows, read-ahead {budget}: {ran['peak_bytes'] >> 20} MiB at most")
                if ran["peak_bytes"] > bytes_ahead + BESIDE:
                    missed.append(f"{times} million rows took more memory than the read-ahead of {budget} and {BESIDE >> 20} MiB")
    for miss in missed:
        print(f"missed: {miss}")
    sys.exit(bool(missed))


PIPELINE = """
[split]
key = ["n0"]
params = { parts = { train = 0.8, val = 0.1, test = 0.1 } }

[[steps]]
plugin = "impute"
columns = ["x*"]
params = { strategy = "median" }

[[steps]]
plugin = "scale"
columns = ["x*"]

[[steps]]
plugin = "encode"
columns = ["s0"]
params = { method = "ordinal" }
"""


if __name__ == "__main__":
    main()
