"""What the tests of object stores share: a table in a bucket, runs over it, and their deaths."""

import hashlib
import json
import signal
import subprocess

import mill as mills
import numpy as np
import pyarrow as pa
import pytest
from mill import KEY_SPLIT, pipeline_file, step
from stores import Proxy

ROWS = 20_000
STEPS = [step("impute", ["x"], strategy="median") | {"name": "fill"}, step("scale", ["x", "y"], method="standard")]
OUTPUT = {"row_group_rows": 2_000, "file_rows": 8_000}
MANIFEST, CLAIM = "_wafermill_manifest.json", "_wafermill_upload.json"
MIB = 1 << 20


def rows(first, count):
    ids = np.arange(first, first + count)
    return pa.table({
        "id": ids,
        "x": pa.array(ids * 7919 % 10_007 / 3, mask=ids % 10 == 3),
        "y": ids * 104_729 % 1_009,
        "s": [f"word {row % 23}" for row in ids.tolist()],
        "unused": [f"{row:0100}" for row in ids.tolist()],
    })  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A table in three Parquet files of several row groups."""
    folder = tmp_path_factory.mktemp("tables")
    sizes = [ROWS // 2, ROWS // 4, ROWS // 4]
    for index, size in enumerate(sizes):
        mills.write(rows(sum(sizes[:index]), size), folder / f"{index}.parquet", row_group_size=3_000)
    return sorted(folder.iterdir())


class Case:
    """Runs the program with a store, in folders of its own."""

    def __init__(self, mill, store):
        self.mill, self.store, self.bucket = mill, store, store.bucket()
        self.folder = mill.folder()
        self.environment = store.environment(XDG_STATE_HOME=str(self.folder / "state"))

    def put(self, files, prefix="in/"):
        for file in files:
            self.bucket.put(prefix + file.name, file)

    def pipeline(self, source, steps=STEPS, output=OUTPUT):
        path = self.folder / "pipeline.toml"
        path.write_text(pipeline_file(source, steps, KEY_SPLIT, output), encoding="utf-8")
        return path

    def command(self, command, *arguments):
        plugins = ["--plugins", self.mill.plugins] if command in ("run", "fit", "apply", "resume", "plan") else []
        return [self.mill.binary, command, *map(str, arguments), *plugins]

    def call(self, command, *arguments, **environment):
        called = self.command(command, *arguments)
        done = subprocess.run(called, capture_output=True, text=True, env=self.environment | environment, timeout=300, check=False)
        assert "a-secret-of-the-tests" not in done.stdout + done.stderr
        return done

    def run(self, *arguments, **environment):
        done = self.call(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done

    def refused(self, *arguments, **environment):
        done = self.call(*arguments, **environment)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stderr

    def work(self):
        """The folders of runs towards the store that are there."""
        folder = self.folder / "state" / "wafermill"
        return list(folder.iterdir()) if folder.exists() else []

    def dataset(self, prefix):
        """A dataset in the store, checked against its manifest, as `mill.digests` gives one on a disk."""
        objects = self.bucket.objects(prefix)
        manifest = json.loads(objects.pop(MANIFEST))
        listed = {file["path"]: (file["bytes"], file["digest"]) for file in manifest["files"]}
        digest = lambda content: hashlib.sha256(content).hexdigest()
        assert listed == {name: (len(content), "sha256:" + digest(content)) for name, content in objects.items()}
        return {name: digest(content) for name, content in objects.items() if name != "report.json"}


@pytest.fixture
def case(mill, store):
    return Case(mill, store)


@pytest.fixture
def proxy(store):
    with Proxy.start(store) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def expected(mill, files):
    """What a run from files to a folder writes."""
    return mill.run(str(files[0].parent / "*.parquet"), STEPS, split=KEY_SPLIT, output=OUTPUT).digests()


def big_pipeline(case):
    """A run whose files are uploaded in several parts."""
    ids = np.arange(450_000)
    table = pa.table({"id": ids, "x": np.random.default_rng(1).random(len(ids)), "y": np.random.default_rng(2).random(len(ids))})
    source = mills.write(table, case.folder / "big.parquet")
    return case.pipeline(str(source), output={"compression": "none", "file_rows": 3_000_000})


def kill_at(case, proxy, pipeline, url, when, endpoint="AWS_ENDPOINT_URL"):
    """Starts a run and kills it when the proxy sees a request."""
    kill(case, proxy, case.command("run", pipeline, "--out", url), when, endpoint)


def kill(case, proxy, command, when, endpoint="AWS_ENDPOINT_URL"):
    killed = []

    def fault(request):
        if when(request) and not killed:
            killed.append(request)
            process.send_signal(signal.SIGKILL)
            process.wait()

    proxy.fault = fault
    process = subprocess.Popen(
        command, env=case.environment | {endpoint: proxy.address},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = process.communicate()[1]
    assert killed, said
    assert process.returncode == -signal.SIGKILL, said
    proxy.fault = lambda request: None
    proxy.requests.clear()


def kill_at_overwriting(case, proxy, pipeline, url, when):
    run = case.command
    case.command = lambda command, *arguments: run(command, *arguments, *(["--overwrite"] if command == "run" else []))
    kill_at(case, proxy, pipeline, url, when)
    case.command = run
