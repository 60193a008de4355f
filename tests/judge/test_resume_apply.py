"""`apply` that is killed or interrupted goes on where it was, to the same bytes."""

import json
import shutil
import signal
import subprocess
import time

import kills
import mill as mills
import pytest
import served
import test_resume
from mill import KEY_SPLIT
from resumed import folder, link, rows, source  # noqa: F401


@pytest.fixture(scope="module")
def model(mill, rows):
    return mill.fit(rows.slice(0, 5_000), kills.STEPS, split=KEY_SPLIT).path


ROWS_OF_FILES = ["--file-rows", "20000"]


def test_apply_over_a_file_that_was_killed_is_resumed_to_the_same_bytes(mill, folder, source, model):
    assert kills.survives_applying(mill, folder, model, [source], range(6)) >= 3


def test_apply_over_bigquery_that_was_killed_is_resumed_to_the_same_bytes(mill, folder, rows, model):
    with served.serve(folder, {"t": rows}, "--message-rows", 1_000) as address:
        # One stream: another session may have the rows in another order.
        table = served.named(address, "t", "--max-streams", "1")
        assert kills.survives_applying(mill, folder, model, table, range(4), first="run.json") >= 3


def test_apply_that_shuffles_and_was_killed_is_resumed_to_the_same_bytes(mill, folder, source, model):
    table = [source, "--order", "hash"]
    assert kills.survives_applying(mill, folder, model, table, range(2), first="run.json") >= 1


def begin(mill, folder, *arguments, until="segments"):
    """Starts `apply`, and waits until its folder has a file with something in it."""
    command = [mill.binary, "apply", *map(str, arguments), "--out", "out", *ROWS_OF_FILES, "--plugins", mill.plugins, "--batch-rows", "16", "--workers", "1"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while kills.size(folder / ".out.run" / until) == 0:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)
    return process


def killed(mill, folder, *arguments):
    process = begin(mill, folder, *arguments)
    process.kill()
    process.communicate()
    assert kills.size(folder / ".out.run" / "segments") > 0


def resume(mill, folder, *arguments):
    return mill.call("resume", folder / "out", "--plugins", mill.plugins, *arguments)


def undisturbed(mill, model, source, *arguments):
    return mill.apply(mills.Model(model), source, *ROWS_OF_FILES, *arguments).digests()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_apply_that_is_told_to_stop_says_how_to_go_on_and_does_not_begin_anew(mill, folder, source, model, sign):
    process = begin(mill, folder, model, source)
    process.send_signal(sign)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert f"note: `wafermill resume {folder}/out` goes on from here" in said and "error: interrupted" in said
    again = mill.call("apply", model, source, "--out", folder / "out")
    assert again.status == 1 and "was interrupted" in again.stderr and "wafermill resume" in again.stderr
    [first, *_] = sorted((folder / ".out.run/data/all").iterdir())
    written = first.stat().st_mtime_ns
    resumed = resume(mill, folder)
    assert resumed.status == 0, resumed.stderr
    assert (folder / "out/all" / first.name).stat().st_mtime_ns == written
    assert json.loads((folder / "out/report.json").read_text())["rows"] == test_resume.ROWS
    assert mills.digests(folder / "out") == undisturbed(mill, model, source)
    assert not (folder / ".out.run").exists()


def test_apply_with_relative_paths_is_resumed_from_anywhere_in_its_own_format(mill, folder, rows, model):
    mills.write(rows, folder / "table.csv")
    shutil.copytree(model, folder / "model")
    (folder / "table.csv").rename(folder / "table.txt")
    arguments = ["--source-format", "csv", "--format", "arrow"]
    killed(mill, folder, "model", "table.txt", *arguments)
    resumed = resume(mill, folder)
    assert resumed.status == 0, resumed.stderr
    assert mills.digests(folder / "out") == undisturbed(mill, model, folder / "table.txt", *arguments)


def test_a_model_or_a_table_that_changed_meanwhile_is_not_gone_on_with(mill, folder, rows, source, model):
    own = folder / "model"
    shutil.copytree(model, own)
    # Once it was moved, a file would not be taken for what it was.
    source.rename(folder / "real.parquet")
    link(source, folder / "real.parquet")
    killed(mill, folder, own, source)
    other = mill.fit(rows.slice(0, 4_000), kills.STEPS, split=KEY_SPLIT).path
    shutil.rmtree(own)
    shutil.copytree(other, own)
    said = resume(mill, folder)
    assert said.status == 1 and "the model is another one than when the run began" in said.stderr and "wafermill clean" in said.stderr
    shutil.rmtree(own)
    said = resume(mill, folder)
    assert said.status == 1 and "the folder holds no model" in said.stderr
    shutil.copytree(model, own)
    [table, *_] = sorted(own.rglob("model/*.arrow"))
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    said = resume(mill, folder)
    assert said.status == 1 and "digest is another" in said.stderr
    shutil.rmtree(own)
    shutil.copytree(model, own)
    other = mills.write(rows.slice(1), folder / "other.parquet")
    link(source, other)
    said = resume(mill, folder)
    assert said.status == 1 and "a file has changed since the run began" in said.stderr
    # All of it is there again, and so is what was written.
    link(source, folder / "real.parquet")
    resumed = resume(mill, folder)
    assert resumed.status == 0, resumed.stderr
    assert mills.digests(folder / "out") == undisturbed(mill, model, source)


def test_what_a_killed_apply_left_is_removed_on_demand(mill, folder, source, model):
    killed(mill, folder, model, source)
    cleaned = mill.call("clean", folder / "out")
    assert cleaned.status == 0 and not (folder / ".out.run").exists()
    assert "there is no interrupted run" in resume(mill, folder).stderr
    killed(mill, folder, model, source)
    assert mill.call("apply", model, source, "--out", folder / "out", "--overwrite").status == 0
    assert not (folder / ".out.run").exists()
