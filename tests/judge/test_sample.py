"""A sample is chosen by the content of rows: the same from any source, stream and batch, and independent of splits."""

import json
import signal
import struct
import subprocess
import time

import mill as mills
import numpy as np
import pyarrow as pa
import pytest
import served
from mill import KEY_SPLIT, step, write
from xxhash import xxh3_64_intdigest as xxh3

ROWS = 60_000
MASK = 2**64 - 1
STEPS = [step("impute", ["x"], strategy="median"), step("scale", ["x"], method="standard")]
ROW_SPLIT = {"params": {"parts": {"train": 0.7, "val": 0.3}, "seed": 7}}


@pytest.fixture(scope="module")
def table():
    ids = range(ROWS)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "x": pa.array([None if row % 10 == 3 else (row * 7919 % 10_007) / 3 for row in ids]),
            "s": pa.array([None if row % 17 == 3 else f"word {row % 23}" for row in ids]),
        }
    )


def u64(n):
    return struct.pack("<Q", n)


def mixed(h):
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 & MASK
    h = (h ^ h >> 27) * 0x94D049BB133111EB & MASK
    return h ^ h >> 31


def value(cell):
    match cell:
        case None:
            return xxh3(b"\0")
        case int():
            return xxh3(b"\2" + cell.to_bytes(16, "little", signed=True))
        case float():
            return xxh3(b"\3" + struct.pack("<d", cell + 0.0))
        case str():
            return xxh3(b"\4" + cell.encode())


def row_hash(row):
    total = sum(xxh3(u64(value(name)) + u64(value(cell))) for name, cell in row.items())
    return xxh3(u64(total & MASK) + u64(len(row)))


def expected(table, fraction, seed=0):
    """The ids of the sample, as docs/hash.md defines it."""
    salt = mixed(seed ^ int.from_bytes(b"sample"))
    return [row["id"] for row in table.to_pylist() if mixed(row_hash(row) ^ salt) < int(fraction * 2**64)]


def sampled(mill, source, *arguments, steps=(), split=None, **options):
    ran = mill.start("run", source, list(steps), split=split, arguments=arguments, **options)
    assert ran.status == 0, ran.stderr
    return mills.Dataset(ran.out)


def ids(dataset, part="all"):
    return dataset.part(part).column("id").to_pylist()


@pytest.mark.parametrize(("fraction", "seed"), [(0.1, 0), (0.37, 12345), (0.001, 2**64 - 1), (1, 3)])
def test_a_sample_has_the_rows_that_the_docs_state(mill, table, fraction, seed):
    small = table.slice(0, 8_000)
    found = ids(sampled(mill, small, "--sample", fraction, "--sample-seed", seed))
    assert found == (small.column("id").to_pylist() if fraction == 1 else expected(small, fraction, seed))


def test_a_sample_is_the_same_from_any_source_stream_and_batch(mill, table, tmp_path):
    first = sampled(mill, table, "--sample", 0.1, steps=STEPS, split=KEY_SPLIT)
    for name in ("rows.csv", "rows.arrow"):
        path = write(table, tmp_path / name)
        again = sampled(mill, path, "--sample", 0.1, "--batch-rows", 77, "--workers", 3, steps=STEPS, split=KEY_SPLIT)
        assert again.digests() == first.digests(), name
    rows = sorted(id for part in ("train", "val", "test") for id in ids(first, part))
    assert rows == expected(table, 0.1)
    shuffled = table.take(np.random.default_rng(5).permutation(ROWS))
    assert sorted(ids(sampled(mill, shuffled, "--sample", 0.1))) == rows
    with served.serve(tmp_path, {"t": table}, "--message-rows", 500) as address:
        for streams in (1, 3, 7):
            for spool in ("auto", "never"):
                source = served.source(address, "t", max_streams=streams) | {"spool": spool, "sample": 0.1}
                found = sampled(mill, source, steps=STEPS, split=KEY_SPLIT)
                assert found.model.digests() == first.model.digests(), (streams, spool)
                assert sorted(id for part in ("train", "val", "test") for id in ids(found, part)) == rows


def test_a_larger_sample_has_the_rows_of_a_smaller_one_and_about_as_many_as_are_asked_for(mill, table):
    found = [set(ids(sampled(mill, table, "--sample", fraction))) for fraction in (0.01, 0.1, 0.2, 0.5)]
    for fraction, rows in zip((0.01, 0.1, 0.2, 0.5), found, strict=True):
        assert abs(len(rows) - fraction * ROWS) < 4 * (fraction * (1 - fraction) * ROWS) ** 0.5
    assert found[0] < found[1] < found[2] < found[3]
    other = set(ids(sampled(mill, table, "--sample", 0.5, "--sample-seed", 1)))
    assert abs(len(other & found[3]) - ROWS / 4) < 4 * (3 / 16 * ROWS) ** 0.5


@pytest.mark.parametrize("seed", [0, 7])
def test_a_sample_is_independent_of_a_split_by_the_same_hash(mill, table, seed):
    split = {"params": ROW_SPLIT["params"] | {"seed": seed}}
    whole = {part: set(ids(sampled(mill, table, split=split), part)) for part in ("train", "val")}
    some = sampled(mill, table, "--sample", 0.2, "--sample-seed", seed, split=split)
    for part, rows in whole.items():
        kept = ids(some, part)
        assert set(kept) <= rows, "a row of the sample is in the part in which it is without one"
        assert abs(len(kept) - 0.2 * len(rows)) < 4 * (0.16 * len(rows)) ** 0.5, part


def test_the_first_rows_are_those_of_the_sample(mill, table):
    whole = expected(table, 0.1)
    assert ids(sampled(mill, table, "--sample", 0.1, "--limit", 500)) == whole[:500]
    assert ids(sampled(mill, {"path": str(write(table, mill.folder() / "t.csv")), "sample": 0.9}, "--sample", 0.1, "--limit", 10**9)) == whole


def test_equal_rows_are_all_sampled_or_none_is(mill):
    rows = pa.table({"id": [row // 3 for row in range(3_000)]})
    found = ids(sampled(mill, rows, "--sample", 0.3))
    assert len(found) > 500 and all(found.count(id) == 3 for id in set(found))


def test_a_sample_is_of_all_columns_whatever_the_steps_read(mill, table):
    ran = mill.start("fit", table, [step("scale", ["x"], method="standard")], arguments=["--sample", "0.1"])
    assert ran.status == 0, ran.stderr
    kept = set(expected(table, 0.1))
    direct = mill.fit(table.filter(pa.array([id in kept for id in range(ROWS)])), [step("scale", ["x"], method="standard")])
    assert mills.Model(ran.out).digests() == direct.digests()


def test_a_sample_of_bigquery_says_what_it_costs_and_spools_its_rows_only(mill, table, tmp_path):
    with served.serve(tmp_path, {"t": table}) as address:
        source = served.source(address, "t", max_streams=2)
        events = []
        for arguments in ([], ["--sample", "0.05"]):
            ran = mill.start("fit", source, [step("scale", ["x"], method="robust")], arguments=[*arguments, "--progress", "json", "--json"])
            assert ran.status == 0, ran.stderr
            events.append([json.loads(line) for line in ran.stderr.splitlines()])
            report = json.loads(ran.stdout)
            if arguments:
                assert report["billed_bytes"] > narrow, "all columns are read"
            narrow = report["billed_bytes"]
    [note] = [event for event in events[1] if event["event"] == "note"]
    assert "all columns are read: about $0.00" in note["message"]
    assert not any(event["event"] == "note" for event in events[0])
    begun = [event["rows_expected"] for event in events[1] if event["event"] == "stage_begun" and event["stage"] == "fit"]
    # The first is an estimate, the next count what is in the spool.
    assert begun[0] == ROWS * 0.05 and set(begun[1:]) == {len(expected(table, 0.05))}


@pytest.mark.parametrize("served_by", ["file", "bigquery"])
def test_a_killed_run_over_a_sample_is_resumed_to_the_same_bytes(mill, table, served_by, tmp_path):
    output = {"file_rows": 3_000, "row_group_rows": 1_000}
    with served.serve(tmp_path, {"t": table}) as address:
        source = served.source(address, "t", max_streams=1) if served_by == "bigquery" else table
        arguments = ["--sample", "0.3", "--sample-seed", "5", "--limit", "15000"]
        undisturbed = sampled(mill, source, *arguments, steps=STEPS, split=KEY_SPLIT, output=output)
        pipeline, out = mill.prepare(source, STEPS, KEY_SPLIT, output)
        command = [mill.binary, "run", pipeline, "--out", out, "--plugins", mill.plugins, *arguments, "--batch-rows", "16"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        progress = out.parent / f".{out.name}.run" / "fit.json"
        while not progress.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        resumed = mill.call("resume", out, "--plugins", mill.plugins)
        assert resumed.status == 0, resumed.stderr
    assert mills.digests(out) == undisturbed.digests()


def test_errors_name_the_rows_of_the_source(mill):
    count = 1_000
    others = pa.table({"id": range(count), "word": ["a"] * count})
    val = ids(mill.run(others, [], split=KEY_SPLIT), "val")

    def with_new_word(id):
        return pa.table({"id": range(count), "word": ["z" if row == id else "a" for row in range(count)]})

    # A row of another part than the training rows, of the sample, behind rows that are not.
    new = next(id for id in val if id > count // 2 and id in expected(with_new_word(id).slice(id, 1), 0.5))
    said = mill.refused({"path": str(write(with_new_word(new), mill.folder() / "t.csv")), "sample": 0.5}, [step("encode", ["word"], method="ordinal")], split=KEY_SPLIT)
    assert f"row {new}\n" in said, said
