"""Kills runs at random moments, and goes on with them as a user would, until they are done."""

import random
import signal
import subprocess
import time

import mill as mills

STEPS = [
    mills.step("filter", ["y"], drop_nulls=True) | {"name": "known"},
    mills.step("impute", ["x", "y"], strategy="median") | {"name": "fill"},
    mills.step("scale", ["x", "y"], method="standard") | {"name": "scale"},
    mills.step("encode", ["s"], method="onehot", unseen="ignore") | {"name": "codes"},
]
OUTPUT = {"row_group_rows": 5_000, "file_rows": 20_000}


class Killer:
    """Runs a command towards a folder, which is killed at moments that `chance` chooses, and started again."""

    def __init__(self, mill, command, out, chance, duration, first):
        self.mill, self.command, self.out = mill, command, out
        self.chance, self.duration, self.first = chance, duration, first
        self.folder = out.parent / f".{out.name}.run"
        self.killed = self.resumed = 0

    def finish(self, kills, at_once=False):
        """Kills the run so often, and lets it end then; with `at_once` it is resumed wherever there is a record of it."""
        command = self.command
        while True:
            status, said = self.start(command, kill=self.killed < kills)
            if status == 0:
                return
            if status == -signal.SIGKILL:
                self.killed += 1
                command = self.command
                if at_once and (self.folder / "run.json").exists():
                    command = ["resume"]
                    self.resumed += 1
            elif "was interrupted" in said:
                assert "wafermill resume" in said
                command = ["resume"]
                self.resumed += 1
            elif "the destination is not empty" in said and command == self.command:
                # It was killed after the dataset had appeared, while it removed its own folder: what tells of a run goes first.
                ended = self.mill.call("resume", self.out)
                complete = ended.status == 0 and b"nothing is left to do" in ended.stdout
                assert complete or "no interrupted run" in ended.stderr, ended.stderr
                return
            else:
                raise AssertionError(f"{command} ended with {status}\n{said}")

    def wait(self, process):
        """Until the moment of a kill: the first one when there is something to go on from, the others at any time."""
        if self.killed == 0:
            progress = self.folder / self.first
            while process.poll() is None and not (progress.exists() and size(progress) > 0):
                time.sleep(0.002)
            time.sleep(self.chance.uniform(0, 0.02))
        else:
            time.sleep(self.chance.uniform(0, self.duration))

    def start(self, command, kill):
        arguments = [self.out] if command == ["resume"] else [*command[1:], "--out", self.out]
        arguments = [self.mill.binary, command[0], *map(str, arguments), "--plugins", self.mill.plugins, "--workers", str(self.chance.randint(1, 4))]
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if kill:
            self.wait(process)
            process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        return process.returncode, said


def size(path):
    """Of a file that may go at any time."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def survives(mill, folder, source, seeds, kills=2, output=OUTPUT):
    """Kills runs of a pipeline of three passes, and compares what they come to with an undisturbed run. Gives how many were resumed."""
    pipeline = folder / "pipeline.toml"
    pipeline.write_text(mills.pipeline_file(source, STEPS, mills.KEY_SPLIT, output), encoding="utf-8")
    return comes_to_the_same(mill, folder, ["run", pipeline], "fit.json", seeds, kills)


def survives_applying(mill, folder, model, table, seeds, kills=2, first="segments"):
    """As `survives`, of a model that is applied to a table, which arguments name. It is resumed wherever it was killed."""
    command = ["apply", model, *table, "--file-rows", OUTPUT["file_rows"]]
    return comes_to_the_same(mill, folder, command, first, seeds, kills, at_once=True)


def survives_adding(mill, folder, model, table, seeds, kills=2):
    """As `survives_applying`, of the rows of a table that are added to a model."""
    return comes_to_the_same(mill, folder, ["fit", "--add", model, *table], "run.json", seeds, kills, at_once=True)


def comes_to_the_same(mill, folder, command, first, seeds, kills, at_once=False):
    # The first run compiles the plugins, unless an earlier one did.
    for name in ("first", "expected"):
        began = time.monotonic()
        ran = mill.call(*command, "--out", folder / name)
        duration = time.monotonic() - began
        assert ran.status == 0, ran.stderr
    expected = mills.digests(folder / "expected")
    resumed = 0
    for seed in seeds:
        out = folder / f"out-{seed}"
        killer = Killer(mill, command, out, random.Random(seed), duration, first)
        killer.finish(kills, at_once)
        found = mills.digests(out)
        differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        assert not differing, f"seed {seed}, killed {killer.killed} times: {differing}"
        assert not killer.folder.exists()
        resumed += killer.resumed
    return resumed
