"""Datasets in an object store: complete with their manifest and not without it, wherever an upload is killed."""

import os
import signal
import subprocess
import time

import mill as mills
import numpy as np
import pyarrow as pa
import pytest
from stored import CLAIM, MANIFEST, MIB, OUTPUT, ROWS, big_pipeline, kill, kill_at, kill_at_overwriting, rows


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


def test_an_upload_that_goes_on_and_is_interrupted_twice_says_what_is_left(case, files, proxy):
    case.put(files)
    url = case.bucket.url("sets")
    last = lambda request: request.method == "PUT" and request.path.endswith("report.json")
    kill_at(case, proxy, case.pipeline(case.bucket.url("in/")), url, last)

    def interrupt(request):
        if last(request):
            for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
                process.send_signal(number)
            time.sleep(1)

    proxy.fault = interrupt
    environment = case.environment | {"AWS_ENDPOINT_URL": proxy.address}
    process = subprocess.Popen(case.command("resume", url), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = process.communicate()[1]
    assert process.returncode == 130
    assert said == f"interrupted at once: `wafermill resume {url}` goes on with what is there, `wafermill clean {url}` removes it\n"


def test_what_a_disk_changes_of_an_upload_is_told(case, proxy):
    pipeline, url = big_pipeline(case), case.bucket.url("sets")
    kill_at(case, proxy, pipeline, url, lambda request: request.method == "PUT" and "partNumber=2" in request.path)
    [folder] = case.work()
    for name in ("destination", "upload.json"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole.replace(b"sets", b"tets").replace(b"train", b"trbin"))
        said = case.refused("resume", url)
        assert str(folder / name) in said and "hint: " in said and "its checksum is another" in said, said
        (folder / name).write_bytes(whole)
    steps = (folder / "upload-steps").read_bytes()
    assert b'"begun"' in steps
    (folder / "upload-steps").write_bytes(steps.replace(b'"begun":{"path":"', b'"begun":{"path":"x'))
    said = case.refused("resume", url)
    assert "an upload in parts that was begun may stay in the store" in said and "hint: " in said
    case.run("resume", url)
    # as it was told
    assert case.dataset("sets/") and len(case.bucket.uploads()) == 1


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
        command = case.command("run", pipeline, "--out", out, "--memory", "128MiB", "--workers", "1")
        process = subprocess.Popen(command, env=case.environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert status == 0
        peaks.append(usage.ru_maxrss << 10)
    assert peaks[1] < peaks[0] + 45 * MIB, peaks
