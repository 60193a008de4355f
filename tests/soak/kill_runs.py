#!/usr/bin/env python3
"""Kills runs over a file and over a served table 50 times each at random moments, and `apply` and `fit --add` too, resumes them, and
compares the bytes with undisturbed ones.

usage: kill_runs.py [SEEDS [FIRST_SEED]]     (environment: WAFERMILL, WAFERMILL_PLUGINS, WAFERMILL_TEST_BIGQUERY)
"""
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "judge"))
import kills  # noqa: E402
import mill as mills  # noqa: E402
import served  # noqa: E402
import test_resume  # noqa: E402
import test_resume_add  # noqa: E402

KILLS = 2


def main() -> None:
    seeds, first = map(int, (sys.argv[1:] + ["25", "0"][len(sys.argv) - 1 :])[:2])
    seeds = range(first, first + seeds)
    mill, rows = mills.Mill(None), test_resume.table(400_000)
    for name in ("a file", "BigQuery"):
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            with served.serve(folder, {"t": rows}, "--message-rows", 1_000) as address:
                source = {"a file": folder / "t.parquet", "BigQuery": served.source(address, "t", max_streams=1)}[name]
                resumed = kills.survives(mill, folder, source, seeds, KILLS)
                tell(name, seeds, resumed, start)
                start, applied = time.monotonic(), folder / "applied"
                applied.mkdir()
                table = {"a file": [folder / "t.parquet"], "BigQuery": served.named(address, "t", "--max-streams", "1")}[name]
                first = {"a file": "segments", "BigQuery": "run.json"}[name]
                model = folder / "expected" / "model"
                resumed = kills.survives_applying(mill, applied, model, table, seeds, KILLS, first)
                tell(f"apply over {name}", seeds, resumed, start)
                start, added = time.monotonic(), folder / "added"
                added.mkdir()
                pipeline = added / "pipeline.toml"
                pipeline.write_text(mills.pipeline_file(folder / "t.parquet", test_resume_add.STEPS, mills.KEY_SPLIT, None), encoding="utf-8")
                fitted = mill.call("fit", pipeline, "--out", added / "model", "--limit", "5000")
                assert fitted.status == 0, fitted.stderr
                resumed = kills.survives_adding(mill, added, added / "model", table, seeds, KILLS)
                tell(f"fit --add of {name}", seeds, resumed, start)


def tell(name, seeds, resumed, start):
    print(f"{name}: {len(seeds) * KILLS} kills, {resumed} resumed, all to the same bytes; {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
