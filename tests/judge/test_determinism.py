"""Bytes depend on the rows and their order, and on nothing that a machine or its load decides."""

import json

import numpy as np
import pyarrow as pa
import pytest
import tables
from mill import KEY_SPLIT, step, write

ROWS = 120_000

STEPS = [
    {"name": "fill", **step("impute", ["x*", "n"], strategy="median")},
    {"name": "fill-words", **step("impute", ["few"], strategy="most_frequent")},
    {"name": "standard", **step("scale", ["x0", "x1", "n"], method="standard")},
    {"name": "robust", **step("scale", ["x2"], method="robust")},
    {"name": "onehot", **step("encode", ["few"], method="onehot", unseen="ignore")},
    {"name": "ordinal", **step("encode", ["many"], method="ordinal", unseen="code")},
]
SMALL_FILES = {"row_group_rows": 7_000, "file_rows": 50_000}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(8)
    floats = {f"x{index}": tables.nullable(rng, rng.lognormal(0, index + 1, ROWS)) for index in range(4)}
    keys = rng.integers(0, ROWS, ROWS)
    return tables.table(
        {
            **floats,
            "n": tables.nullable(rng, rng.integers(-1000, 1000, ROWS)),
            "few": tables.nullable(rng, tables.words(rng, ROWS, 20), type=pa.string()),
            # Most keys are met once, so that partials are large; and long, so that memory is short.
            "many": pa.array([f"{'key ' * 12}{key:06}" for key in keys]),
            "note": tables.nullable(rng, [f"note {'of no use ' * 5}{key}" for key in keys], type=pa.string()),
            "flag": tables.nullable(rng, rng.random(ROWS) < 0.5),
        }
    )


@pytest.fixture(scope="module")
def source(mill, table):
    return write(table, mill.folder() / "table.parquet", row_group_size=9_000)


def digests(mill, source, arguments=(), **options):
    dataset = mill.run(source, STEPS, split=KEY_SPLIT, output=SMALL_FILES, arguments=arguments, **options)
    found = dataset.digests()
    assert len(dataset.files("train")) == 3
    return found


@pytest.fixture(scope="module")
def wanted(mill, source):
    return digests(mill, source)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--workers", "1"),
        ("--workers", "2"),
        ("--workers", "7"),
        ("--batch-rows", "1000"),
        ("--batch-rows", "100000"),
        ("--workers", "7", "--batch-rows", "1000"),
        ("--spill-past", "8MiB"),
        ("--memory", "256MiB"),
        ("--memory", "8GiB", "--workers", "8"),
    ],
    ids=" ".join,
)
def test_bytes_do_not_depend_on_workers_batches_or_memory(mill, source, wanted, arguments):
    assert digests(mill, source, arguments) == wanted


def test_memory_is_short_enough_to_spill(mill, source):
    dataset = mill.run(source, STEPS, split=KEY_SPLIT, output=SMALL_FILES, arguments=("--spill-past", "8MiB"))
    report = json.loads((dataset.path / "report.json").read_text())
    assert report["spilled_partials"] > 0
    assert report["output"]["spilled_bytes"] > 0


def one_row_group(table, folder):
    return write(table, folder / "table.parquet", row_group_size=len(table))


def plain_strings(table, folder):
    return write(table, folder / "table.parquet", use_dictionary=False, row_group_size=20_000)


def some_strings_in_dictionaries(table, folder):
    return write(table, folder / "table.parquet", use_dictionary=["few", "note"], compression="zstd")


def parquet_files(table, folder):
    for number, start in enumerate(range(0, ROWS, 33_333)):
        write(table.slice(start, 33_333), folder / f"part-{number}.parquet", row_group_size=5_000)
    return folder / "*.parquet"


def arrow_file(table, folder):
    return write(table, folder / "table.arrow", max_chunksize=11_111)


def arrow_files_in_a_folder(table, folder):
    write(table.slice(0, 70_000), folder / "a.arrow")
    write(table.slice(70_000), folder / "b.arrow", max_chunksize=1_000)
    return folder


def arrow_dictionaries(table, folder):
    few = table["few"].combine_chunks().dictionary_encode()
    column = table.column_names.index("few")
    return write(table.set_column(column, "few", few), folder / "table.arrow", max_chunksize=30_000)


SOURCES = [
    one_row_group,
    plain_strings,
    some_strings_in_dictionaries,
    parquet_files,
    arrow_file,
    arrow_files_in_a_folder,
    arrow_dictionaries,
]


@pytest.mark.parametrize("layout", SOURCES, ids=lambda layout: layout.__name__)
def test_bytes_do_not_depend_on_how_the_source_keeps_its_rows(mill, table, wanted, layout):
    assert digests(mill, layout(table, mill.folder())) == wanted


def test_the_model_does_not_depend_on_the_order_of_rows(mill, table):
    order = np.random.default_rng(9).permutation(ROWS)
    model, shuffled = (mill.fit(it, STEPS, split=KEY_SPLIT) for it in (table, table.take(order)))
    assert model.digests() == shuffled.digests()


def test_fit_and_run_write_the_same_model(mill, source, wanted):
    model = mill.fit(source, STEPS, split=KEY_SPLIT).digests()
    assert model == {name.removeprefix("model/"): it for name, it in wanted.items() if name.startswith("model/")}


def test_arrow_outputs_are_the_same_bytes_too(mill, source):
    output = {"format": "arrow", **SMALL_FILES}
    runs = [("--workers", "1", "--batch-rows", "1000"), ("--workers", "7"), ("--spill-past", "8MiB")]
    first, *others = [
        mill.run(source, STEPS[:-1], split=KEY_SPLIT, output=output, arguments=it).digests() for it in runs
    ]
    assert all(it == first for it in others)


def test_the_model_of_csv_is_that_of_parquet(mill, table):
    # Types that CSV keeps.
    rows = table.select(["id", "x0", "x1", "x2", "x3", "n", "few", "many"]).slice(0, 10_000)
    csv = write(rows, mill.folder() / "table.csv")
    assert mill.fit(csv, STEPS, split=KEY_SPLIT).digests() == mill.fit(rows, STEPS, split=KEY_SPLIT).digests()
    as_csv, as_parquet = (mill.run(it, STEPS, split=KEY_SPLIT) for it in (csv, rows))
    for part in ("train", "val", "test"):
        assert as_csv.part(part).equals(as_parquet.part(part))
