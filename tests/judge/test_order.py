"""With `order = "hash"` the dataset's bytes depend on the set of rows, and its rows come in no order of the source."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import served
import tables
import xxhash
from mill import KEY_SPLIT, Dataset, step, write
from types_of_bigquery import all_types, without_null_arrays

# Several turns of each of 16 streams, so that their rows do come in another order.
ROWS = 150_000
HASH = {"order": "hash", "row_group_rows": 7_000, "file_rows": 15_000}
STEPS = [step("impute", ["x"], strategy="median"), step("encode", ["few"], method="onehot", unseen="ignore")]
PARTS = ("train", "val", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(11)
    numbers = rng.lognormal(0, 2, ROWS)
    numbers[::101], numbers[1::101], numbers[2::101] = np.nan, 0.0, -0.0
    rows = tables.table(
        {
            "x": tables.nullable(rng, numbers),
            "few": tables.nullable(rng, tables.words(rng, ROWS, 20), type=pa.string()),
            "note": pa.array([f"note {'of no use ' * 5}{key}" for key in rng.integers(0, ROWS, ROWS)]),
            "whole": tables.nullable(rng, rng.integers(-1000, 1000, ROWS)),
        }
    )
    # Some rows are there more than once.
    return pa.concat_tables([rows, rows.slice(0, 500), rows.slice(200, 100)]).combine_chunks()


@pytest.fixture(scope="module")
def local(mill, table):
    return mill.run(table, STEPS, split=KEY_SPLIT, output=HASH)


def digests(mill, source, *arguments, steps=STEPS, split=KEY_SPLIT):
    return mill.run(source, steps, split=split, output=HASH, arguments=arguments).digests()


@pytest.mark.parametrize("streams", [3, 16])
def test_a_shuffled_dataset_is_the_same_from_any_number_of_streams_and_from_a_file(mill, folder, table, local, streams):
    with served.serve(folder, {"t": table}, "--message-rows", 331) as address:
        source = served.source(address, "t", max_streams=streams)
        assert digests(mill, source) == local.digests()
        in_order = mill.run(source, [], split=KEY_SPLIT, output={"order": "stream"})
    # Streams that are shorter than a turn come one after the other, as the table has them.
    if streams == 3:
        assert in_order.digests() != mill.run(table, [], split=KEY_SPLIT).digests(), "the streams are no test"


def test_what_apply_shuffles_is_the_same_from_any_number_of_streams_and_from_a_file(mill, folder, table, local):
    arguments = ["--order", "hash", "--file-rows", "15000"]
    applied = mill.apply(local.model, table, *arguments)
    in_order = mill.apply(local.model, table).part("all")
    found = applied.part("all")
    assert not found["id"].equals(in_order["id"])
    keys = [(name, "ascending") for name in found.column_names]
    assert found.sort_by(keys).equals(in_order.sort_by(keys))
    assert len(applied.files("all")) > 1
    with served.serve(folder, {"t": table}, "--message-rows", 331) as address:
        for streams in (3, 16):
            ran = mill.call("apply", local.model.path, *served.named(address, "t", "--max-streams", streams), *arguments, "--out", (out := mill.folder() / "out"))
            assert ran.status == 0, ran.stderr
            assert Dataset(out).digests() == applied.digests()


def test_every_type_is_put_in_order(mill, folder):
    rows = without_null_arrays(all_types(1_003))
    with served.serve(folder, {"all": rows}, "--message-rows", 50) as address:
        runs = [digests(mill, served.source(address, "all", max_streams=streams), steps=[], split=None) for streams in (1, 3, 16)]
        found = mill.run(served.source(address, "all", max_streams=3), [], output=HASH).part("all")
    assert runs[0] == runs[1] == runs[2]
    assert sorted(found.column("id").to_pylist()) == sorted(rows.column("id").to_pylist())


@pytest.mark.parametrize(
    "arguments",
    [("--workers", "1"), ("--workers", "7"), ("--batch-rows", "500"), ("--batch-rows", "100000"), ("--spill-past", "2MiB"), ("--spill-past", "512"), ("--memory", "256MiB"), ("--memory", "8GiB")],
    ids=" ".join,
)
def test_a_shuffled_dataset_does_not_depend_on_workers_batches_or_memory(mill, table, local, arguments):
    assert digests(mill, table, *arguments) == local.digests()


def test_short_memory_sorts_on_disk(mill, table):
    dataset = mill.run(table, STEPS, split=KEY_SPLIT, output=HASH, arguments=("--spill-past", "2MiB"))
    output = json.loads((dataset.path / "report.json").read_text())["output"]
    assert output["spilled_bytes"] > 3_000_000
    assert output["peak_buffered"] > 0


def test_a_shuffled_dataset_does_not_depend_on_the_order_or_the_files_of_the_source(mill, table, local):
    order = np.random.default_rng(12).permutation(len(table))
    assert digests(mill, table.take(order)) == local.digests()
    several = mill.folder()
    for number, start in enumerate(range(0, len(table), 9_999)):
        write(table.slice(start, 9_999), several / f"{number}.parquet", row_group_size=1_000, use_dictionary=number % 2 == 0)
    assert digests(mill, several) == local.digests()


def canonical(rows):
    """The rows as a sorted list in which NaN and the sign of zero count."""
    return sorted(map(repr, zip(*(column.to_pylist() for column in rows.columns))))


def test_each_part_has_the_rows_of_the_stream_in_no_order(mill, table, local):
    stream = mill.run(table, STEPS, split=KEY_SPLIT)
    assert local.model.digests() == stream.model.digests()
    for name in PARTS:
        found, expected = local.part(name), stream.part(name)
        assert found.schema == expected.schema
        assert canonical(found) == canonical(expected)
        for column in ("id", "x", "whole"):
            order = np.nan_to_num(np.array(found.column(column).to_pylist(), dtype=float))
            assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 5 / len(order) ** 0.5, column


def test_rows_come_in_the_order_that_the_docs_state(mill):
    rows = pa.table({"id": pa.array(range(300), pa.int32()), "word": [None if i % 7 == 0 else f"w{i % 50}" for i in range(300)]})

    def hashed(payload):
        return xxhash.xxh3_128_intdigest(payload)

    def pair(a, b):
        return hashed(a.to_bytes(16, "little") + b.to_bytes(16, "little"))

    def key(row):
        whole = hashed(b"\2" + row["id"].to_bytes(16, "little"))
        word = hashed(b"\0") if row["word"] is None else hashed(b"\4" + row["word"].encode())
        return pair((pair(hashed(b"\4id"), whole) + pair(hashed(b"\4word"), word)) % 2**128, 2)

    found = mill.run(rows, [], output={"order": "hash"}).part("all").to_pylist()
    assert found == sorted(rows.to_pylist(), key=key)


def test_a_model_is_fitted_once_more_on_a_shuffled_dataset(mill, local):
    # What is written is a table like any other.
    files = local.files("train")
    again = mill.run(files[0], [step("scale", ["x"], method="standard")], output={"order": "hash", "format": "arrow"})
    assert len(again.part("all")) == pq.ParquetFile(files[0]).metadata.num_rows


def test_a_stream_cannot_be_shuffled(mill, table):
    said = mill.refused(table.slice(0, 10), [], output={"order": "hash", "aggregate": "list"})
    assert "pipeline.toml:" in said and "hint: " in said
