"""`fit --add` that is killed or interrupted goes on where it was, to the same bytes."""

import json
import shutil
import subprocess

import kills
import mill as mills
import pytest
import served
from mill import KEY_SPLIT, step
from resumed import folder, link, rows, source  # noqa: F401

STEPS = [
    step("filter", ["y"], drop_nulls=True) | {"name": "known"},
    step("scale", ["x", "y"], method="standard") | {"name": "scale"},
    step("encode", ["s"], method="onehot", unseen="ignore") | {"name": "codes"},
]


@pytest.fixture(scope="module")
def model(mill, rows):
    return mill.fit(rows.slice(0, 5_000), STEPS, split=KEY_SPLIT).path


def test_rows_that_were_being_added_when_it_was_killed_make_the_same_model(mill, folder, source, model):
    assert kills.survives_adding(mill, folder, model, [source], range(6)) >= 3


def test_rows_of_bigquery_that_were_being_added_when_it_was_killed_make_the_same_model(mill, folder, rows, model):
    with served.serve(folder, {"t": rows}, "--message-rows", 1_000) as address:
        table = served.named(address, "t", "--max-streams", "3", "--sample", "0.5")
        assert kills.survives_adding(mill, folder, model, table, range(4)) >= 3


def hindered(mill, folder, model, source):
    """Has the rows of a table added to a model, which finds something at its destination in the end."""
    out = folder / "out"
    command = ["fit", "--add", model, source.name, "--out", "out", "--plugins", mill.plugins, "--batch-rows", "16", "--progress", "json"]
    process = subprocess.Popen([mill.binary, *map(str, command)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while json.loads(process.stderr.readline()).get("stage") != "fit":
        assert process.poll() is None
    out.mkdir()
    (out / "mine").touch()
    _, said = process.communicate()
    assert process.returncode == 1 and "the destination is not empty" in said, said
    assert (folder / ".out.run" / "fit.json").exists()


def resume(mill, folder, *arguments):
    # Not where it was begun: all paths were made absolute.
    return mill.call("resume", folder / "out", "--plugins", mill.plugins, *arguments)


def test_what_was_learned_is_not_learned_again_and_everything_must_be_what_it_was(mill, folder, source, rows, model):
    own = folder / "model"
    shutil.copytree(model, own)
    # Once it was moved, a file would not be taken for what it was.
    source.rename(folder / "real.parquet")
    link(source, folder / "real.parquet")
    hindered(mill, folder, own, source)
    assert "move away what is there, and resume again" in resume(mill, folder).stderr
    shutil.rmtree(folder / "out")
    manifest = own / "manifest.json"
    told = manifest.read_text()
    manifest.write_text(told.replace('"folds": 5', '"folds": 6'))
    said = resume(mill, folder)
    assert said.status == 1 and "the model is another one than when the run began" in said.stderr, said.stderr
    manifest.write_text(told)
    other = mills.write(rows.slice(1), folder / "other.parquet")
    link(source, other)
    said = resume(mill, folder)
    assert said.status == 1 and "a file has changed since the run began" in said.stderr
    link(source, folder / "real.parquet")
    resumed = resume(mill, folder, "--progress", "json", "--json")
    assert resumed.status == 0, resumed.stderr
    stages = {json.loads(line).get("stage") for line in resumed.stderr.splitlines()}
    assert "check_what_was_learned" in stages and not {"fit", "read_partials"} & stages, stages
    assert json.loads(resumed.stdout)["rows"] == rows.num_rows
    assert mills.digests(folder / "out") == mill.add(mills.Model(model), source).digests()
    assert not (folder / ".out.run").exists()


def test_what_was_learned_and_then_damaged_is_not_published(mill, folder, source, model):
    hindered(mill, folder, model, source)
    shutil.rmtree(folder / "out")
    table = sorted((folder / ".out.run" / "data").rglob("*.arrow"))[0]
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    said = resume(mill, folder)
    assert said.status == 1 and "its digest is another" in said.stderr, said.stderr
    # Nothing is left that could be gone on with.
    assert not (folder / "out").exists() and not (folder / ".out.run").exists()
