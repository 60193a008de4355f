"""Sources and datasets in an object store: the same bytes as on a disk, whatever the store does on the way."""

import hashlib
import json
import os
import signal
import subprocess
import time

import mill as mills
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mill import KEY_SPLIT, pipeline_file, step
from stores import Proxy, Store

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
        done = subprocess.run(called, capture_output=True, text=True, env=self.environment | environment, timeout=300)
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


def test_objects_and_a_dataset_in_a_store_have_the_bytes_of_those_on_a_disk(case, files, expected):
    case.put(files)
    pipeline = case.pipeline(case.bucket.url("in/*.parquet"))
    case.run("run", pipeline, "--out", case.folder / "out")
    assert mills.digests(case.folder / "out") == expected
    ran = case.run("run", pipeline, "--out", case.bucket.url("sets/one"))
    assert f"written to {case.bucket.url('sets/one')}\n" in ran.stdout
    assert case.dataset("sets/one/") == expected
    assert case.work() == [] and case.bucket.uploads() == []


@pytest.mark.parametrize("format", ["csv", "arrow"])
def test_other_formats_are_read_from_a_store_as_from_a_disk(case, format):
    for index in range(2):
        mills.write(rows(index * 9_000, 9_000), case.folder / f"{index}.{format}", max_chunksize=2_500)
    files = sorted(case.folder.glob(f"*.{format}"))
    case.put(files)
    case.run("run", case.pipeline(str(case.folder / f"*.{format}")), "--out", case.folder / "local")
    case.run("run", case.pipeline(case.bucket.url("in/")), "--out", case.folder / "remote")
    assert mills.digests(case.folder / "remote") == mills.digests(case.folder / "local")


def test_the_path_of_the_output_may_be_in_a_store_and_apply_and_fit_write_there(case, files, expected):
    case.put(files)
    pipeline = case.pipeline(case.bucket.url("in"), output=OUTPUT | {"path": case.bucket.url("sets/")})
    case.run("run", pipeline)
    assert case.dataset("sets/") == expected
    case.run("fit", pipeline, "--out", case.bucket.url("model"))
    assert case.dataset("model/") == {name.removeprefix("model/"): digest for name, digest in expected.items() if name.startswith("model/")}
    case.run("run", pipeline, "--out", case.folder / "local")
    source = case.bucket.url("in/1.parquet")
    case.run("apply", case.folder / "local", source, "--out", case.folder / "applied")
    case.run("apply", case.folder / "local", source, "--out", case.bucket.url("applied"))
    assert case.dataset("applied/") == mills.digests(case.folder / "applied")


def test_inspect_and_plan_look_at_objects_as_at_files(case, files):
    case.put(files)
    shown = json.loads(case.run("inspect", case.bucket.url("in/"), "--json").stdout)
    local = json.loads(case.run("inspect", files[0].parent, "--json").stdout)
    assert (shown["rows"], shown["bytes"], shown["columns"]) == (ROWS, local["bytes"], local["columns"])
    assert shown["fragments"][0]["name"] == case.bucket.url("in/0.parquet#0")
    assert "8 fragments" in case.run("plan", case.pipeline(case.bucket.url("in/"))).stdout


def test_only_the_columns_that_are_needed_are_fetched(case, files, proxy):
    big = rows(0, 100_000)
    mills.write(big, case.folder / "big.parquet", row_group_size=25_000, compression="none", use_dictionary=False)
    case.put([case.folder / "big.parquet"])
    fetched = []

    def note(request):
        if request.method == "GET" and request.range:
            first, last = request.range.removeprefix("bytes=").split("-")
            fetched.append(int(last) - int(first) + 1)

    proxy.fault = note
    case.run("fit", case.pipeline(case.bucket.url("in/")), "--out", case.folder / "out", AWS_ENDPOINT_URL=proxy.address)
    size = (case.folder / "big.parquet").stat().st_size
    # several passes, each over two columns of 8 bytes and a key, and not over the 104 bytes of the last
    assert sum(fetched) < size
    # a row group's columns lie together: footer, and a request or two for each of 4 row groups in each pass
    assert len(fetched) <= 1 + 3 * 4 * 3


def test_more_columns_than_memory_holds_are_read_window_by_window(case):
    # a row group of 4 MiB against a read-ahead of 2 MiB
    count = 50_000
    table = pa.table({"id": np.arange(count)} | {f"c{index}": np.random.default_rng(index).random(count) for index in range(9)})
    mills.write(table, case.folder / "wide.parquet", row_group_size=count, compression="none", use_dictionary=False)
    case.put([case.folder / "wide.parquet"])
    for name, source in (("local", str(case.folder / "wide.parquet")), ("remote", case.bucket.url("in/wide.parquet"))):
        case.run("run", case.pipeline(source, steps=[step("scale", ["c*"])]), "--out", case.folder / name, "--memory", "16MiB")
    assert mills.digests(case.folder / "remote") == mills.digests(case.folder / "local")


def test_listings_of_many_pages_are_read_whole_and_globs_mean_what_they_mean_on_a_disk(case):
    pq.write_table(rows(0, 3), case.folder / "few.parquet")
    content = (case.folder / "few.parquet").read_bytes()
    names = [f"many/{index:04}.parquet" for index in range(1_010)]
    names += ["many/_hidden.parquet", "many/.hidden/x.parquet", "many/sub/x.parquet", "many/notes.txt", "many2/x.parquet", "odd/a[1]*.parquet"]
    for name in names:
        case.bucket.put(name, content)
        path = case.folder / "local" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def fragments(address):
        shown = json.loads(case.run("inspect", address, "--json").stdout)
        return [fragment["name"].split("many")[-1] for fragment in shown["fragments"]]

    assert len(fragments(case.bucket.url("many"))) == 1_011
    for pattern in ("many/100?.parquet", "many/**/x.parquet", "many*/x.parquet", "odd/a[1]*.parquet"):
        assert fragments(case.bucket.url(pattern))[1:] == fragments(case.folder / "local" / pattern)[1:], pattern


def test_an_object_that_changes_between_two_passes_is_an_error(case, files, proxy):
    case.put(files)
    changed = []

    def change(request):
        # the first pass has read the last file's columns, behind its footer
        if request.method == "GET" and request.path.endswith("/2.parquet") and request.number > 12 and not changed:
            changed.append(request)
            case.bucket.put("in/0.parquet", files[1])

    proxy.fault = change
    said = case.refused("run", case.pipeline(case.bucket.url("in/")), "--out", case.folder / "out", AWS_ENDPOINT_URL=proxy.address)
    assert changed
    assert "the object changed while it was read" in said
    assert case.bucket.url("in/0.parquet") in said
    assert not (case.folder / "out").exists()


def test_a_store_that_fails_now_and_then_is_asked_again(case, files, expected, proxy):
    case.put(files)

    def fail(request):
        match request.number % 7:
            case 2:
                return 503, b"<Error><Code>SlowDown</Code><Message>reduce your rate</Message></Error>"
            case 4:
                return 500
            case 6 if request.method == "GET" and request.range:
                return "cut"
        return None

    proxy.fault = fail
    url = case.bucket.url("sets")
    case.run("run", case.pipeline(case.bucket.url("in/")), "--out", url, AWS_ENDPOINT_URL=proxy.address)
    assert case.dataset("sets/") == expected


def test_what_is_not_there_or_not_allowed_is_told_with_a_hint(case, files, proxy):
    case.put(files)
    good = case.bucket.url("in/")
    said = case.refused("inspect", "s3://no-such-bucket-here/in/")
    assert "there is no bucket `no-such-bucket-here`" in said and "hint: " in said
    said = case.refused("inspect", case.bucket.url("nothing/*.parquet"))
    assert "no object of a known format is there" in said
    said = case.refused("run", case.pipeline(good), "--out", "s3://no-such-bucket-here/sets")
    assert "there is no bucket `no-such-bucket-here`" in said
    proxy.fault = lambda request: (403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
    said = case.refused("run", case.pipeline(str(files[0])), "--out", case.bucket.url("sets"), AWS_ENDPOINT_URL=proxy.address)
    assert "permission is denied" in said and "s3:PutObject" in said
    assert case.work() == []
    assert "copy it to this machine first" in case.refused("model", "show", case.bucket.url("model"))


def test_credentials_that_a_store_does_not_know_are_told(case, tmp_path):
    with Store.start(tmp_path, INITIAL_NO_AUTH_ACTION_COUNT="0") as strict:
        for address in ("s3://bucket/in/", "s3://bucket/in/x.parquet", "s3://bucket/in/*.parquet"):
            said = case.refused("inspect", address, AWS_ENDPOINT_URL=strict.address)
            assert "the credentials for the bucket `bucket` are refused" in said and "AWS_ACCESS_KEY_ID" in said


def test_without_credentials_that_is_told_soon(case):
    environment = {name: value for name, value in case.environment.items() if not name.startswith("AWS_")}
    # empty ones are none, and nobody answers there
    environment |= {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_METADATA_ENDPOINT": "http://127.0.0.1:9"}
    began = time.monotonic()
    done = subprocess.run(case.command("inspect", "s3://bucket/in/"), capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert "there are no credentials for the bucket `bucket`" in done.stderr and "AWS_ACCESS_KEY_ID" in done.stderr
    assert time.monotonic() - began < 30


def test_no_run_begins_towards_a_place_that_is_not_empty(case, files, proxy):
    case.put(files)
    case.bucket.put("sets/of-somebody", b"x")
    pipeline = case.pipeline(case.bucket.url("in/"))
    said = case.refused("run", pipeline, "--out", case.bucket.url("sets"), AWS_ENDPOINT_URL=proxy.address)
    assert "the destination is not empty" in said and case.bucket.url("sets") in said
    assert proxy.count("PUT") == 0 and case.work() == []
    said = case.refused("run", pipeline, "--out", case.bucket.url("sets"), "--overwrite")
    assert f"has no `{MANIFEST}`" in said
    said = case.refused("run", pipeline, "--out", case.bucket.url("in"), "--overwrite")
    assert "which is read" in said
    assert case.bucket.keys("sets/") == ["sets/of-somebody"]
    # a name that another one begins with is another one
    case.run("run", pipeline, "--out", case.bucket.url("set"))


def test_a_dataset_is_overwritten_with_its_orphans_and_nothing_else(case, files, expected):
    case.put(files)
    pipeline = case.pipeline(case.bucket.url("in/"), output=OUTPUT | {"file_rows": 1_000})
    case.run("run", pipeline, "--out", case.bucket.url("sets"))
    assert "sets/train/part-00015.parquet" in case.bucket.keys("sets/")
    case.bucket.put("sets/of-somebody", b"x")
    case.run("run", case.pipeline(case.bucket.url("in/")), "--out", case.bucket.url("sets"), "--overwrite")
    assert case.bucket.get("sets/of-somebody") == b"x"
    case.bucket.remove("sets/of-somebody")
    assert case.dataset("sets/") == expected


def big_pipeline(case):
    """A run whose files are uploaded in several parts."""
    ids = np.arange(450_000)
    table = pa.table({"id": ids, "x": np.random.default_rng(1).random(len(ids)), "y": np.random.default_rng(2).random(len(ids))})
    source = mills.write(table, case.folder / "big.parquet")
    return case.pipeline(str(source), output={"compression": "none", "file_rows": 3_000_000})


def test_cloud_storage_is_read_and_written_over_its_own_protocol(case, files, expected, proxy):
    # No emulator of it that can be had here knows the XML API that is spoken; but that is S3's in what matters, and moto answers it.
    case.put(files)
    own = {name: value for name, value in case.environment.items() if not name.startswith("AWS_")}
    case.environment = own | {"GOOGLE_BASE_URL": proxy.address, "GOOGLE_BEARER_TOKEN": "a-secret-of-the-tests"}
    url = f"gs://{case.bucket.name}"
    for arguments in ([], ["--overwrite"]):
        case.run("run", case.pipeline(f"{url}/in/*.parquet"), "--out", f"{url}/sets", *arguments)
        assert case.dataset("sets/") == expected
    assert {request.headers.get("authorization") for request in proxy.requests} == {"Bearer a-secret-of-the-tests"}
    pipeline = big_pipeline(case)
    case.run("run", pipeline, "--out", case.folder / "local")
    kill_at(case, proxy, pipeline, f"{url}/big", lambda request: request.method == "PUT" and "partNumber=2" in request.path, "GOOGLE_BASE_URL")
    case.run("resume", f"{url}/big")
    assert case.dataset("big/") == mills.digests(case.folder / "local")
    assert case.bucket.uploads() == []


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
        return None

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


def test_an_upload_that_was_killed_goes_on_with_what_is_missing_and_leaves_no_parts(case, proxy):
    pipeline, url = big_pipeline(case), case.bucket.url("sets")
    case.run("run", pipeline, "--out", case.folder / "local")
    expected = mills.digests(case.folder / "local")
    size = (case.folder / "local/train/part-00000.parquet").stat().st_size
    assert size > 8 * MIB
    # the second part of a file
    kill_at(case, proxy, pipeline, url, lambda request: request.method == "PUT" and "partNumber=2" in request.path)
    assert MANIFEST not in "".join(case.bucket.keys()) and len(case.bucket.uploads()) == 1
    assert f"sets/{CLAIM}" in case.bucket.keys()
    assert "the dataset is incomplete" in case.refused("inspect", case.bucket.url("sets/train/*.parquet"))
    there = [key for key in case.bucket.keys("sets/") if CLAIM not in key]
    said = case.refused("run", pipeline, "--out", url)
    assert "was interrupted" in said and "wafermill resume" in said
    # somebody else, who has not the folder of the run
    said = case.refused("run", pipeline, "--out", url, "--work", case.folder / "elsewhere")
    assert "another run uploads to this destination, or was interrupted" in said
    case.run("resume", url, AWS_ENDPOINT_URL=proxy.address)
    assert case.dataset("sets/") == expected
    assert case.bucket.uploads() == [] and case.work() == []
    again = {request.path.split("?")[0] for request in proxy.requests if request.method == "PUT"}
    # what was recorded as done is not done again
    assert len(again & {f"/{case.bucket.name}/{key}" for key in there}) <= 4


@pytest.mark.parametrize("name", [CLAIM, "report.json", MANIFEST, "DELETE"])
def test_an_upload_can_be_killed_anywhere(case, files, expected, proxy, name):
    case.put(files)
    pipeline, url = case.pipeline(case.bucket.url("in/")), case.bucket.url("sets")

    def when(request):
        if name == "DELETE":
            return request.method == "POST" and "delete" in request.path
        return request.method == "PUT" and request.path.split("?")[0].endswith(name)

    # an old dataset is there, which is replaced
    case.run("run", case.pipeline(case.bucket.url("in/"), output=OUTPUT | {"file_rows": 1_000}), "--out", url)
    case.pipeline(case.bucket.url("in/"))
    kill_at_overwriting(case, proxy, pipeline, url, when)
    ended = case.run("resume", url)
    assert "written to" in ended.stdout
    assert case.dataset("sets/") == expected
    assert case.work() == []


def kill_at_overwriting(case, proxy, pipeline, url, when):
    run = case.command
    case.command = lambda command, *arguments: run(command, *arguments, *(["--overwrite"] if command == "run" else []))
    kill_at(case, proxy, pipeline, url, when)
    case.command = run


def test_an_upload_of_apply_that_was_killed_goes_on_too(case, files, proxy):
    case.put(files)
    case.run("run", case.pipeline(case.bucket.url("in/")), "--out", case.folder / "local")
    case.run("apply", case.folder / "local", files[1], "--out", case.folder / "applied")
    url = case.bucket.url("applied")
    command = case.command("apply", case.folder / "local", case.bucket.url("in/1.parquet"), "--out", url)
    kill(case, proxy, command, lambda request: request.method == "PUT" and request.path.endswith("report.json"))
    case.run("resume", url)
    assert case.dataset("applied/") == mills.digests(case.folder / "applied")


def test_an_upload_that_is_interrupted_says_how_to_go_on(case, files, expected, proxy):
    case.put(files)
    url = case.bucket.url("sets")

    def interrupt(request):
        if request.method == "PUT" and request.path.endswith("report.json"):
            process.send_signal(signal.SIGTERM)
            time.sleep(1)

    proxy.fault = interrupt
    command = case.command("run", case.pipeline(case.bucket.url("in/")), "--out", url)
    environment = case.environment | {"AWS_ENDPOINT_URL": proxy.address}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = process.communicate()[1]
    assert process.returncode == 130 and f"`wafermill resume {url}` goes on" in said
    case.run("resume", url)
    assert case.dataset("sets/") == expected


def test_two_uploads_to_one_place_do_not_both_end_well(case, files, expected, proxy):
    case.put(files)
    pipeline, url = case.pipeline(case.bucket.url("in/")), case.bucket.url("sets")
    others = []

    def interfere(request):
        if request.method == "PUT" and request.path.endswith("report.json") and not others:
            others.append(case.call("run", pipeline, "--out", url, "--overwrite", "--work", case.folder / "elsewhere"))

    proxy.fault = interfere
    said = case.refused("run", pipeline, "--out", url, AWS_ENDPOINT_URL=proxy.address)
    assert others[0].returncode == 0, others[0].stderr
    assert "another" in said


def test_clean_removes_an_upload_that_was_killed(case, proxy):
    pipeline, url = big_pipeline(case), case.bucket.url("sets")
    kill_at(case, proxy, pipeline, url, lambda request: request.method == "PUT" and "partNumber=2" in request.path)
    case.run("clean", url)
    assert case.bucket.keys("sets/") == [] and case.bucket.uploads() == [] and case.work() == []
    kill_at(case, proxy, pipeline, url, lambda request: request.method == "PUT" and "partNumber=2" in request.path)
    case.run("run", pipeline, "--out", url, "--overwrite")
    assert case.bucket.uploads() == [] and case.dataset("sets/")


def test_files_that_change_before_an_upload_goes_on_are_not_uploaded(case, proxy):
    pipeline, url = big_pipeline(case), case.bucket.url("sets")
    kill_at(case, proxy, pipeline, url, lambda request: request.method == "PUT" and "partNumber=2" in request.path)
    [folder] = case.work()
    file = folder / "data/train/part-00000.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert "a file has changed since the dataset was completed" in case.refused("resume", url)
    assert MANIFEST not in "".join(case.bucket.keys())


def test_a_killed_run_towards_a_store_is_resumed_from_its_last_pass(case, files, expected, proxy):
    case.put(files)
    pipeline, url = case.pipeline(case.bucket.url("in/")), case.bucket.url("sets")
    state = case.folder / "state" / "wafermill"
    # when there is something to go on from
    kill_at(case, proxy, pipeline, url, lambda request: request.range != "" and any(state.glob(".*/fit.json")))
    assert case.bucket.keys("sets/") == []
    record = next(state.glob(".*/run.json")).read_text()
    assert "a-secret-of-the-tests" not in record
    case.run("resume", url)
    assert case.dataset("sets/") == expected


def test_a_run_is_not_resumed_over_objects_that_have_changed(case, files, proxy):
    case.put(files)
    pipeline, url = case.pipeline(case.bucket.url("in/")), case.bucket.url("sets")
    state = case.folder / "state" / "wafermill"
    kill_at(case, proxy, pipeline, url, lambda request: request.range != "" and any(state.glob(".*/fit.json")))
    changed = mills.write(rows(5, ROWS // 4), case.folder / "changed.parquet")
    case.bucket.put("in/1.parquet", changed)
    assert "a file has changed since the run began" in case.refused("resume", url)


def test_memory_does_not_grow_with_the_files_that_are_uploaded(case):
    # one file of 60 MiB
    ids = np.arange(2_500_000)
    table = pa.table({"id": ids, "x": np.random.default_rng(1).random(len(ids)), "y": np.random.default_rng(2).random(len(ids))})
    source = mills.write(table, case.folder / "big.parquet")
    pipeline = case.pipeline(str(source), steps=[], output={"compression": "none", "file_rows": 8_000_000})
    peaks = []
    for out in (case.folder / "local", case.bucket.url("sets")):
        command = case.command("run", pipeline, "--out", out, "--memory", "64MiB", "--workers", "1")
        process = subprocess.Popen(command, env=case.environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert status == 0
        peaks.append(usage.ru_maxrss << 10)
    assert peaks[1] < peaks[0] + 45 * MIB, peaks
