"""Sources in an object store: the same rows as on a disk, whatever the store does on the way."""

import json
import signal
import subprocess
import time

import disks
import mill as mills
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mill import step
from stored import OUTPUT, ROWS, rows
from stores import Store


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
    # a row group of 30 MiB against a read-ahead of 20 MiB, of which half is for one
    count = 400_000
    table = pa.table({"id": np.arange(count)} | {f"c{index}": np.random.default_rng(index).random(count) for index in range(9)})
    mills.write(table, case.folder / "wide.parquet", row_group_size=count, compression="none", use_dictionary=False)
    case.put([case.folder / "wide.parquet"])
    for name, source in (("local", str(case.folder / "wide.parquet")), ("remote", case.bucket.url("in/wide.parquet"))):
        case.run("run", case.pipeline(source, steps=[step("scale", ["c*"])]), "--out", case.folder / name, "--memory", "160MiB")
    assert mills.digests(case.folder / "remote") == mills.digests(case.folder / "local")


def put_wide(case, row_groups):
    count = 10_000
    columns = {f"c{index:03}": np.random.default_rng(index).random(row_groups * count) for index in range(300)}
    table = pa.table({"id": np.arange(row_groups * count)} | columns)
    case.put([mills.write(table, case.folder / "wide.parquet", row_group_size=count, compression="none", use_dictionary=False)])


def test_wide_row_groups_that_memory_does_not_hold_are_fetched_in_few_requests(case, proxy):
    # 300 columns of 80 KB in each row group, 24 MB against a read-ahead of 20 MiB: as windows there would be some for each column
    put_wide(case, row_groups=2)
    steps = [step("scale", ["c*"])]
    local, remote = str(case.folder / "wide.parquet"), case.bucket.url("in/wide.parquet")
    case.run("run", case.pipeline(local, steps), "--out", case.folder / "local", "--memory", "160MiB")
    case.run("run", case.pipeline(remote, steps), "--out", case.folder / "remote", "--memory", "160MiB", AWS_ENDPOINT_URL=proxy.address)
    assert mills.digests(case.folder / "remote") == mills.digests(case.folder / "local")
    # of two passes over two row groups, 5 for each; those for the footer beside them
    assert proxy.count("GET", "wide.parquet") <= 2 * 2 * 6 + 3


def test_a_wide_row_group_for_which_the_disk_has_no_room_is_told(case):
    put_wide(case, row_groups=1)
    pipeline = case.pipeline(case.bucket.url("in/wide.parquet"), [step("scale", ["c*"])])
    with disks.mounted(case.folder / "disk", "12m") as disk:
        said = case.refused("run", pipeline, "--out", disk / "out", "--memory", "160MiB")
    assert "the columns of a row group cannot be kept on disk while they are read" in said
    assert "No space left on device" in said and "hint: make room" in said


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


ODD = ["odd/a\x01b.txt", "odd/b\x02", "odd/x\x03.txt"]


def test_keys_that_no_request_can_name_are_passed_over_unless_they_are_wanted(case, files):
    content = files[1].read_bytes()
    names = [f"odd/{index:04}.parquet" for index in range(30)]
    for name in names + ODD:
        case.bucket.put(name, content)
    for address in ("odd", "odd/*.parquet", "odd/**/*.parquet"):
        shown = json.loads(case.run("inspect", case.bucket.url(address), "--json").stdout)
        assert len({fragment["name"].split("#")[0] for fragment in shown["fragments"]}) == len(names), address
    case.bucket.put("odd/z\x04.parquet", content)
    said = case.refused("inspect", case.bucket.url("odd/*.parquet"))
    assert "the object's key cannot be used" in said and "copy the object to another key" in said
    # a destination that holds nothing else is not empty
    case.bucket.put("sets/a\x01", b"x")
    assert "is not empty" in case.refused("run", case.pipeline(case.bucket.url("odd/0000.parquet")), "--out", case.bucket.url("sets"))


def test_an_object_that_goes_between_two_passes_is_told_as_gone(case, files, proxy):
    case.put(files)
    gone = []

    def remove(request):
        if request.method == "GET" and request.path.endswith("/2.parquet") and request.number > 12 and not gone:
            gone.append(request)
            case.bucket.remove("in/0.parquet")

    proxy.fault = remove
    said = case.refused("run", case.pipeline(case.bucket.url("in/")), "--out", case.folder / "out", AWS_ENDPOINT_URL=proxy.address)
    assert gone
    assert "the object is not there any more" in said and "changed" not in said
    assert case.bucket.url("in/0.parquet") in said


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
    for endpoint in ("ftp:x", "localhost", "http://"):
        assert "the endpoint of the object store is no URL" in case.refused("inspect", good, AWS_ENDPOINT_URL=endpoint)
    for nothing in ("nothing/*.parquet", "nothing/", "nothing"):
        assert "nothing is there" in case.refused("inspect", case.bucket.url(nothing))
    case.bucket.put("notes/x.txt", files[0])
    assert "no object of a known format is there" in case.refused("inspect", case.bucket.url("notes/"))
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
    done = subprocess.run(case.command("inspect", "s3://bucket/in/"), capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "there are no credentials for the bucket `bucket`" in done.stderr and "AWS_ACCESS_KEY_ID" in done.stderr
    assert time.monotonic() - began < 30


def test_a_run_that_waits_for_a_store_can_be_interrupted(case, files, proxy):
    case.put(files)
    waiting = []

    def stall(request):
        if not request.range:
            return
        with proxy.lock:
            waiting.append(request)
            number = len(waiting)
        # once: asked for a second time, it would not be waited for
        if number == 4:
            process.send_signal(signal.SIGINT)
        if number >= 4:
            time.sleep(5)

    proxy.fault = stall
    command = case.command("run", case.pipeline(case.bucket.url("in/")), "--out", case.folder / "out")
    environment = case.environment | {"AWS_ENDPOINT_URL": proxy.address}
    began = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = process.communicate()[1]
    assert process.returncode == 130 and "interrupted" in said
    assert time.monotonic() - began < 5
