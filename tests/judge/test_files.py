"""What is written is complete, and pyarrow opens it."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tables
from mill import KEY_SPLIT, Dataset, step, write

ROWS = 5_000
PARTS = ["train", "val", "test"]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(10)
    numbers = {f"number_{name}": column for name, column in tables.numbers(rng, ROWS).items()}
    return tables.table(tables.categories(rng, ROWS) | numbers)


def logical(table):
    """The table as a Parquet file means it: strings without dictionaries, and with offsets of one width."""
    plain = lambda type: pa.string() if pa.types.is_dictionary(type) or pa.types.is_large_string(type) else type
    return table.cast(pa.schema([field.with_type(plain(field.type)) for field in table.schema]))


def in_order(parts):
    """The rows of some parts, by id."""
    return pa.concat_tables(parts).sort_by("id").combine_chunks()


def assert_equal(found, wanted):
    """Compares tables, NaN with NaN."""
    assert found.schema.names == wanted.schema.names
    assert found.schema.types == wanted.schema.types
    assert repr(found.to_pydict()) == repr(wanted.to_pydict())


@pytest.mark.parametrize(
    "output",
    [
        {"format": "parquet"},
        {"format": "parquet", "compression": "zstd", "row_group_rows": 300, "file_rows": 1_000},
        {"format": "parquet", "compression": "none"},
        {"format": "arrow"},
        {"format": "arrow", "file_rows": 1_000, "row_group_rows": 300},
    ],
    ids=str,
)
def test_the_parts_together_are_the_rows_of_the_source(mill, table, output):
    dataset = mill.run(table, [], split=KEY_SPLIT, output=output)
    assert sorted(path.name for path in dataset.path.iterdir()) == sorted([*PARTS, "model", "report.json"])
    parts = [dataset.part(part) for part in PARTS]
    assert_equal(in_order(parts), logical(table))
    for part in PARTS:
        ids = dataset.part(part)["id"].to_numpy()
        assert (np.diff(ids) > 0).all(), "rows keep their order"
    ending = {"parquet": ".parquet", "arrow": ".arrow"}[output["format"]]
    names = [path.name for path in dataset.files("train")]
    assert names == [f"part-{number:05}{ending}" for number in range(len(names))]
    if "file_rows" in output:
        assert len(names) == -(-len(table) // 1_000)


def test_parquet_files_have_the_row_groups_and_the_compression_that_were_asked_for(mill, table):
    output = {"row_group_rows": 300, "file_rows": 1_000, "compression": "zstd"}
    dataset = mill.run(table.select(["id", "text"]), [], split=KEY_SPLIT, output=output)
    first, *_ = dataset.files("train")
    metadata = pq.ParquetFile(first).metadata
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    # A file has what a thousand rows of the table have of its part.
    *whole, last = [group.num_rows for group in groups]
    assert set(whole) == {300} and 0 < last <= 300 and 700 < 300 * len(whole) + last < 900
    assert groups[0].column(0).compression == "ZSTD"


def test_written_columns_have_the_types_that_were_announced(mill, table):
    steps = [
        {"name": "mean", **step("impute", ["number_int8"], strategy="mean", indicator=True)},
        {"name": "words", **step("impute", ["text", "dictionary"], strategy="most_frequent")},
        {"name": "flags", **step("impute", ["boolean", "date"], strategy="most_frequent")},
        {"name": "scale", **step("scale", ["number_float32"], output="float32")},
        {"name": "onehot", **step("encode", ["large_text"], unseen="ignore")},
        {"name": "ordinal", **step("encode", ["binary"], method="ordinal", unseen="code")},
    ]
    found = mill.run(table, steps, split=KEY_SPLIT).train.schema
    types = {
        "number_int8": pa.float64(),
        "number_int8_missing": pa.uint8(),
        "text": pa.string(),
        "dictionary": pa.string(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "number_float32": pa.float32(),
        "binary": pa.int32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "uint64": pa.uint64(),
    }
    assert {name: found.field(name).type for name in types} == types
    assert "large_text" not in found.names
    # New columns stand where their column stood.
    assert found.names.index("number_int8_missing") == found.names.index("number_int8") + 1
    assert found.names.index("large_text__null") == found.names.index("dictionary") - 1


def test_strings_with_large_offsets_keep_them_in_arrow_files(mill, table):
    source = write(table.select(["id", "large_text"]), mill.folder() / "table.arrow")
    steps = [step("impute", ["large_text"], strategy="most_frequent")]
    dataset = mill.run(source, steps, output={"format": "arrow"})
    assert dataset.part("all").schema.field("large_text").type == pa.large_string()


def test_parts_have_the_shares_that_were_asked_for(mill):
    rows = 100_000
    ids = pa.table({"id": np.arange(rows)})
    dataset = mill.run(ids, [], split=KEY_SPLIT)
    for part, share in KEY_SPLIT["params"]["parts"].items():
        deviation = (share * (1 - share) * rows) ** 0.5
        assert abs(dataset.part(part).num_rows - share * rows) < 5 * deviation


def test_equal_keys_meet_in_one_part(mill):
    rng = np.random.default_rng(11)
    keys = tables.nullable(rng, rng.integers(0, 50, ROWS))
    dataset = mill.run(pa.table({"id": keys, "x": rng.normal(0, 1, ROWS)}), [], split=KEY_SPLIT)
    seen = [set(dataset.part(part)["id"].to_pylist()) for part in PARTS]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_without_a_key_equal_rows_meet_in_one_part(mill):
    rows = pa.table({"x": np.repeat(np.arange(500), 4)})
    dataset = mill.run(rows, [], split={key: it for key, it in KEY_SPLIT.items() if key != "key"})
    counts = [dataset.part(part)["x"].value_counts().field("counts").to_pylist() for part in PARTS]
    assert all(set(it) == {4} for it in counts)


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_a_part_without_rows_is_a_file_with_the_schema(mill, table, format):
    split = {"plugin": "split", "key": ["id"], "params": {"parts": {"train": 1 - 1e-9, "test": 1e-9}}}
    steps = [step("encode", ["dictionary"], unseen="ignore")]
    dataset = mill.run(table, steps, split=split, output={"format": format})
    assert (dataset.train.num_rows, dataset.test.num_rows) == (ROWS, 0)
    assert dataset.test.schema.equals(dataset.train.schema)


def test_list_streams_all_rows_with_the_names_of_their_parts(mill, table):
    steps = [step("scale", ["number_normal"])]
    ran = mill.start("run", table, steps, split=KEY_SPLIT, output={"aggregate": "list"})
    assert ran.status == 0, ran.stderr
    streamed = pa.ipc.open_stream(ran.stdout).read_all()
    assert streamed.column_names[-1] == "part"
    assert streamed["id"].equals(table["id"])
    dataset = mill.run(table, steps, split=KEY_SPLIT)
    part = streamed["part"].cast(pa.string())
    for name in PARTS:
        rows = streamed.filter(pa.compute.equal(part, name)).drop_columns(["part"])
        assert_equal(logical(rows), dataset.part(name))


def test_a_model_applied_to_rows_of_the_run_gives_the_same_rows(mill, table):
    steps = [
        {"name": "fill", **step("impute", ["number_nulls"])},
        {"name": "scale", **step("scale", ["number_nulls", "number_uint64"], method="robust")},
        {"name": "encode", **step("encode", ["text", "date"], unseen="ignore", max_categories=20)},
    ]
    dataset = mill.run(table, steps, split=KEY_SPLIT)
    again = mill.apply(dataset.model, table).part("all")
    assert_equal(again, in_order([dataset.part(part) for part in PARTS]))


def test_model_show_prints_what_was_learned(mill, table):
    model = mill.fit(table, [step("scale", ["number_int8", "number_normal"])])
    shown = mill.call("model", "show", model.path)
    assert shown.status == 0, shown.stderr
    text = shown.stdout.decode()
    assert all(word in text for word in ("scale", "number_int8", "number_normal", "center", "variance"))
    as_json = mill.call("model", "show", model.path, "--json")
    assert as_json.status == 0, as_json.stderr
    assert "number_normal" in json.dumps(json.loads(as_json.stdout))


def test_the_report_counts_rows(mill, table):
    ran = mill.start("run", table, [], split=KEY_SPLIT, arguments=["--json"])
    assert ran.status == 0, ran.stderr
    dataset = Dataset(ran.out)
    report = json.loads((dataset.path / "report.json").read_text())
    assert json.loads(ran.stdout) == report
    numbers = json.dumps(report)
    assert str(ROWS) in numbers
    assert all(str(dataset.part(part).num_rows) in numbers for part in PARTS)


def test_results_are_not_overwritten_unless_asked_for(mill, table):
    ids = table.select(["id"])
    first = mill.start("run", ids, [])
    assert first.status == 0, first.stderr
    pipeline = first.out.parent / "pipeline.toml"
    before = Dataset(first.out).digests()
    again = mill.call("run", pipeline, "--out", first.out)
    assert again.status == 1 and "overwrite" in again.stderr
    assert Dataset(first.out).digests() == before
    forced = mill.call("run", pipeline, "--out", first.out, "--overwrite")
    assert forced.status == 0, forced.stderr
    assert Dataset(first.out).digests() == before
