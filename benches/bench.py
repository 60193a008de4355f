"""Runs wafermill and its peers side by side on the same table: `cargo xtask bench`.

Every engine is a process of its own, in turn, several times over; what it wrote is verified once. Wall time, CPU time (user and system, with those of
children) and the most memory that was resident are told, and their ratios to wafermill's, by medians, each with its spread.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import table as tables
from verify import verify

HERE = Path(__file__).parent
PEERS = ["polars", "duckdb", "sklearn"]
MEASURES = ["wall", "cpu", "memory"]
# A child begins with the memory of whom it is forked from, which is resident for a moment: this one is small.
LAUNCHER = """
import json, os, sys, time
start = time.monotonic()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
told = {"wall": time.monotonic() - start, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss * 1024}
with open(sys.argv[1], "w") as file:
    json.dump(told | {"status": os.waitstatus_to_exitcode(status)}, file)
"""


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the table (5,000,000)")
    parser.add_argument("--runs", type=int, default=5, help="how often each engine runs (5)")
    parser.add_argument("--engines", default=",".join(PEERS), help="peers to run beside wafermill (all)")
    parser.add_argument("--memory", help="what wafermill may use, as its `--memory`")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="threads of each engine (as many as cores)")
    parser.add_argument("--json", action="store_true", help="print what was measured for machines")
    arguments = parser.parse_args()
    named = dict.fromkeys(filter(None, arguments.engines.split(",")))
    engines = ["wafermill", *(engine for engine in named if engine != "wafermill")]
    unknown = set(engines) - {"wafermill", *PEERS}
    if unknown:
        parser.error(f"unknown engines: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")

    folder = Path(os.environ["WAFERMILL_BENCH"])
    table = folder / f"table-{arguments.rows}.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    if not table.exists():
        note(f"writing {table.name}")
        tables.write(table, arguments.rows)
    runs = {engine: [] for engine in engines}
    for number in range(arguments.runs):
        for engine in engines:
            out = folder / "out"
            shutil.rmtree(out, ignore_errors=True)
            measured = measure(command(engine, table, out, folder, arguments), folder, arguments.workers)
            note(f"{engine} {number + 1}/{arguments.runs}: {measured['wall']:.2f} s")
            if number == 0:
                verify(table, out)
            runs[engine].append(measured)
            shutil.rmtree(out)
    print(as_json(arguments, table, runs) if arguments.json else as_text(arguments, table, runs))


def command(engine, table, out, folder, arguments):
    if engine != "wafermill":
        return [sys.executable, "-B", str(HERE / f"with_{engine}.py"), str(table), str(out)]
    pipeline = (HERE / "pipeline.toml").read_text()
    (folder / "pipeline.toml").write_text(pipeline.replace("table.parquet", table.name))
    program = [os.environ["WAFERMILL"], "run", str(folder / "pipeline.toml"), "--out", str(out), "--quiet"]
    program += ["--plugins", os.environ["WAFERMILL_PLUGINS"], "--workers", str(arguments.workers)]
    return program + (["--memory", arguments.memory] if arguments.memory else [])


def measure(command, folder, workers):
    told = folder / "measured.json"
    threads = {name: str(workers) for name in ("BENCH_THREADS", "POLARS_MAX_THREADS", "OMP_NUM_THREADS")}
    # Set on some machines to values that scikit-learn's linear algebra does not take.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    # From the same state of the disk: what the last one left to be written is written first.
    os.sync()
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(told), *command]
    ended = subprocess.run(launcher, env=kept | threads, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    measured = json.loads(told.read_text())
    if measured.pop("status") != 0:
        sys.exit(f"error: `{' '.join(command)}` failed:\n{ended.stdout}")
    return measured


def as_json(arguments, table, runs):
    told = {"rows": arguments.rows, "bytes": table.stat().st_size, "workers": arguments.workers, "runs": runs}
    return json.dumps(told | {"ratios": {engine: ratios(runs, engine) for engine in runs}}, indent=2)


def ratios(runs, engine):
    """Of wafermill to another engine, run by run."""
    pairs = zip(runs["wafermill"], runs[engine], strict=True)
    pairs = [{measure: own[measure] / other[measure] for measure in MEASURES} for own, other in pairs]
    return {measure: statistics.median(pair[measure] for pair in pairs) for measure in MEASURES}


def as_text(arguments, table, runs):
    lines = [
        f"{arguments.rows:,} rows, {table.stat().st_size / 1e6:,.0f} MB of Parquet, {arguments.workers} threads, medians of {arguments.runs} runs (least to most)",
        "",
        f"{'':11}{'wall s':>22}{'CPU s':>22}{'peak MiB':>24}    wafermill's share of each",
    ]
    for engine, measured in runs.items():
        cells = [spread([run[measure] / unit for run in measured], digits) for measure, unit, digits in
                 (("wall", 1, 2), ("cpu", 1, 2), ("memory", 2**20, 0))]
        shares = "  ".join(f"{ratio:.2f}" for ratio in ratios(runs, engine).values())
        lines.append(f"{engine:11}{cells[0]:>22}{cells[1]:>22}{cells[2]:>24}    {shares}")
    return "\n".join(lines)


def spread(values, digits):
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def note(text):
    print(text, file=sys.stderr, flush=True)


main()
