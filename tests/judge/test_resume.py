"""Runs that are killed, interrupted or short of disk go on where they were, to the same bytes."""

import json
import os
import signal
import subprocess
import time

import kills
import mill as mills
import pyarrow as pa
import pytest
import served
from mill import KEY_SPLIT, pipeline_file, step

ROWS = 120_000


def table(rows=ROWS):
    ids = range(rows)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "x": pa.array([None if row % 10 == 3 else (row * 7919 % 10_007) / 3 for row in ids]),
            "y": pa.array([None if row % 13 == 3 else (row * 104_729 % 1_009) for row in ids], pa.int64()),
            "s": pa.array([None if row % 17 == 3 else f"word {row % 23}" for row in ids]),
        }
    )


@pytest.fixture(scope="module")
def rows():
    return table()


def test_a_killed_run_over_a_file_is_resumed_to_the_same_bytes(mill, rows):
    folder = mill.folder()
    source = mills.write(rows, folder / "table.parquet", row_group_size=7_000)
    assert kills.survives(mill, folder, source, range(6)) >= 3


def test_a_killed_run_over_bigquery_is_resumed_to_the_same_bytes(mill, rows):
    folder = mill.folder()
    with served.serve(folder, {"t": rows}, "--message-rows", 1_000) as address:
        # One stream: where the spool was not complete, another session may have the rows in another order.
        assert kills.survives(mill, folder, served.source(address, "t", max_streams=1), range(6)) >= 3


def test_a_killed_run_that_shuffles_is_resumed_to_the_same_bytes(mill, rows):
    folder = mill.folder()
    source = mills.write(rows, folder / "table.parquet", row_group_size=7_000)
    assert kills.survives(mill, folder, source, range(3), output=kills.OUTPUT | {"order": "hash"}) >= 1


def pipeline(folder, source, steps=kills.STEPS, output=None):
    path = folder / "pipeline.toml"
    path.write_text(pipeline_file(source, steps, KEY_SPLIT, output), encoding="utf-8")
    return path


def begin(mill, folder, file, *arguments, command="run", until="fit.json"):
    """Starts a run, and waits until its folder has a file."""
    command = [mill.binary, command, str(file), "--out", "out", "--plugins", mill.plugins, *arguments]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (folder / ".out.run" / until).exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    return process


SLOW = ["--batch-rows", "16"]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_a_run_that_is_told_to_stop_says_how_to_go_on(mill, rows, sign):
    folder = mill.folder()
    file = pipeline(folder, mills.write(rows, folder / "table.parquet"))
    process = begin(mill, folder, file, *SLOW)
    process.send_signal(sign)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert f"note: `wafermill resume {folder}/out` goes on from here" in said and "error: interrupted" in said
    assert os.stat(folder / ".out.run").st_mode & 0o777 == 0o700
    # Two in one folder are refused, and so is a new run where one can be resumed.
    said = mill.call("run", file, "--out", folder / "out").stderr
    assert "was interrupted" in said and "wafermill resume" in said
    resumed = mill.call("resume", folder / "out", "--plugins", mill.plugins)
    assert resumed.status == 0, resumed.stderr
    assert len(json.loads((folder / "out/report.json").read_text())["passes"]) > 1
    undisturbed = mill.call("run", file, "--out", folder / "other")
    assert undisturbed.status == 0, undisturbed.stderr
    assert mills.digests(folder / "out") == mills.digests(folder / "other")
    assert not (folder / ".out.run").exists()


def test_a_fit_that_was_killed_is_resumed_to_the_same_model(mill, rows):
    folder = mill.folder()
    file = pipeline(folder, mills.write(rows, folder / "table.parquet"))
    process = begin(mill, folder, file, *SLOW, command="fit")
    process.kill()
    process.communicate()
    resumed = mill.call("resume", folder / "out", "--plugins", mill.plugins)
    assert resumed.status == 0, resumed.stderr
    expected = mill.call("fit", file, "--out", folder / "expected")
    assert expected.status == 0, expected.stderr
    assert mills.digests(folder / "out") == mills.digests(folder / "expected")


def test_a_run_with_relative_paths_is_resumed_from_anywhere(mill, rows):
    folder = mill.folder()
    mills.write(rows, folder / "table.parquet")
    pipeline(folder, "table.parquet")
    process = begin(mill, folder, "pipeline.toml", *SLOW)
    process.kill()
    process.communicate()
    resumed = mill.call("resume", folder / "out", "--plugins", mill.plugins)
    assert resumed.status == 0, resumed.stderr
    assert mills.digests(folder / "out") == mill.run(rows, kills.STEPS, split=KEY_SPLIT).digests()


def test_a_model_that_was_changed_meanwhile_is_not_gone_on_with(mill, rows):
    folder = mill.folder()
    file = pipeline(folder, mills.write(rows, folder / "table.parquet"))
    killed(mill, folder, file)
    [*models] = (folder / ".out.run/data/model/steps").rglob("*.arrow")
    for model in models:
        content = bytearray(model.read_bytes())
        content[len(content) // 2] ^= 1
        model.write_bytes(content)
    resumed = mill.call("resume", folder / "out", "--plugins", mill.plugins)
    assert resumed.status == 1 and "digest is another" in resumed.stderr
    assert not (folder / "out").exists()


def test_two_runs_towards_one_destination_are_told_apart(mill, rows):
    folder = mill.folder()
    file = pipeline(folder, mills.write(rows, folder / "table.parquet"))
    process = begin(mill, folder, file, *SLOW, until="run.json")
    for command in (["run", file, "--out", folder / "out"], ["run", file, "--out", folder / "out", "--overwrite"], ["resume", folder / "out"], ["clean", folder / "out"]):
        second = mill.call(*command)
        assert second.status == 1 and f"another run writes to this destination, process {process.pid}" in second.stderr
    process.kill()
    process.communicate()


def killed(mill, folder, file):
    process = begin(mill, folder, file, *SLOW)
    process.kill()
    process.communicate()
    assert (folder / ".out.run").exists()


def test_what_a_killed_run_left_is_removed_on_demand(mill, rows):
    folder = mill.folder()
    file = pipeline(folder, mills.write(rows, folder / "table.parquet"))
    killed(mill, folder, file)
    cleaned = mill.call("clean", folder / "out")
    assert cleaned.status == 0 and not (folder / ".out.run").exists()
    assert mill.call("clean", folder / "out").status == 1
    said = mill.call("resume", folder / "out").stderr
    assert "there is no interrupted run" in said
    killed(mill, folder, file)
    assert mill.call("run", file, "--out", folder / "out", "--overwrite").status == 0
    assert not (folder / ".out.run").exists()


def test_a_run_whose_source_or_pipeline_changed_is_not_mixed_up(mill, rows):
    folder = mill.folder()
    source = mills.write(rows, folder / "table.parquet")
    file = pipeline(folder, source)
    killed(mill, folder, file)
    # The pipeline is the one that the run began with.
    file.write_text("nonsense")
    kept, times = source.read_bytes(), source.stat()
    mills.write(rows.slice(1), source)
    said = mill.call("resume", folder / "out", "--plugins", mill.plugins)
    assert said.status == 1 and "a file has changed since the run began" in said.stderr and "wafermill clean" in said.stderr
    assert kept != source.read_bytes()
    # So is one whose times were put back: a bit may have been flipped in it.
    source.write_bytes(kept)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    said = mill.call("resume", folder / "out", "--plugins", mill.plugins)
    assert said.status == 1 and "or its times or permissions were set since the run began" in said.stderr and "wafermill clean" in said.stderr
    # What was there before is still there, so that the file can be put back; its time tells it apart all the same.
    assert (folder / ".out.run").exists()


def test_an_error_of_the_data_leaves_nothing_behind(mill):
    folder = mill.folder()
    rows = table(2_000).append_column("n", pa.array([float("inf")] + [1.0] * 1_999))
    file = pipeline(folder, mills.write(rows, folder / "table.parquet"), [*kills.STEPS, step("encode", ["missing"])])
    ran = mill.call("run", file, "--out", folder / "out")
    assert ran.status == 1
    assert sorted(path.name for path in folder.iterdir()) == ["pipeline.toml", "table.parquet"]


@pytest.mark.parametrize("mode", ["auto", "always", "never"])
def test_a_spool_changes_what_is_read_and_not_what_is_written(mill, rows, mode):
    folder = mill.folder()
    local = mill.run(rows, kills.STEPS, split=KEY_SPLIT)
    with served.serve(folder, {"t": rows}) as address:
        source = served.source(address, "t", max_streams=1) | {"spool": mode}
        found = mill.start("run", source, kills.STEPS, split=KEY_SPLIT)
    assert found.status == 0, found.stderr
    assert mills.Dataset(found.out).digests() == local.digests()
    report = json.loads((found.out / "report.json").read_text())
    passes = len(report["passes"]) + 1
    once = report["billed_bytes"] / (1 if mode != "never" else passes)
    size = inspected(mill, rows)
    assert once == pytest.approx(size, rel=0.7) and passes > 2


def inspected(mill, rows):
    with served.serve(mill.folder(), {"t": rows}) as address:
        access = ["--storage-endpoint", address, "--rest-endpoint", address, "--credentials", "anonymous", "--billing-project", served.BILLING]
        return json.loads(mill.call("inspect", "data.set.t", *access, "--json").stdout)["bytes"]


def test_a_spool_of_files_is_compressed_on_demand(mill, rows):
    folder = mill.folder()
    source = mills.write(rows, folder / "table.parquet")
    expected = mill.run(source, kills.STEPS, split=KEY_SPLIT)
    for compression in ("none", "lz4", "zstd"):
        found = mill.run({"path": str(source), "spool": "always", "spool_compression": compression}, kills.STEPS, split=KEY_SPLIT)
        assert found.digests() == expected.digests()


def test_the_first_rows_of_a_table_are_read_for_a_try(mill, rows):
    folder = mill.folder()
    source = mills.write(rows, folder / "table.parquet", row_group_size=1_000)
    ran = mill.start("run", source, kills.STEPS, split=KEY_SPLIT, arguments=["--limit", "2500"])
    assert ran.status == 0, ran.stderr
    expected = mill.run(rows.slice(0, 2_500), kills.STEPS, split=KEY_SPLIT)
    assert mills.Dataset(ran.out).digests() == expected.digests()
