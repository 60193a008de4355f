"""What disks do to runs: they are full, read-only, in the way, or err; and runs are told to stop in each stage."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import disks
import kills
import mill as mills
import numpy as np
import pyarrow as pa
import pytest
import served
from mill import KEY_SPLIT, pipeline_file, step

ROWS = 60_000


def table(rows=ROWS):
    ids = np.arange(rows)
    gaps = ids % 10 == 3
    return pa.table(
        {
            "id": pa.array(ids),
            "x": pa.array(np.where(gaps, 0, ids * 7919 % 10_007 / 3), mask=gaps),
            "y": pa.array(ids * 104_729 % 1_009, mask=ids % 13 == 3),
            "s": pa.array([f"word {row % 23}" for row in ids]),
            "u": pa.array([f"a word that only row {row} has" for row in ids]),
        }
    )


@pytest.fixture(scope="module")
def source(mill):
    return mills.write(table(), mill.folder() / "table.parquet", row_group_size=7_000)


# The second pass learns a table of some megabytes.
LARGE = [
    step("scale", ["x"], method="standard"),
    step("filter", ["x"], min=-5, max=5),
    step("encode", ["u"], method="ordinal", unseen="ignore"),
]
SHUFFLED = kills.OUTPUT | {"order": "hash"}


class Case:
    """A pipeline, what it comes to undisturbed, and runs of it towards a destination."""

    def __init__(self, mill, source, steps=kills.STEPS, output=kills.OUTPUT, out=None, spill_past=None, split=KEY_SPLIT):
        self.mill, self.folder = mill, mill.folder()
        self.out = out or self.folder / "out"
        self.run_folder = self.out.parent / f".{self.out.name}.run"
        self.file = self.folder / "pipeline.toml"
        self.file.write_text(pipeline_file(source, steps, split, output), encoding="utf-8")
        self.spilling = ["--spill-past", spill_past] if spill_past else []

    def expected(self):
        ran = self.mill.call("run", self.file, "--out", self.folder / "expected")
        assert ran.status == 0, ran.stderr
        return mills.digests(self.folder / "expected")

    def run(self, *arguments):
        return self.mill.call("run", self.file, "--out", self.out, *self.spilling, *arguments)

    def resume(self, *arguments):
        return self.mill.call("resume", self.out, "--plugins", self.mill.plugins, *self.spilling, *arguments)

    def begin(self, *arguments):
        command = [self.mill.binary, "run", self.file, "--out", self.out, "--plugins", self.mill.plugins, *self.spilling, *arguments]
        return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def killed(self, until="fit.json"):
        """A run that is killed once its folder has a file with something in it."""
        process = self.begin("--batch-rows", "64")
        wait_for(process, lambda: size(self.run_folder / until) > 0)
        process.kill()
        process.communicate()
        return self

    def comes_to(self, expected):
        """Whether the run can be resumed, to the very bytes of an undisturbed one."""
        resumed = self.resume()
        assert resumed.status == 0, resumed.stderr
        assert mills.digests(self.out) == expected
        assert not self.run_folder.exists()


def size(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def wait_for(process, there):
    while not there():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.001)


def test_a_full_disk_while_the_rows_are_spooled_leaves_nothing_and_a_new_run_succeeds(mill, source):
    with disks.mounted(mill.folder()) as disk:
        case = Case(mill, {"path": str(source), "spool": "always"}, out=disk / "out")
        with disks.full_but_for(disk, 400_000):
            ran = case.run()
        assert ran.status == 1 and "the spool cannot be written" in ran.stderr and "No space left" in ran.stderr
        assert "hint: make room on that disk" in ran.stderr and list(disk.iterdir()) == []
        assert case.run().status == 0 and mills.digests(case.out) == case.expected()


# For each what is written, with which steps, and into how much room, so that it is this which fills the disk.
FULL = {
    "dataset": ({}, 400_000, "cannot write the dataset"),
    "model": ({"steps": LARGE}, 400_000, "a table cannot be written"),
    "spill": ({"output": SHUFFLED, "spill_past": "8MiB"}, 2_000_000, "cannot keep rows in the scratch directory"),
}


@pytest.mark.parametrize("what", FULL)
def test_a_disk_that_was_full_is_gone_on_with_once_it_has_room(mill, source, what):
    options, free, message = FULL[what]
    with disks.mounted(mill.folder()) as disk:
        case = Case(mill, source, out=disk / "out", **options)
        with disks.full_but_for(disk, free):
            ran = case.run()
            assert ran.status == 1 and message in ran.stderr and "No space left" in ran.stderr, ran.stderr
            assert f"note: `wafermill resume {case.out}` goes on from here" in ran.stderr
            again = case.resume()
            assert again.status == 1 and "No space left" in again.stderr and "note: `wafermill resume" in again.stderr
        case.comes_to(case.expected())


def test_what_a_run_left_on_a_full_disk_can_be_removed(mill, source):
    with disks.mounted(mill.folder()) as disk:
        case = Case(mill, source, out=disk / "out").killed()
        with disks.full_but_for(disk, 0):
            cleaned = mill.call("clean", case.out)
            assert cleaned.status == 0, cleaned.stderr
        assert list(disk.iterdir()) == []


def test_where_nothing_can_be_written_a_run_fails_before_the_first_row(mill):
    folder = mill.folder()
    # The last row would be an error.
    (folder / "table.csv").write_text("x\n" + "1\n" * 20_000 + "nonsense\n")
    with disks.mounted(folder / "disk") as disk:
        (disk / "there").mkdir()
        disks.read_only(disk)
        for out in (disk / "out", disk / "there", disk / "new/out"):
            case = Case(mill, folder / "table.csv", [step("scale", ["x"])], split=None, out=out)
            ran = case.run()
            assert ran.status == 1 and "cannot write beside the destination" in ran.stderr and "hint: " in ran.stderr, ran.stderr
    # A folder without room for another one beside it, for those whom permissions bind.
    closed = folder / "closed"
    closed.mkdir(mode=0o555)
    if os.geteuid() != 0:
        ran = Case(mill, folder / "table.csv", [step("scale", ["x"])], split=None, out=closed / "out").run()
        assert ran.status == 1 and "cannot write beside the destination" in ran.stderr


def test_a_destination_that_cannot_be_replaced_is_told_before_the_first_row(mill, source):
    folder = mill.folder()
    (folder / "table.csv").write_text("x\n" + "1\n" * 20_000 + "nonsense\n")
    written = Case(mill, source)
    assert written.run().status == 0
    with disks.mounted(folder / "out") as out:
        case = Case(mill, folder / "table.csv", [step("scale", ["x"])], split=None, out=out)
        for overwrite in ([], ["--overwrite"]):
            ran = case.run(*overwrite)
            assert ran.status == 1 and "cannot be replaced" in ran.stderr and "a file system is mounted there" in ran.stderr, ran.stderr
            assert not case.run_folder.exists()
            (out / "report.json").write_bytes((written.out / "report.json").read_bytes())
            (out / "mine").write_text("mine")
        assert (out / "mine").read_text() == "mine"
        # Inside of it there is room for a dataset.
        assert Case(mill, source, out=out / "sets").run().status == 0


def test_a_destination_with_something_in_it_stays_as_it_is(mill, source):
    case = Case(mill, source)
    case.out.mkdir()
    (case.out / "mine").write_text("mine")
    assert "the destination is not empty" in case.run().stderr
    assert "no `report.json`" in case.run("--overwrite").stderr
    for report in ("{}", '{"rows": 5, "format": 1}', "[1"):
        (case.out / "report.json").write_text(report)
        ran = case.run("--overwrite")
        assert ran.status == 1 and "`report.json` is none that wafermill wrote" in ran.stderr, ran.stderr
    assert sorted(path.name for path in case.out.iterdir()) == ["mine", "report.json"]
    assert not case.run_folder.exists()


def test_of_two_runs_that_begin_towards_one_destination_one_writes_it(mill, source):
    case = Case(mill, source)
    runs = [case.begin() for _ in range(3)]
    said = [(run.communicate()[1], run.returncode) for run in runs]
    assert [status for _, status in said].count(0) == 1, said
    for text, status in said:
        assert status == 0 or "another run writes to this destination" in text or "the destination is not empty" in text, text
    assert mills.digests(case.out) == case.expected() and not case.run_folder.exists()


# When a stage is under way, by the run's folder.
STAGES = {
    "second pass": ({}, lambda folder: size(folder / "fit.json") > 0),
    "apply": ({}, lambda folder: size(folder / "segments") > 0),
    "merge": ({"output": SHUFFLED, "spill_past": "8MiB"}, lambda folder: any(folder.glob("data/train/part-*"))),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_is_told_to_stop_can_be_resumed_from_any_stage(mill, source, stage):
    options, is_there = STAGES[stage]
    case = Case(mill, source, **options)
    process = case.begin("--batch-rows", "512")
    wait_for(process, lambda: is_there(case.run_folder))
    process.terminate()
    _, said = process.communicate()
    assert process.returncode == 130 and "error: interrupted" in said, said
    assert f"note: `wafermill resume {case.out}` goes on from here" in said
    case.comes_to(case.expected())


def test_a_run_that_is_told_to_stop_in_its_first_pass_leaves_nothing_to_go_on_from(mill, source):
    case = Case(mill, source)
    process = case.begin("--batch-rows", "16")
    wait_for(process, lambda: (case.run_folder / "run.json").exists())
    process.terminate()
    _, said = process.communicate()
    assert process.returncode == 130 and said == "error: interrupted\n"
    assert not case.run_folder.exists() and not case.out.exists()
    assert case.run().status == 0 and mills.digests(case.out) == case.expected()


def test_a_run_that_is_told_to_stop_twice_ends_at_once_and_says_what_is_there(mill, source):
    case = Case(mill, source)
    process = case.begin("--batch-rows", "1000000", "--workers", "1")
    wait_for(process, lambda: size(case.run_folder / "fit.json") > 0)
    # It hears neither before it is let go on.
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate()
    assert process.returncode == 130
    expected = f"interrupted at once: `wafermill resume {case.out}` goes on with what is there, `wafermill clean {case.out}` removes it\n"
    assert said == expected, said
    case.comes_to(case.expected())


def test_what_is_printed_to_go_on_with_a_run_can_be_pasted_into_a_shell(mill, source):
    folder = mill.folder()
    case = Case(mill, source, out=folder / "my  sets' $HOME `id`")
    process = case.begin("--batch-rows", "64")
    wait_for(process, lambda: size(case.run_folder / "fit.json") > 0)
    process.terminate()
    said = process.communicate()[1]
    [resume] = re.findall(r"note: `(wafermill resume .*)` goes on", said)
    # A run that is begun meanwhile tells the same.
    assert f"`{resume}` goes on where it was" in case.run().stderr
    # The plugins are where they were for the run.
    environment = {name: value for name, value in os.environ.items() if name != "WAFERMILL_PLUGINS"}
    script = f'wafermill() {{ {case.mill.binary} "$@"; }}; {resume}'
    resumed = subprocess.run(["sh", "-c", script], env=environment, cwd="/", capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert mills.digests(case.out) == case.expected()


def test_a_run_that_was_killed_once_its_dataset_was_there_is_complete(mill, source):
    case = Case(mill, source)
    assert case.run().status == 0
    for left in ({"published": "", "lock": "1", "fit.json": "{}"}, {"run.json": "{}", "lock": "1", "spool": None}, {"lock": "1"}, {}):
        case.run_folder.mkdir(mode=0o700)
        for name, content in left.items():
            path = case.run_folder / name
            path.mkdir() if content is None else path.write_text(content)
        resumed = case.resume()
        assert resumed.status == 0, resumed.stderr
        assert resumed.stdout.decode() == f"nothing is left to do: {case.out} is complete\n"
        assert not case.run_folder.exists()
    assert mills.digests(case.out) == case.expected()


def test_what_cannot_be_removed_is_not_said_to_be(mill, source):
    case = Case(mill, source).killed()
    with disks.mounted(case.run_folder / "busy"):
        cleaned = mill.call("clean", case.out)
        assert cleaned.status == 1 and cleaned.stdout == b"", cleaned.stdout
        assert "what the run left cannot be removed" in cleaned.stderr and "busy" in cleaned.stderr
    cleaned = mill.call("clean", case.out)
    assert cleaned.status == 0 and cleaned.stdout.decode() == f"removed {case.run_folder}\n"
    assert not case.run_folder.exists()


def test_a_flipped_bit_in_what_a_run_left_is_an_error_or_changes_nothing(mill, source):
    spooled = {"path": str(source), "spool": "always"}
    case = Case(mill, spooled).killed("segments")
    expected = case.expected()
    kept = case.folder / "kept"
    shutil.copytree(case.run_folder, kept)
    names = {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()} - {"lock"}
    assert {"run.json", "source.arrow", "fit.json", "segments", "spool/index.json", "spool/rows.arrow", "spool/checksums"} <= names
    # Of the dataset one file of each kind: that takes long enough.
    data = {min(name for name in names if name.startswith(f"data/{kind}/")) for kind in ("train", "model")}
    failures = set()
    for name in sorted(data | {name for name in names if not name.startswith("data/")}):
        for folder in (case.run_folder, case.out):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(kept, case.run_folder)
        damaged = bytearray((kept / name).read_bytes())
        damaged[len(damaged) // 2] ^= 4
        (case.run_folder / name).write_bytes(damaged)
        resumed = case.resume()
        if resumed.status == 0:
            assert mills.digests(case.out) == expected, name
        else:
            failures.add(name)
            assert resumed.status == 1 and name in resumed.stderr and "hint: " in resumed.stderr, resumed.stderr
            # A dataset that cannot be believed is written anew, as is said.
            if "goes on from here" in resumed.stderr:
                case.comes_to(expected)
    assert {"run.json", "source.arrow", "fit.json", "segments"} <= failures, failures
    assert any(name.startswith("data/train/") for name in failures)


def test_a_dataset_that_was_damaged_is_written_anew(mill, source):
    case = Case(mill, source).killed("segments")
    file = min((case.run_folder / "data/train").iterdir())
    file.write_bytes(file.read_bytes()[:-1])
    resumed = case.resume()
    assert resumed.status == 1 and "is not what it was" in resumed.stderr and str(file) in resumed.stderr, resumed.stderr
    assert "writes the dataset anew" in resumed.stderr and "goes on from here" in resumed.stderr
    case.comes_to(case.expected())


def damage_spool(case):
    """Damages the rows that are still to be written, which are towards the end."""
    rows = case.run_folder / "spool/rows.arrow"
    content = bytearray(rows.read_bytes())
    for at in range(len(content) // 4 * 3, len(content) - 20_000, 1_000):
        content[at] ^= 64
    rows.write_bytes(content)
    resumed = case.resume()
    assert resumed.status == 1 and "the spool is damaged" in resumed.stderr and str(rows) in resumed.stderr, resumed.stderr
    assert "hint: see to that disk" in resumed.stderr and "goes on from here" in resumed.stderr


def test_a_spool_that_is_damaged_is_read_anew_from_its_source(mill, source):
    case = Case(mill, {"path": str(source), "spool": "always"}).killed("segments")
    damage_spool(case)
    case.comes_to(case.expected())
    assert json.loads((case.out / "report.json").read_text())["rows"] == ROWS


QUERY = "SELECT a table FROM somewhere"
# What is read, and what is said when it is read again.
READ_AGAIN = {"table": ({}, "not whole: they are read again, as they were at"), "query": ({"query": QUERY}, "it begins anew")}


@pytest.mark.parametrize("kind", READ_AGAIN)
def test_a_damaged_spool_of_rows_without_an_order_does_not_mix_two_orders(mill, kind):
    keys, said = READ_AGAIN[kind]
    rows = table(20_000)
    output = kills.OUTPUT | {"file_rows": 5_000}
    options = ["--message-rows", 500, "--query", f"{QUERY}=data.set.t"]
    with served.Switch() as switch:
        read = served.source(switch.address, "t", max_streams=3)
        if keys:
            del read["table"]
        case = Case(mill, read | keys, output=output)
        with served.serve(mill.folder(), {"t": rows}, *options) as switch.behind:
            case.killed("segments")
            damage_spool(case)
        # Another number of streams is another order.
        with served.serve(mill.folder(), {"t": rows}, *options, "--max-streams", 2) as switch.behind:
            resumed = case.resume()
            assert resumed.status == 0 and said in resumed.stderr, resumed.stderr
        switch.shutdown()
    local = Case(mill, mills.write(rows, case.folder / "table.parquet"), output=output)
    local.expected()
    found, expected = (mills.Dataset(path) for path in (case.out, local.folder / "expected"))
    for part in ("train", "val", "test"):
        assert found.part(part).sort_by("id") == expected.part(part).sort_by("id")
    assert {path.name: path.read_bytes() for path in (found.path / "model").rglob("model/*.arrow")} == {
        path.name: path.read_bytes() for path in (expected.path / "model").rglob("model/*.arrow")
    }
